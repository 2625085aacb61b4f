// Rows of a filtered scan waiting to be returned, nearest first: its reorder queue, and the sort of
// its exact search.
//
// Holds distances and places only: what is returned is fetched again, which is cheaper than copying
// every candidate with its vector.
#pragma once

#include "pg/memory.h"
#include "pg/row_sorter.h"

namespace hnsw::pg {

// As the server orders float8, NULLs last: numbers, NaN, NULL.
struct Distance {
    double value = 0;
    bool isnull = false;

    friend bool operator<(const Distance &a, const Distance &b) {
        if (a.isnull || b.isnull)
            return !a.isnull && b.isnull;
        return float8_lt(a.value, b.value);
    }
    friend bool operator<=(const Distance &a, const Distance &b) { return !(b < a); }
};

struct RankedRow {
    Distance distance;
    core::HeapTid tid;

    // Equal distances in order of the heap, so that plans agree.
    friend bool operator<(const RankedRow &a, const RankedRow &b) {
        if (a.distance < b.distance)
            return true;
        return !(b.distance < a.distance) && a.tid.key() < b.tid.key();
    }
};

class RowQueue {
public:
    static constexpr bool kAbandonable = true;

    // Everything is allocated in `context`.
    explicit RowQueue(MemoryContext context)
        : memory_(context), rows_(&memory_), numbers_(context), nulls_(context) {}

    void clear();
    void add(const RankedRow &row);
    // For rows that are all added before the first is taken: beyond `limit` bytes they go to
    // temporary files. finish() ends the adding.
    void add_bounded(const RankedRow &row, size_t limit);
    void finish();

    // The nearest row, if there is one. Not after add_bounded().
    const RankedRow *top() const { return rows_.empty() ? nullptr : &rows_.front(); }
    bool pop(RankedRow *row);
    // Frees temporary files.
    void end();

private:
    void spill(const RankedRow &row);

    McxtResource memory_;
    std::pmr::vector<RankedRow> rows_;  // heap, nearest on top
    bool spilled_ = false;
    TupleRowSorter numbers_;  // NaN included
    TupleRowSorter nulls_;
};

// The k least distances seen so far: tells when k rows are settled.
class NearestK {
public:
    static constexpr bool kAbandonable = true;

    explicit NearestK(MemoryContext context) : memory_(context), heap_(&memory_) {}

    // k = 0: nothing ever needs settling.
    void begin(size_t k);
    void add(const Distance &distance);
    // Whether k rows lie within `bound`.
    bool within(const Distance &bound) const {
        return k_ == 0 || (heap_.size() == k_ && heap_.front() <= bound);
    }

private:
    McxtResource memory_;
    std::pmr::vector<Distance> heap_;  // farthest on top
    size_t k_ = 0;
};

}  // namespace hnsw::pg

/*
 * An ordered scan: rows nearest first, as many as are asked for, never stopping short.
 *
 * Phases: the graph (as far as the index's reach says, or a beam of ef; widened each time more rows
 * are wanted), then, when the graph is exhausted or the memory limit is reached, an exact pass over
 * all records not yet returned, then rows without direction, then rows without a vector.  Rows leave
 * in order of a proven lower bound of their distance; the caller's reorder queue makes the order
 * exact.
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>

#include "core/chooser.h"
#include "core/context.h"
#include "core/filter.h"
#include "core/index.h"
#include "core/match_memo.h"

namespace hnsw::core {

enum class Iterative : uint8_t {
    kOff,     /* stop after the first beam */
    kRelaxed, /* go on */
    kStrict,  /* go on (order is kept by bounds either way) */
};

struct ScanOptions {
    uint32_t ef = 40; /* 1..10,000 */
    Iterative iterative = Iterative::kStrict;
    uint64_t max_tuples = UINT64_MAX;      /* rows of the graph phase after the first beam */
    size_t memory_limit = size_t{4} << 20; /* bytes: then the exact pass takes over */
    bool skip_dead = true; /* skip rows marked by kill_last(); false in a transaction that began
                              during recovery, whose snapshots do not hold rows back */
    Filter filter = {};    /* only rows that may meet it are returned */
    bool keep_filter =
        false; /* filter and snapshot are those of the scan before: what was found out
                                 about them still holds */
    Strategy strategy = Strategy::kAuto; /* kExact serves an empty filter too */
    MatchMemo *memo = nullptr; /* about `filter`, for the index as it is; outlives the scan */
    Experience *experience = nullptr; /* of this index, which the scan reads and adds to */
    double tried = 0;    /* rows near the value that the caller has tested against the filter, */
    double passed = 0;   /* and of them those that met it */
    uint32_t wanted = 0; /* rows the caller will ask for (LIMIT); 0 = not known */
};

/* What a filtered scan did, for EXPLAIN. */
struct ScanReport {
    Choice choice;                /* the strategy in force at the end */
    double estimated = 0;         /* nodes thought to match when it was chosen */
    uint64_t removed = 0;         /* nodes read that did not match */
    uint32_t changes_of_mind = 0; /* times it went over to another strategy */
};

struct ScanRow {
    HeapTid tid;
    double bound = 0; /* the operator's result is at least this */
    enum class Kind : uint8_t {
        kBound, /* bound holds */
        kNan,   /* the operator's result is NaN (a vector without direction) */
        kNull,  /* the operator's result is NULL */
    } kind = Kind::kBound;
};

/* Sorts rows by bound, on disk if need be: the exact pass's output. Supplied by the environment
 * (tuplesort in the server). */
class RowSorter {
public:
    virtual ~RowSorter() = default;
    virtual void begin() = 0; /* forgets an earlier content */
    virtual void put(double bound, HeapTid tid) = 0;
    virtual void sort() = 0;
    virtual bool next(double *bound, HeapTid *tid) = 0;
};

/* One scan at a time; begin() again rescans with the memory already there. Abandonable. */
class Scan {
public:
    Scan(Index &index, const Context &context, RowSorter &sorter);
    ~Scan();

    /* value: dim floats, or null for a NULL query (every distance is NULL). Copied. */
    void begin(const float *value, const ScanOptions &options);
    /* Before the first next() of a scan without a filter: a beam just wide enough for them finds rows
     * near the value, which go to `out`, nearest first. Returns their number. What was read is not read
     * again, and next() returns what it would have returned. May poll(). */
    size_t peek(std::span<HeapTid> out);
    /* Next row; false at the end. May poll(). */
    bool next(ScanRow *row);
    static constexpr size_t kLookAhead = 3;
    /* The rows that next() will probably return next, if it need not search further, the nearest first.
     * Returns their number. */
    size_t look_ahead(std::span<HeapTid, kLookAhead> out) const;
    /* The row last returned does not meet the caller's condition. The rows to come are searched for the
     * wider the more of them fail. */
    void fail_last();
    /* The row last returned is dead to every snapshot: later scans may skip it. Batched; flushed
     * by begin() and the destructor of the caller's choosing. */
    void kill_last();
    /* Writes the marks of kill_last() to the pages. Holds one page at a time. */
    void flush_kills();
    /* Of the scan since begin(). */
    const ScanReport &report() const;

private:
    struct Impl;
    Impl *impl_;
};

}  // namespace hnsw::core

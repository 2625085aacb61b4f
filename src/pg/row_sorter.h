// core::RowSorter over the server's tuplesort: sorts within work_mem and goes to temporary files
// beyond it.
#pragma once

#include "core/scan.h"
#include "pg/pg.h"

namespace hnsw::pg {

class TupleRowSorter final : public core::RowSorter {
public:
    static constexpr bool kAbandonable = true;

    // Everything is allocated in `context`.
    explicit TupleRowSorter(MemoryContext context) : context_(context) {}

    void begin() override;
    void put(double bound, core::HeapTid tid) override;
    void sort() override;
    bool next(double *bound, core::HeapTid *tid) override;
    // Frees what the sort holds, temporary files included.
    void end();

private:
    void make_slots();

    MemoryContext context_;
    Tuplesortstate *sort_ = nullptr;
    // Tuples (float8 bound, int8 TID key).
    TupleTableSlot *put_slot_ = nullptr;
    TupleTableSlot *get_slot_ = nullptr;
};

}  // namespace hnsw::pg

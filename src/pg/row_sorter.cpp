// Rows as (float8, int8) tuples of a tuplesort.
#include "pg/row_sorter.h"

namespace hnsw::pg {

namespace {

constexpr Oid kFloat8Less = 672;
constexpr Oid kInt8Less = 412;

class ContextSwitch {
public:
    [[maybe_unused]] static constexpr bool kAbandonable = true;
    explicit ContextSwitch(MemoryContext context) : caller_(MemoryContextSwitchTo(context)) {}
    ContextSwitch(const ContextSwitch &) = delete;
    ContextSwitch &operator=(const ContextSwitch &) = delete;
    ~ContextSwitch() { MemoryContextSwitchTo(caller_); }

private:
    MemoryContext caller_;
};

}  // namespace

void TupleRowSorter::make_slots() {
    TupleDesc desc = CreateTemplateTupleDesc(2);
    TupleDescInitEntry(desc, 1, "bound", FLOAT8OID, -1, 0);
    TupleDescInitEntry(desc, 2, "tid", INT8OID, -1, 0);
    put_slot_ = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
    get_slot_ = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

void TupleRowSorter::begin() {
    ContextSwitch in(context_);
    end();
    if (put_slot_ == nullptr)
        make_slots();
    AttrNumber columns[] = {1, 2};
    Oid operators[] = {kFloat8Less, kInt8Less};
    Oid collations[] = {InvalidOid, InvalidOid};
    bool nulls_first[] = {false, false};
    sort_ = tuplesort_begin_heap(put_slot_->tts_tupleDescriptor, 2, columns, operators, collations,
                                 nulls_first, work_mem, nullptr, TUPLESORT_NONE);
}

void TupleRowSorter::put(double bound, core::HeapTid tid) {
    ExecClearTuple(put_slot_);
    put_slot_->tts_values[0] = Float8GetDatum(bound);
    put_slot_->tts_values[1] = Int64GetDatum(static_cast<int64>(tid.key()));
    put_slot_->tts_isnull[0] = false;
    put_slot_->tts_isnull[1] = false;
    ExecStoreVirtualTuple(put_slot_);
    tuplesort_puttupleslot(sort_, put_slot_);
}

void TupleRowSorter::sort() { tuplesort_performsort(sort_); }

bool TupleRowSorter::next(double *bound, core::HeapTid *tid) {
    if (!tuplesort_gettupleslot(sort_, true, false, get_slot_, nullptr))
        return false;
    slot_getallattrs(get_slot_);
    *bound = DatumGetFloat8(get_slot_->tts_values[0]);
    *tid = core::HeapTid::from_key(static_cast<uint64_t>(DatumGetInt64(get_slot_->tts_values[1])));
    return true;
}

void TupleRowSorter::end() {
    if (sort_ == nullptr)
        return;
    ExecClearTuple(get_slot_);
    tuplesort_end(sort_);
    sort_ = nullptr;
}

}  // namespace hnsw::pg

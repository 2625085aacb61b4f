// Ordered index scans: core::Scan behind amgettuple.  Rows leave in order of a lower bound of their
// distance with xs_recheckorderby set; the executor's reorder queue makes the order exact.  Conditions
// on attributes are the core's filter, and xs_recheck makes the executor test them again.
#include "core/scan.h"

#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/filter_memo.h"
#include "pg/heap_prefetch.h"
#include "pg/kept_state.h"
#include "pg/options.h"
#include "pg/row_sorter.h"

namespace hnsw::pg {

namespace {

// What one index scan needs. Opened at the first amgettuple: plans often begin scans they never run.
struct ScanState {
    ScanState(MemoryContext context, Relation index, Relation heap, OpenIndex *opened)
        : context(context),
          keys(AllocSetContextCreate(context, "hnsw scan keys", ALLOCSET_SMALL_SIZES)),
          opened(opened),
          attributes(index),
          sorter(context),
          scan(opened->index, opened->core_context(), sorter),
          prefetch(index, heap) {}

    MemoryContext context;  // everything here
    MemoryContext keys;     // a child, of the conditions made from the scan keys of this rescan
    OpenIndex *opened;
    AttributeColumns attributes;
    ScanConditions wanted;
    TupleRowSorter sorter;
    core::Scan scan;
    HeapPrefetch prefetch;
};

// More is given back to the server when a scan ends.
constexpr size_t kMostKept = size_t{1} << 20;

KeptState<ScanState> kept;

// Dies with the executor's memory; a scan that has not ended by then was stopped by an error.
struct Loan {
    MemoryContextCallback callback;
    bool ended;
};

struct ScanOpaque {
    ScanState *state = nullptr;  // null: not opened yet
    Loan *loan = nullptr;        // of what is kept; null: the state is the scan's own
    bool prepared = false;       // since the last amrescan
    bool running = false;        // as well
    ScanRequest request;
};

ScanOpaque &opaque_of(IndexScanDesc scan) { return *static_cast<ScanOpaque *>(scan->opaque); }

ScanState *create_state(IndexScanDesc scan, MemoryContext parent) {
    MemoryContext context = AllocSetContextCreate(parent, "hnsw scan", ALLOCSET_DEFAULT_SIZES);
    OpenIndex *opened = OpenIndex::open(context, scan->indexRelation, scan->heapRelation,
                                        BufferStore::Purpose::kRead);
    return create_in_context<ScanState>(context, context, scan->indexRelation, scan->heapRelation,
                                        opened);
}

Loan *borrow(MemoryContext until) {
    auto *loan = static_cast<Loan *>(MemoryContextAlloc(until, sizeof(Loan)));
    loan->callback.arg = loan;
    loan->callback.func = [](void *arg) {
        if (!static_cast<Loan *>(arg)->ended)
            kept.drop();
    };
    loan->ended = false;
    MemoryContextRegisterResetCallback(until, &loan->callback);
    return loan;
}

void open_scan(IndexScanDesc scan, ScanOpaque *opaque) {
    MemoryContext context = GetMemoryChunkContext(opaque);
    if (kept.busy()) {
        opaque->state = create_state(scan, context);
        return;
    }
    ScanState *state = kept.take(RelationGetRelid(scan->indexRelation));
    if (state == nullptr) {
        state = create_state(scan, context);
        kept.keep(state);
    } else {
        state->opened->store.attach(scan->indexRelation, scan->heapRelation);
        state->opened->stats = {};
        state->prefetch = HeapPrefetch(scan->indexRelation, scan->heapRelation);
    }
    opaque->loan = borrow(context);
    opaque->state = state;
}

// Opens the scan, and makes the core's conditions of its keys.
void prepare(IndexScanDesc scan, ScanOpaque &opaque) {
    if (opaque.prepared)
        return;
    if (scan->numberOfOrderBys != 1)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("an hnsw index can only be scanned in order of distance")));
    // Slots are recycled on the word of the oldest MVCC snapshot.
    if (!IsMVCCSnapshot(scan->xs_snapshot))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("non-MVCC snapshots are not supported with hnsw")));
    if (opaque.state == nullptr)
        open_scan(scan, &opaque);
    ScanState &state = *opaque.state;
    MemoryContextReset(state.keys);
    state.wanted = state.attributes.conditions_of(
        {scan->keyData, static_cast<size_t>(scan->numberOfKeys)}, state.keys);
    opaque.prepared = true;
}

void count_scan(IndexScanDesc scan) {
    pgstat_count_index_scan(scan->indexRelation);
    count_index_search(scan);
}

void start(IndexScanDesc scan, ScanOpaque &opaque) {
    prepare(scan, opaque);
    ScanState &state = *opaque.state;
    const ScanKeyData &key = scan->orderByData[0];
    core::ScanOptions options = scan_options();
    options.skip_dead = scan->ignore_killed_tuples;
    options.filter.rows = opaque.request.rows;
    options.keep_filter = opaque.request.same_rows && scan->numberOfKeys == 0;
    options.wanted = opaque.request.wanted;
    options.strategy = opaque.request.strategy;
    options.tried = opaque.request.tried;
    options.passed = opaque.request.passed;
    options.filter.conditions = state.wanted.conditions;
    if (options.filter.rows == nullptr)
        options.memo = filter_memo(scan->indexRelation, options.filter.conditions);
    options.experience = filter_experience(scan->indexRelation);
    MemoryContext caller = MemoryContextSwitchTo(state.context);
    void *copy = nullptr;
    const float *query = key.sk_flags & SK_ISNULL
                             ? nullptr
                             : read_vector(key.sk_argument, state.opened->index.meta().dim, &copy);
    state.scan.begin(query, options);
    if (copy != nullptr)
        pfree(copy);
    MemoryContextSwitchTo(caller);
    count_scan(scan);
    opaque.running = true;
}

// The value the executor orders by until it has computed the operator itself.
IndexOrderByDistance order_value(const core::ScanRow &row) {
    switch (row.kind) {
        case core::ScanRow::Kind::kNan:
            return {.value = get_float8_nan(), .isnull = false};
        case core::ScanRow::Kind::kNull:
            return {.value = 0, .isnull = true};
        case core::ScanRow::Kind::kBound:
            break;
    }
    return {.value = row.bound, .isnull = false};
}

void store_row(IndexScanDesc scan, const core::ScanRow &row) {
    ItemPointerSet(&scan->xs_heaptid, row.tid.block, row.tid.offset);
    scan->xs_recheck = scan->numberOfKeys > 0;  // attribute keys say less than the values
    IndexOrderByDistance distance = order_value(row);
    Oid type = FLOAT8OID;
    index_store_float8_orderby_distances(scan, &type, &distance, true);
}

// `row` is returned now.
void prefetch_rows(IndexScanDesc scan, const core::ScanRow &row, ScanState *state) {
    if (state->prefetch.idle())
        return;
    state->prefetch.pin_page(scan->xs_heapfetch, row.tid);
    core::HeapTid rows[HeapPrefetch::kAhead];
    const size_t count = state->scan.look_ahead(rows);
    state->prefetch.look_ahead({rows, count});
}

void end_state(ScanOpaque *opaque) {
    if (opaque->loan == nullptr) {
        MemoryContextDelete(opaque->state->context);
    } else {
        opaque->loan->ended = true;
        kept.give_back();
        if (MemoryContextMemAllocated(opaque->state->context, true) > kMostKept)
            kept.drop();
    }
    opaque->state = nullptr;
    opaque->loan = nullptr;
}

}  // namespace

IndexScanDesc am_begin_scan(Relation index, int nkeys, int norderbys) {
    IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
    if (norderbys > 0) {
        scan->xs_orderbyvals = static_cast<Datum *>(palloc0(sizeof(Datum) * norderbys));
        scan->xs_orderbynulls = static_cast<bool *>(palloc0(sizeof(bool) * norderbys));
    }
    scan->opaque = create_in_context<ScanOpaque>(CurrentMemoryContext);
    return scan;
}

void am_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys) {
    if (keys != nullptr && nkeys > 0)
        memmove(scan->keyData, keys, nkeys * sizeof(ScanKeyData));
    if (orderbys != nullptr && norderbys > 0)
        memmove(scan->orderByData, orderbys, norderbys * sizeof(ScanKeyData));
    ScanOpaque &opaque = opaque_of(scan);
    if (opaque.running)
        opaque.state->scan.flush_kills();
    opaque.prepared = false;
    opaque.running = false;
}

bool am_get_tuple(IndexScanDesc scan, ScanDirection) {
    ScanOpaque &opaque = opaque_of(scan);
    if (!opaque.running)
        start(scan, opaque);
    else if (scan->kill_prior_tuple)
        opaque.state->scan.kill_last();

    if (opaque.state->wanted.none)
        return false;
    MemoryContext caller = MemoryContextSwitchTo(opaque.state->context);
    core::ScanRow row;
    bool found = opaque.state->scan.next(&row);
    MemoryContextSwitchTo(caller);
    // Rows without a vector are the last.
    if (found && opaque.state->wanted.vector_set && row.kind == core::ScanRow::Kind::kNull &&
        (scan->orderByData[0].sk_flags & SK_ISNULL) == 0)
        return false;
    if (found) {
        store_row(scan, row);
        prefetch_rows(scan, row, opaque.state);
    }
    return found;
}

void am_end_scan(IndexScanDesc scan) {
    ScanOpaque &opaque = opaque_of(scan);
    if (opaque.state == nullptr)
        return;
    if (opaque.running)
        opaque.state->scan.flush_kills();
    opaque.state->sorter.end();
    end_state(&opaque);
}

void set_scan_request(IndexScanDesc scan, const ScanRequest &request) {
    opaque_of(scan).request = request;
}

size_t peek_scan(IndexScanDesc scan, std::span<core::HeapTid> out) {
    ScanOpaque &opaque = opaque_of(scan);
    if (!opaque.running)
        start(scan, opaque);
    MemoryContext caller = MemoryContextSwitchTo(opaque.state->context);
    size_t count = opaque.state->scan.peek(out);
    MemoryContextSwitchTo(caller);
    return count;
}

bool known_rows(IndexScanDesc scan, size_t most, std::pmr::vector<core::HeapTid> *out) {
    ScanOpaque &opaque = opaque_of(scan);
    prepare(scan, opaque);
    ScanState &state = *opaque.state;
    core::MatchMemo *memo = filter_memo(scan->indexRelation, state.wanted.conditions);
    if (memo == nullptr || state.wanted.none || memo->ids.size() > most ||
        !memo->find_rows(state.opened->index, {.conditions = state.wanted.conditions},
                         &state.opened->memory) ||
        memo->rows.size() > most)
        return false;
    out->assign(memo->rows.begin(), memo->rows.end());
    count_scan(scan);
    return true;
}

void fail_last_row(IndexScanDesc scan) { opaque_of(scan).state->scan.fail_last(); }

bool fetch_returned_row(IndexScanDesc scan, const core::HeapTid &row, TupleTableSlot *slot) {
    return opaque_of(scan).state->prefetch.fetch_again(scan->xs_heapfetch, row, scan->xs_snapshot,
                                                       slot);
}

ScanFacts scan_facts(IndexScanDesc scan) {
    const ScanOpaque &opaque = opaque_of(scan);
    if (opaque.state == nullptr)
        return {};
    return {.report = &opaque.state->scan.report(), .stats = &opaque.state->opened->stats};
}

}  // namespace hnsw::pg

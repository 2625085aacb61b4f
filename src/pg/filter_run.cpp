// The custom scan at work: which source its rows come from, and the rows.
#include "core/directory.h"
#include "pg/filter_scan.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

using Source = FilterScanState::Source;
using core::Strategy;

// Costs, in record reads of the index (docs/performance.md).
constexpr double kHeapRow = 0.5;     // fetching a row, testing it, computing its distance
constexpr double kToastedRow = 2.5;  // the same where the vector is stored out of line
constexpr double kBitmapRow = 0.08;  // a row's way through a bitmap
constexpr int kToastedDim = 500;
constexpr double kReadsPerRow = 3;    // records read for a row that a long search returns
constexpr double kBeamFactor = 1.75;  // the index has its own, measured; this will do for a choice

// Rows thought to be wanted when LIMIT is not known; a LIMIT beyond the second is not either.
constexpr double kUnknownWanted = 100;
constexpr uint32_t kMostWanted = 100000;

// Rows tested before a measured pass rate is believed.
constexpr double kLeastTried = 64;

bool has_child(const FilterScanState *state) { return state->css.custom_ps != NIL; }

double wanted_rows(const FilterScanState *state) {
    return state->wanted != 0 ? state->wanted : kUnknownWanted;
}

// ---- costs ----------------------------------------------------------------------------------

// What the search in the index takes when it keeps to that many rows.
double walk_cost(const FilterScanState *state, double matching) {
    int columns = IndexRelationGetNumberOfAttributes(state->index);
    auto shape = core::DirectoryShape::make(static_cast<uint32_t>(columns) - 1, 1);
    core::FilterFacts facts;
    facts.nodes = state->plan.tuples;
    facts.matching = matching;
    facts.counted = true;
    facts.k = static_cast<uint32_t>(wanted_rows(state));
    facts.ef = static_cast<uint32_t>(ef_search() * kBeamFactor);
    facts.directory_pages = static_cast<uint32_t>(state->plan.tuples / shape.entries) + 1;
    core::Choice choice = core::choose(facts);
    // The index would test every node's entry for its exact pass; the bitmap has the rows at hand.
    if (choice.strategy == Strategy::kExact)
        choice = core::plan(Strategy::kPenalised, facts);
    return choice.expected_cost;
}

double heap_row_cost(const FilterScanState *state) {
    int dim = TupleDescAttr(RelationGetDescr(state->index), 0)->atttypmod;
    return dim > kToastedDim ? kToastedRow : kHeapRow;
}

bool exact_is_cheaper(const FilterScanState *state, double matching) {
    return matching * heap_row_cost(state) <= walk_cost(state, matching);
}

double bitmap_cost(const FilterScanState *state, double matching) {
    return matching * kBitmapRow +
           std::min(matching * heap_row_cost(state), walk_cost(state, matching));
}

// Of finding `rows` more by testing every row, when `rate` of them pass.
double post_filter_cost(const FilterScanState *state, double rows, double rate) {
    double tried = std::min(rows / std::max(rate, 1e-9), state->plan.tuples);
    return std::max(ef_search() * kBeamFactor, tried * kReadsPerRow) + tried * heap_row_cost(state);
}

// ---- parameters -----------------------------------------------------------------------------

int64 evaluate_count(ExprState *expr, ExprContext *context, int64 if_null) {
    bool isnull;
    Datum value = ExecEvalExprSwitchContext(expr, context, &isnull);
    return isnull ? if_null : DatumGetInt64(value);
}

// LIMIT + OFFSET, 0 if there is none.
uint32_t evaluate_wanted(const FilterScanState *state) {
    if (state->limit == nullptr)
        return 0;
    int64 limit = evaluate_count(state->limit, state->key_context, -1);
    int64 offset =
        state->offset != nullptr ? evaluate_count(state->offset, state->key_context, 0) : 0;
    if (limit < 0 || limit > kMostWanted || offset > kMostWanted)
        return 0;
    int64 rows = limit + std::max<int64>(offset, 0) + state->plan.extra_rows;
    return static_cast<uint32_t>(std::max<int64>(rows, 1));
}

Distance evaluate_distance(ExprState *expr, ExprContext *context, bool single = false) {
    Distance distance;
    Datum value = ExecEvalExprSwitchContext(expr, context, &distance.isnull);
    if (!distance.isnull)
        distance.value = single ? DatumGetFloat4(value) : DatumGetFloat8(value);
    return distance;
}

// Whether rows at `distance` and beyond are all ruled out.
bool beyond_bounds(const FilterScanState *state, const Distance &distance) {
    for (int i = 0; i < state->bound_count; i++) {
        const BoundTest &bound = state->bounds[i];
        if (distance.isnull || bound.value.isnull ||
            (bound.inclusive ? bound.value < distance : bound.value <= distance))
            return true;
    }
    return false;
}

// ---- the heap -------------------------------------------------------------------------------

bool was_returned(const FilterScanState *state, core::HeapTid tid) {
    const auto &returned = state->work->returned;
    return !state->may_change_mind && !returned.empty() &&
           std::binary_search(returned.begin(), returned.end(), tid.key());
}

core::HeapTid tid_of(const TupleTableSlot *slot) {
    return {ItemPointerGetBlockNumber(&slot->tts_tid), ItemPointerGetOffsetNumber(&slot->tts_tid)};
}

// Tests the row in the scan's slot; if it passes, `row` gets its distance and place.
bool consider(FilterScanState *state, RankedRow *row) {
    TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
    ExprContext *context = state->css.ss.ps.ps_ExprContext;
    state->counters.fetched++;
    state->tried++;
    ResetExprContext(context);
    context->ecxt_scantuple = slot;
    if (!ExecQual(state->quals, context)) {
        InstrCountFiltered1(state, 1);
        return false;
    }
    row->distance = evaluate_distance(state->distance, context);
    row->tid = tid_of(slot);
    state->counters.distances++;
    if (beyond_bounds(state, row->distance)) {
        InstrCountFiltered1(state, 1);
        return false;
    }
    return !was_returned(state, row->tid);
}

void collect(FilterScanState *state) {
    RankedRow row;
    if (consider(state, &row))
        state->work->queue.add_bounded(row, static_cast<size_t>(work_mem) * 1024);
}

void collect_tid(FilterScanState *state, BlockNumber block, OffsetNumber offset) {
    ScanState *ss = &state->css.ss;
    ItemPointerData tid;
    ItemPointerSet(&tid, block, offset);
    bool again = false;
    bool all_dead = false;
    if (table_index_fetch_tuple(state->heap_fetcher, &tid, ss->ps.state->es_snapshot,
                                ss->ss_ScanTupleSlot, &again, &all_dead))
        collect(state);
}

// Every row the bitmap names, in order of the heap.
void collect_bitmap(FilterScanState *state) {
    if (state->heap_fetcher == nullptr)
        state->heap_fetcher = table_index_fetch_begin(state->css.ss.ss_currentRelation);
    BitmapReader reader(state->bitmap);
    BitmapReader::Page page;
    while (reader.next(&page)) {
        CHECK_FOR_INTERRUPTS();
        // Places where no row starts are passed over by the heap.
        if (page.lossy)
            for (OffsetNumber offset = 1; offset <= MaxHeapTuplesPerPage; offset++)
                collect_tid(state, page.block, offset);
        else
            for (OffsetNumber offset : page.offsets)
                collect_tid(state, page.block, offset);
    }
    reader.end();
    table_index_fetch_reset(state->heap_fetcher);
}

void collect_table(FilterScanState *state) {
    ScanState *ss = &state->css.ss;
    TableScanDesc scan =
        table_beginscan(ss->ss_currentRelation, ss->ps.state->es_snapshot, 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, ss->ss_ScanTupleSlot)) {
        CHECK_FOR_INTERRUPTS();
        collect(state);
    }
    ExecClearTuple(ss->ss_ScanTupleSlot);
    table_endscan(scan);
}

void begin_heap(FilterScanState *state, const char *reason) {
    state->source = Source::kHeap;
    state->may_change_mind = false;
    state->counters.strategy = Strategy::kExact;
    state->counters.reason = reason;
    state->work->queue.clear();
    if (state->bitmap != nullptr)
        collect_bitmap(state);
    else
        collect_table(state);
    state->work->queue.finish();
}

// ---- the bitmap -----------------------------------------------------------------------------

void build_bitmap(FilterScanState *state) {
    if (state->bitmap != nullptr)
        return;
    auto *child = static_cast<PlanState *>(linitial(state->css.custom_ps));
    Node *result = MultiExecProcNode(child);
    if (result == nullptr || !IsA(result, TIDBitmap))
        elog(ERROR, "unrecognized result from subplan");
    state->bitmap = reinterpret_cast<TIDBitmap *>(result);
    state->index_knows_rows = false;
    core::TidSet &rows = state->work->rows;
    rows.clear();
    BitmapReader reader(state->bitmap);
    BitmapReader::Page page;
    while (reader.next(&page)) {
        CHECK_FOR_INTERRUPTS();
        if (page.lossy)
            rows.add_lossy(page.block);
        else
            rows.add(page.block, page.offsets);
    }
    reader.end();
    BlockNumber blocks = RelationGetNumberOfBlocks(state->css.ss.ss_currentRelation);
    state->bitmap_rows = rows.size(state->plan.tuples / std::max<double>(1, blocks));
    state->counters.counted = state->bitmap_rows;
}

// ---- the index ------------------------------------------------------------------------------

void begin_index(FilterScanState *state, const ScanRequest &request, const char *reason) {
    ScanState *ss = &state->css.ss;
    if (state->scan == nullptr)
        state->scan =
            begin_index_scan(ss->ss_currentRelation, state->index, ss->ps.state->es_snapshot,
                             state->condition_count, state->order_by_count);
    ScanRequest full = request;
    full.same_rows = state->index_knows_rows && request.rows != nullptr;
    set_scan_request(state->scan, full);
    state->index_knows_rows = request.rows != nullptr;
    index_rescan(state->scan, state->conditions, state->condition_count, state->order_by,
                 state->order_by_count);
    state->source = Source::kIndex;
    state->counters.strategy = request.strategy;
    state->counters.reason = reason;
    state->work->queue.clear();
    state->work->nearest.begin(state->wanted);
    state->settled = state->wanted == 0;
    state->index_done = false;
    state->tried = 0;
    state->passed = 0;
    state->frontier = {-get_float8_infinity(), false};
}

// With the bitmap: exact, or a search that keeps to its rows.
void begin_with_bitmap(FilterScanState *state, Strategy strategy) {
    build_bitmap(state);
    state->may_change_mind = false;
    if (strategy == Strategy::kExact)
        begin_heap(state, "hnsw.filter_strategy");
    else if (strategy == Strategy::kAuto && exact_is_cheaper(state, state->bitmap_rows))
        begin_heap(state, "few rows match");
    else
        begin_index(state,
                    {.rows = &state->work->rows, .wanted = state->wanted, .strategy = strategy},
                    strategy == Strategy::kAuto ? "many rows match" : "hnsw.filter_strategy");
}

// Whether a bitmap is the better start, going by the planner's estimates.
bool bitmap_first(const FilterScanState *state) {
    double matching = state->plan.bitmap_matching;
    // The index tests the same conditions itself: only a handful of rows is found faster.
    if (state->condition_count > 0 && !state->plan.bitmap_adds)
        return matching * heap_row_cost(state) <= ef_search();
    double rate = state->plan.matching / state->plan.tuples;
    return bitmap_cost(state, matching) < post_filter_cost(state, wanted_rows(state), rate);
}

void begin_forced(FilterScanState *state, Strategy strategy) {
    constexpr const char *kReason = "hnsw.filter_strategy";
    if (strategy == Strategy::kExact && !has_child(state))
        begin_heap(state, kReason);
    else if (strategy != Strategy::kPostFilter && has_child(state))
        begin_with_bitmap(state, strategy);
    else
        begin_index(state, {.rows = nullptr, .wanted = state->wanted, .strategy = strategy},
                    kReason);
}

void begin_auto(FilterScanState *state) {
    // Built by an earlier loop: it costs nothing any more.
    if (state->bitmap != nullptr || (has_child(state) && bitmap_first(state))) {
        begin_with_bitmap(state, Strategy::kAuto);
        return;
    }
    if (state->condition_count > 0) {
        begin_index(state, {.rows = nullptr, .wanted = state->wanted, .strategy = Strategy::kAuto},
                    "conditions on columns of the index");
    } else {
        begin_index(state,
                    {.rows = nullptr, .wanted = state->wanted, .strategy = Strategy::kPostFilter},
                    has_child(state) ? "a bitmap would cost more"
                                     : "only the table's rows tell what matches");
    }
    state->may_change_mind = has_child(state);
    state->budget = std::max(kLeastTried, bitmap_cost(state, state->plan.bitmap_matching) /
                                              (kReadsPerRow + heap_row_cost(state)));
}

// Every row that passes is wanted: nothing is gained by finding the nearest first, and in order of
// the heap they come in strict order of distance.
void begin_all(FilterScanState *state) {
    constexpr const char *kReason = "all rows are wanted";
    if (state->bitmap == nullptr && has_child(state))
        build_bitmap(state);
    if (state->bitmap != nullptr || (state->condition_count == 0 && state->bound_count == 0))
        begin_heap(state, kReason);
    else
        begin_index(state, {.rows = nullptr, .wanted = 0, .strategy = Strategy::kExact}, kReason);
}

void start(FilterScanState *state) {
    state->counters.loops++;
    ResetExprContext(state->key_context);
    if (state->runtime_key_count > 0)
        ExecIndexEvalRuntimeKeys(state->key_context, state->runtime_keys, state->runtime_key_count);
    state->wanted = evaluate_wanted(state);
    for (int i = 0; i < state->bound_count; i++) {
        BoundTest &bound = state->bounds[i];
        bound.value = evaluate_distance(bound.limit, state->key_context, bound.single);
    }
    Strategy strategy = filter_strategy();
    if (strategy != Strategy::kAuto)
        begin_forced(state, strategy);
    else if (state->plan.all_rows && state->wanted == 0)
        begin_all(state);
    else
        begin_auto(state);
}

// A bitmap instead, if what has been seen says that going on is dearer.
void reconsider(FilterScanState *state) {
    double rate = std::max(state->passed, 0.5) / state->tried;
    double rest = std::max(0.0, wanted_rows(state) - state->passed);
    if (post_filter_cost(state, rest, rate) <=
        bitmap_cost(state, state->plan.bitmap_matching) + ef_search()) {
        state->budget = state->tried * 2;
        return;
    }
    state->counters.changes_of_mind++;
    std::sort(state->work->returned.begin(), state->work->returned.end());
    begin_with_bitmap(state, Strategy::kAuto);
}

// Takes the next row from the index.
void advance(FilterScanState *state) {
    ScanState *ss = &state->css.ss;
    if (index_getnext_tid(state->scan, ForwardScanDirection) == nullptr) {
        state->index_done = true;
        return;
    }
    Distance bound{DatumGetFloat8(state->scan->xs_orderbyvals[0]), state->scan->xs_orderbynulls[0]};
    if (state->frontier < bound)
        state->frontier = bound;
    if (beyond_bounds(state, bound)) {
        // Without LIMIT all rows within the bound are wanted: a late one may still come, but not
        // where the index itself has them all in order.
        state->index_done = state->wanted != 0 || state->counters.strategy == Strategy::kExact;
        return;
    }
    if (!index_fetch_heap(state->scan, ss->ss_ScanTupleSlot))
        return;
    RankedRow row;
    if (consider(state, &row)) {
        state->work->queue.add(row);
        state->work->nearest.add(row.distance);
        state->passed++;
    }
    if (!state->settled)
        state->settled = state->work->nearest.within(state->frontier);
    if (state->may_change_mind && !state->settled && state->tried >= state->budget)
        reconsider(state);
}

bool next_of_index(FilterScanState *state, RankedRow *row) {
    for (;;) {
        const RankedRow *nearest = state->work->queue.top();
        if (nearest != nullptr &&
            (state->index_done || (state->settled && nearest->distance <= state->frontier)))
            return state->work->queue.pop(row);
        if (state->index_done)
            return false;
        CHECK_FOR_INTERRUPTS();
        advance(state);
        if (state->source != Source::kIndex)
            return state->work->queue.pop(row);
    }
}

}  // namespace

TupleTableSlot *next_filtered_row(FilterScanState *state) {
    ScanState *ss = &state->css.ss;
    if (state->source == Source::kNotChosen)
        start(state);
    RankedRow row;
    for (;;) {
        bool found = state->source == Source::kIndex ? next_of_index(state, &row)
                                                     : state->work->queue.pop(&row);
        if (!found)
            return nullptr;
        if (state->may_change_mind)
            state->work->returned.push_back(row.tid.key());
        ItemPointerData tid;
        ItemPointerSet(&tid, row.tid.block, row.tid.offset);
        if (table_tuple_fetch_row_version(ss->ss_currentRelation, &tid, ss->ps.state->es_snapshot,
                                          ss->ss_ScanTupleSlot))
            return ss->ss_ScanTupleSlot;
    }
}

void reset_filtered_scan(FilterScanState *state, bool keep_bitmap) {
    state->source = Source::kNotChosen;
    state->may_change_mind = false;
    state->work->queue.clear();
    state->work->returned.clear();
    if (!keep_bitmap && state->bitmap != nullptr) {
        tbm_free(state->bitmap);
        state->bitmap = nullptr;
        state->work->rows.clear();
    }
}

void end_filtered_scan(FilterScanState *state) {
    reset_filtered_scan(state, false);
    if (state->heap_fetcher != nullptr)
        table_index_fetch_end(state->heap_fetcher);
    if (state->scan != nullptr)
        index_endscan(state->scan);
}

}  // namespace hnsw::pg

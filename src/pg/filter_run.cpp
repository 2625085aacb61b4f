// The custom scan at work: which source its rows come from, and the rows.
#include "pg/filter_bitmap.h"
#include "pg/filter_cost.h"
#include "pg/filter_scan.h"
#include "pg/heap_prefetch.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

using Source = FilterScanState::Source;
using core::Strategy;

// A LIMIT beyond this is treated as not known.
constexpr uint32_t kMostWanted = 100000;

// Rows tested before a measured pass rate is believed; twice as many each time after.
constexpr double kLeastTried = 32;

// Rows of a bitmap read in one go.
constexpr size_t kBatch = 256;

// A bitmap so many times dearer than a probe is not built before one.
constexpr double kProbeShare = 20;

constexpr const char *kForcedReason = "hnsw.filter_strategy";

// Of two ways that cost about the same, that whose cost is known is preferred: a search of the index
// may look around in vain first.
constexpr double kKnownCost = 0.8;

bool has_child(const FilterScanState *state) { return child_of(state) != nullptr; }

// The share of rows a search returns that the planner thinks will pass.
double expected_rate(const FilterScanState *state) {
    double of = state->condition_count > 0 ? state->plan.condition_matching : state->plan.tuples;
    return std::clamp(state->plan.passing / std::max(1.0, of), 1e-9, 1.0);
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

// Whether the row in the scan's slot passes the quals.
bool passes(FilterScanState *state) {
    ExprContext *context = state->css.ss.ps.ps_ExprContext;
    state->counters.fetched++;
    ResetExprContext(context);
    context->ecxt_scantuple = state->css.ss.ss_ScanTupleSlot;
    return ExecQual(state->quals, context);
}

// Tests the row in the scan's slot; if it passes, `row` gets its distance and place.
bool consider(FilterScanState *state, RankedRow *row) {
    state->tried++;
    if (!passes(state)) {
        InstrCountFiltered1(state, 1);
        return false;
    }
    row->distance = evaluate_distance(state->distance, state->css.ss.ps.ps_ExprContext);
    row->tid = tid_of(state->css.ss.ss_ScanTupleSlot);
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

// Brings a row into the scan's slot, if there is one for the snapshot.
bool fetch(FilterScanState *state, const core::HeapTid &row) {
    ScanState *ss = &state->css.ss;
    if (state->heap_fetcher == nullptr)
        state->heap_fetcher = table_index_fetch_begin(ss->ss_currentRelation);
    return fetch_row(state->heap_fetcher, row, ss->ps.state->es_snapshot, ss->ss_ScanTupleSlot);
}

// The page that fetch() has pinned last.
void release_heap_page(FilterScanState *state) {
    if (state->heap_fetcher != nullptr)
        table_index_fetch_reset(state->heap_fetcher);
}

// Rows in order of the heap, the next ones on their way into the processor's cache while one is tested.
// work->prefetch is for this.
void collect_tids(FilterScanState *state, std::span<const core::HeapTid> rows) {
    HeapPrefetch *prefetch = &*state->work->prefetch;
    for (size_t i = 0; i < rows.size(); i++) {
        CHECK_FOR_INTERRUPTS();
        if (!prefetch->idle()) {
            prefetch->pin_page(state->heap_fetcher, rows[i]);
            const size_t next = std::min(HeapPrefetch::kAhead, rows.size() - i - 1);
            prefetch->look_ahead(rows.subspan(i + 1, next));
        }
        if (fetch(state, rows[i]))
            collect(state);
    }
}

// Every row the bitmap names, in order of the heap.
void collect_bitmap(FilterScanState *state) {
    state->work->prefetch.emplace(state->index, state->css.ss.ss_currentRelation);
    core::HeapTid batch[kBatch];
    size_t count = 0;
    auto add = [&](BlockNumber block, OffsetNumber offset) {
        batch[count++] = {block, offset};
        if (count == kBatch)
            collect_tids(state, {batch, std::exchange(count, 0)});
    };
    state->work->rows.for_each_block(
        [&](BlockNumber block, std::span<const uint64_t> offsets, bool lossy) {
            if (block >= state->heap_pages)
                return;
            // Places where no row starts are passed over by the heap.
            for (OffsetNumber offset = 1; lossy && offset <= MaxHeapTuplesPerPage; offset++)
                add(block, offset);
            for (size_t word = 0; !lossy && word < offsets.size(); word++)
                for (uint64_t rest = offsets[word]; rest != 0; rest &= rest - 1)
                    add(block, static_cast<OffsetNumber>(word * 64 + std::countr_zero(rest)));
        });
    collect_tids(state, {batch, count});
    release_heap_page(state);
}

void collect_known_rows(FilterScanState *state) {
    state->work->prefetch.emplace(state->index, state->css.ss.ss_currentRelation);
    collect_tids(state, state->work->known_rows);
    release_heap_page(state);
}

void collect_table(FilterScanState *state) {
    state->work->prefetch.reset();
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

void begin_heap(FilterScanState *state, const char *reason,
                void (*collect_all)(FilterScanState *)) {
    state->source = Source::kHeap;
    state->may_change_mind = false;
    state->counters.strategy = Strategy::kExact;
    state->counters.reason = reason;
    state->work->queue.clear();
    collect_all(state);
    state->work->queue.finish();
}

// ---- the bitmap -----------------------------------------------------------------------------

void build_bitmap(FilterScanState *state) {
    if (state->has_bitmap)
        return;
    core::TidSet &rows = state->work->rows;
    find_rows(child_of(state), state->css.ss.ss_currentRelation,
              static_cast<BlockNumber>(state->heap_pages), &state->child_scan, &rows);
    state->has_bitmap = true;
    state->index_knows_rows = false;
    state->bitmap_rows = rows.size(state->plan.tuples / state->heap_pages);
    state->counters.counted = state->bitmap_rows;
}

// ---- the index ------------------------------------------------------------------------------

void begin_index(FilterScanState *state, const ScanRequest &request, const char *reason) {
    ScanState *ss = &state->css.ss;
    if (state->scan == nullptr)
        state->scan =
            begin_index_scan(ss->ss_currentRelation, state->index, ss->ps.state->es_snapshot,
                             &state->scan_counts, state->condition_count, state->order_by_count);
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

// With the bitmap: exact in the table, or what the index thinks best with its rows. rate: of the rows
// that have been tested.
void begin_with_bitmap(FilterScanState *state, Strategy strategy, const PassRate &rate = {}) {
    build_bitmap(state);
    state->may_change_mind = false;
    double matching = state->bitmap_rows;
    const double heap = heap_cost(state, matching);
    const core::Choice choice =
        index_choice(state, matching, wanted_rows(state) + state->passed, rate);
    const char *reason = kForcedReason;
    bool in_table = strategy == Strategy::kExact && heap <= choice.exact_cost;
    if (strategy == Strategy::kAuto) {
        in_table = heap * kKnownCost <= choice.expected_cost;
        reason =
            in_table || choice.strategy == Strategy::kExact ? "few rows match" : "many rows match";
    }
    if (in_table)
        begin_heap(state, reason, collect_bitmap);
    else
        begin_index(state,
                    {.rows = &state->work->rows,
                     .wanted = state->wanted,
                     .strategy = strategy,
                     .tried = rate.tried,
                     .passed = rate.passed},
                    reason);
}

// Instead of the search that has begun: all rows that meet its conditions, if the session knows them and
// they are `most` or less.
bool begin_known_rows(FilterScanState *state, size_t most, const char *reason) {
    if (state->condition_count == 0 || !known_rows(state->scan, most, &state->work->known_rows))
        return false;
    begin_heap(state, reason, collect_known_rows);
    return true;
}

void begin_forced(FilterScanState *state, Strategy strategy) {
    if (strategy != Strategy::kPostFilter && has_child(state)) {
        begin_with_bitmap(state, strategy);
    } else if (strategy == Strategy::kExact && state->condition_count == 0) {
        begin_heap(state, kForcedReason, collect_table);
    } else {
        begin_index(state, {.rows = nullptr, .wanted = state->wanted, .strategy = strategy},
                    kForcedReason);
        if (strategy == Strategy::kExact)
            begin_known_rows(state, most_known_rows(state), kForcedReason);
    }
}

// The search without a bitmap, which is reconsidered when so many rows have been tested.
void begin_without_bitmap(FilterScanState *state, double budget, const char *reason) {
    bool tests_itself = state->condition_count > 0;
    begin_index(state,
                {.rows = nullptr,
                 .wanted = state->wanted,
                 .strategy = tests_itself ? Strategy::kAuto : Strategy::kPostFilter},
                tests_itself ? "conditions on columns of the index" : reason);
    if (begin_known_rows(state, most_known_rows(state), "few rows match"))
        return;
    state->may_change_mind = has_child(state);
    state->budget = budget;
}

// Tests the rows nearest to the query.
PassRate probe(FilterScanState *state) {
    core::HeapTid places[kProbeRows];
    PassRate rate;
    size_t count = peek_scan(state->scan, places);
    for (const core::HeapTid &place : std::span(places, count)) {
        if (!fetch(state, place))
            continue;
        rate.tried++;
        rate.passed += passes(state) ? 1 : 0;
    }
    release_heap_page(state);
    return rate;
}

// Rows near the query may be much like each other: where a bitmap is dear, a small part of its cost is
// spent on a look at them. If many pass, a plain search has the answer soonest.
void begin_after_probe(FilterScanState *state, double with) {
    begin_without_bitmap(state, kLeastTried, "many rows near the query match");
    PassRate rate = probe(state);
    double expected = expected_rate(state);
    if (post_filter_cost(state, wanted_rows(state), rate.near(expected)) <= with)
        return;
    begin_with_bitmap(state, Strategy::kAuto, rate);
}

void begin_auto(FilterScanState *state) {
    if (!has_child(state)) {
        begin_without_bitmap(state, kLeastTried, "only the table's rows tell what matches");
        return;
    }
    // One built by an earlier loop costs nothing any more.
    if (state->has_bitmap) {
        begin_with_bitmap(state, Strategy::kAuto);
        return;
    }
    double with = bitmap_cost(state, state->plan.bitmap_matching, wanted_rows(state));
    double without = state->condition_count > 0
                         ? conditions_cost(state)
                         : post_filter_cost(state, wanted_rows(state), expected_rate(state));
    if (without <= with)
        begin_without_bitmap(state, kLeastTried, "a bitmap would cost more");
    else if (state->condition_count == 0 && with >= kProbeShare * probe_cost(state))
        begin_after_probe(state, with);
    else
        begin_with_bitmap(state, Strategy::kAuto);
}

// Every row that passes is wanted: nothing is gained by finding the nearest first, and in order of
// the heap they come in strict order of distance.
void begin_all(FilterScanState *state) {
    constexpr const char *kReason = "all rows are wanted";
    if (has_child(state))
        build_bitmap(state);
    if (state->has_bitmap) {
        begin_heap(state, kReason, collect_bitmap);
    } else if (state->condition_count == 0 && state->bound_count == 0) {
        begin_heap(state, kReason, collect_table);
    } else {
        begin_index(state, {.rows = nullptr, .wanted = 0, .strategy = Strategy::kExact}, kReason);
        const bool all = state->bound_count == 0;
        begin_known_rows(state, all ? SIZE_MAX : most_known_rows(state), kReason);
    }
}

void start(FilterScanState *state) {
    state->counters.loops++;
    state->heap_pages =
        std::max(1.0, double{1} * RelationGetNumberOfBlocks(state->css.ss.ss_currentRelation));
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
    PassRate rate{.tried = state->tried, .passed = state->passed};
    double expected = expected_rate(state);
    // Who reads on without a LIMIT is thought to want as much again.
    double rest = state->wanted != 0 ? std::max(0.0, wanted_rows(state) - state->passed)
                                     : std::max(wanted_rows(state), state->passed);
    if (post_filter_cost(state, rest, rate.later(expected), state->tried) <=
        bitmap_cost(state, state->plan.bitmap_matching, state->passed + rest, rate)) {
        state->budget = state->tried * 2;
        return;
    }
    state->counters.changes_of_mind++;
    std::sort(state->work->returned.begin(), state->work->returned.end());
    begin_with_bitmap(state, Strategy::kAuto, rate);
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
    } else {
        fail_last_row(state->scan);
    }
    if (!state->settled)
        state->settled = state->work->nearest.within(state->frontier);
    bool open = state->wanted == 0 || !state->settled;
    if (state->may_change_mind && open && state->tried >= state->budget)
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

// Brings a row that was considered before into the scan's slot again. False: it is gone.
bool fetch_again(FilterScanState *state, const core::HeapTid &row) {
    ScanState *ss = &state->css.ss;
    Snapshot snapshot = ss->ps.state->es_snapshot;
    TupleTableSlot *slot = ss->ss_ScanTupleSlot;
    std::optional<HeapPrefetch> &prefetch = state->work->prefetch;
    if (state->source == Source::kIndex
            ? fetch_returned_row(state->scan, row, slot)
            : prefetch && prefetch->fetch_again(state->heap_fetcher, row, snapshot, slot))
        return true;
    ItemPointerData tid;
    ItemPointerSet(&tid, row.block, row.offset);
    return table_tuple_fetch_row_version(ss->ss_currentRelation, &tid, snapshot, slot);
}

}  // namespace

TupleTableSlot *next_filtered_row(FilterScanState *state) {
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
        if (fetch_again(state, row.tid))
            return state->css.ss.ss_ScanTupleSlot;
    }
}

void reset_filtered_scan(FilterScanState *state, bool keep_bitmap) {
    state->source = Source::kNotChosen;
    state->may_change_mind = false;
    state->work->queue.clear();
    state->work->returned.clear();
    if (!keep_bitmap)
        state->has_bitmap = false;
}

void end_filtered_scan(FilterScanState *state) {
    reset_filtered_scan(state, false);
    if (state->heap_fetcher != nullptr)
        table_index_fetch_end(state->heap_fetcher);
    if (state->scan != nullptr)
        index_endscan(state->scan);
    if (state->child_scan != nullptr)
        index_endscan(state->child_scan);
}

}  // namespace hnsw::pg

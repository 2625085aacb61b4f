// The executor half of the custom scan for filtered queries in order of distance.
//
// Rows come from one of two sources: the hnsw index in order of a lower bound of the distance, with
// or without a set of rows that its search is to keep to; or the heap, all rows that a bitmap names
// (or all there are), sorted. Either way the quals are tested on the heap row before its distance is
// computed, and rows leave in order of that distance. Which source and which strategy is decided
// when the first row is asked for, and again while rows come (filter_run.cpp).
//
// A known LIMIT is a hint: that many rows are settled before the first is returned; rows asked for
// beyond that are served all the same.
#pragma once

#include <optional>

#include "core/chooser.h"
#include "core/filter.h"
#include "pg/am.h"
#include "pg/filter_plan.h"
#include "pg/filter_rows.h"
#include "pg/heap_prefetch.h"

namespace hnsw::pg {

// For EXPLAIN ANALYZE, over all loops.
struct FilterCounters {
    uint64_t loops = 0;
    uint64_t fetched = 0;                             // heap rows
    uint64_t distances = 0;                           // computed from heap rows
    uint64_t changes_of_mind = 0;                     // of this node; the index search has its own
    core::Strategy strategy = core::Strategy::kAuto;  // of the last loop
    const char *reason = "";
    double counted = -1;  // rows of the bitmap; < 0: not built
};

// A limit on the distance, ready to run.
struct BoundTest {
    ExprState *limit;
    bool inclusive;
    bool single;     // `limit` is a float4
    Distance value;  // of this scan
};

// What needs constructors. In the query's memory.
struct FilterWork {
    static constexpr bool kAbandonable = true;

    explicit FilterWork(MemoryContext context)
        : memory(context),
          queue(context),
          nearest(context),
          returned(&memory),
          rows(&memory),
          known_rows(&memory) {}

    McxtResource memory;
    RowQueue queue;
    NearestK nearest;
    // Places of the rows returned while another source may still take over.
    std::pmr::vector<uint64_t> returned;
    core::TidSet rows;                           // of the bitmap
    std::pmr::vector<core::HeapTid> known_rows;  // that meet the conditions, see am.h
    std::optional<HeapPrefetch> prefetch;  // of the rows read in order of the heap; none: of no use
};

struct FilterScanState {
    CustomScanState css;  // first: the server sees only this
    FilterPlan plan;
    FilterWork *work;
    Relation index;
    IndexScanDesc scan;                 // null: not begun
    ScanCounts scan_counts;             // of `scan`
    IndexScanDesc child_scan;           // of the child's index; null: not begun
    IndexFetchTableData *heap_fetcher;  // null: not begun
    ScanKey conditions;
    int condition_count;
    ScanKey order_by;
    int order_by_count;
    IndexRuntimeKeyInfo *runtime_keys;
    int runtime_key_count;
    ExprContext *key_context;
    ExprState *distance;
    ExprState *quals;  // those to be tested before the distance is known
    ExprState *limit, *offset;
    BoundTest *bounds;
    int bound_count;

    // Of the scan since the last rescan.
    enum class Source : uint8_t { kNotChosen, kIndex, kHeap };
    Source source;
    bool has_bitmap;  // work->rows has been made; kept over rescans that do not change it
    double bitmap_rows;
    double heap_pages;      // of the table, at least 1
    bool index_knows_rows;  // the index scan was last begun with the bitmap's rows
    uint32_t wanted;        // 0: not known
    bool may_change_mind;   // a bitmap could still be built
    bool index_done;
    bool settled;       // `wanted` rows can be returned
    Distance frontier;  // the largest bound the index has given
    double tried;       // rows tested against the quals
    double passed;      // of them
    double budget;      // rows after which a bitmap is thought of again
    FilterCounters counters;
};

// The tree of bitmap index scans below the scan; null: none.
inline PlanState *child_of(const FilterScanState *state) {
    List *children = state->css.custom_ps;
    return children == NIL ? nullptr : static_cast<PlanState *>(linitial(children));
}

// The next row in the scan's slot; null at the end.
TupleTableSlot *next_filtered_row(FilterScanState *state);
// Forgets the scan; the bitmap stays unless `keep_bitmap` is false.
void reset_filtered_scan(FilterScanState *state, bool keep_bitmap);
// Ends what reset does not: index scan, temporary files.
void end_filtered_scan(FilterScanState *state);

// CustomExecMethods::ExplainCustomScan.
void explain_filter_scan(CustomScanState *node, List *ancestors, ExplainState *es);

}  // namespace hnsw::pg

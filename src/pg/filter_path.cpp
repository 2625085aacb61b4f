// Offers the planner a custom scan where a filtered query is ordered by distance.
//
// The server's own index matching is used twice over: on a copy of the table's planner entry whose
// paths are thrown away afterwards, with bitmap scans switched on whatever the session says, and for
// the first sort key alone. It yields the ordered path over the hnsw index and the cheapest bitmap.
//
// Cost: the least of what the strategies would cost as far as the planner knows; which of them it
// will be is decided when the query runs (filter_scan.h).
#include "pg/am.h"
#include "pg/attribute_clauses.h"
#include "pg/filter_bounds.h"
#include "pg/filter_plan.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

// The scan is preferred to a bitmap scan with a sort, and to a plain ordered index scan, by this
// factor: it does the same work where that is best, and can do better when the estimates are wrong.
// Only where few rows are fetched in all is its fixed cost, in the planner's units, more; least with
// conditions on columns of the index alone, of which a session may remember the rows.
constexpr double kPreference = 0.95;
constexpr double kFixedCost = 2;
constexpr double kFixedCostOfConditions = 0.5;

// Records a walk reads grow as the share of passing rows to this power falls (docs/performance.md).
constexpr double kSharePower = 0.55;

// Where all rows are wanted it does what a bitmap or sequential scan with a sort does: they are
// preferred by this factor.
constexpr double kNoPreference = 1.02;

// Rows a query whose LIMIT is not known is thought to be asked for first.
constexpr double kUnknownLimit = 1;

set_rel_pathlist_hook_type previous_hook = nullptr;

struct Candidates {
    IndexPath *ordered = nullptr;
    BitmapHeapPath *bitmap = nullptr;
};

bool is_candidate(const PlannerInfo *root, RelOptInfo *rel, const RangeTblEntry *rte) {
    if (!custom_scan_enabled() || !enable_indexscan || root->query_pathkeys == NIL ||
        rte->rtekind != RTE_RELATION || rte->inh || rte->tablesample != nullptr ||
        (rel->reloptkind != RELOPT_BASEREL && rel->reloptkind != RELOPT_OTHER_MEMBER_REL) ||
        rel->baserestrictinfo == NIL || !bms_is_empty(rel->lateral_relids) || IS_DUMMY_REL(rel))
        return false;
    ListCell *cell;
    foreach (cell, rel->indexlist) {
        auto *index = lfirst_node(IndexOptInfo, cell);
        if (is_hnsw_index(index) && !index->hypothetical)
            return true;
    }
    return false;
}

// The server's index matching on a throwaway copy of `rel`.
Candidates match_indexes(PlannerInfo *root, RelOptInfo *rel) {
    auto *copy = makeNode(RelOptInfo);
    *copy = *rel;
    copy->pathlist = NIL;
    copy->partial_pathlist = NIL;
    copy->consider_parallel = false;
    copy->joininfo = NIL;
    copy->has_eclass_joins = false;

    List *pathkeys = root->query_pathkeys;
    bool indexscan = enable_indexscan;
    bool bitmapscan = enable_bitmapscan;
    // Before 17 an index serves all sort keys or none.
    root->query_pathkeys = list_make1(linitial(pathkeys));
    // Plain index scans would outbid the bitmap; the ordered scan stays for its order.
    enable_indexscan = false;
    enable_bitmapscan = true;
    ErrorData *error = pg_try([&]() noexcept { create_index_paths(root, copy); });
    enable_indexscan = indexscan;
    enable_bitmapscan = bitmapscan;
    root->query_pathkeys = pathkeys;
    if (error != nullptr)
        throw PgError{error};

    Candidates found;
    ListCell *cell;
    foreach (cell, copy->pathlist) {
        auto *path = static_cast<Path *>(lfirst(cell));
        if (path->param_info != nullptr)
            continue;
        path->parent = rel;
        if (IsA(path, BitmapHeapPath))
            found.bitmap = castNode(BitmapHeapPath, path);
        else if (IsA(path, IndexPath)) {
            auto *index_path = castNode(IndexPath, path);
            if (is_hnsw_index(index_path->indexinfo) && index_path->indexorderbys != NIL &&
                index_path->path.pathkeys != NIL)
                found.ordered = index_path;
        }
    }
    if (found.ordered != nullptr)
        add_attribute_clauses(root, found.ordered);
    return found;
}

// What the strategies cost, in the planner's currency.
struct Estimate {
    PlannerInfo *root;
    RelOptInfo *rel;
    const Candidates &found;
    ScanCost scan;
    QualCost quals;
    double tuples;
    double share;          // of rows that pass all quals but the distance bounds
    double index_share;    // of rows that meet the index conditions
    Cost bitmap_cost = 0;  // of building it
    double bitmap_rows = 0;

    double walk(double rows, double selectivity) const {
        double records = std::max(scan.first, rows) * std::pow(selectivity, -kSharePower);
        return std::min(records, tuples) * scan.per_record;
    }
    double heap(double rows) const {
        double pages = index_pages_fetched(rows, static_cast<BlockNumber>(rel->pages), 0, root);
        return pages * random_page_cost + rows * (cpu_tuple_cost + quals.per_tuple);
    }
    // Until `rows` rows are settled.
    Cost settle(double rows) const {
        double tried = std::min(rows / share, tuples);
        Cost best = std::max(scan.first, tried) * scan.per_record + heap(tried);
        if (index_share < 1) {
            double fetched = std::min(rows * index_share / share, tuples);
            best = std::min(best, walk(fetched, index_share) + heap(fetched));
        }
        if (found.bitmap != nullptr) {
            double bitmap_share = std::clamp(bitmap_rows / tuples, 1e-9, 1.0);
            double fetched = std::min(rows * bitmap_share / share, tuples);
            Cost graph = bitmap_cost + bitmap_rows * cpu_index_tuple_cost +
                         walk(fetched, bitmap_share) + heap(fetched);
            Cost exact = found.bitmap->path.total_cost + rel->rows * 2 * cpu_operator_cost;
            best = std::min({best, graph, exact});
        }
        return best;
    }
    // All rows, in order.
    Cost everything() const {
        Cost fetch = found.bitmap != nullptr
                         ? found.bitmap->path.total_cost
                         : rel->pages * seq_page_cost + tuples * (cpu_tuple_cost + quals.per_tuple);
        return fetch + 2 * cpu_operator_cost * rel->rows * std::log2(std::max(2.0, rel->rows));
    }
};

Estimate make_estimate(PlannerInfo *root, RelOptInfo *rel, const Candidates &found, double wanted) {
    FilterShares shares = filter_shares(root, rel, found.ordered);
    Estimate estimate{.root = root,
                      .rel = rel,
                      .found = found,
                      .scan = scan_cost(root, found.ordered, 1, wanted),
                      .quals = rel->baserestrictcost,
                      .tuples = std::max(1.0, rel->tuples),
                      .share = shares.passing,
                      .index_share = shares.conditions};
    if (found.bitmap != nullptr) {
        Selectivity selectivity;
        cost_bitmap_tree_node(found.bitmap->bitmapqual, &estimate.bitmap_cost, &selectivity);
        estimate.bitmap_rows = selectivity * estimate.tuples;
    }
    return estimate;
}

// The plain scan of the same index, if the server has made one.
const IndexPath *plain_scan(const RelOptInfo *rel, const IndexPath *ordered) {
    ListCell *cell;
    foreach (cell, rel->pathlist) {
        auto *path = static_cast<Path *>(lfirst(cell));
        if (IsA(path, IndexPath) && path->param_info == nullptr && path->pathkeys != NIL &&
            castNode(IndexPath, path)->indexinfo == ordered->indexinfo)
            return castNode(IndexPath, path);
    }
    return nullptr;
}

const CustomPathMethods path_methods = {
    .CustomName = "hnsw",
    .PlanCustomPath =
        [](PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *target_list, List *clauses,
           List *children) {
            return entry<make_filter_plan>(root, rel, path, target_list, clauses, children);
        },
    .ReparameterizeCustomPathByChild = nullptr,
};

CustomPath *make_path(PlannerInfo *root, RelOptInfo *rel, const Candidates &found) {
    auto *path = makeNode(CustomPath);
    path->path.pathtype = T_CustomScan;
    path->path.parent = rel;
    path->path.pathtarget = rel->reltarget;
    path->path.rows = rel->rows;
    path->path.pathkeys = list_make1(linitial(root->query_pathkeys));
    path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
    if (found.bitmap != nullptr)
        path->custom_paths = list_make1(found.bitmap);
    path->custom_private = list_make1(found.ordered);
    path->methods = &path_methods;

    double rows = std::max(1.0, rel->rows);
    bool known = root->limit_tuples > 0;
    double wanted = std::min(rows, known ? root->limit_tuples : kUnknownLimit);
    Estimate estimate = make_estimate(root, rel, found, wanted);
    const bool conditions_alone = found.bitmap == nullptr && estimate.index_share < 1;
    const Cost fixed = conditions_alone ? kFixedCostOfConditions : kFixedCost;
    if (!known && root->tuple_fraction <= 0) {
        path->path.startup_cost = estimate.everything() * kNoPreference + fixed;
        path->path.total_cost = path->path.startup_cost + cpu_tuple_cost * rows;
        return path;
    }
    Cost first = estimate.settle(wanted);
    Cost all = std::max(first, estimate.settle(rows));
    if (const IndexPath *plain = plain_scan(rel, found.ordered)) {
        Cost run = plain->path.total_cost - plain->path.startup_cost;
        first = std::min(first, plain->path.startup_cost + run * wanted / rows);
        all = std::min(all, plain->path.total_cost);
    }
    path->path.startup_cost = first * kPreference + fixed;
    path->path.total_cost = path->path.startup_cost + cpu_tuple_cost * rows;
    // The planner thinks of costs as growing evenly with rows. With a known LIMIT all that matters
    // is the cost at that many rows, which the scan settles before it returns the first.
    if (!known)
        path->path.total_cost = std::max(path->path.total_cost, all * kPreference + fixed);
    return path;
}

// Whether all sort keys are this table's.
bool can_sort_fully(PlannerInfo *root, RelOptInfo *rel) {
    ListCell *cell;
    foreach (cell, root->query_pathkeys)
        if (!relation_can_be_sorted_early(root, rel, lfirst_node(PathKey, cell)->pk_eclass, false))
            return false;
    return true;
}

// set_rel_pathlist_hook.
void add_filter_paths(PlannerInfo *root, RelOptInfo *rel, Index index, RangeTblEntry *rte) {
    if (previous_hook != nullptr)
        previous_hook(root, rel, index, rte);
    estimate_distance_bounds(root, rel, rte);
    if (!is_candidate(root, rel, rte))
        return;
    Candidates found = match_indexes(root, rel);
    // Quals that a partial index implies are no filter.
    if (found.ordered == nullptr || found.ordered->indexinfo->indrestrictinfo == NIL)
        return;
    CustomPath *path = make_path(root, rel, found);
    add_path(rel, &path->path);
    // For further sort keys. Above a single table the server does that itself; above partitions it
    // wants each of them in full order.
    if (list_length(root->query_pathkeys) > 1 && enable_incremental_sort &&
        can_sort_fully(root, rel)) {
        CustomPath *sorted_input = make_path(root, rel, found);
        add_path(rel,
                 reinterpret_cast<Path *>(create_incremental_sort_path(
                     root, rel, &sorted_input->path, root->query_pathkeys, 1, root->limit_tuples)));
    }
}

}  // namespace

void install_filter_scan() {
    RegisterCustomScanMethods(&kFilterScanMethods);
    previous_hook = set_rel_pathlist_hook;
    set_rel_pathlist_hook = [](PlannerInfo *root, RelOptInfo *rel, Index index,
                               RangeTblEntry *rte) {
        entry<add_filter_paths>(root, rel, index, rte);
    };
}

}  // namespace hnsw::pg

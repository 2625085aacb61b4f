// The custom scan for filtered queries in order of distance: what its planner half (filter_path.cpp,
// filter_plan.cpp) leaves for its executor half (filter_scan.h) in the plan node.
//
// The plan's own qual holds every restriction of the table, so that EvalPlanQual and EXPLAIN work as
// with any scan. Its only child, if any, is a tree of bitmap index scans.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// A condition of the query on the very distance it orders by.
struct DistanceBound {
    int qual;         // its place in the plan's qual
    int limit_side;   // which argument of that is the limit
    bool inclusive;   // <= rather than <
    bool single;      // the limit is a float4
    bool only_there;  // need not be evaluated as a qual: it may be tested last
};

struct FilterPlan {
    Oid index = InvalidOid;
    double tuples = 0;              // rows of the table
    double matching = 0;            // of them, passing all quals
    double passing = 0;             // passing all but the distance bounds
    double condition_matching = 0;  // meeting the index conditions
    double bitmap_matching = 0;     // in the child's bitmap
    bool all_rows = false;          // the query reads the scan to its end
    uint32_t extra_rows = 0;        // rows beyond LIMIT that a sort above looks at
    List *bounds = NIL;             // DistanceBound *
    // Index clauses: as the executor's scan keys need them, and as the user wrote them.
    List *conditions = NIL;
    List *order_by = NIL;
    List *conditions_original = NIL;
    List *order_by_original = NIL;
    Expr *limit = nullptr;  // null: none, or not a limit on the rows of this scan
    Expr *offset = nullptr;
};

// Stores `facts` in the node and reads them back.
void put_filter_plan(CustomScan *scan, const FilterPlan &facts);
FilterPlan get_filter_plan(const CustomScan *scan);

// What the planner thinks of a filter, as shares of the table's rows: > 0, <= 1.
struct FilterShares {
    double passing;     // all quals but the distance bounds, at which the scan stops
    double conditions;  // the index conditions of the ordered path
};
FilterShares filter_shares(PlannerInfo *root, RelOptInfo *rel, const IndexPath *ordered);

// CustomPathMethods::PlanCustomPath. The path's custom_private holds the ordered IndexPath.
Plan *make_filter_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *target_list,
                       List *clauses, List *children);

// Installs the planner hook and names the scan's methods to the server. From _PG_init.
void install_filter_scan();

extern const CustomScanMethods kFilterScanMethods;

}  // namespace hnsw::pg

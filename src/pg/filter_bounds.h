// Conditions on a distance, as in WHERE embedding <=> $1 < 0.3: which of them a scan stops at, and how
// many rows they admit.
#pragma once

#include "pg/filter_plan.h"

namespace hnsw::pg {

// Whether `clause` is an upper limit on `distance` (the ordering expression).
bool is_distance_bound(Node *clause, const Node *distance);

// The bounds (DistanceBound *) among `clauses`, RestrictInfos in the order of the plan's qual.
List *find_bounds(List *clauses, const Node *distance);

// Corrects the estimate of the rows of `rel` and of its paths where a distance to a constant is
// compared with a constant and an hnsw index of the table can be sampled: the server takes a third of
// the rows for such a condition, whatever the constant. For set_rel_pathlist_hook, which comes once
// for every table, after its paths have been made and before what is built upon them. Reads at most
// core::DistanceSample::kNodes records for each such condition.
void estimate_distance_bounds(PlannerInfo *root, RelOptInfo *rel, const RangeTblEntry *rte);

}  // namespace hnsw::pg

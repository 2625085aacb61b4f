// Conditions on attributes that the server's index matching leaves out of an ordered scan: before 17
// `= ANY`, which it fears would spoil an order that btree makes; in 15 plain booleans, which it knows
// of its own operator families only.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// Adds to the index clauses of an ordered path over an hnsw index every restriction of its table that
// the attributes' operator classes can answer and that is not among them.
void add_attribute_clauses(PlannerInfo *root, IndexPath *path);

}  // namespace hnsw::pg

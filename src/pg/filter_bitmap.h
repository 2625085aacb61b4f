// The rows that other indexes name, as a set: what the custom scan makes of its child plan.
#pragma once

#include "core/tid_set.h"
#include "pg/pg.h"

namespace hnsw::pg {

// Whether find_rows() takes rows from an index one by one. Otherwise they go through a TIDBitmap, and cost
// several times as much.
bool takes_rows_one_by_one(const PlanState *child);

// Makes `rows` the rows that `child`, a tree of bitmap index scans, finds in a table of `blocks` blocks.
// The set keeps to work_mem.
void find_rows(PlanState *child, BlockNumber blocks, core::TidSet *rows);

}  // namespace hnsw::pg

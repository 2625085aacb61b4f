// The rows that other indexes name, as a set: what the custom scan makes of its child plan.
#pragma once

#include "core/tid_set.h"
#include "pg/pg.h"

namespace hnsw::pg {

// Whether find_rows() takes rows from an index one by one. Otherwise they go through a TIDBitmap, and cost
// several times as much.
bool takes_rows_one_by_one(const PlanState *child);

// Makes `rows` the rows of `table`, of `blocks` blocks, that `child` finds, a tree of bitmap index scans. The
// set keeps to work_mem. *scan: null the first time, a scan of the child's index afterwards, if it takes one;
// the caller ends it.
void find_rows(PlanState *child, Relation table, BlockNumber blocks, IndexScanDesc *scan,
               core::TidSet *rows);

}  // namespace hnsw::pg

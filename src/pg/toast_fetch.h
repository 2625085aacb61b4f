// A vector's chunks in a TOAST table, read with less ado than detoast_attr() does: where a value was
// found is remembered, so that the next time its pages are visited without the TOAST table's index.
// An ordered scan of wide vectors spends a third of its time on fetching them. Called by toast_cache.h.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// Makes `datum`, room for the value of `toast` and its header, that value. False if it is compressed,
// its table is not a heap, or anything is not as expected: detoast_attr() does it then, or says what is
// wrong. May raise any error of reading a table.
bool fetch_chunks(const varatt_external &toast, varlena *datum);

// Asks the processor for what fetch_chunks() will read, if it was found before. `toast` may be anything;
// nothing is pinned or locked, no page is read. Not for a temporary table.
void prefetch_chunks(const varatt_external &toast);

}  // namespace hnsw::pg

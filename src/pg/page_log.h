// One change of several pages as one generic WAL record (RM_GENERIC_ID), which any server replays.
//
// GenericXLogFinish() writes the same records, but compares its 8 kB images byte by byte, which was a
// fifth of an insert's time; comparing words takes a tenth of that.  What its redo expects of a delta:
// fragments of offset, length (uint16 each) and bytes, in ascending order; a page without a hole
// (init_page() makes no other).
//
// Called by BufferStore when a PageTxn commits.
#pragma once

#include "core/store.h"
#include "pg/pg.h"

namespace hnsw::pg {

// Puts the images of `pages`, whose buffers are locked exclusively, in place of the pages, and logs
// what has changed if `logged` and `index` is.  Pages without an image stay as they are.
void apply_and_log(Relation index, std::span<const core::TxnPage> pages, bool logged);

}  // namespace hnsw::pg

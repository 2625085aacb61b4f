// What the SQL functions about an index share: the index opened by its oid, and who may ask.
#pragma once

#include "pg/am.h"

namespace hnsw::pg {

// An hnsw index and its table, locked for reading until the end of the transaction.
struct LockedIndex {
    Relation heap;
    Relation index;

    void close() const {
        index_close(index, NoLock);
        table_close(heap, NoLock);
    }
};

// Errors: not an hnsw index with storage of its own, another session's temporary one.
LockedIndex open_locked(Oid oid);

// Figures of an index may tell about its rows, so they need the same right as the rows, or membership
// in pg_stat_scan_tables. Error: ERRCODE_INSUFFICIENT_PRIVILEGE.
void require_right_to_figures(const LockedIndex &locked);

}  // namespace hnsw::pg

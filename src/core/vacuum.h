/*
 * Removing rows.  remove_dead() is ambulkdelete: it takes dead TIDs out of records, posting chunks and
 * TID lists; nodes left without a row become kDeleted; every link to a node that is not live is
 * replaced from the neighbours' neighbours (local repair, no search); then deleted nodes become
 * free, stamped with the next transaction id.  A slot freed by an earlier VACUUM whose stamp was
 * reusable when this one began, and which no link can name any more, goes on the free list.
 * docs/vacuum.md has the argument why no reader or writer ever takes a recycled record for the old one.
 */
#pragma once

#include <memory_resource>

#include "core/context.h"
#include "core/index.h"

namespace hnsw::core {

/* Tells whether a heap row is gone. */
class DeadRows {
public:
    virtual ~DeadRows() = default;
    virtual bool is_dead(HeapTid tid) = 0;
};

struct VacuumResult {
    uint64_t rows_left = 0;
    uint64_t rows_removed = 0;
    uint64_t nodes_freed = 0;
    uint64_t records_repaired = 0;
    uint64_t slots_recycled = 0; /* put within reach of inserts */
    uint64_t pages = 0;
    uint64_t pages_with_free = 0;
};

/* memory_limit (maintenance_work_mem) bounds the set of dead nodes held in memory; more dead nodes
 * mean more passes, not more memory. Polls between pages. */
VacuumResult remove_dead(Index &index, const Context &context, size_t memory_limit, DeadRows &dead);

/* amvacuumcleanup after no bulk delete: counts rows and recycles what may be recycled. */
VacuumResult vacuum_cleanup(Index &index, const Context &context, size_t memory_limit);

}  // namespace hnsw::core

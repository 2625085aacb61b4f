// ambulkdelete and amvacuumcleanup over core/vacuum.h.
#include "core/vacuum.h"

#include "pg/am.h"

namespace hnsw::pg {

namespace {

// Asks VACUUM whether a heap row is gone.
class CallbackDeadRows final : public core::DeadRows {
public:
    CallbackDeadRows(IndexBulkDeleteCallback callback, void *state)
        : callback_(callback), state_(state) {}

    bool is_dead(core::HeapTid tid) override {
        ItemPointerData pointer;
        ItemPointerSet(&pointer, tid.block, tid.offset);
        return callback_(&pointer, state_);
    }

private:
    IndexBulkDeleteCallback callback_;
    void *state_;
};

// Runs `work` on the opened index in a memory context of its own and adds what it did to `stats`.
template <typename Work>
IndexBulkDeleteResult *vacuum(IndexVacuumInfo *info, IndexBulkDeleteResult *stats, Work work) {
    if (stats == nullptr)
        stats = static_cast<IndexBulkDeleteResult *>(palloc0(sizeof(IndexBulkDeleteResult)));
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum", ALLOCSET_DEFAULT_SIZES);
    Relation heap = table_open(info->index->rd_index->indrelid, NoLock);
    MemoryContext caller = MemoryContextSwitchTo(context);
    OpenIndex *opened =
        OpenIndex::open(context, info->index, heap, BufferStore::Purpose::kVacuum, info->strategy);
    core::VacuumResult result = work(*opened, vacuum_memory_limit());
    // What was freed is stamped with the next transaction id and can be recycled once that is past.
    // Where nobody else writes it would never be, so this VACUUM takes it (truncating a table does
    // so too); a parallel worker may not.
    if (result.nodes_freed > 0 && !IsInParallelMode())
        GetCurrentTransactionId();
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(context);
    table_close(heap, NoLock);

    stats->num_pages = static_cast<BlockNumber>(result.pages);
    stats->estimated_count = false;
    stats->num_index_tuples = static_cast<double>(result.rows_left);
    stats->tuples_removed += static_cast<double>(result.rows_removed);
    stats->pages_free = static_cast<BlockNumber>(result.pages_with_free);
    return stats;
}

}  // namespace

IndexBulkDeleteResult *am_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
                                      IndexBulkDeleteCallback callback, void *state) {
    return vacuum(info, stats, [=](OpenIndex &opened, size_t memory_limit) {
        CallbackDeadRows dead(callback, state);
        return core::remove_dead(opened.index, opened.core_context(), memory_limit, dead);
    });
}

IndexBulkDeleteResult *am_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats) {
    if (info->analyze_only)
        return stats;
    if (stats == nullptr)
        stats = vacuum(info, stats, [](OpenIndex &opened, size_t memory_limit) {
            return core::vacuum_cleanup(opened.index, opened.core_context(), memory_limit);
        });
    else
        stats->num_pages = RelationGetNumberOfBlocks(info->index);
    // Rows that came while we counted are counted twice, or not at all; the heap's exact count,
    // where there is one, is an upper limit.
    if (!info->estimated_count && stats->num_index_tuples > info->num_heap_tuples)
        stats->num_index_tuples = info->num_heap_tuples;
    return stats;
}

}  // namespace hnsw::pg

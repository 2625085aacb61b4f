#include "pg/heap_prefetch.h"

#include "core/prefetch.h"

namespace hnsw::pg {

namespace {

// A tuple's header, and the first elements of its vector; the processor goes on by itself.
constexpr int kTupleBytes = 256;

}  // namespace

HeapPrefetch::HeapPrefetch(Relation heap)
    : heap_(heap),
      idle_(heap == nullptr || heap->rd_tableam != GetHeapamTableAmRoutine() ||
            RelationUsesLocalBuffers(heap) ||
            get_tablespace_io_concurrency(heap->rd_rel->reltablespace) == 0) {
    if (!idle_)
        blocks_ = RelationGetNumberOfBlocks(heap);
}

void HeapPrefetch::look_ahead(std::span<const core::HeapTid> rows) {
    Row next[kAhead];
    for (size_t i = 0; i < rows.size(); i++) {
        next[i].tid = rows[i];
        for (const Row &row : known_)
            if (row.tid == rows[i])
                next[i].buffer = row.buffer;
        if (next[i].buffer == InvalidBuffer)
            ask_for_page(&next[i]);
    }
    std::copy_n(next, kAhead, known_);
    if (!rows.empty())
        ask_for_tuple(known_[0]);
}

void HeapPrefetch::ask_for_page(Row *row) {
    if (row->tid.block >= blocks_)
        return;
    row->buffer = PrefetchBuffer(heap_, MAIN_FORKNUM, row->tid.block).recent_buffer;
    if (row->buffer == InvalidBuffer)
        return;
    __builtin_prefetch(GetBufferDescriptor(row->buffer - 1), 1);
    Page page = BufferGetPage(row->buffer);
    __builtin_prefetch(page);
    __builtin_prefetch(PageGetItemId(page, row->tid.offset));
}

// The page may be another by now, or change under our eyes: then other lines are asked for.
void HeapPrefetch::ask_for_tuple(const Row &row) {
    if (row.buffer == InvalidBuffer)
        return;
    Page page = BufferGetPage(row.buffer);
    const unsigned at = ItemIdGetOffset(PageGetItemId(page, row.tid.offset));
    if (at > BLCKSZ - kTupleBytes)
        return;
    core::prefetch_lines(page + at, kTupleBytes);
}

}  // namespace hnsw::pg

#include "pg/heap_prefetch.h"

#include "core/prefetch.h"
#include "pg/heap_page.h"
#include "pg/toast_fetch.h"

namespace hnsw::pg {

namespace {

// A tuple's header, and the first elements of its vector; the processor goes on by itself.
constexpr size_t kTupleBytes = 256;
constexpr size_t kPointerBytes = offsetof(varattrib_1b_e, va_data) + sizeof(varatt_external);

// The TOAST pointer in column `number` of what may be the first kTupleBytes of a tuple. Null if there
// is none, or it is not among them.
const varattrib_1b_e *toast_pointer(const char *tuple, TupleDesc columns, AttrNumber number) {
    const auto *header = reinterpret_cast<HeapTupleHeader>(const_cast<char *>(tuple));
    const bool nulls = (header->t_infomask & HEAP_HASNULL) != 0;
    if (number > HeapTupleHeaderGetNatts(header) || number > columns->natts)
        return nullptr;
    size_t at = header->t_hoff;
    for (int i = 0; i < number; i++) {
        const bool null = nulls && att_isnull(i, header->t_bits);
        const bool wanted = i + 1 == number;
        if (null && !wanted)
            continue;
        if (null || at + kPointerBytes > kTupleBytes)
            return nullptr;
        Form_pg_attribute column = TupleDescAttr(columns, i);
        at = att_align_pointer(at, column->attalign, column->attlen, tuple + at);
        if (at + kPointerBytes > kTupleBytes)
            return nullptr;
        const auto *pointer = reinterpret_cast<const varattrib_1b_e *>(tuple + at);
        const bool external = column->attlen == -1 && VARATT_IS_EXTERNAL(pointer);
        if (external && pointer->va_tag != VARTAG_ONDISK)
            return nullptr;
        if (wanted)
            return external ? pointer : nullptr;
        at = att_addlength_pointer(at, column->attlen, tuple + at);
    }
    return nullptr;
}

}  // namespace

bool fetch_row(IndexFetchTableData *fetch, const core::HeapTid &row, Snapshot snapshot,
               TupleTableSlot *slot) {
    ItemPointerData tid;  // becomes that of the version found
    ItemPointerSet(&tid, row.block, row.offset);
    bool again = false;
    bool all_dead = false;
    return table_index_fetch_tuple(fetch, &tid, snapshot, slot, &again, &all_dead);
}

HeapPrefetch::HeapPrefetch(Relation index, Relation heap)
    : index_(index),
      heap_(heap),
      vector_(index->rd_index->indkey.values[0]),
      idle_(heap == nullptr || heap->rd_tableam != GetHeapamTableAmRoutine() ||
            RelationUsesLocalBuffers(heap) ||
            get_tablespace_io_concurrency(heap->rd_rel->reltablespace) == 0),
      blocks_(idle_ ? 0 : RelationGetNumberOfBlocks(heap)) {
    hinted_ = !idle_ && hints_pay(blocks_);
}

bool HeapPrefetch::pin_page(IndexFetchTableData *fetch, const core::HeapTid &row) {
    if (!hinted_ || fetch == nullptr)
        return false;
    Buffer &pinned = reinterpret_cast<IndexFetchHeapData *>(fetch)->xs_cbuf;
    if (pinned != InvalidBuffer && BufferGetBlockNumber(pinned) == row.block)
        return true;
    const Buffer seen = BufferHints::of(index_).of_table(row.block);
    if (!pin_where_seen(heap_, MAIN_FORKNUM, row.block, seen)) {
        BufferHints::of(index_).of_table(row.block) = InvalidBuffer;
        return false;
    }
    if (pinned != InvalidBuffer)
        ReleaseBuffer(pinned);
    pinned = seen;
    // As the fetch does with a page that it pins itself.
    heap_page_prune_opt(heap_, pinned);
    return true;
}

bool HeapPrefetch::fetch_again(IndexFetchTableData *fetch, const core::HeapTid &row,
                               Snapshot snapshot, TupleTableSlot *slot) {
    // A version in the middle of a HOT chain is not found this way.
    return pin_page(fetch, row) && fetch_row(fetch, row, snapshot, slot) && tid_of(slot) == row;
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
    if (rows.size() > 1)
        ask_for_tuple(known_[1]);
    if (!rows.empty())
        ask_for_vector(known_[0]);
}

void HeapPrefetch::ask_for_page(Row *row) {
    if (row->tid.block >= blocks_)
        return;
    Buffer seen = hinted_ ? BufferHints::of(index_).of_table(row->tid.block) : InvalidBuffer;
    if (seen == InvalidBuffer) {
        seen = PrefetchBuffer(heap_, MAIN_FORKNUM, row->tid.block).recent_buffer;
        BufferHints::of(index_).of_table(row->tid.block) = seen;
    }
    row->buffer = seen;
    if (seen != InvalidBuffer)
        prefetch_page(seen, row->tid.offset);
}

void HeapPrefetch::ask_for_tuple(const Row &row) {
    if (row.buffer == InvalidBuffer)
        return;
    Page page = BufferGetPage(row.buffer);
    const unsigned start = row_start(page, row.tid.offset);
    core::prefetch_lines(page + start, std::min<size_t>(kTupleBytes, BLCKSZ - start));
    // Conditions are often on columns behind the vector.
    const unsigned end = row_end(page, row.tid.offset);
    if (end > start + kTupleBytes)
        __builtin_prefetch(page + end - 1);
}

void HeapPrefetch::ask_for_vector(const Row &row) {
    if (row.buffer == InvalidBuffer || vector_ == 0)
        return;
    Page page = BufferGetPage(row.buffer);
    // Looked at in a copy, since the page may change meanwhile.
    alignas(MAXIMUM_ALIGNOF) char tuple[kTupleBytes] = {};
    const unsigned start = row_start(page, row.tid.offset);
    memcpy(tuple, page + start, std::min<size_t>(kTupleBytes, BLCKSZ - start));
    const varattrib_1b_e *found = toast_pointer(tuple, RelationGetDescr(heap_), vector_);
    if (found == nullptr) {
        vector_ = 0;  // nor are the others out of line, most likely
        return;
    }
    varatt_external toast;
    VARATT_EXTERNAL_GET_POINTER(toast, found);
    prefetch_chunks(toast);
}

}  // namespace hnsw::pg

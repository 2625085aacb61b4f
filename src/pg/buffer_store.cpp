// Buffers and generic WAL behind core::PageStore.
#include "pg/buffer_store.h"

#include "pg/buffer_hints.h"
#include "pg/page_log.h"

namespace hnsw::pg {

using core::PageTxn;
using core::TxnPage;

static_assert(core::kPageSize == BLCKSZ, "hnsw needs a server built with 8 kB blocks");
static_assert(core::kPageHeaderBytes == SizeOfPageHeaderData);
static_assert(core::kMaxTxnPages <= MAX_GENERIC_XLOG_PAGES);
static_assert(core::kNoBlock == InvalidBlockNumber);
// core/page.cpp writes these fields by offset.
static_assert(offsetof(PageHeaderData, pd_lsn) == 0);
static_assert(offsetof(PageHeaderData, pd_checksum) == 8);
static_assert(offsetof(PageHeaderData, pd_flags) == 10);
static_assert(offsetof(PageHeaderData, pd_lower) == 12);
static_assert(offsetof(PageHeaderData, pd_upper) == 14);
static_assert(offsetof(PageHeaderData, pd_special) == 16);
static_assert(offsetof(PageHeaderData, pd_pagesize_version) == 18);
static_assert(offsetof(PageHeaderData, pd_prune_xid) == 20);
static_assert(PG_PAGE_LAYOUT_VERSION == 4);

namespace {

std::byte *page_bytes(Buffer buffer) {
    return reinterpret_cast<std::byte *>(BufferGetPage(buffer));
}

uint64_t handle_of(Buffer buffer) { return static_cast<uint64_t>(static_cast<int64_t>(buffer)); }

}  // namespace

BufferStore::BufferStore(Relation index, Relation heap, Purpose purpose,
                         BufferAccessStrategy strategy, ForkNumber fork)
    : purpose_(purpose), strategy_(strategy), fork_(fork) {
    attach(index, heap);
}

void BufferStore::attach(Relation index, Relation heap) {
    index_ = index;
    heap_ = heap;
    hinted_ = (purpose_ == Purpose::kRead || purpose_ == Purpose::kWrite) && strategy_ == nullptr &&
              fork_ == MAIN_FORKNUM && !RelationUsesLocalBuffers(index) &&
              hints_pay(RelationGetNumberOfBlocks(index));
}

Buffer BufferStore::read(core::BlockNo block) {
    return hinted_ ? read_hinted(block)
                   : ReadBufferExtended(index_, fork_, block, RBM_NORMAL, strategy_);
}

Buffer BufferStore::read_hinted(core::BlockNo block) {
    const Buffer hint = BufferHints::of(index_).of_index(block);
    if (pin_where_seen(index_, fork_, block, hint))
        return hint;
    Buffer buffer = ReadBufferExtended(index_, fork_, block, RBM_NORMAL, strategy_);
    // The read may have accepted an invalidation: the hints may be new ones.
    BufferHints::of(index_).of_index(block) = buffer;
    return buffer;
}

core::PageStore::Pin BufferStore::pin(core::BlockNo block) {
    Buffer buffer = read(block);
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    return {.data = page_bytes(buffer), .handle = handle_of(buffer)};
}

void BufferStore::unpin(const Pin &pin) { UnlockReleaseBuffer(buffer_of(pin.handle)); }

core::BlockNo BufferStore::size() { return RelationGetNumberOfBlocksInFork(index_, fork_); }

void BufferStore::prefetch(core::BlockNo block) { PrefetchBuffer(index_, fork_, block); }

void BufferStore::prefetch_cached(core::BlockNo block, uint32_t offset, uint32_t bytes) {
    if (!hinted_)
        return;
    // Where the page was: if it is there no longer, the wrong lines come nearer and nobody reads them.
    Buffer buffer = BufferHints::of(index_).of_index(block);
    if (buffer > 0 && buffer <= NBuffers) {
        __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
        core::prefetch_cache(page_bytes(buffer), offset, bytes);
    }
}

void BufferStore::poll() {
    if (purpose_ == Purpose::kVacuum)
        vacuum_delay();
    else
        CHECK_FOR_INTERRUPTS();
}

void BufferStore::corrupt(core::BlockNo block, const char *what) {
    ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
                    errmsg("index \"%s\" is corrupted at block %u: %s",
                           RelationGetRelationName(index_), block, what),
                    errhint("REINDEX INDEX rebuilds it from the table.")));
    pg_unreachable();
}

uint64_t BufferStore::next_transaction() {
    return U64FromFullTransactionId(ReadNextFullTransactionId());
}

bool BufferStore::reusable(uint64_t freed_at) {
    return GlobalVisCheckRemovableFullXid(heap_, FullTransactionIdFromU64(freed_at));
}

void BufferStore::txn_latch(TxnPage &page) {
    Buffer buffer = read(page.block);
    page.handle = handle_of(buffer);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    page.data = page_bytes(buffer);
}

void BufferStore::txn_extend(TxnPage &page) {
    Buffer buffer = extend_relation(index_, fork_);
    page.handle = handle_of(buffer);
    page.block = BufferGetBlockNumber(buffer);
    page.data = page_bytes(buffer);
}

void BufferStore::txn_modify(PageTxn &, TxnPage &page, bool fresh) {
    if (page.image == nullptr)
        page.image = static_cast<std::byte *>(palloc(BLCKSZ));
    if (!fresh)
        memcpy(page.image, page.data, BLCKSZ);
    page.whole = fresh;
}

void BufferStore::txn_commit(PageTxn &txn) {
    apply_and_log(index_, txn.pages(), purpose_ != Purpose::kBulk);
    txn_abort(txn);
}

void BufferStore::txn_abort(PageTxn &txn) {
    for (TxnPage &page : txn.pages())
        if (page.image != nullptr)
            pfree(page.image);
    unlock_all(txn);
}

void BufferStore::unlock_all(PageTxn &txn) {
    for (TxnPage &page : txn.pages())
        if (page.handle != 0)
            UnlockReleaseBuffer(buffer_of(page.handle));
}

}  // namespace hnsw::pg

/* PageStore in memory. A transaction's images are private copies, copied back at commit. */
#include "core/mem_store.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace hnsw::core {

MemStore::Page &MemStore::page(BlockNo block) {
    std::shared_lock lock(grow_);
    if (block >= pages_.size())
        throw std::runtime_error("block " + std::to_string(block) + " does not exist");
    return *pages_[block];
}

PageStore::Pin MemStore::pin(BlockNo block) {
    Page &p = page(block);
    p.latch.lock_shared();
    pins.fetch_add(1, std::memory_order_relaxed);
    return {.data = p.bytes, .handle = reinterpret_cast<uintptr_t>(&p)};
}

void MemStore::unpin(const Pin &pin) {
    reinterpret_cast<Page *>(pin.handle)->latch.unlock_shared();
}

BlockNo MemStore::size() {
    std::shared_lock lock(grow_);
    return static_cast<BlockNo>(pages_.size());
}

void MemStore::prefetch_cached(BlockNo block, uint32_t offset, uint32_t bytes) {
    if (block < size())
        prefetch_cache(page(block).bytes, offset, bytes);
}

void MemStore::corrupt(BlockNo block, const char *what) {
    throw std::runtime_error("corrupt block " + std::to_string(block) + ": " + what);
}

std::byte *MemStore::raw(BlockNo block) { return page(block).bytes; }

void MemStore::grow(BlockNo blocks) {
    std::unique_lock lock(grow_);
    while (pages_.size() < blocks)
        pages_.push_back(std::make_unique<Page>());
}

void MemStore::txn_latch(TxnPage &txn_page) {
    Page &p = page(txn_page.block);
    p.latch.lock();
    txn_page.handle = reinterpret_cast<uintptr_t>(&p);
    txn_page.data = p.bytes;
}

void MemStore::txn_extend(TxnPage &txn_page) {
    auto fresh = std::make_unique<Page>();
    Page &p = *fresh;
    /* Nobody else knows the page: there is nothing to wait for, and no lock order to break. */
    (void)p.latch.try_lock();
    std::unique_lock lock(grow_);
    pages_.push_back(std::move(fresh));
    txn_page.block = static_cast<BlockNo>(pages_.size() - 1);
    txn_page.handle = reinterpret_cast<uintptr_t>(&p);
    txn_page.data = p.bytes;
}

void MemStore::txn_modify(PageTxn &, TxnPage &txn_page, bool) {
    txn_page.image = new std::byte[kPageSize];
    std::memcpy(txn_page.image, txn_page.data, kPageSize);
}

void MemStore::txn_commit(PageTxn &txn) {
    uint64_t ordinal = commits.fetch_add(1);
    if (on_commit)
        on_commit(ordinal);
    for (TxnPage &p : txn.pages())
        if (p.image != nullptr) {
            std::byte *bytes = reinterpret_cast<Page *>(p.handle)->bytes;
            std::memcpy(bytes, p.image, kPageSize);
            const uint64_t version = ordinal + 1;
            std::memcpy(bytes, &version, sizeof(version));
        }
    txn_abort(txn);
}

void MemStore::txn_abort(PageTxn &txn) {
    for (TxnPage &p : txn.pages()) {
        delete[] p.image;
        if (p.handle != 0)
            reinterpret_cast<Page *>(p.handle)->latch.unlock();
    }
}

}  // namespace hnsw::core

/* PageStore in memory. A transaction's images are private copies, copied back at commit. */
#include "core/mem_store.h"

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace hnsw::core {

MemStore::~MemStore() {
    static_assert(std::is_trivially_destructible_v<Page>);
    for (std::atomic<Page *> &segment : segments_)
        ::operator delete (segment.load(), std::align_val_t{alignof(Page)});
}

MemStore::Page &MemStore::page(BlockNo block) {
    if (block >= size())
        throw std::runtime_error("block " + std::to_string(block) + " does not exist");
    const uint32_t segment = segment_of(block);
    return segments_[segment].load(std::memory_order_relaxed)[block - first_of(segment)];
}

/* With grow_ held. Others find it once size_ has been raised. */
MemStore::Page &MemStore::add_page() {
    const BlockNo block = size_.load(std::memory_order_relaxed);
    const uint32_t segment = segment_of(block);
    if (block == first_of(segment))
        segments_[segment] = static_cast<Page *>(::operator new (
            (size_t{kFirst} << segment) * sizeof(Page), std::align_val_t{alignof(Page)}));
    return *new (segments_[segment].load() + (block - first_of(segment))) Page;
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

BlockNo MemStore::size() { return size_.load(std::memory_order_acquire); }

void MemStore::prefetch_cached(BlockNo block, uint32_t offset, uint32_t bytes) {
    if (block < size())
        prefetch_cache(page(block).bytes, offset, bytes);
}

void MemStore::corrupt(BlockNo block, const char *what) {
    throw std::runtime_error("corrupt block " + std::to_string(block) + ": " + what);
}

std::byte *MemStore::raw(BlockNo block) { return page(block).bytes; }

void MemStore::grow(BlockNo blocks) {
    std::lock_guard lock(grow_);
    while (size() < blocks) {
        add_page();
        size_.fetch_add(1, std::memory_order_release);
    }
}

void MemStore::txn_latch(TxnPage &txn_page) {
    Page &p = page(txn_page.block);
    p.latch.lock();
    txn_page.handle = reinterpret_cast<uintptr_t>(&p);
    txn_page.data = p.bytes;
}

void MemStore::txn_extend(TxnPage &txn_page) {
    std::lock_guard lock(grow_);
    Page &p = add_page();
    p.latch.lock(); /* nobody else knows the page yet */
    txn_page.block = size_.fetch_add(1, std::memory_order_release);
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

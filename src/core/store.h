/*
 * The seam between the index and whoever keeps its pages: PostgreSQL's buffer manager
 * (pg/buffer_store.h) or memory (core/mem_store.h).  Coarse and page-sized on purpose: one virtual
 * call per hop of a search.
 *
 * Rules every caller keeps:
 *   - A reader holds one page at a time and calls poll() only while it holds none.
 *   - A writer changes pages through a PageTxn: at most kMaxTxnPages pages, latched exclusively
 *     in the order base < upper < posting < part < directory < TID list < meta (a page just
 *     extended may come at any time: nobody else knows it).  commit() makes all changes durable as one unit.
 *   - PageRef and PageTxn are abandonable: if the server unwinds past them, transaction abort
 *     releases what they hold.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "core/page.h"
#include "core/prefetch.h"

namespace hnsw::core {

class PageTxn;
struct DirectoryShape;

/* Asks the processor for part of a page, at most what a record of one page takes. Reads nothing. */
inline void prefetch_cache(const std::byte *page, uint32_t offset, uint32_t bytes) {
    __builtin_prefetch(page + kPageSize - kPageTrailerBytes);
    prefetch_lines(page + offset, bytes);
}

inline constexpr uint32_t kMaxTxnPages = 4; /* generic WAL's limit per record */

/* One page of a PageTxn. */
struct TxnPage {
    BlockNo block = kNoBlock;
    uint64_t handle = 0;             /* the store's own */
    const std::byte *data = nullptr; /* as it was */
    std::byte *image = nullptr;      /* to be changed; null until modify() */
    bool whole = false;              /* image replaces the page rather than changes it */
};

class PageStore {
public:
    struct Pin {
        const std::byte *data = nullptr;
        uint64_t handle = 0; /* the store's own */
    };

    virtual ~PageStore() = default;

    /* Pins block `block` and latches it shared. The block must exist. */
    virtual Pin pin(BlockNo block) = 0;
    virtual void unpin(const Pin &pin) = 0;

    /* Number of blocks; grows while others insert. */
    virtual BlockNo size() = 0;

    /* Starts reading block into memory if that is cheap; never waits. */
    virtual void prefetch(BlockNo block) = 0;

    /* `bytes` at `offset` of `block`, and its trailer, will probably be read next: asks for them in
     * the processor's cache if it is known where in memory they are. The block need not exist. */
    virtual void prefetch_cached(BlockNo block, uint32_t offset, uint32_t bytes) = 0;

    /* Interrupt and vacuum-delay point. Called with no page held; may not return. */
    virtual void poll() = 0;

    /* A page says what it cannot say. Does not return (ereport, or the test fails). */
    [[noreturn]] virtual void corrupt(BlockNo block, const char *what) = 0;

    /* Full transaction ids, for the reuse of freed slots. `freed_at` stamps are what
     * next_transaction() returned; reusable() tells whether no snapshot or transaction that was
     * running then can still be (decisions: slot reuse). */
    virtual uint64_t next_transaction() = 0;
    virtual bool reusable(uint64_t freed_at) = 0;

    /* For PageTxn only. */
    /* Pins and latches page.block exclusively, sets handle and data. */
    virtual void txn_latch(TxnPage &page) = 0;
    /* Adds a new zeroed block, latched; sets block, handle and data. */
    virtual void txn_extend(TxnPage &page) = 0;
    /* Sets image. `fresh` = content is replaced whole. */
    virtual void txn_modify(PageTxn &txn, TxnPage &page, bool fresh) = 0;
    virtual void txn_commit(PageTxn &txn) = 0;
    /* Releases everything, changes nothing. */
    virtual void txn_abort(PageTxn &txn) = 0;
};

/* A page held for reading. Move-only; releases in its destructor. */
class PageRef {
public:
    PageRef() = default;
    PageRef(PageStore &store, BlockNo block) : store_(&store), pin_(store.pin(block)) {}
    PageRef(PageRef &&other) noexcept
        : store_(std::exchange(other.store_, nullptr)), pin_(other.pin_) {}
    PageRef &operator=(PageRef &&other) noexcept {
        release();
        store_ = std::exchange(other.store_, nullptr);
        pin_ = other.pin_;
        return *this;
    }
    ~PageRef() { release(); }

    const std::byte *data() const { return pin_.data; }
    void release() {
        if (store_ != nullptr)
            std::exchange(store_, nullptr)->unpin(pin_);
    }

private:
    PageStore *store_ = nullptr;
    PageStore::Pin pin_;
};

/* A change of up to kMaxTxnPages pages. Without commit() the destructor drops the changes. */
class PageTxn {
public:
    explicit PageTxn(PageStore &store) : store_(store) {}
    PageTxn(const PageTxn &) = delete;
    PageTxn &operator=(const PageTxn &) = delete;
    ~PageTxn() { release(); }

    /* Latches `block` exclusively and returns it as it is. Latching it twice is free. */
    const std::byte *latch(BlockNo block);
    /* Latches `block` if need be and returns an image to change. No allocation that can fail is
     * needed between here and commit(). */
    std::byte *modify(BlockNo block);
    /* Adds a block to the index, initialised as an empty page of `kind`. It is never one of the blocks
     * that the index's directory takes: when such a one is due it is added first, as a commit of
     * its own. */
    std::byte *extend(const DirectoryShape &shape, PageKind kind, BlockNo *block);
    /* Latches `block` if need be and makes it an empty page, whatever it was. Before modify(). */
    std::byte *initialise(BlockNo block, PageKind kind);
    /* Makes the changes durable together and releases the pages; the object can be used again. */
    void commit();
    /* Drops changes made so far and releases the pages. */
    void release();

    PageStore &store() { return store_; }
    std::span<TxnPage> pages() { return {pages_, count_}; }

private:
    TxnPage *find(BlockNo block);
    TxnPage &add();

    PageStore &store_;
    TxnPage pages_[kMaxTxnPages];
    uint32_t count_ = 0;
};

}  // namespace hnsw::core

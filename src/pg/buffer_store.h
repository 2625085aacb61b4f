// PageStore over the server's buffer manager: pages are pinned and content-locked buffers, a
// PageTxn is one generic WAL record.  One object per scan, statement or vacuum; all callbacks of
// the access method and the SQL-level checks reach pages through it.
//
// Scans and inserts try the buffer a block was in before (buffer_hints.h).
//
// Abandonable: an error that unwinds past it leaves pins and locks to transaction abort.
#pragma once

#include "core/store.h"
#include "pg/guard.h"

namespace hnsw::pg {

// The buffer behind TxnPage::handle and PageStore::Pin::handle.
inline Buffer buffer_of(uint64_t handle) {
    return static_cast<Buffer>(static_cast<int64_t>(handle));
}

class BufferStore final : public core::PageStore {
public:
    static constexpr bool kAbandonable = true;

    enum class Purpose {
        kRead,    // scans and checks: txn functions are not for them (but for dead-row marks)
        kWrite,   // inserts: every commit is a generic WAL record
        kVacuum,  // as kWrite; poll() is vacuum's delay point
        kBulk,    // CREATE INDEX: nothing is logged page by page, the caller logs the whole fork
    };

    // `index` stays open as long as the object lives.  `heap` is its table, or null where nobody
    // will ask reusable() (then the answer covers every database's snapshots).  `strategy`: ring
    // of buffers to read through, or null.
    BufferStore(Relation index, Relation heap, Purpose purpose,
                BufferAccessStrategy strategy = nullptr, ForkNumber fork = MAIN_FORKNUM);

    // The same relations, opened anew: for a store that outlives a statement.
    void attach(Relation index, Relation heap);

    Pin pin(core::BlockNo block) override;
    void unpin(const Pin &pin) override;
    core::BlockNo size() override;
    void prefetch(core::BlockNo block) override;
    void prefetch_cached(core::BlockNo block, uint32_t offset, uint32_t bytes) override;
    void poll() override;
    // ERRCODE_INDEX_CORRUPTED, naming index and block.
    [[noreturn]] void corrupt(core::BlockNo block, const char *what) override;
    uint64_t next_transaction() override;
    // Never asked during recovery.
    bool reusable(uint64_t freed_at) override;

    void txn_latch(core::TxnPage &page) override;
    void txn_extend(core::TxnPage &page) override;
    void txn_modify(core::PageTxn &txn, core::TxnPage &page, bool fresh) override;
    void txn_commit(core::PageTxn &txn) override;
    void txn_abort(core::PageTxn &txn) override;

private:
    Buffer read(core::BlockNo block);
    Buffer read_hinted(core::BlockNo block);
    static void unlock_all(core::PageTxn &txn);

    Relation index_ = nullptr;
    Relation heap_ = nullptr;
    Purpose purpose_;
    BufferAccessStrategy strategy_;
    ForkNumber fork_;
    bool hinted_ = false;
};

}  // namespace hnsw::pg

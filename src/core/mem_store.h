/*
 * A PageStore in memory with real latches: unit tests, fuzzers and server-free benchmarks run the
 * very code that runs over shared buffers, threads included.  Not used by the server.
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/build_write.h"
#include "core/store.h"

namespace hnsw::core {

class MemStore final : public PageStore {
public:
    MemStore() = default;

    Pin pin(BlockNo block) override;
    void unpin(const Pin &pin) override;
    BlockNo size() override;
    void prefetch(BlockNo) override {}
    void prefetch_cached(BlockNo block, uint32_t offset, uint32_t bytes) override;
    void poll() override {
        if (on_poll)
            on_poll();
    }
    /* Throws std::runtime_error naming block and reason. */
    [[noreturn]] void corrupt(BlockNo block, const char *what) override;
    uint64_t next_transaction() override { return transaction.load(); }
    bool reusable(uint64_t freed_at) override { return freed_at < oldest_running.load(); }

    void txn_latch(TxnPage &page) override;
    void txn_extend(TxnPage &page) override;
    void txn_modify(PageTxn &txn, TxnPage &page, bool fresh) override;
    void txn_commit(PageTxn &txn) override;
    void txn_abort(PageTxn &txn) override;

    /* Adds pages of zeros until there are that many. */
    void grow(BlockNo blocks);
    /* Raw page for tests that look or corrupt; take no latch. */
    std::byte *raw(BlockNo block);

    /* Simulated transaction clock: a test raises both to let freed slots be reused. */
    std::atomic<uint64_t> transaction{3};
    std::atomic<uint64_t> oldest_running{3};
    void advance_transactions() {
        transaction++;
        oldest_running = transaction.load();
    }

    /* Called before each commit with its ordinal (from 0); may throw to simulate a crash or an
     * error: then nothing of the commit happens. */
    std::function<void(uint64_t)> on_commit;
    std::function<void()> on_poll;
    std::atomic<uint64_t> pins{0};
    std::atomic<uint64_t> commits{0};

private:
    struct Page {
        alignas(64) std::byte bytes[kPageSize] = {};
        std::shared_mutex latch;
    };

    Page &page(BlockNo block);

    std::shared_mutex grow_;
    std::deque<std::unique_ptr<Page>> pages_;
};

/* Where a build's pages go, by any number of threads. */
class MemSink final : public PageSink {
public:
    explicit MemSink(MemStore &store) : store_(store) {}
    void begin_run(BlockNo, BlockNo end) override { store_.grow(end); }
    void put(BlockNo block, const std::byte *page) override {
        std::copy_n(page, kPageSize, store_.raw(block));
    }
    void end_run(BlockNo, BlockNo) override {}

private:
    MemStore &store_;
};

}  // namespace hnsw::core

/*
 * A PageStore in memory with real latches: unit tests, fuzzers and server-free benchmarks run the
 * very code that runs over shared buffers, threads included.  Not used by the server.
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/build_write.h"
#include "core/store.h"

namespace hnsw::core {

class MemStore final : public PageStore {
public:
    MemStore() = default;
    MemStore(const MemStore &) = delete;
    MemStore &operator=(const MemStore &) = delete;
    ~MemStore() override;

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
    /* Held for moments: whoever has to wait spins. */
    class Latch {
    public:
        void lock_shared() {
            for (;;) {
                uint32_t now = state_.load(std::memory_order_relaxed);
                if ((now & kExclusive) == 0 &&
                    state_.compare_exchange_weak(now, now + 1, std::memory_order_acquire))
                    return;
                if ((now & kExclusive) != 0)
                    std::this_thread::yield();
            }
        }
        void unlock_shared() { state_.fetch_sub(1, std::memory_order_release); }
        void lock() {
            while ((state_.fetch_or(kExclusive, std::memory_order_acquire) & kExclusive) != 0)
                std::this_thread::yield();
            while (state_.load(std::memory_order_acquire) != kExclusive)
                std::this_thread::yield();
        }
        void unlock() { state_.fetch_and(~kExclusive, std::memory_order_release); }

    private:
        static constexpr uint32_t kExclusive = 0x80000000u; /* held, or waited for; else: readers */
        std::atomic<uint32_t> state_ = 0;
    };
    struct Page {
        alignas(64) std::byte bytes[kPageSize] = {};
        Latch latch;
    };
    /* Pages never move, and finding one takes no lock: segment s has room for kFirst << s pages, of which
     * as many exist as size_ says. */
    static constexpr uint32_t kFirst = 64;
    static constexpr uint32_t kSegments = 27;

    static uint32_t segment_of(BlockNo block) {
        return static_cast<uint32_t>(std::bit_width(uint64_t{block} / kFirst + 1)) - 1;
    }
    /* Of pages in the segments before. */
    static BlockNo first_of(uint32_t segment) { return kFirst * ((BlockNo{1} << segment) - 1); }
    Page &page(BlockNo block);
    Page &add_page();

    std::mutex grow_; /* held to add pages */
    std::atomic<BlockNo> size_ = 0;
    std::atomic<Page *> segments_[kSegments] = {};
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

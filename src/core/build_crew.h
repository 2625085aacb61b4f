/*
 * Several processes that add rows to one arena, for a build that hands the rows out itself
 * (build_regions.h): the leader lays out a batch of them in shared memory, and whoever takes part takes
 * one row after the other until none is left. That is a round; so is trimming the graph's lists.
 * Helpers join a round if they come in time; a leader without any does it all.
 */
#pragma once

#include <atomic>
#include <optional>

#include "core/build.h"

namespace hnsw::core {

/* What brings helpers to the leader's rounds. Each of them has a CrewMember and calls its take_part()
 * once in every round that it joins. */
class Crew {
public:
    virtual ~Crew() = default;
    /* How many may take part, the leader included: what memory is reckoned with. */
    virtual uint32_t most() const = 0;
    /* Returns memory (at least 64-byte aligned) that the helpers share. They may join rounds from now on. */
    virtual void *gather(size_t bytes) = 0;
    /* Helpers may join. */
    virtual void begin_round() = 0;
    /* None may any more; returns when all who did have left take_part(), and what they wrote is seen. */
    virtual void end_round() = 0;
    /* Helpers go, the memory too. */
    virtual void dismiss() = 0;
};

/* A leader alone. */
class NoCrew final : public Crew {
public:
    static constexpr bool kAbandonable = true;

    explicit NoCrew(std::pmr::memory_resource *memory) : memory_(memory) {}
    uint32_t most() const override { return 1; }
    void *gather(size_t bytes) override {
        bytes_ = bytes;
        return at_ = memory_->allocate(bytes, kAlignment);
    }
    void begin_round() override {}
    void end_round() override {}
    void dismiss() override { memory_->deallocate(at_, bytes_, kAlignment); }

private:
    static constexpr size_t kAlignment = 64;

    std::pmr::memory_resource *memory_;
    void *at_ = nullptr;
    size_t bytes_ = 0;
};

enum class CrewTask : uint32_t { kAddHomes, kAddCopies, kTrim };

/* What a round is about, in shared memory, with the batch behind it and then the arena. Between rounds
 * the leader alone touches it. */
class CrewBoard {
public:
    /* Bytes of a board for batches of up to `bytes` of rows (but for one row at least). */
    static size_t bytes(const CreateOptions &options, size_t bytes);
    /* Makes the memory a board of so many bytes and an arena behind it, yet to be formatted. */
    static CrewBoard *format(void *memory, const CreateOptions &options, size_t board_bytes);

    void *arena() { return reinterpret_cast<std::byte *>(this) + arena_at_; }
    /* The arena has been formatted for the next graph. */
    void begin_graph() { graph_++; }

    void begin_batch(size_t most_arena_bytes) { rows_ = 0, most_ = most_arena_bytes; }
    bool full() const { return rows_ == room_; }
    uint32_t rows() const { return rows_; }
    /* Row i of the batch, for the leader to fill in: dim floats and a packed row (attributes.h). */
    float *value(uint32_t i) { return reinterpret_cast<float *>(row(i)); }
    std::byte *packed(uint32_t i) { return row(i) + packed_at_; }
    void add_row() { rows_++; }
    /* The node that row i has become or joined; kNoArenaNode: the arena, or the part of it that the batch
     * may fill, was full. */
    ArenaId &node(uint32_t i) { return reinterpret_cast<ArenaId *>(this + 1)[i]; }

    void begin(CrewTask task) { task_ = task, next_.store(0, std::memory_order_relaxed); }

private:
    friend class CrewMember;

    std::byte *row(uint32_t i) {
        return reinterpret_cast<std::byte *>(this + 1) + rows_at_ + size_t{i} * stride_;
    }

    uint32_t graph_ = 0; /* number of the graph in the arena */
    CrewTask task_ = CrewTask::kAddHomes;
    uint32_t rows_ = 0;              /* in the batch */
    uint32_t room_ = 0;              /* for so many */
    uint32_t stride_ = 0;            /* bytes of a row */
    uint32_t packed_at_ = 0;         /* in a row */
    size_t rows_at_ = 0;             /* behind the nodes of the rows */
    size_t arena_at_ = 0;            /* from the board's beginning */
    size_t most_ = 0;                /* bytes of the arena that the batch may fill */
    std::atomic<uint32_t> next_ = 0; /* row that nobody has taken */
};

/* One process' part, the leader's or a helper's. Abandonable. */
class CrewMember {
public:
    /* All outlive the object. `space` has one centre. */
    CrewMember(CrewBoard *board, const Space &space, const CreateOptions &options, Poll poll,
               std::pmr::memory_resource *memory)
        : board_(board), space_(space), options_(options), poll_(poll), memory_(memory) {}

    /* Does of the round what nobody else has taken. */
    void take_part();
    /* The leader's: connects the graph, after the last round about it. */
    void connect() { worker_->connect(nullptr); }

private:
    void add_rows(NodeRole role);

    CrewBoard *board_;
    const Space &space_;
    const CreateOptions &options_;
    Poll poll_;
    std::pmr::memory_resource *memory_;
    uint32_t graph_ = 0;
    std::optional<Arena> arena_;
    std::optional<BuildWorker> worker_;
};

}  // namespace hnsw::core

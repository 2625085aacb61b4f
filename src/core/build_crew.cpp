/* Batches of rows that several processes add to an arena. */
#include "core/build_crew.h"

#include <algorithm>

#include "core/round_up.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kMostRows = 4096;
constexpr uint32_t kRowsPerPoll = 16;

size_t row_bytes(const CreateOptions &options) {
    return round_up(options.dim * sizeof(float) + packed_row_bytes(options.attributes),
                    alignof(float));
}

}  // namespace

size_t CrewBoard::bytes(const CreateOptions &options, size_t bytes) {
    const size_t row = row_bytes(options) + sizeof(ArenaId);
    const size_t rows = std::clamp<size_t>(bytes / row, 1, kMostRows);
    return round_up(sizeof(CrewBoard) + rows * row, alignof(ArenaNode));
}

CrewBoard *CrewBoard::format(void *memory, const CreateOptions &options, size_t board_bytes) {
    auto *board = new (memory) CrewBoard;
    const size_t row = row_bytes(options);
    board->room_ =
        static_cast<uint32_t>((board_bytes - sizeof(CrewBoard)) / (row + sizeof(ArenaId)));
    board->stride_ = static_cast<uint32_t>(row);
    board->packed_at_ = options.dim * static_cast<uint32_t>(sizeof(float));
    board->rows_at_ = board->room_ * sizeof(ArenaId);
    board->arena_at_ = board_bytes;
    return board;
}

void CrewMember::take_part() {
    if (graph_ != board_->graph_) {
        graph_ = board_->graph_;
        worker_.reset();
        arena_.emplace(board_->arena());
        worker_.emplace(*arena_, space_, options_, poll_, memory_);
    }
    switch (board_->task_) {
        case CrewTask::kAddHomes:
            return add_rows(NodeRole::kHome);
        case CrewTask::kAddCopies:
            return add_rows(NodeRole::kCopy);
        case CrewTask::kTrim:
            while (worker_->trim_some())
                poll_();
    }
}

void CrewMember::add_rows(NodeRole role) {
    for (;;) {
        const uint32_t i = board_->next_.fetch_add(1, std::memory_order_relaxed);
        if (i >= board_->rows_)
            return;
        if (i % kRowsPerPoll == 0)
            poll_();
        const std::byte *packed = board_->packed(i);
        const bool added = arena_->used_bytes() <= board_->most_ &&
                           worker_->add(board_->value(i), packed_tid(packed).tid(),
                                        packed_attributes(packed, options_.attributes),
                                        role) != BuildWorker::Added::kFull;
        board_->node(i) = added ? worker_->last_node() : kNoArenaNode;
    }
}

}  // namespace hnsw::core

/*
 * A set of heap rows, made from what another index has found: exact offsets per heap block, or whole
 * blocks.  It keeps to a number of bytes by forgetting which rows of a block were meant, or which of
 * neighbouring blocks; so it may hold rows that were not added, but never lacks one that was.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/ids.h"
#include "simd/key_kernels.h"

namespace hnsw::core {

class TidSet {
public:
    static constexpr size_t kNoLimit = ~size_t{0};

    explicit TidSet(std::pmr::memory_resource *memory);

    /* Makes the set empty. blocks: the table has so many; a row beyond them costs memory for all blocks
     * in front of it. byte_limit: of bytes(), about. */
    void begin(size_t blocks, size_t byte_limit);

    void add(HeapTid tid);
    /* Adds rows of a block. */
    void add(uint32_t block, std::span<const uint16_t> offsets);
    /* Adds all rows of a block: which of them are meant is not known. */
    void add_lossy(uint32_t block);

    bool contains(HeapTid tid) const;
    /* Whether the set has a form that a kernel takes; otherwise ask contains(). */
    bool has_bits() const { return form_ == Form::kDense && lossy_blocks_ == 0; }
    /* That form; has_bits(). Until the next change. */
    simd::RowBits bits() const { return {words_.data(), static_cast<uint32_t>(slots()), stride_}; }
    /* Whether a set of rows of `used` of the table's blocks is thought to have them. */
    static bool likely_bits(double used, double blocks, double rows_per_block);

    /* Calls visit(block, offsets, lossy) for each block that has rows, ascending. offsets: bit = offset,
     * all words of it; lossy: any row of the block may be meant. */
    template <class Visit>
    void for_each_block(Visit visit) const;

    /* Rows added; a lossy block counts as what the caller says its blocks hold on average. */
    double size(double rows_per_block) const { return rows_ + lossy_blocks_ * rows_per_block; }
    size_t bytes() const {
        return numbers_.capacity() * sizeof(uint32_t) + words_.capacity() * sizeof(uint64_t);
    }

private:
    enum class Form : uint8_t {
        kSparse, /* a hash table of the blocks that have rows: open addressing, at most half full */
        kDense,  /* a place for each block of the table, in order */
        kCoarse, /* one bit for 2^shift_ blocks: whether any of them has rows */
    };
    /* A heap page of 8 KiB has at most 291 rows. A block with a higher offset counts as lossy. */
    static constexpr uint32_t kMaxStride = 5;
    static constexpr uint32_t kOffsets = kMaxStride * 64;
    static constexpr uint32_t kEmpty = 0xFFFFFFFFu; /* no block has that number */
    /* Of a block's first word: it is lossy. No row has offset 0. */
    static constexpr uint64_t kLossy = 1;

    size_t slots() const { return words_.size() / stride_; }
    /* Blocks there are, as far as is known. */
    size_t end() const { return std::max(blocks_, end_); }
    /* Where the block is, or, sparse, the empty slot where it belongs. */
    size_t slot_of(uint32_t block) const;
    /* Of the coarse form. */
    bool may_have(size_t block) const {
        const size_t bit = block >> shift_;
        return bit / 64 < words_.size() && (words_[bit / 64] >> (bit % 64) & 1) != 0;
    }
    /* The block's words, at least `stride` of them; null: the set is coarse, or has become so. */
    uint64_t *claim(uint32_t block, uint32_t stride);
    /* Of the sparse form: makes room for one block more. Of the dense one: up to end(). */
    void make_room();
    void extend();
    bool fits(Form form, size_t slots, uint32_t stride) const;
    /* Gives the set another form (not the coarse one), so many slots and words for each of them. */
    void lay_out(Form form, size_t slots, uint32_t stride);
    void make_coarse();
    void add_coarse(uint32_t block);
    /* Slots of the sparse form by their blocks' order. */
    std::pmr::vector<uint32_t> slots_in_order() const;

    Form form_ = Form::kSparse;
    uint32_t stride_ = 1; /* words of a block: offsets below stride_ * 64 */
    uint32_t shift_ = 0;  /* of the coarse form */
    size_t blocks_ = 0;   /* of the table, as begin() was told */
    size_t end_ = 0;      /* behind the last block added */
    size_t limit_ = kNoLimit;
    size_t used_ = 0;                    /* blocks with rows; of the sparse form */
    std::pmr::vector<uint32_t> numbers_; /* block of a slot; of the sparse form */
    std::pmr::vector<uint64_t> words_;   /* stride_ for each slot */
    double rows_ = 0;
    double lossy_blocks_ = 0;
};

template <class Visit>
void TidSet::for_each_block(Visit visit) const {
    auto visit_slot = [&](uint32_t block, size_t slot) {
        const std::span<const uint64_t> words(&words_[slot * stride_], stride_);
        visit(block, words, (words[0] & kLossy) != 0);
    };
    switch (form_) {
        case Form::kSparse:
            for (uint32_t slot : slots_in_order())
                visit_slot(numbers_[slot], slot);
            return;
        case Form::kDense:
            for (size_t block = 0; block < slots(); block++) {
                uint64_t any = 0;
                for (size_t i = 0; i < stride_; i++)
                    any |= words_[block * stride_ + i];
                if (any != 0)
                    visit_slot(static_cast<uint32_t>(block), block);
            }
            return;
        case Form::kCoarse:
            for (size_t block = 0; block < end(); block++)
                if (may_have(block))
                    visit(static_cast<uint32_t>(block), std::span<const uint64_t>(), true);
            return;
    }
}

}  // namespace hnsw::core

/*
 * What rows a scan is to return, beside their order: conditions on attributes, and a set of heap rows
 * that another index has found.  A filter never rejects a row that matches; it may let one pass that
 * does not (keys may be hashes, pages of the set may be lossy), so whoever uses a scan tests its rows
 * again.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/attributes.h"
#include "core/ids.h"

namespace hnsw::core {

/* A condition on one attribute. NULL meets kIsNull only. */
struct Condition {
    enum class Kind : uint8_t {
        kRange,     /* low <= key <= high */
        kAnyOf,     /* key is one of keys, which are sorted */
        kAllBits,   /* key has every bit of low */
        kAnyBits,   /* key has every bit of at least one of keys */
        kIsNull,    /* */
        kIsNotNull, /* */
    };
    Kind kind = Kind::kRange;
    uint8_t attribute = 0; /* 0..kMaxAttributes - 1 */
    uint64_t low = 0;
    uint64_t high = ~uint64_t{0};
    std::span<const uint64_t> keys = {}; /* outlive the scan */

    bool met_by(const Attributes &row) const {
        const bool is_null = (row.nulls >> attribute & 1) != 0;
        const uint64_t key = row.key[attribute];
        if (kind == Kind::kIsNull || is_null)
            return kind == Kind::kIsNull && is_null;
        switch (kind) {
            case Kind::kRange:
                return low <= key && key <= high;
            case Kind::kAnyOf:
                return std::binary_search(keys.begin(), keys.end(), key);
            case Kind::kAllBits:
                return (key & low) == low;
            case Kind::kAnyBits:
                return std::any_of(keys.begin(), keys.end(),
                                   [key](uint64_t bits) { return (key & bits) == bits; });
            case Kind::kIsNull:
            case Kind::kIsNotNull:
                break;
        }
        return true;
    }
};

/* A set of heap rows, made from a bitmap: exact offsets per heap block, or whole blocks. */
class TidSet {
public:
    explicit TidSet(std::pmr::memory_resource *memory);

    void clear();
    /* Adds rows of a heap block. Blocks in any order; each row once, or size() counts it again. */
    void add(uint32_t block, std::span<const uint16_t> offsets);
    /* Adds all rows of a heap block: which of them are meant is not known. */
    void add_lossy(uint32_t block);

    bool contains(HeapTid tid) const {
        const Block &block = table_[slot_of(tid.block)];
        if (block.number != tid.block || block.number == kEmpty)
            return false;
        if (block.first == kLossy)
            return true;
        return tid.offset < kOffsets &&
               (words_[block.first + tid.offset / 64] >> (tid.offset % 64) & 1) != 0;
    }
    /* Rows added; a lossy block counts as what the caller says its blocks hold on average. */
    double size(double rows_per_block) const { return rows_ + lossy_blocks_ * rows_per_block; }
    size_t bytes() const {
        return table_.capacity() * sizeof(Block) + words_.capacity() * sizeof(uint64_t);
    }

private:
    struct Block {
        uint32_t number;
        uint32_t first; /* word of words_; kLossy = all rows */
    };
    static constexpr uint32_t kLossy = 0xFFFFFFFFu;
    static constexpr uint32_t kEmpty = 0xFFFFFFFFu; /* no block has that number */
    /* A heap page of 8 KiB has at most 291 rows. Blocks with higher offsets count as lossy. */
    static constexpr uint32_t kWordsPerBlock = 5;
    static constexpr uint32_t kOffsets = kWordsPerBlock * 64;

    /* Where the block is, or the empty slot where it belongs. Linear probing, at most half full. */
    size_t slot_of(uint32_t number) const {
        const size_t mask = table_.size() - 1;
        size_t at = (number * uint64_t{0x9E3779B97F4A7C15}) >> 32 & mask;
        while (table_[at].number != number && table_[at].number != kEmpty)
            at = (at + 1) & mask;
        return at;
    }
    Block &claim(uint32_t number);

    std::pmr::vector<Block> table_;    /* open addressing, by block number */
    std::pmr::vector<uint64_t> words_; /* kWordsPerBlock per exact block: bit = offset */
    double rows_ = 0;
    double lossy_blocks_ = 0;
    size_t used_ = 0;
};

/* The conjunction of its parts. By reference: parts outlive the scan. */
struct Filter {
    std::span<const Condition> conditions;
    const TidSet *rows = nullptr; /* null: any row */

    bool empty() const { return conditions.empty() && rows == nullptr; }
    /* Whether a row may meet the filter. */
    bool met_by(HeapTid tid, const Attributes &row) const {
        return std::all_of(conditions.begin(), conditions.end(),
                           [&row](const Condition &c) { return c.met_by(row); }) &&
               (rows == nullptr || rows->contains(tid));
    }
};

}  // namespace hnsw::core

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
        if (tid.offset < 64)
            return (block.low >> tid.offset & 1) != 0;
        if (block.more >= kNone || tid.offset >= kOffsets)
            return block.more == kLossy;
        return (words_[block.more + tid.offset / 64 - 1] >> (tid.offset % 64) & 1) != 0;
    }
    /* Of an empty set: room for rows of about `blocks` blocks, of the first `of` blocks. */
    void reserve(size_t blocks, size_t of);
    bool empty() const { return used_ == 0; }
    /* Rows added; a lossy block counts as what the caller says its blocks hold on average. */
    double size(double rows_per_block) const { return rows_ + lossy_blocks_ * rows_per_block; }
    size_t bytes() const {
        return table_.capacity() * sizeof(Block) + words_.capacity() * sizeof(uint64_t);
    }

private:
    /* Most blocks have few rows: one look tells. */
    struct Block {
        uint32_t number;
        uint32_t more; /* word of words_ where offsets from 64 on begin; or kNone, kLossy */
        uint64_t low;  /* bit = offset; an empty slot has none, a lossy block all */
    };
    static constexpr uint32_t kLossy = 0xFFFFFFFFu; /* all rows */
    static constexpr uint32_t kNone = 0xFFFFFFFEu;
    static constexpr uint32_t kEmpty = 0xFFFFFFFFu; /* no block has that number */
    /* A heap page of 8 KiB has at most 291 rows. Blocks with higher offsets count as lossy. */
    static constexpr uint32_t kMoreWords = 4;
    static constexpr uint32_t kOffsets = (1 + kMoreWords) * 64;
    /* Where the block is, or the empty slot where it belongs. Linear probing, at most half full. */
    size_t slot_of(uint32_t number) const {
        const size_t mask = table_.size() - 1;
        const uint64_t spread = number * uint64_t{0x9E3779B97F4A7C15} >> 32;
        size_t at = (in_order_ ? number : spread) & mask;
        /* Both at once: which of them is the case, no processor can guess. */
        while (((table_[at].number == number) | (table_[at].number == kEmpty)) == 0)
            at = (at + 1) & mask;
        return at;
    }
    void grow(size_t size);
    Block &claim(uint32_t number);

    std::pmr::vector<Block> table_;    /* open addressing, by block number */
    std::pmr::vector<uint64_t> words_; /* kMoreWords for each block with high offsets */
    bool in_order_ = false;            /* a slot for each block there may be: no two meet */
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

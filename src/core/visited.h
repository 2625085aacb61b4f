/*
 * The set of records a search has been to: a bitmap over record addresses that clears only what it
 * touched, or, where that bitmap would be larger than its budget, a hash set.
 */
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/ids.h"

namespace hnsw::core {

class VisitedSet {
public:
    explicit VisitedSet(std::pmr::memory_resource *memory)
        : words_(memory), touched_(memory), table_(memory) {}

    /* Empties the set and makes it fit for addresses below `addresses` (more may come). */
    void reset(uint64_t addresses, size_t byte_budget) {
        for (uint32_t word : touched_)
            words_[word] = 0;
        touched_.clear();
        size_t words = static_cast<size_t>(addresses / 64 + 1);
        hashed_ = words * sizeof(uint64_t) > byte_budget;
        if (hashed_) {
            table_.assign(kFirstTable, kNoNode);
            used_ = 0;
        } else if (words > words_.size()) {
            words_.resize(words);
        }
    }

    /* Adds; false if it was there. */
    bool insert(NodeId id) {
        if (hashed_)
            return insert_hashed(id);
        const uint32_t word = id / 64;
        if (word >= words_.size())
            words_.resize(std::max<size_t>(word + 1, words_.size() * 2));
        const uint64_t bit = uint64_t{1} << (id % 64);
        if (words_[word] == 0)
            touched_.push_back(word);
        else if ((words_[word] & bit) != 0)
            return false;
        words_[word] |= bit;
        return true;
    }

    bool contains(NodeId id) const {
        if (hashed_)
            return table_[slot_of(id)] == id;
        const uint32_t word = id / 64;
        return word < words_.size() && (words_[word] >> (id % 64) & 1) != 0;
    }

    size_t bytes() const {
        return words_.capacity() * sizeof(uint64_t) +
               (touched_.capacity() + table_.capacity()) * sizeof(uint32_t);
    }

private:
    static constexpr size_t kFirstTable = 4096;

    /* Where id is, or the empty slot where it belongs. Linear probing, at most half full. */
    size_t slot_of(NodeId id) const {
        const size_t mask = table_.size() - 1;
        size_t at = (id * uint64_t{0x9E3779B97F4A7C15}) >> 20 & mask;
        while (table_[at] != kNoNode && table_[at] != id)
            at = (at + 1) & mask;
        return at;
    }

    bool insert_hashed(NodeId id) {
        size_t at = slot_of(id);
        if (table_[at] == id)
            return false;
        table_[at] = id;
        if (++used_ * 2 > table_.size()) {
            std::pmr::vector<NodeId> old(table_.size() * 2, kNoNode, table_.get_allocator());
            old.swap(table_);
            for (NodeId kept : old)
                if (kept != kNoNode)
                    table_[slot_of(kept)] = kept;
        }
        return true;
    }

    std::pmr::vector<uint64_t> words_;
    std::pmr::vector<uint32_t> touched_; /* words that are not zero */
    std::pmr::vector<NodeId> table_;
    size_t used_ = 0;
    bool hashed_ = false;
};

}  // namespace hnsw::core

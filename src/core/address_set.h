/*
 * A set of addresses (records of one class, or posting chunks) within a range of blocks: one bit
 * each.  What VACUUM, the verifier and the statistics remember about a whole index.
 */
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/ids.h"

namespace hnsw::core {

class AddressSet {
public:
    explicit AddressSet(std::pmr::memory_resource *memory) : words_(memory) {}

    /* Empties the set and makes it cover the addresses of blocks first..last-1. */
    void cover(BlockNo first, BlockNo last, uint32_t per_page) {
        first_ = uint64_t{first} * per_page;
        end_ = uint64_t{last} * per_page;
        words_.assign(static_cast<size_t>((end_ - first_ + 63) / 64), 0);
    }

    bool covers(uint32_t address) const { return address >= first_ && address < end_; }

    /* Addresses outside the range are in no set: add() ignores them. */
    bool contains(uint32_t address) const {
        return covers(address) && (word(address) >> bit(address) & 1) != 0;
    }
    /* False if it was there or is not covered. */
    bool add(uint32_t address) {
        if (!covers(address) || contains(address))
            return false;
        words_[(address - first_) / 64] |= uint64_t{1} << bit(address);
        return true;
    }
    void remove(uint32_t address) {
        if (covers(address))
            words_[(address - first_) / 64] &= ~(uint64_t{1} << bit(address));
    }

    /* The first member at or after `address`; kNoNode if there is none. */
    uint32_t next(uint32_t address) const {
        if (address < first_)
            address = static_cast<uint32_t>(first_);
        if (address >= end_)
            return kNoNode;
        size_t at = static_cast<size_t>((address - first_) / 64);
        uint64_t rest = words_[at] & (~uint64_t{0} << bit(address));
        while (rest == 0) {
            if (++at == words_.size())
                return kNoNode;
            rest = words_[at];
        }
        return static_cast<uint32_t>(first_ + at * 64 +
                                     static_cast<size_t>(std::countr_zero(rest)));
    }

private:
    uint64_t word(uint32_t address) const {
        return words_[static_cast<size_t>((address - first_) / 64)];
    }
    uint32_t bit(uint32_t address) const { return (address - first_) % 64; }

    uint64_t first_ = 0;
    uint64_t end_ = 0;
    std::pmr::vector<uint64_t> words_;
};

}  // namespace hnsw::core

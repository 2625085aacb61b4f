/* The set of heap rows. filter.h says what for. */
#include "core/filter.h"

#include <bit>

namespace hnsw::core {

namespace {

constexpr size_t kFirstTable = 64;

/* A table in the order of blocks has at most so many slots, or so many times as many as there are
 * blocks: looking up every node's row is quicker there by more than it costs to make. */
constexpr size_t kShortTable = 65536;
constexpr size_t kSlotsPerBlock = 32;

}  // namespace

TidSet::TidSet(std::pmr::memory_resource *memory)
    : table_(kFirstTable, Block{kEmpty, kNone, 0}, memory), words_(memory) {}

void TidSet::clear() {
    table_.assign(kFirstTable, Block{kEmpty, kNone, 0});
    words_.clear();
    rows_ = 0;
    lossy_blocks_ = 0;
    used_ = 0;
    in_order_ = false;
}

void TidSet::reserve(size_t blocks, size_t of) {
    in_order_ = of <= std::max(kShortTable, kSlotsPerBlock * blocks);
    const size_t size = std::bit_ceil(std::max(2 * (blocks + 1), in_order_ ? of : 0));
    if (size > table_.size())
        grow(size);
}

void TidSet::grow(size_t size) {
    std::pmr::vector<Block> old(size, Block{kEmpty, kNone, 0}, table_.get_allocator());
    old.swap(table_);
    for (const Block &block : old)
        if (block.number != kEmpty)
            table_[slot_of(block.number)] = block;
}

/* The block's slot: the one it has, or a new one, without rows. */
TidSet::Block &TidSet::claim(uint32_t number) {
    size_t at = slot_of(number);
    if (table_[at].number == number)
        return table_[at];
    if (++used_ * 2 > table_.size()) {
        grow(table_.size() * 2);
        at = slot_of(number);
    }
    table_[at].number = number;
    return table_[at];
}

void TidSet::add(uint32_t number, std::span<const uint16_t> offsets) {
    if (std::any_of(offsets.begin(), offsets.end(), [](uint16_t o) { return o >= kOffsets; })) {
        add_lossy(number);
        return;
    }
    Block &block = claim(number);
    if (block.more == kLossy)
        return;
    for (uint16_t offset : offsets) {
        const uint64_t bit = uint64_t{1} << (offset % 64);
        if (offset < 64) {
            block.low |= bit;
            continue;
        }
        if (block.more == kNone) {
            block.more = static_cast<uint32_t>(words_.size());
            words_.resize(words_.size() + kMoreWords);
        }
        words_[block.more + offset / 64 - 1] |= bit;
    }
    rows_ += static_cast<double>(offsets.size());
}

void TidSet::add_lossy(uint32_t number) {
    Block &block = claim(number);
    lossy_blocks_ += block.more != kLossy;
    block.more = kLossy;
    block.low = ~uint64_t{0};
}

}  // namespace hnsw::core

/* The set of heap rows. filter.h says what for. */
#include "core/filter.h"

namespace hnsw::core {

namespace {

constexpr size_t kFirstTable = 64;

}  // namespace

TidSet::TidSet(std::pmr::memory_resource *memory)
    : table_(kFirstTable, Block{kEmpty, kLossy}, memory), words_(memory) {}

void TidSet::clear() {
    table_.assign(kFirstTable, Block{kEmpty, kLossy});
    words_.clear();
    rows_ = 0;
    lossy_blocks_ = 0;
    used_ = 0;
}

/* The block's slot: the one it has, or a new one, with `number` still kEmpty. */
TidSet::Block &TidSet::claim(uint32_t number) {
    const size_t at = slot_of(number);
    if (table_[at].number == number || (used_ + 1) * 2 <= table_.size()) {
        used_ += table_[at].number != number;
        return table_[at];
    }
    std::pmr::vector<Block> old(table_.size() * 2, Block{kEmpty, kLossy}, table_.get_allocator());
    old.swap(table_);
    for (const Block &block : old)
        if (block.number != kEmpty)
            table_[slot_of(block.number)] = block;
    used_++;
    return table_[slot_of(number)];
}

void TidSet::add(uint32_t number, std::span<const uint16_t> offsets) {
    if (std::any_of(offsets.begin(), offsets.end(), [](uint16_t o) { return o >= kOffsets; })) {
        add_lossy(number);
        return;
    }
    Block &block = claim(number);
    if (block.number == kEmpty) {
        block = {number, static_cast<uint32_t>(words_.size())};
        words_.resize(words_.size() + kWordsPerBlock);
    }
    if (block.first == kLossy)
        return;
    for (uint16_t offset : offsets)
        words_[block.first + offset / 64] |= uint64_t{1} << (offset % 64);
    rows_ += static_cast<double>(offsets.size());
}

void TidSet::add_lossy(uint32_t number) {
    Block &block = claim(number);
    if (block.number == kEmpty || block.first != kLossy)
        lossy_blocks_++;
    block = {number, kLossy};
}

}  // namespace hnsw::core

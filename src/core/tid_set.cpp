/* The set of heap rows. tid_set.h says what for. */
#include "core/tid_set.h"

#include <algorithm>
#include <utility>

namespace hnsw::core {

namespace {

constexpr size_t kFirstSlots = 64;

/* A set that would have so many slots has one for every block instead if the table has at most so
 * many times as many blocks: then a look needs no search, and a kernel can do it. If the words of all
 * blocks are few, every set that is not tiny has. */
constexpr size_t kBlocksPerSlot = 8;
constexpr size_t kFewWords = 65536;
constexpr size_t kNotTiny = 512;

bool denser_is_better(size_t slots, size_t blocks, size_t stride) {
    return blocks <= slots * kBlocksPerSlot || (blocks * stride <= kFewWords && slots >= kNotTiny);
}

/* Kernels number halves of words by 31 bits. */
constexpr size_t kMostWords = size_t{1} << 30;

/* Of the coarse form: enough for a bit for each block of a table of 1 TB. */
constexpr size_t kMostCoarseBytes = size_t{16} << 20;

/* Every offset of a block but 0, which says that all are meant. */
constexpr uint64_t kAllRows = ~uint64_t{0};

bool blank(const uint64_t *words, uint32_t stride) {
    return std::all_of(words, words + stride, [](uint64_t word) { return word == 0; });
}

}  // namespace

TidSet::TidSet(std::pmr::memory_resource *memory) : numbers_(memory), words_(memory) {
    begin(0, kNoLimit);
}

void TidSet::begin(size_t blocks, size_t byte_limit) {
    blocks_ = blocks;
    end_ = 0;
    limit_ = byte_limit;
    form_ = Form::kSparse;
    stride_ = 1;
    shift_ = 0;
    used_ = 0;
    rows_ = 0;
    lossy_blocks_ = 0;
    numbers_.assign(kFirstSlots, kEmpty);
    words_.assign(kFirstSlots, 0);
}

size_t TidSet::slot_of(uint32_t block) const {
    if (form_ == Form::kDense)
        return block;
    const size_t mask = numbers_.size() - 1;
    size_t at = (block * uint64_t{0x9E3779B97F4A7C15} >> 32) & mask;
    while (numbers_[at] != block && numbers_[at] != kEmpty)
        at = (at + 1) & mask;
    return at;
}

bool TidSet::contains(HeapTid tid) const {
    if (form_ == Form::kCoarse)
        return may_have(tid.block);
    const size_t slot = slot_of(tid.block);
    if (slot >= slots())
        return false;
    const uint64_t *words = &words_[slot * stride_];
    const uint32_t word = tid.offset / 64;
    if (word >= stride_)
        return (words[0] & kLossy) != 0;
    return (words[word] >> (tid.offset % 64) & 1) != 0;
}

bool TidSet::likely_bits(double used, double blocks, double rows_per_block) {
    /* When a set is laid out anew it has between two and four times as many slots as blocks. */
    return denser_is_better(static_cast<size_t>(used * 2), static_cast<size_t>(blocks),
                            static_cast<size_t>(rows_per_block / 64) + 1);
}

void TidSet::add(HeapTid tid) {
    if (tid.offset >= kOffsets) {
        add_lossy(tid.block);
        return;
    }
    uint64_t *words = claim(tid.block, tid.offset / 64 + 1u);
    if (words == nullptr) {
        add_coarse(tid.block);
        rows_++;
        return;
    }
    uint64_t &word = words[tid.offset / 64];
    const uint64_t bit = uint64_t{1} << (tid.offset % 64);
    rows_ += (word & bit) == 0;
    word |= bit;
}

void TidSet::add(uint32_t block, std::span<const uint16_t> offsets) {
    for (uint16_t offset : offsets)
        add({block, offset});
}

void TidSet::add_lossy(uint32_t block) {
    uint64_t *words = claim(block, 1);
    if (words == nullptr) {
        add_coarse(block);
        lossy_blocks_++;
        return;
    }
    lossy_blocks_ += (words[0] & kLossy) == 0;
    std::fill_n(words, stride_, kAllRows);
}

uint64_t *TidSet::claim(uint32_t block, uint32_t stride) {
    end_ = std::max(end_, block + size_t{1});
    if (form_ != Form::kCoarse && stride > stride_) {
        if (fits(form_, slots(), stride))
            lay_out(form_, slots(), stride);
        else
            make_coarse();
    }
    if (form_ == Form::kSparse && numbers_[slot_of(block)] != block)
        make_room();
    if (form_ == Form::kDense && block >= slots())
        extend();
    if (form_ == Form::kCoarse)
        return nullptr;
    const size_t slot = slot_of(block);
    if (form_ == Form::kSparse && numbers_[slot] != block) {
        numbers_[slot] = block;
        used_++;
    }
    return &words_[slot * stride_];
}

void TidSet::make_room() {
    if ((used_ + 1) * 2 <= slots())
        return;
    const size_t more = slots() * 2;
    if (denser_is_better(more, end(), stride_) && fits(Form::kDense, end(), stride_))
        lay_out(Form::kDense, end(), stride_);
    else if (fits(Form::kSparse, more, stride_))
        lay_out(Form::kSparse, more, stride_);
    else
        make_coarse();
}

void TidSet::extend() {
    const size_t more = std::max(end(), slots() + slots() / 2);
    if (denser_is_better(slots(), end(), stride_) && fits(Form::kDense, more, stride_))
        lay_out(Form::kDense, more, stride_);
    else
        make_coarse();
}

bool TidSet::fits(Form form, size_t slots, uint32_t stride) const {
    const size_t words = slots * stride;
    return words <= kMostWords &&
           words * sizeof(uint64_t) + (form == Form::kSparse ? slots * sizeof(uint32_t) : 0) <=
               limit_;
}

void TidSet::lay_out(Form form, size_t slots, uint32_t stride) {
    std::pmr::vector<uint64_t> words(slots * stride, 0, words_.get_allocator());
    std::pmr::vector<uint32_t> numbers(form == Form::kSparse ? slots : 0, kEmpty,
                                       numbers_.get_allocator());
    words.swap(words_);
    numbers.swap(numbers_);
    const uint32_t old_stride = std::exchange(stride_, stride);
    form_ = form;
    for (size_t slot = 0; slot * old_stride < words.size(); slot++) {
        const uint64_t *from = &words[slot * old_stride];
        if (blank(from, old_stride))
            continue;
        const uint32_t block = numbers.empty() ? static_cast<uint32_t>(slot) : numbers[slot];
        const size_t at = slot_of(block);
        if (form == Form::kSparse)
            numbers_[at] = block;
        uint64_t *to = &words_[at * stride];
        std::copy_n(from, old_stride, to);
        if ((from[0] & kLossy) != 0)
            std::fill_n(to, stride, kAllRows);
    }
}

void TidSet::make_coarse() {
    const size_t limit = std::clamp(limit_, sizeof(uint64_t), kMostCoarseBytes);
    uint32_t shift = 0;
    while ((end() >> shift) / 8 + sizeof(uint64_t) > limit && shift < 32)
        shift++;
    std::pmr::vector<uint64_t> coarse((end() >> shift) / 64 + 1, 0, words_.get_allocator());
    for_each_block([&](uint32_t block, std::span<const uint64_t>, bool) {
        coarse[block >> shift >> 6] |= uint64_t{1} << (block >> shift & 63);
    });
    words_.swap(coarse);
    numbers_.clear();
    numbers_.shrink_to_fit();
    form_ = Form::kCoarse;
    stride_ = 1;
    shift_ = shift;
}

void TidSet::add_coarse(uint32_t block) {
    const size_t bit = block >> shift_;
    if (bit / 64 >= words_.size())
        words_.resize(bit / 64 + 1);
    words_[bit / 64] |= uint64_t{1} << (bit % 64);
}

std::pmr::vector<uint32_t> TidSet::slots_in_order() const {
    std::pmr::vector<uint32_t> order(words_.get_allocator().resource());
    order.reserve(used_);
    for (uint32_t slot = 0; slot < numbers_.size(); slot++)
        if (numbers_[slot] != kEmpty)
            order.push_back(slot);
    std::sort(order.begin(), order.end(),
              [this](uint32_t a, uint32_t b) { return numbers_[a] < numbers_[b]; });
    return order;
}

}  // namespace hnsw::core

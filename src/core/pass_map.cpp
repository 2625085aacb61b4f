/* Evaluating a filter over directory pages. pass_map.h says what for. */
#include "core/pass_map.h"

#include <algorithm>
#include <bit>

#include "core/round_up.h"
#include "simd/key_kernels.h"

namespace hnsw::core {

namespace {

/* Of a set of rows, a page's entries are looked up one by one until so many were asked for that testing
 * all of them costs about the same. */
constexpr uint8_t kTouches = 3;

/* Lists up to this long are compared key by key rather than searched. */
constexpr size_t kFewKeys = 8;

/* Of each column of the next page so much is asked for; the processor goes on by itself. */
constexpr uint32_t kPrefetchBytes = 512;

/* Rows that a lossy block of a TidSet is thought to hold. */
constexpr double kRowsPerLossyBlock = 50;

/* Which flags an entry must have and must not have, for it to be live and for what conditions say about
 * NULLs. */
struct FlagTest {
    uint16_t set = kEntryUsed;
    uint16_t clear = 0;

    explicit FlagTest(std::span<const Condition> conditions) {
        for (const Condition &c : conditions)
            (c.kind == Condition::Kind::kIsNull ? set : clear) |=
                static_cast<uint16_t>(1u << c.attribute);
    }
};

/* Calls test(i) for every bit i that is set, and clears those for which it is false: without a branch,
 * which would be guessed wrong as often as not. */
template <class Test>
void keep_each(uint64_t *bits, uint32_t words, Test test) {
    for (uint32_t word = 0; word < words; word++)
        for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
            const auto at = static_cast<uint32_t>(std::countr_zero(rest));
            bits[word] &= ~(static_cast<uint64_t>(!test(word * 64 + at)) << at);
        }
}

/* Clears the bits of entries whose keys fail the condition; NULLs have been seen to. */
void keep_matching(const Condition &condition, const uint64_t *keys, uint32_t entries,
                   uint64_t *bits) {
    using Kind = Condition::Kind;
    const simd::KeyKernels &kernels = simd::key_kernels();
    const std::span<const uint64_t> list = condition.keys;
    switch (condition.kind) {
        case Kind::kRange:
            if (condition.low > condition.high)
                std::fill_n(bits, (entries + 63) / 64, 0);
            else
                kernels.keep_range(keys, entries, condition.low, condition.high - condition.low,
                                   bits);
            return;
        case Kind::kAnyOf:
            if (list.size() <= kFewKeys)
                kernels.keep_any_of(keys, entries, list.data(), static_cast<uint32_t>(list.size()),
                                    bits);
            else
                keep_each(bits, (entries + 63) / 64, [=](uint32_t i) {
                    return std::binary_search(list.begin(), list.end(), keys[i]);
                });
            return;
        case Kind::kAllBits:
            kernels.keep_any_bits(keys, entries, &condition.low, 1, bits);
            return;
        case Kind::kAnyBits:
            kernels.keep_any_bits(keys, entries, list.data(), static_cast<uint32_t>(list.size()),
                                  bits);
            return;
        case Kind::kIsNull:
        case Kind::kIsNotNull:
            return;
    }
}

bool reads_keys(const Condition &condition) {
    return condition.kind != Condition::Kind::kIsNull &&
           condition.kind != Condition::Kind::kIsNotNull;
}

}  // namespace

void PassMap::begin(const DirectoryShape &shape, const Filter &filter, size_t byte_budget,
                    BlockNo blocks) {
    shape_ = shape;
    filter_ = filter;
    span_ = shape.blocks * shape.stride;
    blocks_ = blocks != 0 ? blocks : store_.size();
    pages_ = blocks_ <= 1 ? 0 : (blocks_ - 2) / shape.blocks + 1;
    remembers_ = word_count() * sizeof(Word) + pages_ <= byte_budget;
    words_.clear();
    touches_.clear();
}

/* A pass over all that match asks for no node by itself, and needs none. */
void PassMap::make_room() {
    if (!remembers_ || !words_.empty())
        return;
    words_.assign(word_count(), Word{});
    touches_.assign(pages_, 0);
}

/* Latches a directory page. False: there is none (yet). How long the index is, is asked for only when it
 * was shorter: in the server that is a system call. */
bool PassMap::open(uint32_t number, PageRef *page, DirectoryView *view) {
    if (block_of(number) >= blocks_) {
        blocks_ = store_.size();
        if (block_of(number) >= blocks_)
            return false;
    }
    context_.stats->directory_reads++;
    *page = PageRef(store_, block_of(number));
    if (page_kind(page->data()) != PageKind::kDirectory) {
        page->release();
        return false;
    }
    *view = {payload(page->data()), &shape_};
    return true;
}

bool PassMap::find_out(NodeId id) {
    if (id < shape_.stride)
        return false;
    make_room();
    const uint32_t number = page_of(id);
    if (number >= touches_.size() || (filter_.rows != nullptr && ++touches_[number] != kTouches))
        return test_alone(id);
    PageBits bits;
    evaluate(number, true, 0, &bits);
    keep(number, bits);
    const uint32_t entry = id - first_of(number);
    return (bits.pass[entry / 64] >> (entry % 64) & 1) != 0;
}

bool PassMap::test_alone(NodeId id) {
    if (id < shape_.stride)
        return false;
    make_room();
    const uint32_t number = page_of(id);
    PageRef page;
    DirectoryView view;
    bool pass = false;
    if (open(number, &page, &view)) {
        const uint32_t entry = id - first_of(number);
        const uint16_t flags = view.flags()[entry];
        pass = (flags & kEntryUsed) != 0 &&
               ((flags & kEntryMany) != 0 ||
                filter_.met_by(view.tids()[entry].tid(), view.attributes(entry)));
    }
    if (id / 64 < words_.size()) {
        const uint64_t bit = uint64_t{1} << (id % 64);
        words_[id / 64].known |= bit;
        words_[id / 64].pass |= pass ? bit : 0;
    }
    return pass;
}

/* Tests all entries of a page whose version is not `known`; those of the set of rows only if asked
 * to. */
void PassMap::evaluate(uint32_t number, bool test_rows, uint64_t known, PageBits *out) {
    std::fill_n(out->pass, kPageWords, 0);
    out->page = {};
    PageRef page;
    DirectoryView view;
    if (!open(number, &page, &view))
        return;
    out->page.version = page_version(page.data());
    out->page.known = known != 0 && out->page.version == known;
    if (out->page.known)
        return;
    const simd::KeyKernels &kernels = simd::key_kernels();
    /* Entries behind the last one are unused: as many as make the number a multiple of eight. */
    const uint32_t entries = round_up(span_, 8);
    const uint32_t words = (span_ + 63) / 64;
    uint64_t used[kPageWords];
    std::fill_n(used, words, ~uint64_t{0});
    kernels.keep_flags(view.flags(), entries, kEntryUsed, kEntryUsed, used);
    uint64_t many[kPageWords];
    std::copy_n(used, words, many);
    kernels.keep_flags(view.flags(), entries, kEntryMany, kEntryMany, many);
    const FlagTest wanted(filter_.conditions);
    if ((wanted.set & wanted.clear) == 0) {
        std::copy_n(used, words, out->pass);
        if ((wanted.set | wanted.clear) != kEntryUsed)
            kernels.keep_flags(view.flags(), entries, wanted.set | wanted.clear, wanted.set,
                               out->pass);
        for (const Condition &condition : filter_.conditions)
            keep_matching(condition, view.keys(condition.attribute), entries, out->pass);
    }
    if (test_rows && filter_.rows != nullptr) {
        for (uint32_t word = 0; word < words; word++)
            out->pass[word] &= ~many[word];
        const TidSet &rows = *filter_.rows;
        if (rows.has_bits())
            kernels.keep_rows(view.tids()->bytes, entries, rows.bits(), out->pass);
        else
            keep_each(out->pass, words,
                      [&](uint32_t i) { return rows.contains(view.tids()[i].tid()); });
    }
    for (uint32_t word = 0; word < words; word++) {
        out->page.live += static_cast<uint32_t>(std::popcount(used[word]));
        out->pass[word] |= many[word];
    }
}

/* Files the verdict on a page by node id. Ids of a page follow each other, but start anywhere. */
void PassMap::keep(uint32_t number, const PageBits &bits) {
    const NodeId first = first_of(number);
    const uint32_t shift = first % 64;
    auto file = [this](size_t word, uint64_t known, uint64_t pass) {
        if (word < words_.size()) {
            words_[word].known |= known;
            words_[word].pass |= pass;
        }
    };
    for (uint32_t i = 0; i * 64 < span_; i++) {
        const uint32_t left = span_ - i * 64;
        const uint64_t known = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
        file(first / 64 + i, known << shift, bits.pass[i] << shift);
        if (shift != 0)
            file(first / 64 + i + 1, known >> (64 - shift), bits.pass[i] >> (64 - shift));
    }
}

PassMap::Tested PassMap::matching_of(uint32_t number, uint64_t known,
                                     std::pmr::vector<NodeId> &out) {
    if (known == 0)
        prefetch(number + 1);
    PageBits bits;
    evaluate(number, true, known, &bits);
    for (uint32_t word = 0; word * 64 < span_; word++)
        for (uint64_t rest = bits.pass[word]; rest != 0; rest &= rest - 1)
            out.push_back(first_of(number) + word * 64 +
                          static_cast<uint32_t>(std::countr_zero(rest)));
    return bits.page;
}

void PassMap::prefetch_version(uint32_t number) {
    if (number < pages_)
        store_.prefetch_cached(block_of(number), 0, sizeof(uint64_t));
}

/* What evaluate() reads of a page. */
void PassMap::prefetch(uint32_t number) {
    if (number >= pages_)
        return;
    auto ask_for = [&](uint32_t offset) {
        store_.prefetch_cached(block_of(number), kPageHeaderBytes + offset, kPrefetchBytes);
    };
    ask_for(shape_.flags_at());
    if (filter_.rows != nullptr)
        ask_for(shape_.tids_at());
    for (const Condition &condition : filter_.conditions)
        if (reads_keys(condition))
            ask_for(shape_.keys_at(condition.attribute));
}

PassMap::Estimate PassMap::sample(uint32_t wanted) {
    const uint32_t n = std::min(wanted, pages_);
    Estimate sum;
    for (uint32_t i = 0; i < n; i++) {
        /* The middle of each of n equal stretches. */
        const auto number =
            static_cast<uint32_t>((uint64_t{i} * 2 + 1) * pages_ / (uint64_t{n} * 2));
        PageBits bits;
        evaluate(number, false, 0, &bits);
        sum.nodes += bits.page.live;
        for (uint32_t word = 0; word * 64 < span_; word++)
            sum.matching += std::popcount(bits.pass[word]);
    }
    sum.counted = n == pages_;
    if (n != 0) {
        sum.nodes *= static_cast<double>(pages_) / n;
        sum.matching *= static_cast<double>(pages_) / n;
    }
    narrow_to_rows(&sum);
    return sum;
}

PassMap::Estimate PassMap::of_nodes(double nodes) const {
    Estimate all{.nodes = nodes, .matching = nodes, .counted = false};
    narrow_to_rows(&all);
    return all;
}

/* How many the set of rows has is known; which of them meet the conditions as well is not. */
void PassMap::narrow_to_rows(Estimate *estimate) const {
    if (filter_.rows == nullptr || estimate->nodes <= 0)
        return;
    const double rows = std::min(filter_.rows->size(kRowsPerLossyBlock), estimate->nodes);
    estimate->matching *= rows / estimate->nodes;
    estimate->counted = false;
}

}  // namespace hnsw::core

/* Evaluating a filter over directory pages. pass_map.h says what for. */
#include "core/pass_map.h"

#include <algorithm>
#include <bit>

namespace hnsw::core {

namespace {

/* A page's entries are looked up one by one until so many were asked for that testing all of them
 * costs about the same. A row of a TidSet costs a cache miss or two. */
constexpr uint8_t kTouches = 3;
constexpr uint8_t kTouchesOfRows = 16;

/* Lists up to this long are compared key by key rather than searched. */
constexpr size_t kFewKeys = 4;

/* Clears the bits of entries that fail the test. Whole words first: a constant trip count. */
template <class Test>
void keep_if(uint64_t *bits, uint32_t entries, Test test) {
    const uint32_t words = (entries + 63) / 64;
    for (uint32_t word = 0; word < words; word++) {
        if (bits[word] == 0)
            continue;
        const uint32_t first = word * 64;
        uint64_t met = 0;
        if (first + 64 <= entries) {
            for (uint32_t i = 0; i < 64; i++)
                met |= uint64_t{test(first + i)} << i;
        } else {
            for (uint32_t i = 0; first + i < entries; i++)
                met |= uint64_t{test(first + i)} << i;
        }
        bits[word] &= met;
    }
}

void keep_matching(const Condition &condition, const DirectoryView &view, uint32_t entries,
                   uint64_t *bits) {
    using Kind = Condition::Kind;
    const uint64_t *keys = view.keys(condition.attribute);
    const uint16_t *flags = view.flags();
    const uint32_t null_bit = condition.attribute;
    if (condition.kind == Kind::kIsNull) {
        keep_if(bits, entries, [=](uint32_t i) { return (flags[i] >> null_bit & 1) != 0; });
        return;
    }
    keep_if(bits, entries, [=](uint32_t i) { return (flags[i] >> null_bit & 1) == 0; });
    const uint64_t low = condition.low;
    const std::span<const uint64_t> list = condition.keys;
    switch (condition.kind) {
        case Kind::kRange: {
            if (low > condition.high) {
                std::fill_n(bits, (entries + 63) / 64, 0);
                return;
            }
            const uint64_t width = condition.high - low;
            keep_if(bits, entries, [=](uint32_t i) { return keys[i] - low <= width; });
            return;
        }
        case Kind::kAnyOf:
            if (list.size() <= kFewKeys)
                keep_if(bits, entries, [=](uint32_t i) {
                    bool met = false;
                    for (uint64_t key : list)
                        met |= keys[i] == key;
                    return met;
                });
            else
                keep_if(bits, entries, [=](uint32_t i) {
                    return std::binary_search(list.begin(), list.end(), keys[i]);
                });
            return;
        case Kind::kAllBits:
            keep_if(bits, entries, [=](uint32_t i) { return (keys[i] & low) == low; });
            return;
        case Kind::kAnyBits:
            keep_if(bits, entries, [=](uint32_t i) {
                bool met = false;
                for (uint64_t key : list)
                    met |= (keys[i] & key) == key;
                return met;
            });
            return;
        case Kind::kIsNull:
        case Kind::kIsNotNull:
            return;
    }
}

}  // namespace

void PassMap::begin(const DirectoryShape &shape, const Filter &filter, size_t byte_budget) {
    shape_ = shape;
    filter_ = filter;
    span_ = shape.blocks * shape.per_page;
    const BlockNo blocks = store_.size();
    pages_ = blocks <= 1 ? 0 : (blocks - 2) / shape.blocks + 1;
    const size_t words = static_cast<size_t>(uint64_t{blocks} * shape.per_page / 64 + 1);
    const bool fits = words * sizeof(Word) + pages_ <= byte_budget;
    words_.assign(fits ? words : 0, Word{});
    touches_.assign(fits ? pages_ : 0, 0);
}

/* Latches a directory page. False: there is none (yet). */
bool PassMap::open(uint32_t number, PageRef *page, DirectoryView *view) {
    if (block_of(number) >= store_.size())
        return false;
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
    if (id < shape_.per_page)
        return false;
    const uint32_t number = (id - shape_.per_page) / span_;
    if (number < touches_.size() && (filter_.rows == nullptr || ++touches_[number] == kTouches)) {
        PageBits bits;
        evaluate(number, &bits);
        keep(number, bits);
        const uint32_t entry = id - first_of(number);
        return (bits.pass[entry / 64] >> (entry % 64) & 1) != 0;
    }
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

void PassMap::evaluate(uint32_t number, PageBits *out) {
    std::fill_n(out->pass, kPageWords, 0);
    out->used = 0;
    PageRef page;
    DirectoryView view;
    if (!open(number, &page, &view))
        return;
    uint64_t many[kPageWords];
    std::fill_n(out->pass, (span_ + 63) / 64, ~uint64_t{0});
    std::fill_n(many, (span_ + 63) / 64, ~uint64_t{0});
    const uint16_t *flags = view.flags();
    keep_if(out->pass, span_, [=](uint32_t i) { return (flags[i] & kEntryUsed) != 0; });
    keep_if(many, span_, [=](uint32_t i) { return (flags[i] & kEntryMany) != 0; });
    for (uint32_t word = 0; word * 64 < span_; word++) {
        out->used += static_cast<uint32_t>(std::popcount(out->pass[word]));
        many[word] &= out->pass[word];
    }
    for (const Condition &condition : filter_.conditions)
        keep_matching(condition, view, span_, out->pass);
    const StoredTid *tids = view.tids();
    for (uint32_t word = 0; word * 64 < span_; word++) {
        if (filter_.rows != nullptr)
            for (uint64_t rest = out->pass[word] & ~many[word]; rest != 0; rest &= rest - 1) {
                const uint32_t i = word * 64 + static_cast<uint32_t>(std::countr_zero(rest));
                if (!filter_.rows->contains(tids[i].tid()))
                    out->pass[word] &= ~(rest & (~rest + 1));
            }
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

void PassMap::matching_of(uint32_t number, std::pmr::vector<NodeId> &out) {
    PageBits bits;
    evaluate(number, &bits);
    for (uint32_t word = 0; word * 64 < span_; word++)
        for (uint64_t rest = bits.pass[word]; rest != 0; rest &= rest - 1)
            out.push_back(first_of(number) + word * 64 +
                          static_cast<uint32_t>(std::countr_zero(rest)));
}

PassMap::Estimate PassMap::sample(uint32_t wanted) {
    const uint32_t n = std::min(wanted, pages_);
    Estimate sum;
    for (uint32_t i = 0; i < n; i++) {
        /* The middle of each of n equal stretches. */
        const auto number =
            static_cast<uint32_t>((uint64_t{i} * 2 + 1) * pages_ / (uint64_t{n} * 2));
        PageBits bits;
        evaluate(number, &bits);
        if (number < touches_.size())
            keep(number, bits);
        sum.nodes += bits.used;
        for (uint32_t word = 0; word * 64 < span_; word++)
            sum.matching += std::popcount(bits.pass[word]);
    }
    sum.counted = n == pages_;
    if (n != 0) {
        sum.nodes *= static_cast<double>(pages_) / n;
        sum.matching *= static_cast<double>(pages_) / n;
    }
    return sum;
}

}  // namespace hnsw::core

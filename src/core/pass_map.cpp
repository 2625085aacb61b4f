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

/* Clears the bits of entries that fail the test. Eight at a time, with constant shifts: directory pages
 * have multiples of eight. Words that are clear already are left out. */
template <class Test>
void keep_if(uint64_t *bits, uint32_t entries, Test test) {
    for (uint32_t word = 0; word * 64 < entries; word++) {
        if (bits[word] == 0)
            continue;
        const uint32_t end = std::min(entries - word * 64, 64u);
        uint64_t met = 0;
        for (uint32_t i = 0; i < end; i += 8) {
            const uint32_t at = word * 64 + i;
            uint32_t eight = test(at);
#pragma GCC unroll 8
            for (uint32_t j = 1; j < 8; j++)
                eight |= uint32_t{test(at + j)} << j;
            met |= uint64_t{eight} << i;
        }
        bits[word] &= met;
    }
}

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

/* What the condition says about keys; NULLs have been seen to. */
void keep_matching(const Condition &condition, const DirectoryView &view, uint32_t entries,
                   uint64_t *bits) {
    using Kind = Condition::Kind;
    const uint64_t *keys = view.keys(condition.attribute);
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
    /* Entries behind the last one are unused: as many as make the number a multiple of eight. */
    const uint32_t entries = (span_ + 7) / 8 * 8;
    const uint32_t words = (span_ + 63) / 64;
    const uint16_t *flags = view.flags();
    uint16_t any = 0;
    for (uint32_t i = 0; i < entries; i++) {
        any |= flags[i];
        out->used += flags[i] >> 8 & 1;
    }
    uint64_t many[kPageWords] = {};
    if ((any & kEntryMany) != 0) {
        std::fill_n(many, words, ~uint64_t{0});
        constexpr uint16_t kBoth = kEntryUsed | kEntryMany;
        keep_if(many, entries, [=](uint32_t i) { return (flags[i] & kBoth) == kBoth; });
    }
    const FlagTest wanted(filter_.conditions);
    if ((wanted.set & wanted.clear) == 0) {
        const uint16_t mask = wanted.set | wanted.clear;
        std::fill_n(out->pass, words, ~uint64_t{0});
        keep_if(out->pass, entries, [=](uint32_t i) { return (flags[i] & mask) == wanted.set; });
        for (const Condition &condition : filter_.conditions)
            keep_matching(condition, view, entries, out->pass);
    }
    const StoredTid *tids = view.tids();
    for (uint32_t word = 0; word < words; word++) {
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

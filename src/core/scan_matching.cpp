/*
 * The pass over all nodes that match: from the directory, or from what a memo has kept of the last one.
 */
#include <algorithm>
#include <limits>

#include "core/scan_impl.h"

namespace hnsw::core {

namespace {

/* Matching nodes that the pass may find before their number is compared with the estimate. */
constexpr double kLeastFound = 256;

/* The pass over matching nodes is thought over again when it has found so many times more of them
 * than estimated. */
constexpr double kSurprise = 2;

/* Matching nodes whose records are read in one go. */
constexpr size_t kExactBatch = 512;

/* Of these, the one that comes so many later is asked for while one is read. */
constexpr size_t kExactAhead = 4;

/* Directory pages looked ahead for their version, and what looking at it saves, of testing the page. */
constexpr uint32_t kVersionsAhead = 4;
constexpr double kSavedByVersion = 0.75;

}  // namespace

/* Directory pages that need not be tested. */
double Scan::Impl::known_pages() const {
    if (!remembers())
        return 0;
    return options.memo->current ? map.pages() : kSavedByVersion * map.pages();
}

/* Whether the pass over matching nodes, which has found so many in its first `pages` directory pages,
 * is not what would be chosen now. */
bool Scan::Impl::thinks_again(uint64_t found, uint32_t pages) {
    if (shown != 0 || null_query || forced() || estimate.counted ||
        static_cast<double>(found) < kSurprise * estimate.matching + kLeastFound)
        return false;
    estimate.matching = static_cast<double>(found) * map.pages() / pages;
    const Choice choice = choose(facts());
    if (choice.strategy == Strategy::kExact)
        return false;
    report.choice = choice;
    report.changes_of_mind++;
    return true;
}

/* Takes up the nodes `ids`, ascending, that were not expanded before. */
void Scan::Impl::read_matching(RecordRef &record) {
    const uint32_t without_links = index.layouts().usual.id_offset;
    for (size_t i = 0; i < std::min(ids.size(), kExactAhead); i++)
        record.prefetch(ids[i], without_links);
    for (size_t i = 0; i < ids.size(); i++) {
        if (i + kExactAhead < ids.size())
            record.prefetch(ids[i + kExactAhead], without_links);
        if (graph.visited().contains(ids[i]) || !record.read_on(ids[i]))
            continue;
        context.stats->records_read++;
        const RecordView &view = record.view();
        if (view.head().centre >= index.space().centre_count())
            continue;
        float distance = 0;
        if (!null_query) {
            distance = index.space().distance(query, sq8_of(view));
            context.stats->distances++;
        }
        if (!visit_match(ids[i], view, distance))
            continue;
        /* Its other rows are in other pages. */
        if (pending.posting != kNoNode) {
            record.release();
            if (!has_matching_row(pending))
                continue;
        }
        results.push_back(pending);
    }
    record.release();
    ids.clear();
}

/* Whether options.memo is still about this scan's filter. */
bool Scan::Impl::has_memo() const {
    return memo_number != 0 && options.memo->number == memo_number;
}

/* Whether the nodes that pass are known already. */
bool Scan::Impl::remembers() const { return has_memo() && options.memo->complete; }

/* Finds out what has changed since the memo was filled: in pages of another version, and new ones. */
void Scan::Impl::refresh_memo() {
    MatchMemo &memo = *options.memo;
    memo.start();
    for (uint32_t page = 0; page < kVersionsAhead; page++)
        map.prefetch_version(page);
    for (uint32_t page = 0; page < map.pages(); page++) {
        map.prefetch_version(page + kVersionsAhead);
        const MatchMemo::Page old = page < memo.pages.size() ? memo.pages[page] : MatchMemo::Page{};
        ids.clear();
        const PassMap::Tested now = map.matching_of(page, old.version, ids);
        if (!(now.known ? memo.add(old.version, old.live, memo.of_page(page))
                        : memo.add(now.version, now.live, ids))) {
            memo.complete = false;
            memo_number = 0;
            return;
        }
        index.store().poll();
    }
    memo.finish(map.blocks());
}

/* The next nodes that pass, into `ids`: from position *at of those remembered, or from directory page
 * *at and on. False: there are no more. */
bool Scan::Impl::next_batch(size_t *at, uint64_t *found) {
    ids.clear();
    if (remembers()) {
        const std::pmr::vector<NodeId> &known = options.memo->ids;
        const auto from = known.begin() + static_cast<ptrdiff_t>(*at);
        *at = std::min(*at + kExactBatch, known.size());
        ids.assign(from, known.begin() + static_cast<ptrdiff_t>(*at));
        return !ids.empty();
    }
    if (*at == map.pages())
        return false;
    for (; *at < map.pages() && ids.size() < kExactBatch; (*at)++) {
        const size_t before = ids.size();
        const PassMap::Tested page = map.matching_of(static_cast<uint32_t>(*at), 0, ids);
        if (has_memo() && !options.memo->add(page.version, page.live,
                                             std::span<const NodeId>(ids).subspan(before)))
            memo_number = 0;
    }
    *found += ids.size();
    return true;
}

/* Everything not yet returned that matches, in order: in memory, or, if that is short, sorted. */
void Scan::Impl::start_matching() {
    report.choice.strategy = Strategy::kExact;
    if (way == Way::kBeam)
        drop_failing();
    way = Way::kMatching;
    last = {};
    bool sorting = false;
    uint64_t found = 0;
    RecordRef record(index.store(), index.layouts(), RecordClass::kBase, context.memory);
    auto move_to_sorter = [&] {
        for (const Result &result : results)
            put_rows(result);
        results.clear();
    };
    if (remembers() && !options.memo->current)
        refresh_memo();
    if (has_memo() && !options.memo->complete)
        options.memo->start();
    size_t at = 0;
    while (next_batch(&at, &found)) {
        if (!sorting && thinks_again(found, static_cast<uint32_t>(at))) {
            results.clear();
            start_beam();
            return;
        }
        read_matching(record);
        index.store().poll();
        if (sorting || results.size() * sizeof(Result) > options.memory_limit / 2) {
            if (!sorting)
                sorter.begin();
            sorting = true;
            move_to_sorter();
        }
    }
    if (has_memo() && !options.memo->complete)
        options.memo->finish(map.blocks());
    if (sorting) {
        move_to_sorter();
        sorter.sort();
        phase = Phase::kExact;
    } else {
        std::make_heap(results.begin(), results.end(), Farther{});
        horizon = std::numeric_limits<double>::infinity();
        phase = Phase::kGraph;
    }
}

}  // namespace hnsw::core

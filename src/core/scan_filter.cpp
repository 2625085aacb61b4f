/*
 * The filtered scan: choosing a strategy, walking, and the pass over all matching nodes, which is a
 * strategy of its own and the end of every other.  Whatever a filter is, rows are returned once: a
 * node is expanded once, and the pass leaves out what the walk has expanded.
 */
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/posting.h"
#include "core/scan_impl.h"

namespace hnsw::core {

namespace {

/* Directory pages that are read to estimate how many nodes match: a sixteenth of them, within
 * these bounds. */
constexpr uint32_t kFewestSamples = 16;
constexpr uint32_t kMostSamples = 64;

/* Rows thought to be wanted when nobody says. */
constexpr uint32_t kUsualLimit = 10;

/* Records that a walk reads, per node it is to cover, before it looks at how many of them match. */
constexpr double kProbe = 1.2;

/* A walk that has read so many times what was expected of a filter independent of the query changes
 * its ways. */
constexpr double kPatience = 1.5;

/* Records a walk may read before its cost is compared with that of the pass over matching nodes. */
constexpr double kLeastReads = 256;

/* The pass over matching nodes is thought over again when it has found so many times more of them
 * than estimated. */
constexpr double kSurprise = 2;

}  // namespace

void Scan::Impl::begin_filtered() {
    walked = false;
    if (!options.keep_filter) {
        map.begin(index.directory(), options.filter, options.memory_limit / kVisitedShare);
        estimate = map.sample(std::clamp(map.pages() / 16, kFewestSamples, kMostSamples));
    }
    report.estimated = estimate.matching;
    Choice choice = choose(facts());
    if (null_query) {
        choice = plan(Strategy::kExact, facts());
    } else if (options.strategy != Strategy::kAuto) {
        choice = plan(options.strategy, facts());
        choice.reason = "forced";
    }
    report.choice = choice;
    if (choice.strategy == Strategy::kExact)
        start_matching();
    else
        start_walk();
}

FilterFacts Scan::Impl::facts() const {
    const double factor = index.space().has_codes() ? index.meta().beam_factor : 1.0;
    return {.nodes = estimate.nodes,
            .matching = estimate.matching,
            .counted = estimate.counted,
            .k = options.wanted != 0 ? options.wanted : kUsualLimit,
            .ef = static_cast<uint32_t>(std::ceil(options.ef * factor)),
            .dim = index.layouts().base.dim,
            .records_per_page = index.layouts().base.per_page,
            .directory_pages = map.pages()};
}

void Scan::Impl::start_walk() {
    const EntryPoint from = graph.descend(0);
    const Choice &choice = report.choice;
    if (probes()) {
        const Choice probe = plan(Strategy::kPreFilter, facts());
        walk.begin(query, from, map, probe.strategy, probe.width, probe.matches,
                   options.memory_limit / kVisitedShare);
    } else {
        walk.begin(query, from, map, choice.strategy, choice.width, choice.matches,
                   options.memory_limit / kVisitedShare);
    }
    walked = true;
    phase = Phase::kGraph;
}

/* Whether a walk other than kPreFilter begins as one all the same, to see what is near the query. */
bool Scan::Impl::probes() const {
    return options.strategy == Strategy::kAuto && report.choice.strategy != Strategy::kPreFilter;
}

/* The end of the probe: where many of the nodes near the query match, it just goes on. */
void Scan::Impl::judge_probe() {
    FilterFacts here = facts();
    const auto reads = static_cast<double>(walk.reads());
    here.matching = here.nodes * (reads - static_cast<double>(walk.failed())) / reads;
    Choice choice = plan(Strategy::kPreFilter, here);
    if (choice.expected_cost < report.choice.expected_cost) {
        choice.exact_cost = report.choice.exact_cost;
        choice.reason = "many rows near the query match";
        report.choice = choice;
    } else {
        walk.change(report.choice.strategy, report.choice.matches);
    }
}

/* Unless a strategy is forced, a walk that is dearer than was expected changes its ways, and one dearer
 * than the pass over all matching nodes gives up. */
void Scan::Impl::run_walk() {
    const bool forced = options.strategy != Strategy::kAuto;
    const auto limit = forced
                           ? UINT64_MAX
                           : static_cast<uint64_t>(std::max(report.choice.exact_cost, kLeastReads));
    auto run_to = [&](double reads) {
        return walk.run(*this, std::min(limit, static_cast<uint64_t>(reads)), options.memory_limit);
    };
    if (!forced && first_beam) {
        if (probes()) {
            if (run_to(kProbe * report.choice.width) || over_memory())
                return;
            judge_probe();
        }
        if (report.choice.strategy != Strategy::kFilterFirst &&
            estimate.matching >= kConnectedShare * estimate.nodes) {
            if (run_to(report.choice.expected_cost * kPatience) || over_memory() ||
                walk.reads() >= limit)
                return;
            const Choice change = plan(Strategy::kFilterFirst, facts());
            report.choice.strategy = change.strategy;
            report.choice.reason = "rows that match are far from the query";
            report.changes_of_mind++;
            walk.change(change.strategy, change.matches);
        }
    }
    walk.run(*this, limit, options.memory_limit);
}

/* Runs the next walk and moves the horizon, or changes phase and returns false. */
bool Scan::Impl::more_of_walk() {
    if (!walked) { /* the matching nodes were all in hand */
        start_zero_list();
        return false;
    }
    if (stopping) {
        phase = Phase::kDone;
        return false;
    }
    const uint64_t before = walk.reads();
    if (!first_beam) {
        walk.widen();
        context.stats->resumes++;
    }
    run_walk();
    if (!first_beam)
        visited_after_first += walk.reads() - before;
    first_beam = false;
    report.removed = walk.failed();
    if (walk.unfinished() || over_memory()) {
        report.changes_of_mind++;
        start_matching();
        return phase == Phase::kGraph;
    }
    horizon = index.space().operator_value(query, walk.bound());
    if (options.iterative == Iterative::kOff || visited_after_first >= options.max_tuples) {
        stopping = true;
        if (options.iterative != Iterative::kOff)
            horizon = std::numeric_limits<double>::infinity();
    }
    return true;
}

bool Scan::Impl::visit_match(NodeId id, const RecordView &record, float distance) {
    if (!has_row(record.head()))
        return false;
    pending = result_of(id, record, distance);
    return true;
}

/* A node with several rows is read whole: the filter may meet none of them. */
bool Scan::Impl::confirm_match() {
    if (pending.posting != kNoNode) {
        take_rows(pending);
        const bool any = !tids.empty();
        tids.clear();
        if (!any)
            return false;
    }
    add_result(pending);
    return true;
}

/* The first row of a node with several: the directory has its attributes. */
bool Scan::Impl::first_row_matches(const Result &result) {
    if (result.posting == kNoNode)
        return true;
    const DirectoryEntry entry = read_entry(index.store(), index.directory(), result.id);
    return entry.tid.tid() != result.tid.tid() || options.filter.met_by(entry.tid.tid(), entry.row);
}

/* Of the rows from posting chunks, at tids[first] and on, keeps those that meet the filter. */
void Scan::Impl::drop_failing_rows(size_t first) {
    size_t kept = first;
    for (size_t i = first; i < tids.size(); i++)
        if (options.filter.met_by(tids[i].tid(), attributes[i - first]))
            tids[kept++] = tids[i];
    tids.resize(kept);
}

/* Whether the pass over matching nodes, which has found so many in its first `pages` directory pages,
 * is not what would be chosen now. */
bool Scan::Impl::thinks_again(uint64_t found, uint32_t pages) {
    if (walked || null_query || options.strategy != Strategy::kAuto || estimate.counted ||
        static_cast<double>(found) < kSurprise * estimate.matching + kLeastReads)
        return false;
    estimate.matching = static_cast<double>(found) * map.pages() / pages;
    const Choice choice = choose(facts());
    if (choice.strategy == Strategy::kExact)
        return false;
    report.choice = choice;
    report.changes_of_mind++;
    return true;
}

/* Everything not yet returned that matches, in order: in memory, or, if that is short, sorted. */
void Scan::Impl::start_matching() {
    report.choice.strategy = Strategy::kExact;
    last = {};
    bool sorting = false;
    uint64_t found = 0;
    RecordRef record(index.store(), index.layouts().base, RecordClass::kBase, context.memory);
    auto move_to_sorter = [&] {
        for (const Result &result : results)
            put_rows(result);
        results.clear();
    };
    for (uint32_t page = 0; page < map.pages(); page++) {
        ids.clear();
        map.matching_of(page, ids);
        found += ids.size();
        if (!sorting && thinks_again(found, page + 1)) {
            results.clear();
            start_walk();
            return;
        }
        for (NodeId id : ids) {
            if ((walked && walk.visited().contains(id)) || !record.read(id))
                continue;
            context.stats->records_read++;
            const RecordView &view = record.view();
            bool match = view.head().centre < index.space().centre_count();
            if (match) {
                float distance = 0;
                if (!null_query) {
                    distance = index.space().distance(query, sq8_of(view));
                    context.stats->distances++;
                }
                match = visit_match(id, view, distance);
            }
            record.release();
            if (match)
                confirm_match();
        }
        index.store().poll();
        if (sorting || results.size() * sizeof(Result) > options.memory_limit / 2) {
            if (!sorting)
                sorter.begin();
            sorting = true;
            move_to_sorter();
        }
    }
    walked = false;
    if (sorting) {
        move_to_sorter();
        sorter.sort();
        phase = Phase::kExact;
    } else {
        horizon = std::numeric_limits<double>::infinity();
        phase = Phase::kGraph;
    }
}

}  // namespace hnsw::core

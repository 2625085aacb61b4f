/*
 * The filtered scan: choosing a strategy and walking.  The pass over all matching nodes is a
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

/* Directory pages that are read to estimate how many nodes match: few at first, more when one of the
 * walks is to be chosen. */
constexpr uint32_t kFirstSample = 8;
constexpr uint32_t kSecondSample = 32;

/* Of the nodes that a beam has found so many are tested at least, and no more than have to match if such a
 * part of them does. */
constexpr double kFewTested = 16;
constexpr double kNearlyAll = 0.8;

/* The pass over matching nodes is begun without a look at what is near the query if it costs no more
 * than so many times the beam. */
constexpr double kSureExact = 2.6;

/* ...and no strategy is, if the caller has tested so many rows there. */
constexpr double kSureTried = 8;

/* Part of the beam after which it is looked at how many of its nodes match, at least and at most, and
 * between them as a part of what the pass costs. */
constexpr double kLeastProbe = 0.22;
constexpr double kProbe = 0.6;
constexpr double kProbeOfExact = 0.06;

/* A beam of nodes that pass is believed if the plain one has reached so many matching nodes of those it is
 * to find: what passes is not all beyond. */
constexpr double kReached = 0.5;

/* How a beam with too few matching nodes grows, at least, and at most; the most if more than chance says how
 * many of the nodes near the query match. */
constexpr double kLeastGrowth = 1.25;
constexpr double kMostGrowth = 2;
constexpr double kMostKnownGrowth = 16;

/* A penalised walk that has cost so many times what was expected of a filter independent of the query,
 * or such a part of the pass over matching nodes, changes its ways. */
constexpr double kPatience = 1.5;
constexpr double kTrial = 0.4;

/* ...unless what it has to read yet, at the rate at which it has found matching nodes, costs less than
 * such a part of that pass. */
constexpr double kPromising = 0.6;

/* Part of the memory limit that a walk's candidates may take. */
constexpr size_t kWalkShare = 2;

/* Limits of what is learnt of an index, and how much of it each new measurement is. */
constexpr double kLeastCover = 0.1;
constexpr double kMostCover = 1;
constexpr double kLeastExcess = 0.7;
constexpr double kMostExcess = 5;
constexpr double kNews = 0.25;

/* Walks are given another chance: of what has been learnt so much is forgotten whenever it stands against
 * one. */
constexpr double kForgotten = 0.03;

RowTest row_test(const TidSet *rows) {
    if (rows == nullptr)
        return RowTest::kNone;
    return rows->has_bits() ? RowTest::kKernel : RowTest::kSearch;
}

}  // namespace

void Scan::Impl::begin_filtered() {
    target = 0;
    near_horizon = std::numeric_limits<double>::infinity();
    shown = 0;
    in_hand = {};
    gone = {};
    gone_near = 0;
    near = {.nodes = options.tried, .matching = options.passed};
    known = options.experience == nullptr ? Experience{} : *options.experience;
    memo_number = options.memo == nullptr ? 0 : options.memo->number;
    if (!options.keep_filter) {
        const bool same_size = remembers() && options.memo->current;
        map.begin(index.directory(), options.filter, options.memory_limit / kVisitedShare,
                  same_size ? options.memo->blocks : 0);
        if (!reuse_sample())
            take_sample(kFirstSample);
    }
    report.estimated = estimate.matching;
    way = Way::kMatching;
    report.choice = null_query ? plan(Strategy::kExact, facts())
                    : forced() ? plan(options.strategy, facts())
                               : choose(facts());
    if (forced())
        report.choice.reason = "forced";
    const Strategy first = report.choice.strategy;
    const bool sure = forced() || null_query || near.nodes >= kSureTried;
    if (first == Strategy::kExact &&
        (sure || report.choice.expected_cost <= kSureExact * facts().ef)) {
        graph.reset_visited(options.memory_limit / kVisitedShare);
        start_matching();
    } else if (sure && first != Strategy::kPreFilter && first != Strategy::kExact) {
        const std::span<const EntryPoint> starts = graph.descend(0);
        graph.reset_visited(options.memory_limit / kVisitedShare);
        start_walk();
        for (const EntryPoint &start : starts)
            walk.add_candidate(start.distance, start.id);
    } else {
        start_beam();
    }
}

/* Takes the estimate from what is remembered of the filter, or of the index. */
bool Scan::Impl::reuse_sample() {
    if (remembers()) {
        estimate = {.nodes = options.memo->nodes,
                    .matching = static_cast<double>(options.memo->ids.size()),
                    .counted = options.memo->current};
        sampled = kSecondSample;
        return true;
    }
    SampleMemo *sample = sample_memo();
    if (sample == nullptr || sample->uses_left == 0 || sample->of_pages != map.pages())
        return false;
    sample->uses_left--;
    sampled = sample->pages;
    estimate = options.filter.conditions.empty()
                   ? map.of_nodes(sample->nodes)
                   : PassMap::Estimate{.nodes = sample->nodes, .matching = sample->matching};
    return true;
}

void Scan::Impl::take_sample(uint32_t pages) {
    estimate = map.sample(pages);
    sampled = pages;
    if (SampleMemo *sample = sample_memo())
        *sample = {.nodes = estimate.nodes,
                   .matching = estimate.matching,
                   .pages = pages,
                   .of_pages = map.pages(),
                   .uses_left = SampleMemo::kUses};
}

/* Where the estimate of this filter is kept; null: nowhere. */
SampleMemo *Scan::Impl::sample_memo() const {
    if (has_memo())
        return &options.memo->sample;
    const bool of_index = options.filter.conditions.empty() && options.experience != nullptr;
    return of_index ? &options.experience->sample : nullptr;
}

FilterFacts Scan::Impl::facts() const {
    constexpr uint32_t kUsualLimit = 10;
    const uint32_t wanted = options.wanted != 0 ? options.wanted : kUsualLimit;
    return {.nodes = estimate.nodes,
            .matching = estimate.matching,
            .counted = estimate.counted,
            .seen = near.nodes,
            .matched = near.matching,
            .reads = shown,
            .index = known,
            .rows = row_test(options.filter.rows),
            .k = std::max(wanted, static_cast<uint32_t>(target / kMatchesPerRow)),
            .ef_search = options.ef,
            .ef = static_cast<uint32_t>(beam_width(options.ef)),
            .dim = index.layouts().usual.dim,
            .records_per_page = index.layouts().usual.per_page,
            .directory_pages = map.pages(),
            .known_pages = known_pages()};
}

bool Scan::Impl::forced() const { return options.strategy != Strategy::kAuto; }

/* ---- The plain beam --------------------------------------------------------------------------- */

void Scan::Impl::start_beam() {
    const double exact_cost = report.choice.exact_cost;
    way = Way::kBeam;
    phase = Phase::kGraph;
    graph.descend(0);
    graph.start_base(beam_width(options.ef), beam_width_for(0),
                     options.memory_limit / kVisitedShare);
    if (report.choice.strategy != Strategy::kPreFilter) {
        report.choice = plan(Strategy::kPreFilter, facts());
        report.choice.exact_cost = exact_cost;
    }
    target = report.choice.matches;
}

/* Whether a node passes. Of the first few to be `tested` each lies in a directory page of its own. */
bool Scan::Impl::passes(NodeId id, double tested) {
    return tested < kFewTested ? map.passes_alone(id) : map.passes(id);
}

/* Counts the nodes in hand within a limit, the nearest ones (more or less: they are a heap) first. Where
 * nearly all of them match, it ends with the one that makes them `wanted`. */
Scan::Impl::Counts Scan::Impl::count_in_hand(double limit, double wanted) {
    Counts counts;
    bool enough = false;
    for (const Result &result : results) {
        if (!(result.bound <= limit))
            continue;
        if (enough) {
            counts.untested++;
            continue;
        }
        counts.matching += passes(result.id, counts.nodes);
        counts.nodes++;
        enough = counts.nodes >= kFewTested && counts.matching >= wanted &&
                 counts.matching >= kNearlyAll * counts.nodes;
    }
    return counts;
}

/* Counts all that the beam has come to, but what it has not come to by itself. */
void Scan::Impl::count_near() {
    near = count_in_hand(std::numeric_limits<double>::infinity(), target - gone.matching);
    const auto biased =
        graph.has_passing() ? static_cast<double>(graph.expanded_for_passing()) : 0.0;
    near.nodes = std::max(0.0, near.nodes + gone.nodes - biased);
    near.matching = std::clamp(near.matching + gone.matching - biased, 0.0, near.nodes);
}

/* Whether the beam is still the best way to get `target` matching nodes. If not, the choice is made
 * anew, and begun. */
bool Scan::Impl::beam_goes_on() {
    Choice choice = forced() ? plan(Strategy::kPreFilter, facts()) : choose(facts());
    const bool walks =
        choice.strategy == Strategy::kPenalised || choice.strategy == Strategy::kFilterFirst;
    if (walks && sampled < kSecondSample && !estimate.counted) {
        take_sample(kSecondSample);
        report.estimated = estimate.matching;
        choice = choose(facts());
    }
    if (choice.strategy == Strategy::kPreFilter) {
        if (forced())
            choice.reason = report.choice.reason;
        report.choice = choice;
        target = std::max<double>(target, choice.matches);
        return true;
    }
    report.choice = choice;
    if (choice.strategy == Strategy::kExact) {
        forget();
        start_matching();
    } else {
        start_walk();
    }
    return false;
}

/* Whether `target` matching nodes may leave; moves the horizon. */
bool Scan::Impl::found_enough() {
    const Beam &beam = graph.beam();
    near_horizon = index.space().operator_value(query, beam.horizon());
    horizon = near_horizon;
    if (!graph.has_passing()) {
        in_hand = count_in_hand(horizon, target - gone.matching);
        const double found = in_hand.nodes + in_hand.untested + gone.nodes;
        known.cover = std::max(found, 1.0) / static_cast<double>(beam.width());
        learn(&Experience::cover, known.cover, kLeastCover, kMostCover);
        return in_hand.matching + gone.matching >= target;
    }
    /* A beam that is not full reaches no farther than the nodes it came from. */
    const Beam &passing = graph.passing();
    if (!std::isinf(passing.horizon()))
        horizon = std::max(horizon, index.space().operator_value(query, passing.horizon()));
    constexpr double kAll = std::numeric_limits<double>::infinity();
    in_hand = count_in_hand(horizon, kAll);
    const double reached = count_in_hand(near_horizon, kAll).matching + gone_near;
    const double found = in_hand.matching + gone.matching;
    known.cover = std::clamp(found / static_cast<double>(passing.width()), kLeastCover, kMostCover);
    if (found >= target * kPassingMatches && reached >= target * kReached)
        return true;
    horizon = near_horizon;
    return false;
}

/* Runs the beam until `target` matching nodes may leave, wider the rarer nodes match, and where they are
 * rare with one of nodes that pass beside it. False if another way was begun, or a phase. */
bool Scan::Impl::more_of_beam() {
    if (first_beam) {
        const auto width = static_cast<double>(graph.beam().width());
        const double probe = std::clamp(kProbeOfExact * report.choice.exact_cost,
                                        kLeastProbe * width, kProbe * width);
        if (!forced() && !graph.run_base(*this, static_cast<uint64_t>(probe))) {
            count_near();
            if (!beam_goes_on())
                return false;
        }
    } else {
        context.stats->resumes++;
        target = 2 * std::max(target, gone.matching);
        if (!widen_beam())
            return false;
    }
    for (;;) {
        graph.run_base(*this);
        if (found_enough()) {
            if (!widen_for_share())
                break;
            continue;
        }
        count_near();
        if (!widen_beam())
            return false;
    }
    first_beam = false;
    return true;
}

/* Makes a beam as wide as a search needs of whose nodes so few match. False: it is. */
bool Scan::Impl::widen_for_share() {
    const double share =
        (in_hand.matching + gone.matching) / std::max(1.0, in_hand.nodes + gone.nodes);
    const size_t width = beam_width_for(share);
    if (width <= graph.beam().width())
        return false;
    graph.beam().widen(width);
    return true;
}

/* Makes the beams wide enough for `target` matching nodes, as far as can be told. False: that is not the
 * way to go on. */
bool Scan::Impl::widen_beam() {
    Beam &beam = graph.beam();
    if (beam.exhausted() || over_memory()) {
        report.changes_of_mind++;
        start_matching();
        return false;
    }
    if (!beam_goes_on()) {
        report.changes_of_mind++;
        return false;
    }
    const double most = std::min(kMostGrowth * (1 + near.matching), kMostKnownGrowth);
    auto widen = [most](Beam &of, uint32_t width) {
        const auto now = static_cast<double>(of.width());
        of.widen(static_cast<size_t>(
            std::ceil(std::clamp<double>(width, kLeastGrowth * now, most * now))));
    };
    widen(beam, report.choice.width);
    if (graph.has_passing()) {
        widen(graph.passing(), report.choice.passing);
    } else if (report.choice.passing > 0) {
        graph.start_passing(report.choice.passing, map);
        for (const Result &result : results)
            if (map.passes(result.id))
                graph.passing().push(result.distance, kNoNode);
    }
    return true;
}

/* Drops the beam's results that do not match, and tells `take` of all. */
template <class Take>
void Scan::Impl::keep_matches(Take take) {
    size_t kept = 0;
    for (const Result result : results) {
        const bool match = map.passes(result.id) && has_matching_row(result);
        take(result, match);
        if (match)
            results[kept++] = result;
        else
            report.removed++;
    }
    results.resize(kept);
    std::make_heap(results.begin(), results.end(), Farther{});
}

void Scan::Impl::drop_failing() {
    keep_matches([](const Result &, bool) {});
}

/* ---- The other walks -------------------------------------------------------------------------- */

/* Begins the chosen walk, with what the beam has found if there was one. */
void Scan::Impl::start_walk() {
    const Choice &choice = report.choice;
    walk.begin(query, map, choice.strategy, choice.width, choice.matches);
    if (way == Way::kBeam) {
        keep_matches(
            [&](const Result &result, bool match) { walk.add_expanded(result.distance, match); });
        auto add = [&](const Beam::Entry &entry) { walk.add_candidate(entry.distance, entry.id); };
        graph.beam().for_each_waiting(add);
        if (graph.has_passing())
            graph.passing().for_each_waiting(add);
    }
    way = Way::kWalk;
    phase = Phase::kGraph;
    walked = false;
}

/* Unless a strategy is forced, a walk that is dearer than was expected changes its ways, and one that
 * has cost as much as the pass over all matching nodes gives up: together they are never much dearer
 * than twice the pass. */
void Scan::Impl::run_walk() {
    const size_t bytes = options.memory_limit / kWalkShare;
    if (forced()) {
        walk.run(*this, UINT64_MAX, bytes);
        return;
    }
    Choice begun = report.choice;
    const double exact_cost = begun.exact_cost;
    auto limit = static_cast<uint64_t>(exact_cost / kTestingRead);
    WalkMark start = mark();
    if (first_beam && begun.strategy == Strategy::kPenalised &&
        estimate.matching >= kConnectedShare * estimate.nodes) {
        const double patience = std::min(begun.expected_cost * kPatience, exact_cost * kTrial);
        const auto trial = static_cast<uint64_t>(patience / kTestingRead);
        /* On the way to where matching nodes are it finds none: the second half tells. */
        bool ended = walk.run(*this, trial / 2, bytes);
        const WalkMark half = mark();
        ended = ended || walk.run(*this, trial, bytes);
        double rest = ended ? 0 : reads_to_go(begun, start, half);
        if (!ended && !over_memory() && rest * kTestingRead <= exact_cost * kPromising) {
            /* The rest, and as much as the trial's half for what is nearer than the farthest match. */
            const double more = std::max(rest, static_cast<double>(trial) / 2) * kPatience;
            const auto end = walk.reads() + static_cast<uint64_t>(more);
            ended = walk.run(*this, std::min(limit, end), bytes);
            rest = ended ? 0 : mark().reads - start.reads;
        }
        learn_from_walk(begun, start, rest);
        if (ended || over_memory() || walk.reads() >= limit)
            return;
        FilterFacts now = facts();
        now.seen += static_cast<double>(walk.failed());
        begun = plan(Strategy::kFilterFirst, now);
        if (begun.expected_cost >= exact_cost)
            return;
        report.choice.strategy = begun.strategy;
        report.choice.reason = "rows that match are far from the query";
        report.changes_of_mind++;
        walk.change_to_filter_first(begun.matches);
        start = mark();
        limit += walk.reads();
    }
    const bool ended = walk.run(*this, limit, bytes);
    if (first_beam)
        learn_from_walk(begun, start, ended ? 0 : reads_to_go(begun, start, start));
}

Scan::Impl::WalkMark Scan::Impl::mark() const {
    const auto reads = static_cast<double>(walk.reads());
    return {.reads = reads, .found = reads - static_cast<double>(walk.failed())};
}

/* What a walk has to read yet that began at `start`, at the rate at which it has found matching nodes
 * since `from`. */
double Scan::Impl::reads_to_go(const Choice &begun, const WalkMark &start,
                               const WalkMark &from) const {
    const WalkMark now = mark();
    const double left = std::max(0.0, begun.matches - (now.found - start.found));
    return left * (now.reads - from.reads) / std::max(now.found - from.found, 1.0);
}

/* Whoever keeps it from scan to scan gets a part of what is new. */
void Scan::Impl::learn(double Experience::*what, double measured, double least, double most) {
    if (options.experience == nullptr)
        return;
    double &known = options.experience->*what;
    known += kNews * (std::clamp(measured, least, most) - known);
}

/* If the pass over matching nodes was chosen for what has been learnt of a walk, that counts a little less
 * from now on: who is never chosen would never be measured again. */
void Scan::Impl::forget() {
    if (options.experience == nullptr)
        return;
    switch (choose_afresh(facts()).strategy) {
        case Strategy::kPenalised:
            options.experience->penalised *= 1 - kForgotten;
            break;
        case Strategy::kFilterFirst:
            options.experience->filter_first *= 1 - kForgotten;
            break;
        default:
            break;
    }
}

/* What a walk reads on this index: what it has read since `start`, and is thought to have to read yet. */
void Scan::Impl::learn_from_walk(const Choice &begun, const WalkMark &start, double rest) {
    const double excess = (mark().reads - start.reads + rest) / begun.reads;
    const auto what =
        begun.strategy == Strategy::kPenalised ? &Experience::penalised : &Experience::filter_first;
    learn(what, known.*what * excess, kLeastExcess, kMostExcess);
}

bool Scan::Impl::more_of_walk() {
    const uint64_t before = walk.reads();
    const uint64_t failed = walk.failed();
    if (walked) {
        walk.widen();
        context.stats->resumes++;
    }
    walked = true;
    run_walk();
    if (!first_beam)
        visited_after_first += walk.reads() - before;
    first_beam = false;
    report.removed += walk.failed() - failed;
    if (walk.unfinished() || over_memory()) {
        report.changes_of_mind++;
        start_matching();
        return false;
    }
    horizon = index.space().operator_value(query, walk.bound());
    return true;
}

/* Runs the next beam or walk and moves the horizon, or changes phase and returns false. */
bool Scan::Impl::more_of_filtered() {
    if (stopping) {
        phase = Phase::kDone;
        return false;
    }
    switch (way) {
        case Way::kBeam:
            if (!more_of_beam())
                return phase == Phase::kGraph;
            break;
        case Way::kWalk:
            if (!more_of_walk())
                return phase == Phase::kGraph;
            break;
        case Way::kMatching: /* they were all in hand */
            start_zero_list();
            return false;
    }
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
    if (!has_matching_row(pending))
        return false;
    add_result(pending);
    return true;
}

/* Of a node that passes. */
bool Scan::Impl::has_matching_row(const Result &result) {
    if (result.posting == kNoNode)
        return true;
    take_rows(result);
    const bool any = !tids.empty();
    tids.clear();
    next_tid = 0;
    return any;
}

/* Whether a node passes, and its rows are to be returned. */
bool Scan::Impl::may_leave(const Result &result) {
    if (way != Way::kBeam)
        return true;
    const bool pass = passes(result.id, gone.nodes);
    gone.nodes++;
    gone.matching += pass;
    gone_near += pass && result.bound <= near_horizon;
    report.removed += !pass;
    return pass;
}

/* The first row of a node with several: the directory has its attributes. */
bool Scan::Impl::first_row_matches(const Result &result) {
    if (result.posting == kNoNode)
        return true;
    const DirectoryEntry entry = read_entry(index.store(), index.directory(), result.id);
    return entry.tid.tid() != result.tid.tid() || options.filter.met_by(entry.tid.tid(), entry.row);
}

}  // namespace hnsw::core

/* The choice of a strategy. chooser.h says what for; docs/filtering-measured.md has the measurements. */
#include "core/chooser.h"

#include <algorithm>
#include <cmath>

namespace hnsw::core {

namespace {

/* Costs are in record reads of an unfiltered walk, each with the estimates of all its neighbours. */
constexpr double kExactRead = 0.13;        /* a record read for its own distance only, */
constexpr double kExactDimension = 0.0001; /* and more for each dimension, */
constexpr uint32_t kExactDimensions = 512; /* up to so many: then the links grow as well */
constexpr double kDirectoryRead = 0.2;     /* a page of the directory tested whole */
constexpr double kKernelLookup = 0.0015; /* a node's row looked up in a set of rows by a kernel, */
constexpr double kSearchLookup = 0.02;   /* and one by one */
constexpr double kEntryRead = 0.1;       /* a page of which one entry is tested */
constexpr double kNeighbours = 28;

/* A search for rows that meet a condition is at most so many times as wide. */
constexpr double kFilteredWidth = 1.5;

/* kPreFilter: matching nodes that the beam is to have, per ef_search (more if they are far from the query,
 * up to so many times: there a beam misses more), and records it reads for each node of its width. */
constexpr double kBeamMatches = 0.29;
constexpr double kFarMatches = 2;

/* Its width if it has a beam of nodes that pass beside it, in nodes among which as many pass as that is
 * wide; what a record costs then, and of its neighbours those that are tested. */
constexpr double kBesidePassing = 0.5;
constexpr double kPassingRead = 1.1;
constexpr double kPassingTests = 12;
constexpr double kBeamReads = 0.8;

/* By chance the nodes near a query meet a filter less or more often than all: it is thought to have to do
 * with the query where they are so many standard deviations off. */
constexpr double kDoubt = 1.2;

/* The other walks: matching nodes a walk covers, per ef, and records it reads for each; of any kind it covers
 * ef. The rarer they are near the query than elsewhere the more it reads, up to kFarthest: a penalised walk
 * as if they were as rare everywhere, the other by the root of that. */
struct WalkModel {
    double matches;
    double reads;          /* per matching node covered */
    double reads_by_share; /* the same, over the share of nodes that match */
};
constexpr double kFarthest = 8;
constexpr double kFarthestByRoot = 4;
constexpr WalkModel kPenalisedModel = {0.8, 2.0, 0.23};
constexpr WalkModel kFilterFirstModel = {0.8, 7.8, 0};

double share_of(const FilterFacts &facts) {
    return facts.nodes <= 0 ? 1 : std::clamp(facts.matching / facts.nodes, 1e-9, 1.0);
}

/* The same of the nodes near the query, from those seen so far. */
double near_share(const FilterFacts &facts) {
    return share_after(share_of(facts), facts.seen, facts.matched, kDoubt);
}

/* How many times rarer nodes that match are near the query. */
double rarity(const FilterFacts &facts) { return share_of(facts) / near_share(facts); }

/* A node's row looked up. */
double lookup_cost(RowTest test) {
    switch (test) {
        case RowTest::kNone:
            return 0;
        case RowTest::kKernel:
            return kKernelLookup;
        case RowTest::kSearch:
            break;
    }
    return kSearchLookup;
}

/* A directory page tested whole. */
double page_cost(const FilterFacts &facts) {
    return kDirectoryRead + lookup_cost(facts.rows) * facts.nodes / facts.directory_pages;
}

/* Testing so many nodes anywhere in the index, one by one or (what they lie close) page by page. */
double cost_of_tests(const FilterFacts &facts, double tests) {
    const double pages = facts.directory_pages;
    if (pages == 0)
        return 0;
    const double touched = pages * (1 - std::exp(-tests / pages));
    return std::min(touched * page_cost(facts), tests * kEntryRead);
}

/* Own distances of all that match. */
double exact_cost(const FilterFacts &facts) {
    const double read = kExactRead + kExactDimension * std::min(facts.dim, kExactDimensions);
    const double unknown = facts.directory_pages - facts.known_pages;
    return read * facts.matching + (unknown == 0 ? 0 : unknown * page_cost(facts));
}

/* Matching nodes that a search is to find. */
uint32_t matches_for(const FilterFacts &facts, double by_width) {
    return static_cast<uint32_t>(std::ceil(std::max(by_width, kMatchesPerRow * facts.k)));
}

Choice beam_plan(const FilterFacts &facts, Choice choice) {
    choice.strategy = Strategy::kPreFilter;
    const double far = std::clamp(std::sqrt(rarity(facts)), 1.0, kFarMatches);
    choice.matches = matches_for(facts, kBeamMatches * facts.ef_search * far);
    const double share = near_share(facts);
    /* Nodes that pass and are found, among as many of any kind. */
    const double passing = choice.matches / facts.index.cover;
    const double least = filtered_width(facts.ef, share);
    double width = std::max(least, passing / share);
    auto cost = [&](double expanded, double tests) {
        const double reads = std::max(0.0, kBeamReads * expanded - facts.reads);
        return reads + cost_of_tests(facts, reads * tests);
    };
    choice.expected_cost = cost(width, 1);
    if (width > least) {
        const double beside = kPassingMatches * passing;
        const double narrower = std::max(least, kBesidePassing * beside / share);
        const double beyond = std::max(0.0, beside - share * narrower);
        const double both = kPassingRead * cost(narrower + beyond, kPassingTests);
        if (both < choice.expected_cost) {
            choice.expected_cost = both;
            choice.passing = static_cast<uint32_t>(std::ceil(beside));
            width = narrower;
        }
    }
    choice.width = static_cast<uint32_t>(std::ceil(std::min(width, facts.nodes + 1)));
    return choice;
}

Choice walk_plan(Strategy strategy, const WalkModel &model, const FilterFacts &facts,
                 Choice choice) {
    choice.strategy = strategy;
    const double width = kFilteredWidth * facts.ef;
    choice.width = static_cast<uint32_t>(width);
    choice.matches = matches_for(facts, model.matches * width);
    const bool penalised = strategy == Strategy::kPenalised;
    const double share = share_of(facts) / std::clamp(rarity(facts), 1.0, kFarthest);
    const double far = penalised ? 1 : std::clamp(std::sqrt(rarity(facts)), 1.0, kFarthestByRoot);
    const double here = penalised ? facts.index.penalised : facts.index.filter_first;
    const double reads =
        std::max<double>(2.0 * choice.width, choice.matches * far * here *
                                                 (model.reads + model.reads_by_share / share));
    choice.reads = reads;
    choice.expected_cost = reads * kTestingRead + cost_of_tests(facts, reads * kNeighbours);
    return choice;
}

}  // namespace

double share_after(double share, double tried, double passed, double doubt) {
    const double square = doubt * doubt;
    const double middle = passed + square / 2;
    const double spread =
        doubt * std::sqrt(passed * (tried - passed) / std::max(tried, 1.0) + square / 4);
    return std::clamp(share, std::max(0.0, middle - spread) / (tried + square),
                      (middle + spread) / (tried + square));
}

double filtered_width(double ef, double share) {
    return ef * std::min(kFilteredWidth, (1 + 1 / std::max(share, 1e-9)) / 2);
}

Choice plan(Strategy strategy, const FilterFacts &facts) {
    Choice choice;
    choice.exact_cost = exact_cost(facts);
    switch (strategy) {
        case Strategy::kExact:
            choice.strategy = strategy;
            choice.expected_cost = choice.exact_cost;
            choice.reason = "few rows match";
            return choice;
        case Strategy::kFilterFirst:
            choice = walk_plan(strategy, kFilterFirstModel, facts, choice);
            choice.reason = "some rows match";
            return choice;
        case Strategy::kPenalised:
            choice = walk_plan(strategy, kPenalisedModel, facts, choice);
            choice.reason = "a small share of many rows matches";
            return choice;
        case Strategy::kAuto:
        case Strategy::kPreFilter:
            choice = beam_plan(facts, choice);
            choice.reason = "many rows match";
            return choice;
        case Strategy::kPostFilter:
            break;
    }
    choice.strategy = Strategy::kPostFilter;
    choice.expected_cost = std::max<double>(facts.ef, 3.0 * facts.k / share_of(facts));
    choice.reason = "only rows can be tested";
    return choice;
}

Choice choose_afresh(FilterFacts facts) {
    const Experience fresh;
    facts.index.penalised = std::min(facts.index.penalised, fresh.penalised);
    facts.index.filter_first = std::min(facts.index.filter_first, fresh.filter_first);
    return choose(facts);
}

Choice choose(const FilterFacts &facts) {
    if (!facts.prefilter)
        return plan(Strategy::kPostFilter, facts);
    const Choice exact = plan(Strategy::kExact, facts);
    /* No beam is cheaper than the narrowest, and the walks are wider. */
    if (exact.expected_cost < kBeamReads * facts.ef - facts.reads)
        return exact;
    Choice best = plan(Strategy::kPreFilter, facts);
    for (Strategy other : {Strategy::kFilterFirst, Strategy::kPenalised}) {
        if (other == Strategy::kFilterFirst && share_of(facts) < kConnectedShare)
            continue;
        const Choice choice = plan(other, facts);
        if (choice.expected_cost < best.expected_cost)
            best = choice;
    }
    return exact.expected_cost < best.expected_cost ? exact : best;
}

}  // namespace hnsw::core

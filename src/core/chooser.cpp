/* The choice of a strategy. chooser.h says what for; docs/filtering.md has the measurements. */
#include "core/chooser.h"

#include <algorithm>
#include <cmath>

namespace hnsw::core {

namespace {

/* Costs are in record reads of an unfiltered walk, each with the estimates of all its neighbours. */
constexpr double kExactRead = 0.35;    /* own distance only */
constexpr double kDirectoryRead = 0.4; /* a page of the directory tested whole */
constexpr double kTestingRead = 1.25;  /* a read whose neighbours are all tested */
constexpr double kEntryRead = 0.12;    /* a page of which one entry is tested */
constexpr double kNeighbours = 28;

/* Nodes of any kind that a walk covers, per ef. */
constexpr double kWidth = 1.0;

/* Matching nodes a walk covers, per ef, and records it reads for each (random filters). */
struct WalkModel {
    double matches;
    double reads;          /* per matching node covered */
    double reads_by_share; /* the same, over the share of nodes that match */
};
constexpr WalkModel kPreFilterModel = {0.25, 0, 3.0};
constexpr WalkModel kPenalisedModel = {1.0, 2.0, 0.23};
constexpr WalkModel kFilterFirstModel = {0.85, 7.8, 0};

double share_of(const FilterFacts &facts) {
    return facts.nodes <= 0 ? 1 : std::clamp(facts.matching / facts.nodes, 1e-9, 1.0);
}

/* Testing so many nodes anywhere in the index, one by one or (what they lie close) page by page. */
double cost_of_tests(const FilterFacts &facts, double tests) {
    const double pages = facts.directory_pages;
    if (pages == 0)
        return 0;
    const double touched = pages * (1 - std::exp(-tests / pages));
    return std::min(touched * kDirectoryRead, tests * kEntryRead);
}

Choice walk_plan(Strategy strategy, const WalkModel &model, const FilterFacts &facts,
                 Choice choice) {
    const double share = share_of(facts);
    choice.strategy = strategy;
    choice.width = static_cast<uint32_t>(std::ceil(facts.ef * kWidth));
    choice.matches =
        static_cast<uint32_t>(std::ceil(std::max(facts.ef * model.matches, 1.1 * facts.k)));
    const double reads = std::max<double>(
        2.0 * choice.width, choice.matches * (model.reads + model.reads_by_share / share));
    const bool tests_all = strategy != Strategy::kPreFilter;
    choice.expected_cost = reads * (tests_all ? kTestingRead : 1) +
                           cost_of_tests(facts, tests_all ? reads * kNeighbours : reads);
    return choice;
}

}  // namespace

Choice plan(Strategy strategy, const FilterFacts &facts) {
    Choice choice;
    choice.exact_cost = kExactRead * facts.matching + kDirectoryRead * facts.directory_pages;
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
            choice = walk_plan(Strategy::kPreFilter, kPreFilterModel, facts, choice);
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

Choice choose(const FilterFacts &facts) {
    if (!facts.prefilter)
        return plan(Strategy::kPostFilter, facts);
    Choice best = plan(Strategy::kPreFilter, facts);
    for (Strategy other : {Strategy::kFilterFirst, Strategy::kPenalised, Strategy::kExact}) {
        if (other == Strategy::kFilterFirst && share_of(facts) < kConnectedShare)
            continue;
        const Choice choice = plan(other, facts);
        if (choice.expected_cost < best.expected_cost)
            best = choice;
    }
    return best;
}

}  // namespace hnsw::core

/* The choice of a strategy: its table, what it makes of nodes seen, what it learns from walks. */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/chooser.h"

namespace hnsw::core::testing {
namespace {

struct ChoiceCase {
    double nodes;
    double share;
    uint32_t k;
    Strategy expected;
    double seen = 0; /* near the query... */
    double matched = 0;
};

TEST(Chooser, Table) {
    const ChoiceCase cases[] = {
        {50e3, 0.9, 10, Strategy::kPreFilter},
        {50e3, 0.5, 10, Strategy::kPreFilter},
        {50e3, 0.005, 10, Strategy::kExact},
        {50e3, 0.001, 10, Strategy::kExact},
        {50e3, 0, 10, Strategy::kExact},
        {1e6, 0.5, 10, Strategy::kPreFilter},
        {1e6, 0.0005, 10, Strategy::kExact},
        {100, 0.5, 10, Strategy::kExact},
        {50e3, 0.1, 5000, Strategy::kExact},
        /* Nothing known of what is near the query. */
        {50e3, 0.1, 10, Strategy::kPreFilter},
        {50e3, 0.07, 10, Strategy::kPreFilter},
        {50e3, 0.05, 10, Strategy::kExact},
        {50e3, 0.02, 10, Strategy::kExact},
        {1e6, 0.03, 10, Strategy::kPreFilter},
        {1e6, 0.015, 10, Strategy::kPreFilter},
        {1e6, 0.008, 10, Strategy::kExact},
        /* As many match there as elsewhere. */
        {50e3, 0.2, 10, Strategy::kPreFilter, 30, 6},
        {50e3, 0.1, 10, Strategy::kPreFilter, 30, 3},
        {50e3, 0.07, 10, Strategy::kPreFilter, 40, 3},
        {50e3, 0.01, 10, Strategy::kExact, 30, 0},
        /* Many of them match. */
        {50e3, 0.03, 10, Strategy::kPreFilter, 30, 15},
        {50e3, 0.01, 10, Strategy::kPreFilter, 30, 15},
        {50e3, 0.005, 10, Strategy::kPreFilter, 30, 15},
        {50e3, 0.001, 10, Strategy::kExact, 30, 1},
        /* None of them does. */
        {50e3, 0.2, 10, Strategy::kPenalised, 60, 0},
        {50e3, 0.1, 10, Strategy::kExact, 100, 0},
        {50e3, 0.05, 10, Strategy::kExact, 100, 0},
        {50e3, 0.02, 10, Strategy::kExact, 30, 0},
        {1e6, 0.1, 10, Strategy::kFilterFirst, 100, 0},
        /* Fewer than expected match, but no fewer than by chance. */
        {50e3, 0.1, 10, Strategy::kPreFilter, 20, 0},
        {50e3, 0.1, 10, Strategy::kPreFilter, 50, 1},
        {50e3, 0.2, 10, Strategy::kPreFilter, 50, 5},
        /* Nor does any of many more. */
        {1e6, 0.1, 10, Strategy::kPenalised, 2000, 0},
        {50e3, 0.1, 10, Strategy::kExact, 2000, 0},
    };
    for (const ChoiceCase &c : cases) {
        FilterFacts facts;
        facts.nodes = c.nodes;
        facts.matching = c.nodes * c.share;
        facts.k = c.k;
        facts.seen = c.seen;
        facts.matched = c.matched;
        facts.reads = c.seen;
        facts.ef = 65; /* ef_search 40, codes with a beam factor of 1.4 */
        facts.dim = 384;
        facts.directory_pages = static_cast<uint32_t>(c.nodes / 400) + 1;
        const Choice choice = choose(facts);
        EXPECT_EQ(choice.strategy, c.expected)
            << c.nodes << " " << c.share << " " << c.k << " " << c.seen << " " << c.matched << ": "
            << choice.reason;
        EXPECT_STRNE(choice.reason, "");
        EXPECT_LE(choice.expected_cost, choice.exact_cost);
        facts.prefilter = false;
        EXPECT_EQ(choose(facts).strategy, Strategy::kPostFilter);
    }
}

/* What was expected holds as long as what was seen may be chance, and no longer. */
TEST(Chooser, ShareAfter) {
    EXPECT_EQ(share_after(0.1, 0, 0, 1.6), 0.1);
    EXPECT_EQ(share_after(0.1, 50, 3, 1.6), 0.1);
    EXPECT_EQ(share_after(0.1, 50, 8, 1.6), 0.1);
    EXPECT_EQ(share_after(0.01, 50, 0, 1.6), 0.01);
    /* Wilson's interval around 5 of 100 and 50 of 100 at 1.96 standard deviations, from tables. */
    EXPECT_NEAR(share_after(0, 100, 5, 1.96), 0.0215, 0.0001);
    EXPECT_NEAR(share_after(1, 100, 5, 1.96), 0.1118, 0.0001);
    EXPECT_NEAR(share_after(0, 100, 50, 1.96), 0.4038, 0.0001);
    EXPECT_NEAR(share_after(1, 100, 50, 1.96), 0.5962, 0.0001);
    /* The more was seen, the less what was expected counts. */
    EXPECT_NEAR(share_after(0.5, 1000, 100, 1.6), 0.1, 0.02);
    EXPECT_NEAR(share_after(0.5, 1e6, 1e5, 1.6), 0.1, 0.001);
    EXPECT_EQ(share_after(0, 10, 0, 1.6), 0);
    EXPECT_NEAR(share_after(1, 10, 10, 1.6), 1, 1e-12);
}

/* A search is the wider the rarer what matches is, within limits. */
TEST(Chooser, WidthFollowsTheShare) {
    EXPECT_EQ(filtered_width(100, 1), 100);
    EXPECT_EQ(filtered_width(100, 0.8), 112.5);
    EXPECT_EQ(filtered_width(100, 0.5), 150);
    EXPECT_EQ(filtered_width(100, 0.1), 150);
    EXPECT_EQ(filtered_width(100, 0), 150);
    FilterFacts facts;
    facts.nodes = 1e6;
    facts.ef = 65;
    facts.directory_pages = 2501;
    auto beam_for = [&](double share) {
        facts.matching = share * facts.nodes;
        return plan(Strategy::kPreFilter, facts);
    };
    EXPECT_EQ(beam_for(1).width, 65u);
    EXPECT_EQ(beam_for(1).passing, 0u);
    EXPECT_EQ(beam_for(0.5).width, 98u);
    EXPECT_EQ(beam_for(0.5).passing, 0u);
    EXPECT_GT(beam_for(0.1).width, beam_for(0.2).width);
    EXPECT_EQ(beam_for(0.1).matches, beam_for(0.5).matches);
    /* Where tests are cheap, a beam of nodes that pass saves reads. */
    EXPECT_EQ(beam_for(0.05).passing, 0u);
    facts.nodes = 50e3;
    facts.directory_pages = 50;
    EXPECT_GT(beam_for(0.05).passing, 20u);
    EXPECT_EQ(beam_for(0.05).passing, beam_for(0.01).passing);
    EXPECT_LT(beam_for(0.05).width, beam_for(0.05).matches / 0.05 / facts.index.cover);
}

TEST(Chooser, TakesTheCheapest) {
    std::mt19937_64 rng(4);
    auto any = [&rng](double most) { return most * static_cast<double>(rng() % 1001) / 1000; };
    uint32_t exact = 0;
    for (int i = 0; i < 3000; i++) {
        FilterFacts facts;
        facts.nodes = 1 + any(300e3);
        facts.matching = facts.nodes * std::pow(any(1), 4);
        facts.seen = any(200);
        facts.matched = any(facts.seen);
        facts.reads = any(facts.seen);
        facts.ef_search = 10 + static_cast<uint32_t>(any(200));
        facts.ef = static_cast<uint32_t>(facts.ef_search * (1 + any(1)));
        facts.k = 1 + static_cast<uint32_t>(any(100));
        facts.dim = 16 + static_cast<uint32_t>(any(1500));
        facts.directory_pages = 1 + static_cast<uint32_t>(facts.nodes / 500);
        facts.known_pages = i % 3 == 0 ? facts.directory_pages : 0;
        const Choice chosen = choose(facts);
        double least = plan(Strategy::kPreFilter, facts).expected_cost;
        for (Strategy other : {Strategy::kExact, Strategy::kPenalised, Strategy::kFilterFirst})
            if (other != Strategy::kFilterFirst || facts.matching >= kConnectedShare * facts.nodes)
                least = std::min(least, plan(other, facts).expected_cost);
        EXPECT_EQ(chosen.expected_cost, least);
        EXPECT_EQ(chosen.expected_cost, plan(chosen.strategy, facts).expected_cost);
        exact += chosen.strategy == Strategy::kExact;
    }
    EXPECT_GT(exact, 300u);
    EXPECT_LT(exact, 2700u);
}

/* Walks that have turned out dearer than their models on this index are not begun again. */
TEST(Chooser, LearnsFromWalks) {
    FilterFacts facts;
    facts.nodes = 50e3;
    facts.matching = 10e3;
    facts.seen = 1000;
    facts.reads = 1000;
    facts.ef = 65;
    facts.dim = 384;
    facts.directory_pages = 126;
    EXPECT_EQ(choose(facts).strategy, Strategy::kPenalised);
    facts.index.penalised = 4;
    EXPECT_NE(choose(facts).strategy, Strategy::kPenalised);
    facts.index.filter_first = 4;
    EXPECT_EQ(choose(facts).strategy, Strategy::kExact);
    EXPECT_EQ(choose_afresh(facts).strategy, Strategy::kPenalised);
}

}  // namespace
}  // namespace hnsw::core::testing

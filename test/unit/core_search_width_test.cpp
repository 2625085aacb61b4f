/* How far a search of layer 0 goes. */
#include <gtest/gtest.h>

#include <cmath>

#include "core/search_width.h"

namespace hnsw::core::testing {
namespace {

TEST(Reach, FactorGrowsWithTheWidth) {
    const size_t measured = estimated_beam_width(kMeasuredEf, 1.5f);
    EXPECT_EQ(measured, 68u);
    EXPECT_FLOAT_EQ(Reach::factor(1.06f, measured, measured), 1.06f);
    float last = 1;
    for (uint32_t ef : {10, 20, 40, 80, 1000, 10000}) {
        const float factor = Reach::factor(1.06f, estimated_beam_width(ef, 1.5f), measured);
        EXPECT_GT(factor, last) << ef;
        EXPECT_LT(factor, 2) << ef;
        last = factor;
    }
}

TEST(Reach, IsNotUsedWhereNothingIsKnown) {
    EXPECT_EQ(Reach::factor(0, 68, 68), 0);
    EXPECT_EQ(Reach::factor(1, 68, 68), 0);
    EXPECT_EQ(Reach::factor(1.06f, Reach::kRank, 68), 0);
    EXPECT_EQ(Reach::factor(std::nanf(""), 68, 68), 0);
    Beam beam(std::pmr::get_default_resource());
    beam.reset(20, 20);
    Reach reach;
    reach.begin(0, 20);
    EXPECT_FALSE(reach.used());
    for (int i = 0; i < 100; i++)
        reach.found(static_cast<float>(i));
    reach.apply_to(&beam);
    EXPECT_FALSE(beam.has_reach());
}

TEST(Reach, IsAMultipleOfTheTenthDistance) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(20, 20);
    Reach reach;
    for (int again = 0; again < 2; again++) {
        reach.begin(2, 20);
        for (int i = 100; i > 91; i--)
            reach.found(static_cast<float>(i));
        reach.apply_to(&beam);
        EXPECT_FALSE(beam.has_reach());
        reach.found(91);
        reach.apply_to(&beam);
        EXPECT_EQ(beam.bound(), 200);
        reach.found(1);
        reach.found(150);
        reach.apply_to(&beam);
        EXPECT_EQ(beam.bound(), 198);
        EXPECT_EQ(reach.settled(), 198);
        beam.reset(20, 20);
    }
}

/* A wide beam's search is not over after ten nodes that are alike. */
TEST(Reach, WaitsForAShareOfTheWidth) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(800, 800);
    Reach reach;
    reach.begin(1.1f, 800);
    for (int i = 0; i < 99; i++) {
        reach.found(1);
        reach.apply_to(&beam);
        EXPECT_FALSE(beam.has_reach());
    }
    reach.found(1);
    reach.apply_to(&beam);
    EXPECT_TRUE(beam.has_reach());
}

}  // namespace
}  // namespace hnsw::core::testing

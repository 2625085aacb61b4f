/* The beam: what it expands, what it keeps for when it becomes wider. */
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/beam.h"

namespace hnsw::core::testing {
namespace {

/* What pop() gives until nothing waits. */
std::vector<NodeId> expanded(Beam &beam) {
    std::vector<NodeId> out;
    Beam::Entry entry;
    while (beam.pop(&entry))
        out.push_back(entry.id);
    return out;
}

/* Candidate i is the i-th nearest. */
std::vector<NodeId> shuffled(size_t n, uint32_t seed) {
    std::vector<NodeId> ids(n);
    for (size_t i = 0; i < n; i++)
        ids[i] = static_cast<NodeId>(i);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(seed));
    return ids;
}

void push_all(Beam &beam, const std::vector<NodeId> &ids) {
    for (NodeId id : ids)
        beam.push(static_cast<float>(id), id);
}

void keep_all(Beam &beam, const std::vector<NodeId> &ids) {
    const Beam::Kept kept = beam.keep(ids.size());
    std::copy(ids.begin(), ids.end(), kept.ids);
    std::copy(ids.begin(), ids.end(), kept.distances);
}

std::vector<NodeId> range(NodeId first, NodeId end) {
    std::vector<NodeId> out;
    for (NodeId id = first; id < end; id++)
        out.push_back(id);
    return out;
}

TEST(Beam, ExpandsTheNearest) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(10);
    EXPECT_TRUE(std::isinf(beam.horizon()));
    push_all(beam, shuffled(100, 1));
    EXPECT_EQ(beam.bound(), 9);
    EXPECT_EQ(beam.horizon(), 9);
    EXPECT_EQ(expanded(beam), range(0, 10));
    EXPECT_TRUE(beam.exhausted());
}

TEST(Beam, ExpandsANearerOneThatComesLate) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(3);
    push_all(beam, {10, 20, 30});
    EXPECT_EQ(expanded(beam), (std::vector<NodeId>{10, 20, 30}));
    push_all(beam, {40, 15});
    EXPECT_EQ(beam.peek().id, 15u);
    EXPECT_EQ(expanded(beam), (std::vector<NodeId>{15}));
    EXPECT_EQ(beam.horizon(), 20);
}

/* Becoming wider within its room loses nothing, whenever the candidates came. */
TEST(Beam, HasRoomToBecomeWider) {
    for (uint32_t seed = 0; seed < 20; seed++) {
        Beam beam(std::pmr::get_default_resource());
        beam.reset(8, 24);
        const std::vector<NodeId> ids = shuffled(100, seed);
        push_all(beam, {ids.begin(), ids.begin() + 50});
        std::vector<NodeId> out = expanded(beam);
        EXPECT_EQ(out.size(), 8u);
        push_all(beam, {ids.begin() + 50, ids.end()});
        for (NodeId id : expanded(beam))
            out.push_back(id);
        EXPECT_EQ(beam.horizon(), 7);
        EXPECT_FALSE(beam.exhausted());
        beam.widen(24);
        EXPECT_EQ(beam.horizon(), 23);
        for (NodeId id : expanded(beam))
            out.push_back(id);
        /* All of the nearest, and what had been expanded before nearer ones came. */
        std::sort(out.begin(), out.end());
        EXPECT_EQ(std::unique(out.begin(), out.end()), out.end());
        const std::vector<NodeId> nearest = range(0, 24);
        EXPECT_TRUE(std::includes(out.begin(), out.end(), nearest.begin(), nearest.end()));
        EXPECT_LE(out.size(), 32u);
    }
}

/* Beyond its room it takes up again what had fallen out. */
TEST(Beam, TakesUpWhatFellOut) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(4, 4);
    push_all(beam, shuffled(40, 3));
    EXPECT_EQ(expanded(beam), range(0, 4));
    EXPECT_FALSE(beam.exhausted());
    beam.widen(10);
    EXPECT_EQ(expanded(beam), range(4, 10));
    size_t waiting = 0;
    beam.for_each_waiting([&](const Beam::Entry &entry) {
        waiting++;
        EXPECT_GE(entry.id, 10u);
    });
    EXPECT_EQ(waiting, 30u);
    beam.widen(100);
    EXPECT_EQ(expanded(beam), range(10, 40));
    EXPECT_TRUE(beam.exhausted());
    EXPECT_TRUE(std::isinf(beam.horizon()));
}

/* However many there are within reach, and no others. */
TEST(Beam, ExpandsWhatIsWithinReach) {
    for (float reach : {3.0f, 25.0f}) {
        Beam beam(std::pmr::get_default_resource());
        beam.reset(10, 10);
        EXPECT_FALSE(beam.has_reach());
        const std::vector<NodeId> ids = shuffled(100, 5);
        push_all(beam, {ids.begin(), ids.begin() + 5});
        beam.set_reach(reach, 40);
        EXPECT_TRUE(beam.has_reach());
        EXPECT_EQ(beam.bound(), reach);
        push_all(beam, {ids.begin() + 5, ids.end()});
        EXPECT_EQ(expanded(beam), range(0, static_cast<NodeId>(reach)));
        EXPECT_EQ(beam.peek().id, kNoNode);
    }
}

TEST(Beam, ReachHasAnEnd) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(10, 10);
    beam.set_reach(50, 20);
    push_all(beam, shuffled(100, 6));
    EXPECT_EQ(beam.bound(), 19);
    EXPECT_EQ(expanded(beam), range(0, 20));
}

TEST(Beam, ReachBecomesShorter) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(10, 10);
    push_all(beam, shuffled(100, 7));
    beam.set_reach(20, 40);
    Beam::Entry entry;
    for (int i = 0; i < 3; i++)
        EXPECT_TRUE(beam.pop(&entry));
    beam.set_reach(5, 40);
    EXPECT_EQ(expanded(beam), range(3, 5));
}

/* Without its reach it is as wide as if there had been none: what was beyond it waits. */
TEST(Beam, DropsItsReach) {
    for (uint32_t seed = 0; seed < 20; seed++) {
        Beam beam(std::pmr::get_default_resource());
        beam.reset(10, 10);
        beam.expect_reach();
        const std::vector<NodeId> ids = shuffled(100, seed);
        keep_all(beam, ids);
        push_all(beam, {ids.begin(), ids.begin() + 30});
        beam.set_reach(30, 40);
        push_all(beam, {ids.begin() + 30, ids.begin() + 50});
        beam.set_reach(4, 40);
        push_all(beam, {ids.begin() + 50, ids.end()});
        EXPECT_EQ(expanded(beam), range(0, 4));
        beam.drop_reach();
        EXPECT_FALSE(beam.has_reach());
        EXPECT_EQ(beam.horizon(), 9);
        EXPECT_EQ(expanded(beam), range(4, 10));
    }
}

/* None was set after all. */
TEST(Beam, MayNeverHaveTheReachExpected) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(10, 10);
    beam.expect_reach();
    const std::vector<NodeId> ids = shuffled(100, 9);
    keep_all(beam, ids);
    push_all(beam, ids);
    EXPECT_EQ(expanded(beam), range(0, 10));
    beam.drop_reach();
    EXPECT_EQ(beam.horizon(), 9);
    EXPECT_FALSE(beam.exhausted());
    beam.widen(25);
    const std::vector<NodeId> out = expanded(beam);
    EXPECT_EQ(std::vector<NodeId>(out.begin() + (out[0] == 9), out.end()), range(10, 24));
}

/* What it keeps does not grow with the search. */
TEST(Beam, KeepsNoMoreThanItMayTakeUp) {
    Beam beam(std::pmr::get_default_resource());
    beam.reset(10, 10);
    beam.expect_reach();
    beam.set_reach(4, 40);
    const std::vector<NodeId> ids = shuffled(100000, 8);
    for (size_t i = 0; i < ids.size(); i += 20) {
        const std::vector<NodeId> some(&ids[i], &ids[i] + 20);
        keep_all(beam, some);
        push_all(beam, some);
    }
    EXPECT_LE(beam.bytes(), size_t{128} << 10);
    EXPECT_EQ(expanded(beam), range(0, 4));
    beam.drop_reach();
    EXPECT_EQ(expanded(beam), range(4, 10));
}

}  // namespace
}  // namespace hnsw::core::testing

/* Sets of heap rows: every form against std::set, with and without a limit of memory. */
#include "core/tid_set.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace hnsw::core::testing {
namespace {

/* What a set was told. */
struct Told {
    std::map<uint32_t, std::set<uint16_t>> rows; /* by block */
    std::set<uint32_t> lossy;

    bool contains(HeapTid tid) const {
        const auto at = rows.find(tid.block);
        return lossy.count(tid.block) != 0 ||
               (at != rows.end() && at->second.count(tid.offset) != 0);
    }
};

struct Case {
    const char *name;
    size_t blocks;   /* told to begin() */
    uint32_t range;  /* blocks added are below */
    uint32_t spread; /* of which every so many-th */
    uint32_t added;  /* blocks */
    uint16_t offsets;
    uint32_t lossy_every; /* 0: none */
    bool dense;           /* has bits() in the end */
};

constexpr Case kCases[] = {
    {"few", 100000, 100000, 1, 20, 60, 0, false},
    {"sparse", 10000000, 100000, 1, 3000, 291, 50, false},
    {"far_apart", 0, 100000, 40000, 3000, 291, 50, false},
    {"short_table", 65536, 65536, 1, 300, 60, 0, true},
    {"dense", 10000, 10000, 1, 5000, 60, 0, true},
    {"dense_wide", 10000, 10000, 1, 5000, 291, 0, true},
    {"dense_lossy", 10000, 10000, 1, 5000, 60, 50, false},
    {"not_told", 0, 10000, 1, 5000, 100, 0, true},
    {"grown", 1000, 5000, 1, 5000, 100, 0, true},
};

void fill(TidSet &set, Told &told, const Case &c, std::mt19937_64 &rng) {
    for (uint32_t i = 0; i < c.added; i++) {
        const auto block = static_cast<uint32_t>(rng() % c.range * c.spread);
        if (c.lossy_every != 0 && i % c.lossy_every == 0) {
            set.add_lossy(block);
            told.lossy.insert(block);
            continue;
        }
        std::vector<uint16_t> offsets;
        for (uint64_t n = 1 + rng() % 20; n > 0; n--)
            offsets.push_back(static_cast<uint16_t>(1 + rng() % c.offsets));
        told.rows[block].insert(offsets.begin(), offsets.end());
        if (i % 2 == 0)
            set.add(block, offsets);
        else
            for (uint16_t offset : offsets)
                set.add({block, offset});
    }
}

class TidSets : public ::testing::TestWithParam<Case> {};

TEST_P(TidSets, AgreeWithASet) {
    const Case &c = GetParam();
    std::mt19937_64 rng(1);
    TidSet set(std::pmr::get_default_resource());
    for (int round = 0; round < 2; round++) {
        set.begin(c.blocks, TidSet::kNoLimit);
        EXPECT_EQ(set.size(1), 0);
        Told told;
        fill(set, told, c, rng);
        EXPECT_GT(set.size(1), 0);
        EXPECT_EQ(set.has_bits(), c.dense);
        for (const auto &[block, offsets] : told.rows)
            for (uint16_t offset : offsets)
                ASSERT_TRUE(set.contains({block, offset})) << block << " " << offset;
        for (int i = 0; i < 200000; i++) {
            const HeapTid tid{static_cast<uint32_t>(rng() % (c.range + 100) * c.spread),
                              static_cast<uint16_t>(1 + rng() % 600)};
            ASSERT_EQ(set.contains(tid), told.contains(tid)) << tid.block << " " << tid.offset;
        }
        EXPECT_FALSE(set.contains({0xFFFFFFFEu, 1}));
    }
}

TEST_P(TidSets, VisitTheirBlocksInOrder) {
    const Case &c = GetParam();
    std::mt19937_64 rng(2);
    TidSet set(std::pmr::get_default_resource());
    set.begin(c.blocks, TidSet::kNoLimit);
    Told told;
    fill(set, told, c, rng);
    int64_t last = -1;
    std::map<uint32_t, std::set<uint16_t>> rows;
    std::set<uint32_t> lossy;
    set.for_each_block([&](uint32_t block, std::span<const uint64_t> offsets, bool all) {
        ASSERT_LT(last, block);
        last = block;
        if (all) {
            lossy.insert(block);
            return;
        }
        for (size_t offset = 0; offset < offsets.size() * 64; offset++)
            if ((offsets[offset / 64] >> (offset % 64) & 1) != 0)
                rows[block].insert(static_cast<uint16_t>(offset));
    });
    double count = 0;
    for (uint32_t block : told.lossy)
        told.rows.erase(block);
    for (const auto &[block, offsets] : told.rows)
        count += static_cast<double>(offsets.size());
    EXPECT_EQ(lossy, told.lossy);
    EXPECT_EQ(rows, told.rows);
    if (told.lossy.empty()) {
        EXPECT_EQ(set.size(0), count);
    }
}

INSTANTIATE_TEST_SUITE_P(All, TidSets, ::testing::ValuesIn(kCases),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(TidSet, CountsRowsAndTakesHighOffsetsAsWholeBlocks) {
    TidSet set(std::pmr::get_default_resource());
    EXPECT_EQ(set.size(10), 0);
    const uint16_t low[] = {1, 291};
    const uint16_t high[] = {1, 900};
    set.add(7, low);
    set.add(7, low);
    EXPECT_EQ(set.size(10), 2);
    set.add_lossy(9);
    set.add_lossy(9);
    EXPECT_EQ(set.size(10), 12);
    set.add(8, high);
    EXPECT_TRUE(set.contains({7, 291}));
    EXPECT_FALSE(set.contains({7, 2}));
    EXPECT_TRUE(set.contains({8, 900}) && set.contains({8, 2}) && set.contains({9, 5}));
}

/* Whatever form it takes, a set keeps to its limit, and lacks no row. */
TEST(TidSet, KeepsToItsMemory) {
    constexpr uint32_t kBlocks = 3000000;
    for (const size_t limit : {size_t{1} << 16, size_t{1} << 18, size_t{1} << 22})
        for (const uint32_t added : {1000u, 20000u, 300000u}) {
            std::mt19937_64 rng(added);
            TidSet set(std::pmr::get_default_resource());
            set.begin(kBlocks, limit);
            std::vector<HeapTid> rows;
            for (uint32_t i = 0; i < added; i++) {
                rows.push_back({static_cast<uint32_t>(rng() % kBlocks),
                                static_cast<uint16_t>(1 + rng() % 100)});
                set.add(rows.back());
                ASSERT_LE(set.bytes(), limit);
            }
            for (const HeapTid &row : rows)
                ASSERT_TRUE(set.contains(row));
            std::set<uint32_t> visited;
            set.for_each_block([&](uint32_t block, std::span<const uint64_t> offsets, bool lossy) {
                visited.insert(block);
                ASSERT_TRUE(lossy || !offsets.empty());
            });
            for (const HeapTid &row : rows)
                ASSERT_EQ(visited.count(row.block), 1u);
            EXPECT_NEAR(set.size(1), added, added * 0.01);
        }
}

}  // namespace
}  // namespace hnsw::core::testing

/* What is found out about an index at little cost: a look at the rows near a query, and how the
 * distances to all rows are distributed. */
#include <gtest/gtest.h>

#include "core/distance_sample.h"
#include "core_fixture.h"

namespace hnsw::core::testing {
namespace {

constexpr uint32_t kRows = 3000;
constexpr uint32_t kDim = 24;

std::vector<uint64_t> scan_rows(Scan &scan, size_t most) {
    std::vector<uint64_t> found;
    ScanRow row;
    while (found.size() < most && scan.next(&row))
        found.push_back(row_of(row.tid));
    return found;
}

class Glimpse : public ::testing::TestWithParam<Metric> {};

TEST_P(Glimpse, LeavesTheScanAsItWas) {
    const Vectors rows = clustered(kRows, kDim, 40, 1);
    const Vectors queries = clustered(20, kDim, 40, 2);
    TestIndex index({.metric = GetParam(), .dim = kDim, .m = 8, .ef_construction = 40});
    index.insert(rows);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    double hits = 0, near = 0, looked_at = 0;
    uint64_t reads = 0, reads_of_peek = 0, reads_after_peek = 0;
    for (const auto &query : queries) {
        std::vector<double> exact;
        for (const auto &row : rows)
            exact.push_back(operator_distance(GetParam(), query, row));
        std::vector<double> sorted = exact;
        std::sort(sorted.begin(), sorted.end());
        uint64_t before = index.stats.records_read;
        scan.begin(query.data(), {.ef = 40});
        const std::vector<uint64_t> plain = scan_rows(scan, 20);
        reads += index.stats.records_read - before;

        before = index.stats.records_read;
        scan.begin(query.data(), {.ef = 40});
        HeapTid places[16];
        const size_t count = scan.peek(places);
        reads_of_peek += index.stats.records_read - before;
        EXPECT_GE(count, 12);
        for (HeapTid place : std::span(places, count)) {
            near += exact[row_of(place)] <= sorted[80] ? 1 : 0;
            looked_at++;
        }
        std::vector<uint64_t> found = scan_rows(scan, 20);
        reads_after_peek += index.stats.records_read - before;
        const std::set<uint64_t> expected(plain.begin(), plain.end());
        for (uint64_t row : found)
            hits += expected.count(row) != 0 ? 1 : 0;
        const std::vector<uint64_t> rest = scan_rows(scan, kRows);
        found.insert(found.end(), rest.begin(), rest.end());
        EXPECT_EQ(found.size(), kRows);
        EXPECT_EQ(std::set<uint64_t>(found.begin(), found.end()).size(), kRows);
    }
    const auto n = static_cast<double>(queries.size());
    EXPECT_GE(hits / (20 * n), 0.95);
    EXPECT_GE(near / looked_at, 0.8);
    EXPECT_LE(static_cast<double>(reads_of_peek), 0.8 * static_cast<double>(reads));
    EXPECT_LE(static_cast<double>(reads_after_peek), 1.15 * static_cast<double>(reads));
}

INSTANTIATE_TEST_SUITE_P(Metrics, Glimpse,
                         ::testing::Values(Metric::kL2, Metric::kCosine, Metric::kInnerProduct,
                                           Metric::kL1));

TEST(Glimpse, OfNothing) {
    TestIndex index({.metric = Metric::kL2, .dim = 2});
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    HeapTid places[16];
    const float query[] = {1, 2};
    ScanRow row;
    scan.begin(query, {});
    EXPECT_EQ(scan.peek(places), 0);
    EXPECT_FALSE(scan.next(&row));
    index.insert({{1, 1}, {2, 2}, {3, 3}});
    scan.begin(nullptr, {});
    EXPECT_EQ(scan.peek(places), 0);
    scan.begin(query, {});
    EXPECT_EQ(scan.peek(places), 3);
    EXPECT_EQ(places[2], tid_of(2));
    EXPECT_EQ(scan_rows(scan, 9).size(), 3);
    EXPECT_EQ(scan.peek(places), 0);
    const Condition any;
    scan.begin(query, {.filter = {.conditions = {&any, 1}}});
    EXPECT_EQ(scan.peek(places), 0);
}

/* Within 1 / factor to factor of the truth down to a share of a thousandth. */
void expect_shares(TestIndex &index, const Vectors &rows, const Vectors &queries, double factor) {
    for (double share : {0.001, 0.01, 0.1, 0.5, 0.9}) {
        double ratios = 0;
        for (const auto &query : queries) {
            std::vector<double> exact;
            for (const auto &row : rows)
                exact.push_back(operator_distance(index.metric, query, row));
            std::sort(exact.begin(), exact.end());
            DistanceSample sample(&index.memory);
            sample.take(*index.index, index.context, query.data());
            ASSERT_TRUE(sample.tells());
            const double bound = exact[static_cast<size_t>(share * static_cast<double>(kRows))];
            ratios += std::log(sample.share_within(bound) / share);
        }
        const double mean = std::exp(ratios / static_cast<double>(queries.size()));
        EXPECT_GT(mean, 1 / factor) << share;
        EXPECT_LT(mean, factor) << share;
    }
}

TEST(DistanceSample, TellsShares) {
    for (Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct, Metric::kL1}) {
        const Vectors rows = clustered(kRows, kDim, 40, 1);
        const Vectors queries = clustered(20, kDim, 40, 2);
        TestIndex index({.metric = metric, .dim = kDim, .m = 4, .ef_construction = 16});
        index.insert(rows);
        SCOPED_TRACE(static_cast<int>(metric));
        expect_shares(index, rows, queries, 4);
    }
}

TEST(DistanceSample, FollowsDimensions) {
    std::mt19937_64 rng(3);
    std::uniform_real_distribution<double> uniform;
    for (double dimensions : {1.0, 3.0, 10.0}) {
        double ratios = 0;
        for (int round = 0; round < 200; round++) {
            std::pmr::vector<double> distances;
            for (uint32_t i = 0; i < DistanceSample::kNodes; i++)
                distances.push_back(std::pow(uniform(rng), 1 / dimensions));
            DistanceSample sample(std::pmr::get_default_resource());
            sample.take(std::move(distances), true);
            ratios += std::log(sample.share_within(std::pow(0.002, 1 / dimensions)) / 0.002);
        }
        EXPECT_NEAR(ratios / 200, 0, 0.4) << dimensions;
    }
}

TEST(DistanceSample, OddBounds) {
    std::pmr::vector<double> distances(40, 1.0);
    distances.push_back(std::numeric_limits<double>::infinity());
    distances.push_back(std::numeric_limits<double>::quiet_NaN());
    DistanceSample sample(std::pmr::get_default_resource());
    EXPECT_FALSE(sample.tells());
    sample.take(distances, true);
    EXPECT_TRUE(sample.tells());
    EXPECT_EQ(sample.share_within(2), 1);
    EXPECT_EQ(sample.share_within(0.5), 0);
    EXPECT_EQ(sample.share_within(-1), 0);
    std::pmr::vector<double> zeros(40, 0.0);
    sample.take(zeros, true);
    EXPECT_EQ(sample.share_within(0), 1);
    EXPECT_EQ(sample.share_within(std::numeric_limits<double>::infinity()), 1);
    EXPECT_EQ(sample.share_within(-std::numeric_limits<double>::infinity()), 0);
}

}  // namespace
}  // namespace hnsw::core::testing

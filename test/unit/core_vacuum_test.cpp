/* VACUUM over pages in memory: nothing lost, graph as good as new, space comes back, crashes. */
#include <atomic>
#include <thread>

#include "core/index_stats.h"
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

/* Largest difference of the two cumulative degree distributions of layer 0. */
double degree_distance(TestIndex &a, TestIndex &b) {
    auto cumulative = [](TestIndex &index) {
        IndexStats stats = collect_stats(*index.index, index.context);
        std::vector<double> sums;
        double sum = 0;
        for (uint64_t n : stats.levels.at(0).degree_histogram) {
            sum += static_cast<double>(n);
            sums.push_back(sum);
        }
        for (double &s : sums)
            s /= sum;
        return sums;
    };
    std::vector<double> x = cumulative(a);
    std::vector<double> y = cumulative(b);
    double most = 0;
    for (size_t i = 0; i < x.size(); i++)
        most = std::max(most, std::fabs(x[i] - y.at(i)));
    return most;
}

struct Share {
    Metric metric;
    uint32_t dim;
    uint32_t every; /* of so many rows one stays (keep_one) or goes */
    bool keep_one;
};

class VacuumShare : public ::testing::TestWithParam<Share> {};

TEST_P(VacuumShare, LeavesAGraphLikeAFreshOne) {
    const Share &c = GetParam();
    TestIndex index({.metric = c.metric, .dim = c.dim});
    TestIndex fresh({.metric = c.metric, .dim = c.dim});
    const uint32_t n = 4000;
    Vectors rows = clustered(n, c.dim, 20, 1);
    Vectors queries = clustered(50, c.dim, 20, 2);
    index.insert(rows);
    DeadSet dead;
    Vectors left;
    std::set<uint64_t> expected;
    for (uint64_t i = 0; i < n; i++) {
        if ((i % c.every == 1) == c.keep_one) {
            left.push_back(rows[i]);
            expected.insert(i);
        } else {
            dead.rows.insert(i);
        }
    }
    VacuumResult result = vacuum(index, dead);
    EXPECT_EQ(result.rows_left, expected.size());
    EXPECT_EQ(result.rows_removed, dead.rows.size());
    EXPECT_EQ(result.nodes_freed, dead.rows.size());
    expect_sound(index, expected, rows[0]);
    fresh.insert(left);
    /* Small fresh indexes have nodes from when there was little to link to. */
    if (left.size() >= 2000)
        EXPECT_LE(degree_distance(index, fresh), 0.05);
    for (uint32_t ef : {10u, 40u, 200u}) {
        /* The repaired index knows its rows by their old numbers. */
        double hits = 0;
        for (const auto &q : queries) {
            std::vector<std::pair<double, uint64_t>> exact;
            for (uint64_t row : expected)
                exact.emplace_back(operator_distance(c.metric, q, rows[row]), row);
            std::nth_element(exact.begin(), exact.begin() + 9, exact.end());
            for (uint64_t row : index.search(q, ef, 10, rows))
                hits += operator_distance(c.metric, q, rows[row]) <= exact[9].first;
        }
        const double recall = hits / static_cast<double>(queries.size() * 10);
        EXPECT_GE(recall, fresh.recall(queries, left, ef, 10) - 0.02) << "ef " << ef;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shares, VacuumShare,
    ::testing::Values(Share{Metric::kL2, 32, 10, true}, Share{Metric::kL2, 32, 2, true},
                      Share{Metric::kL2, 32, 20, false}, Share{Metric::kCosine, 48, 10, true},
                      Share{Metric::kInnerProduct, 48, 3, true}, Share{Metric::kL1, 24, 5, true}));

}  // namespace
}  // namespace hnsw::core::testing

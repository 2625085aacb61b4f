/* Insert and scan over pages in memory: recall, completeness, equal rows, NULLs, every metric. */
#include <gtest/gtest.h>

#include <numeric>

#include "core_fixture.h"

namespace hnsw::core::testing {
namespace {

struct MetricCase {
    Metric metric;
    uint32_t dim;
    double floor;
};

class InsertedIndex : public ::testing::TestWithParam<MetricCase> {};

TEST_P(InsertedIndex, FindsNearestRows) {
    const MetricCase &c = GetParam();
    TestIndex index({.metric = c.metric, .dim = c.dim});
    Vectors rows = clustered(2000, c.dim, 20, 1);
    Vectors queries = clustered(50, c.dim, 20, 2);
    index.insert(rows);
    EXPECT_GE(index.recall(queries, rows, 40, 10), c.floor);
    EXPECT_GE(index.recall(queries, rows, 200, 10), 0.99);
}

INSTANTIATE_TEST_SUITE_P(Metrics, InsertedIndex,
                         ::testing::Values(MetricCase{Metric::kL2, 96, 0.95},
                                           MetricCase{Metric::kCosine, 64, 0.95},
                                           MetricCase{Metric::kInnerProduct, 64, 0.85},
                                           MetricCase{Metric::kL1, 32, 0.95},
                                           MetricCase{Metric::kL2, 3, 0.95},
                                           MetricCase{Metric::kL2, 1536, 0.95}));

TEST(Scan, ReturnsEveryRowOnceWhateverEf) {
    TestIndex index({.dim = 16});
    Vectors rows = clustered(700, 16, 5, 3);
    index.insert(rows);
    for (uint32_t ef : {1u, 10u, 1000u}) {
        std::vector<uint64_t> found = index.search(rows[7], ef, 10000, rows);
        std::set<uint64_t> distinct(found.begin(), found.end());
        EXPECT_EQ(found.size(), rows.size());
        EXPECT_EQ(distinct.size(), rows.size());
    }
}

/* Where many rows share the node that is the whole beam and one of them fails, little is missing: it must
 * become wider all the same. */
TEST(Scan, GoesOnFromTheNarrowestBeam) {
    TestIndex index({.metric = Metric::kL1, .dim = 16});
    Vectors rows = clustered(200, 16, 5, 3);
    rows.insert(rows.end(), 50, rows[7]);
    index.insert(rows);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    for (Strategy strategy : {Strategy::kAuto, Strategy::kPostFilter})
        for (uint32_t wanted : {0u, 1u, 50u}) {
            ScanOptions options{.ef = 1, .wanted = wanted};
            options.strategy = strategy;
            scan.begin(rows[7].data(), options);
            ScanRow row;
            for (size_t i = 0; i < rows.size(); i++) {
                ASSERT_TRUE(scan.next(&row));
                if (i == 0)
                    scan.fail_last();
            }
            EXPECT_FALSE(scan.next(&row));
        }
}

TEST(Scan, GoesOnExactlyWhenMemoryIsShort) {
    TestIndex index({.dim = 16});
    Vectors rows = clustered(3000, 16, 5, 3);
    index.insert(rows);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(rows[0].data(), {.ef = 10, .memory_limit = 2048});
    std::set<uint64_t> found;
    ScanRow row;
    while (scan.next(&row))
        EXPECT_TRUE(found.insert(row_of(row.tid)).second);
    EXPECT_EQ(found.size(), rows.size());
    EXPECT_GT(index.stats.exact_pass_records, 0u);
}

TEST(Scan, NullAndZeroRowsComeLast) {
    TestIndex index({.metric = Metric::kCosine, .dim = 8});
    Vectors rows = clustered(50, 8, 3, 4);
    index.insert(rows);
    Inserter inserter(*index.index, index.context, 64);
    std::vector<float> zero(8, 0.0f);
    for (uint64_t i = 0; i < 3000; i++) {
        index.add(inserter, nullptr, 100 + i);
        index.add(inserter, zero.data(), 10000 + i);
    }
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(rows[0].data(), {});
    std::vector<ScanRow::Kind> kinds;
    ScanRow row;
    while (scan.next(&row))
        kinds.push_back(row.kind);
    ASSERT_EQ(kinds.size(), 6050u);
    EXPECT_TRUE(std::is_sorted(kinds.begin(), kinds.end()));
    EXPECT_EQ(std::count(kinds.begin(), kinds.end(), ScanRow::Kind::kNan), 3000);
    scan.begin(nullptr, {});
    size_t n = 0;
    while (scan.next(&row)) {
        EXPECT_EQ(row.kind, ScanRow::Kind::kNull);
        n++;
    }
    EXPECT_EQ(n, 6050u);
}

TEST(Insert, EqualVectorsShareANode) {
    TestIndex index({.dim = 8});
    Vectors rows = clustered(200, 8, 3, 5);
    index.insert(rows);
    BlockNo before = index.store.size();
    Vectors copies(5000, rows[17]);
    index.insert(copies, 1000);
    /* 5000 rows of 6 bytes in chunks, not 5000 records. */
    EXPECT_LT(index.store.size() - before, 10u);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(rows[17].data(), {.ef = 1});
    std::set<uint64_t> found;
    ScanRow row;
    for (int i = 0; i < 5001; i++) {
        ASSERT_TRUE(scan.next(&row));
        found.insert(row_of(row.tid));
    }
    EXPECT_EQ(found.size(), 5001u);
    EXPECT_TRUE(found.count(17) == 1 && found.count(1000) == 1 && found.count(5999) == 1);
}

TEST(Insert, DataFarFromTheOriginKeepsItsRecall) {
    Vectors rows = clustered(3000, 32, 20, 6, 10000.0f);
    Vectors queries = clustered(50, 32, 20, 7, 10000.0f);
    TestIndex index({.dim = 32});
    index.insert(rows);
    EXPECT_EQ(index.index->meta().centre_count, 2u);
    EXPECT_GE(index.recall(queries, rows, 40, 10), 0.95);
}

TEST(Insert, ExtremeValuesStaySearchable) {
    for (float scale : {1e-30f, 1e-10f, 1e15f, 1e30f}) {
        Vectors rows = clustered(1000, 24, 10, 8);
        Vectors queries = clustered(20, 24, 10, 9);
        for (Vectors *set : {&rows, &queries})
            for (auto &v : *set)
                for (float &x : v)
                    x *= scale;
        TestIndex index({.dim = 24});
        index.insert(rows);
        EXPECT_GE(index.recall(queries, rows, 40, 10), 0.95) << scale;
    }
}

TEST(Kill, DeadRowsAreSkippedAndOthersAreNot) {
    TestIndex index({.dim = 8});
    Vectors rows = clustered(300, 8, 3, 10);
    index.insert(rows);
    Vectors copies(100, rows[5]);
    index.insert(copies, 1000);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(rows[5].data(), {});
    ScanRow row;
    for (int i = 0; i < 120; i++) {
        ASSERT_TRUE(scan.next(&row));
        if (row_of(row.tid) == 5 || row_of(row.tid) == 1050)
            scan.kill_last();
    }
    scan.flush_kills();
    scan.begin(rows[5].data(), {});
    std::set<uint64_t> found;
    while (scan.next(&row))
        found.insert(row_of(row.tid));
    EXPECT_EQ(found.size(), 398u);
    EXPECT_EQ(found.count(5) + found.count(1050), 0u);
    scan.begin(rows[5].data(), {.skip_dead = false});
    size_t all = 0;
    while (scan.next(&row))
        all++;
    EXPECT_EQ(all, 400u);
}

}  // namespace
}  // namespace hnsw::core::testing

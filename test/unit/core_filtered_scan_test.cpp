/* Filtered scans: every strategy against every kind of filter, equal vectors, rescans, changes while a
 * scan runs. */
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "core_check.h"
#include "core_filter_fixture.h"

namespace hnsw::core::testing {
namespace {

enum class Kind { kRandom, kCorrelated, kAnti };

/* The rows of a share of the index: at random, nearest to the query, or nearest to the row that is
 * farthest from it. */
Rows rows_for(Kind kind, double share, const Vectors &vectors, const std::vector<float> &query,
              Metric metric, std::mt19937_64 &rng) {
    std::vector<uint64_t> order(vectors.size());
    std::iota(order.begin(), order.end(), 0);
    auto by_distance_to = [&](const std::vector<float> &from) {
        std::vector<double> d(vectors.size());
        for (size_t i = 0; i < d.size(); i++)
            d[i] = operator_distance(metric, from, vectors[i]);
        std::sort(order.begin(), order.end(), [&](uint64_t a, uint64_t b) { return d[a] < d[b]; });
    };
    if (kind == Kind::kRandom) {
        std::shuffle(order.begin(), order.end(), rng);
    } else {
        by_distance_to(query);
        if (kind == Kind::kAnti)
            by_distance_to(vectors[order.back()]);
    }
    const auto n = std::max<size_t>(10, static_cast<size_t>(share * vectors.size()));
    return {order.begin(), order.begin() + static_cast<ptrdiff_t>(n)};
}

void fill(TidSet &set, const Rows &rows) {
    set.begin(0, TidSet::kNoLimit);
    for (uint64_t row : rows)
        set.add(tid_of(row));
}

constexpr Strategy kStrategies[] = {Strategy::kAuto,        Strategy::kExact,
                                    Strategy::kFilterFirst, Strategy::kPenalised,
                                    Strategy::kPreFilter,   Strategy::kPostFilter};

/* A scan's rows in exact order, up to k, as the executor gives them. Checks what leaves the scan. */
std::vector<uint64_t> first_rows(Scan &scan, const ScanOptions &options,
                                 const FilteredIndex &shared, const std::vector<float> &query,
                                 const Rows &matching, size_t k) {
    std::multiset<std::pair<double, uint64_t>> queue;
    std::vector<uint64_t> out;
    Rows seen;
    double last = -1e300;
    ScanRow row;
    bool more = true;
    scan.begin(query.data(), options);
    while (out.size() < k) {
        more = more && scan.next(&row);
        if (!more && queue.empty())
            break;
        if (more) {
            EXPECT_TRUE(seen.insert(row_of(row.tid)).second) << "row twice";
            const uint64_t r = row_of(row.tid);
            const double distance =
                operator_distance(shared.index.metric, query, shared.vectors[r]);
            EXPECT_LE(row.bound, distance + 1e-5);
            if (seen.size() <= options.wanted && options.strategy != Strategy::kPostFilter) {
                EXPECT_GE(row.bound, last) << "not nearest first";
            }
            last = row.bound;
            if (options.strategy != Strategy::kPostFilter) {
                EXPECT_EQ(matching.count(r), 1u) << "a row that fails";
            }
            if (matching.count(r) != 0)
                queue.emplace(distance, r);
            else
                scan.fail_last();
        }
        while (!queue.empty() && out.size() < k && (!more || queue.begin()->first <= row.bound)) {
            out.push_back(queue.begin()->second);
            queue.erase(queue.begin());
        }
    }
    return out;
}

class Strategies : public ::testing::TestWithParam<Metric> {};

TEST_P(Strategies, ReturnTheNearestMatchingRows) {
    constexpr size_t kK = 10;
    FilteredIndex shared(GetParam());
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    TidSet tids(&shared.index.memory);
    std::mt19937_64 rng(3);
    for (Kind kind : {Kind::kRandom, Kind::kCorrelated, Kind::kAnti})
        for (double share : {0.5, 0.1, 0.02, 0.004})
            for (Strategy strategy : kStrategies) {
                double hits = 0;
                for (const auto &query : shared.queries) {
                    const Rows matching =
                        rows_for(kind, share, shared.vectors, query, GetParam(), rng);
                    fill(tids, matching);
                    ScanOptions options{.ef = 40};
                    options.filter.rows = &tids;
                    options.strategy = strategy;
                    options.wanted = kK;
                    const auto found = first_rows(scan, options, shared, query, matching, kK);
                    ASSERT_EQ(found.size(), kK);
                    std::vector<double> exact;
                    for (uint64_t r : matching)
                        exact.push_back(operator_distance(GetParam(), query, shared.vectors[r]));
                    std::sort(exact.begin(), exact.end());
                    for (uint64_t r : found)
                        hits += operator_distance(GetParam(), query, shared.vectors[r]) <=
                                exact[kK - 1];
                }
                const double recall = hits / static_cast<double>(kK * shared.queries.size());
                EXPECT_GE(recall, strategy == Strategy::kExact ? 1.0 : 0.9)
                    << "kind " << static_cast<int>(kind) << " share " << share << " strategy "
                    << static_cast<int>(strategy);
            }
}

INSTANTIATE_TEST_SUITE_P(Metrics, Strategies,
                         ::testing::Values(Metric::kL2, Metric::kCosine, Metric::kInnerProduct,
                                           Metric::kL1));

/* Who says that rows fail gets the next ones from a wider search, who does not has not paid for one. */
TEST(PostFilter, WidensAsRowsFail) {
    FilteredIndex shared(Metric::kL2);
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    auto reads_of = [&](Strategy strategy, auto fails, uint32_t wanted = 10) {
        shared.index.stats = {};
        for (const auto &query : shared.queries) {
            ScanOptions options{.ef = 40};
            options.strategy = strategy;
            options.wanted = wanted;
            scan.begin(query.data(), options);
            Rows seen;
            ScanRow row;
            for (int i = 0; i < 10; i++) {
                EXPECT_TRUE(scan.next(&row));
                EXPECT_TRUE(seen.insert(row_of(row.tid)).second);
                if (fails(i))
                    scan.fail_last();
            }
        }
        return static_cast<double>(shared.index.stats.records_read);
    };
    const double plain = reads_of(Strategy::kAuto, [](int) { return false; });
    const double all_pass = reads_of(Strategy::kPostFilter, [](int) { return false; });
    const double few_fail = reads_of(Strategy::kPostFilter, [](int i) { return i % 3 == 2; });
    const double all_fail = reads_of(Strategy::kPostFilter, [](int) { return true; });
    EXPECT_EQ(all_pass, plain);
    EXPECT_GT(few_fail, plain);
    EXPECT_LT(few_fail, plain * 1.25);
    EXPECT_GT(all_fail, plain * 1.25);
    EXPECT_LT(all_fail, plain * 1.75);
    /* Rows that leave at once must not be joined by others later. */
    const double unknown = reads_of(
        Strategy::kPostFilter, [](int) { return false; }, 0);
    EXPECT_NEAR(unknown, all_fail, 0.05 * all_fail);
}

/* Where the rows nearest to the query are those that fail, the ones wanted lie at the edge of a beam, where
 * nodes are missing. */
TEST(PostFilter, FindsRowsBehindThoseThatFail) {
    constexpr size_t kK = 10;
    FilteredIndex shared(Metric::kCosine, 384, 1);
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    ScanOptions options{.ef = 10, .wanted = kK};
    options.strategy = Strategy::kPostFilter;
    double hits = 0;
    double count = 0;
    for (const auto &query : shared.queries) {
        std::vector<std::pair<double, uint64_t>> ranked;
        for (uint64_t r = 0; r < shared.vectors.size(); r++)
            ranked.emplace_back(operator_distance(Metric::kCosine, query, shared.vectors[r]), r);
        std::sort(ranked.begin(), ranked.end());
        for (size_t fail : {30u, 60u, 90u, 120u}) {
            Rows matching;
            for (size_t i = fail; i < ranked.size(); i++)
                matching.insert(ranked[i].second);
            for (uint64_t r : first_rows(scan, options, shared, query, matching, kK))
                hits += operator_distance(Metric::kCosine, query, shared.vectors[r]) <=
                        ranked[fail + kK - 1].first;
            count += kK;
        }
    }
    EXPECT_GE(hits / count, 0.993);
}

class NeverShort : public ::testing::TestWithParam<Metric> {};

TEST_P(NeverShort, ReturnsEveryMatchOnceAndRescans) {
    FilteredIndex shared(GetParam());
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    Condition condition;
    for (uint64_t share : {1000, 200, 3, 0})
        for (Strategy strategy : kStrategies)
            for (auto [ef, memory] :
                 {std::pair<uint32_t, size_t>{10, 4 << 20}, {10, 6000}, {1, 4 << 20}}) {
                condition.low = 1;
                condition.high = share;
                Rows matching;
                for (uint64_t i = 0; i < shared.vectors.size(); i++)
                    if (i * 7919 % shared.vectors.size() - 1 < share)
                        matching.insert(i);
                ScanOptions options{.ef = ef, .memory_limit = memory};
                options.filter.conditions = {&condition, 1};
                options.strategy = strategy;
                for (bool keep : {false, true}) {
                    options.keep_filter = keep;
                    const auto found = first_rows(scan, options, shared, shared.queries[0],
                                                  matching, shared.vectors.size());
                    EXPECT_EQ(Rows(found.begin(), found.end()), matching)
                        << share << " " << static_cast<int>(strategy);
                }
            }
}

INSTANTIATE_TEST_SUITE_P(Metrics, NeverShort, ::testing::Values(Metric::kL2, Metric::kL1));

TEST(FilteredScan, NullQueryAndRowsWithoutAVector) {
    TestIndex index({.metric = Metric::kCosine, .dim = 8, .attributes = 1});
    Vectors vectors = clustered(300, 8, 3, 4);
    Inserter inserter(*index.index, index.context, 64);
    const std::vector<float> zero(8, 0.0f);
    for (uint64_t i = 0; i < 300; i++) {
        inserter.insert(vectors[i].data(), tid_of(i), {.key = {i}});
        inserter.insert(nullptr, tid_of(1000 + i), {.key = {i}});
        inserter.insert(zero.data(), tid_of(2000 + i), {.key = {i}});
    }
    TidSet tids(&index.memory);
    fill(tids, {5, 6, 7, 1005, 2006, 2007});
    Condition condition{.low = 6, .high = 100};
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    ScanOptions options;
    options.filter = {{&condition, 1}, &tids};
    for (const float *query :
         {static_cast<const float *>(nullptr), static_cast<const float *>(vectors[0].data())}) {
        scan.begin(query, options);
        Rows found;
        ScanRow row;
        ScanRow::Kind last = ScanRow::Kind::kBound;
        while (scan.next(&row)) {
            EXPECT_TRUE(found.insert(row_of(row.tid)).second);
            EXPECT_GE(row.kind, query == nullptr ? ScanRow::Kind::kNull : last);
            last = row.kind;
        }
        EXPECT_EQ(found, (Rows{6, 7, 1005, 2006, 2007}));
    }
}

TEST(FilteredScan, EqualVectorsWithDifferentAttributes) {
    constexpr uint64_t kCopies = 2000;
    TestIndex index({.dim = 8, .attributes = 1});
    Vectors vectors = clustered(400, 8, 5, 9);
    Inserter inserter(*index.index, index.context, 64);
    for (uint64_t i = 0; i < vectors.size(); i++)
        inserter.insert(vectors[i].data(), tid_of(i), {.key = {1000 + i}});
    for (uint64_t i = 0; i < kCopies; i++)
        inserter.insert(vectors[i % 4].data(), tid_of(1000 + i), {.key = {i % 500}});
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    for (uint64_t key : {0, 77, 499, 1003, 1200, 5000})
        for (Strategy strategy : kStrategies) {
            if (strategy == Strategy::kPostFilter)
                continue;
            Rows expected;
            for (uint64_t i = 0; i < vectors.size(); i++)
                if (1000 + i == key)
                    expected.insert(i);
            for (uint64_t i = 0; i < kCopies; i++)
                if (i % 500 == key)
                    expected.insert(1000 + i);
            Condition condition{.low = key, .high = key};
            ScanOptions options{.ef = 10};
            options.filter.conditions = {&condition, 1};
            options.strategy = strategy;
            scan.begin(vectors[2].data(), options);
            Rows found;
            ScanRow row;
            while (scan.next(&row))
                EXPECT_TRUE(found.insert(row_of(row.tid)).second);
            EXPECT_EQ(found, expected) << key << " " << static_cast<int>(strategy);
        }
}

/* Rows that are there from before the scan to after it are found, each once, whatever others do. */
TEST(FilteredScan, AmidInsertsAndVacuum) {
    TestIndex index({.dim = 12, .attributes = 1});
    Vectors vectors = clustered(900, 12, 8, 3);
    Inserter inserter(*index.index, index.context, 40);
    for (uint64_t i = 0; i < vectors.size(); i++)
        inserter.insert(vectors[i].data(), tid_of(i), {.key = {i % 10}});
    std::atomic<bool> done{false};
    std::thread writer([&] {
        std::pmr::synchronized_pool_resource memory;
        Stats stats;
        Index own(index.store, &memory);
        Inserter more(own, {&memory, &stats}, 40);
        Vectors fresh = clustered(300, 12, 8, 77);
        for (uint64_t round = 0; round < 3; round++) {
            DeadSet dead;
            for (uint64_t i = 0; i < fresh.size(); i++) {
                const uint64_t row = 10000 + i;
                more.insert(fresh[i].data(), tid_of(row), {.key = {i % 10}});
                dead.rows.insert(row);
            }
            remove_dead(own, {&memory, &stats}, kVacuumMemory, dead);
            index.store.advance_transactions();
        }
        done = true;
    });
    VectorSorter sorter;
    std::pmr::synchronized_pool_resource memory;
    Stats stats;
    Index own(index.store, &memory);
    Scan scan(own, {&memory, &stats}, sorter);
    size_t scans = 0;
    while (!done || scans < 30) {
        Condition condition{.low = 0, .high = scans % 10};
        ScanOptions options{.ef = 20};
        options.filter.conditions = {&condition, 1};
        options.strategy = kStrategies[scans % 5];
        scan.begin(vectors[scans * 13 % vectors.size()].data(), options);
        Rows found;
        ScanRow row;
        while (scan.next(&row)) {
            if (row_of(row.tid) < vectors.size()) {
                EXPECT_TRUE(found.insert(row_of(row.tid)).second) << "row twice";
            }
        }
        for (uint64_t i = 0; i < vectors.size(); i++)
            if (i % 10 <= scans % 10) {
                EXPECT_EQ(found.count(i), 1u) << "lost row " << i;
            }
        scans++;
    }
    writer.join();
}

/* Every node tested is a directory page read, as good as: eight attributes leave few entries a page. */
TEST(FilteredScan, TestsFewNodesWhereNearlyAllMatch) {
    constexpr uint64_t kRows = 6000;
    TestIndex index({.dim = 24, .attributes = kMaxAttributes});
    const Vectors vectors = clustered(kRows, 24, 12, 1);
    Inserter inserter(*index.index, index.context, 64);
    for (size_t i = 0; i < kRows; i++) {
        Attributes row;
        row.key[0] = i * 7919 % kRows;
        inserter.insert(vectors[i].data(), tid_of(i), row);
    }
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    auto reads_of = [&](double share) {
        index.stats = {};
        const Condition condition = {.kind = Condition::Kind::kRange,
                                     .attribute = 0,
                                     .low = 0,
                                     .high = static_cast<uint64_t>(share * kRows) - 1};
        for (const auto &query : clustered(12, 24, 12, 2)) {
            ScanOptions options{.ef = 40};
            options.filter.conditions = {&condition, 1};
            options.wanted = 10;
            scan.begin(query.data(), options);
            ScanRow row;
            for (int i = 0; i < 10; i++) {
                EXPECT_TRUE(scan.next(&row));
                EXPECT_LE(row_of(row.tid) * 7919 % kRows, condition.high);
            }
            EXPECT_EQ(scan.report().choice.strategy, Strategy::kPreFilter);
        }
        return static_cast<double>(index.stats.directory_reads) / 12;
    };
    /* The sample's 8 pages, and not many more than the 16 nodes tested. */
    EXPECT_LE(reads_of(1), 30);
    EXPECT_LE(reads_of(0.95), 30);
    EXPECT_GE(reads_of(0.6), 36);
}

TEST(FilteredScan, AWalkThatIsTooDearGivesUp) {
    FilteredIndex shared(Metric::kL2);
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    std::mt19937_64 rng(5);
    TidSet tids(&shared.index.memory);
    fill(tids, rows_for(Kind::kRandom, 0.01, shared.vectors, shared.queries[0], Metric::kL2, rng));
    ScanOptions options;
    options.filter.rows = &tids;
    options.strategy = Strategy::kPreFilter;
    ScanRow row;
    size_t n = 0;
    scan.begin(shared.queries[0].data(), options);
    while (scan.next(&row))
        n++;
    EXPECT_EQ(n, 25u);
    EXPECT_EQ(scan.report().choice.strategy, Strategy::kExact);
    EXPECT_GT(scan.report().changes_of_mind, 0u);
    EXPECT_GT(scan.report().removed, 1000u);
}

}  // namespace
}  // namespace hnsw::core::testing

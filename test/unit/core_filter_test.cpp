/* Filters and filtered scans: sets of rows, conditions against brute force, every strategy against every
 * kind of filter, equal vectors, rescans, changes while a scan runs. */
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "core/pass_map.h"
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

using Rows = std::set<uint64_t>;

/* ---- Conditions ------------------------------------------------------------------------------- */

TEST(PassMap, AgreesWithConditionsRowByRow) {
    constexpr uint32_t kRows = 2500;
    TestIndex index({.dim = 4, .attributes = 3});
    Vectors vectors = clustered(kRows, 4, 9, 5);
    std::mt19937_64 rng(2);
    std::vector<Attributes> rows(kRows);
    Inserter inserter(*index.index, index.context, 16);
    for (uint32_t i = 0; i < kRows; i++) {
        rows[i].key[0] = rng() % 50;
        rows[i].key[1] = rng() & rng();
        rows[i].key[2] = rng();
        for (uint32_t a = 0; a < 3; a++)
            if (rng() % 7 == 0) {
                rows[i].nulls |= static_cast<uint8_t>(1u << a);
                rows[i].key[a] = 0;
            }
        inserter.insert(vectors[i].data(), tid_of(i), rows[i]);
    }
    using Kind = Condition::Kind;
    const std::vector<uint64_t> few = {3, 9, 49};
    const std::vector<uint64_t> many = {0, 1, 2, 5, 8, 13, 21, 34, 60};
    const std::vector<uint64_t> bits = {1, 6, 1u << 20};
    const std::vector<Condition> conditions = {
        {.kind = Kind::kRange, .attribute = 0, .low = 10, .high = 19},
        {.kind = Kind::kRange, .attribute = 0, .low = 20, .high = 19},
        {.kind = Kind::kRange, .attribute = 2, .low = 0, .high = ~uint64_t{0}},
        {.kind = Kind::kRange, .attribute = 2, .low = uint64_t{1} << 63},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = few},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = many},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = {}},
        {.kind = Kind::kAllBits, .attribute = 1, .low = 5},
        {.kind = Kind::kAnyBits, .attribute = 1, .keys = bits},
        {.kind = Kind::kIsNull, .attribute = 1},
        {.kind = Kind::kIsNotNull, .attribute = 2},
    };
    TidSet tids(&index.memory);
    for (uint32_t i = 0; i < kRows; i += 3) {
        const uint16_t offset = tid_of(i).offset;
        tids.add(tid_of(i).block, {&offset, 1});
    }
    PassMap map(index.store, index.context);
    for (size_t first = 0; first < conditions.size(); first++)
        for (size_t second = first; second < conditions.size(); second++)
            for (bool with_tids : {false, true})
                for (size_t budget : {size_t{0}, size_t{1} << 20}) {
                    const Condition both[] = {conditions[first], conditions[second]};
                    const Filter filter{both, with_tids ? &tids : nullptr};
                    Rows expected;
                    for (uint32_t i = 0; i < kRows; i++)
                        if (filter.met_by(tid_of(i), rows[i]))
                            expected.insert(i);
                    Rows by_page, by_lookup;
                    map.begin(index.index->directory(), filter, budget);
                    std::pmr::vector<NodeId> ids;
                    const NodeId end =
                        index.store.size() * index.index->layouts().base.per_page + 100;
                    for (NodeId id = 0; id < end; id++)
                        if (map.passes(id))
                            by_lookup.insert(row_of(
                                read_entry(index.store, index.index->directory(), id).tid.tid()));
                    for (uint32_t page = 0; page < map.pages(); page++)
                        map.matching_of(page, 0, ids);
                    for (NodeId id : ids)
                        by_page.insert(row_of(
                            read_entry(index.store, index.index->directory(), id).tid.tid()));
                    EXPECT_EQ(by_page, expected) << first << " " << second << " " << with_tids;
                    EXPECT_EQ(by_lookup, expected) << first << " " << second << " " << with_tids;
                    const PassMap::Estimate estimate = map.sample(map.pages());
                    EXPECT_EQ(estimate.nodes, kRows);
                    /* A set of rows counts as independent of the conditions. */
                    EXPECT_EQ(estimate.counted, !with_tids);
                    const Filter without{both, nullptr};
                    double meeting = 0;
                    for (uint32_t i = 0; i < kRows; i++)
                        meeting += without.met_by(tid_of(i), rows[i]);
                    EXPECT_DOUBLE_EQ(estimate.matching,
                                     meeting * (with_tids ? tids.size(0) / kRows : 1));
                }
}

/* ---- Strategies ------------------------------------------------------------------------------- */

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

struct Shared {
    explicit Shared(Metric metric)
        : index({.metric = metric, .dim = 24, .attributes = 1}),
          vectors(clustered(2500, 24, 12, 1)),
          queries(clustered(12, 24, 12, 2)) {
        Inserter inserter(*index.index, index.context, 64);
        for (size_t i = 0; i < vectors.size(); i++)
            inserter.insert(vectors[i].data(), tid_of(i), {.key = {i * 7919 % vectors.size()}});
    }
    TestIndex index;
    Vectors vectors;
    Vectors queries;
};

/* A scan's rows in exact order, up to k, as the executor gives them. Checks what leaves the scan. */
std::vector<uint64_t> first_rows(Scan &scan, const ScanOptions &options, const Shared &shared,
                                 const std::vector<float> &query, const Rows &matching, size_t k) {
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
    Shared shared(GetParam());
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

class NeverShort : public ::testing::TestWithParam<Metric> {};

TEST_P(NeverShort, ReturnsEveryMatchOnceAndRescans) {
    Shared shared(GetParam());
    VectorSorter sorter;
    Scan scan(*shared.index.index, shared.index.context, sorter);
    Condition condition;
    for (uint64_t share : {1000, 200, 3, 0})
        for (Strategy strategy : kStrategies)
            for (size_t memory : {size_t{4} << 20, size_t{6000}}) {
                condition.low = 1;
                condition.high = share;
                Rows matching;
                for (uint64_t i = 0; i < shared.vectors.size(); i++)
                    if (i * 7919 % shared.vectors.size() - 1 < share)
                        matching.insert(i);
                ScanOptions options{.ef = 10, .memory_limit = memory};
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

TEST(FilteredScan, AMemoSparesTheDirectory) {
    Shared shared(Metric::kL2);
    VectorSorter sorter;
    MatchMemo memo(&shared.index.memory);
    for (uint64_t high : {0, 40, 700, 2500}) {
        memo.reset();
        Condition condition{.low = 0, .high = high};
        Rows expected;
        for (uint64_t i = 0; i < shared.vectors.size(); i++)
            if (const uint64_t key = i * 7919 % shared.vectors.size(); key <= high)
                expected.insert(i);
        uint64_t pages[3] = {};
        for (uint64_t &read : pages) {
            Scan scan(*shared.index.index, shared.index.context, sorter);
            ScanOptions options;
            options.filter.conditions = {&condition, 1};
            options.strategy = &read == pages + 2 ? Strategy::kAuto : Strategy::kExact;
            options.memo = &memo;
            const uint64_t before = shared.index.stats.directory_reads;
            scan.begin(shared.queries[1].data(), options);
            Rows found;
            ScanRow row;
            while (scan.next(&row))
                EXPECT_TRUE(found.insert(row_of(row.tid)).second);
            read = shared.index.stats.directory_reads - before;
            EXPECT_EQ(found, expected) << high;
            EXPECT_TRUE(memo.complete);
            EXPECT_EQ(memo.ids.size(), expected.size());
        }
        EXPECT_GT(pages[0], 0u);
        EXPECT_EQ(pages[1], 0u);
    }
    /* A scan that began before a reset neither uses nor fills it. */
    Condition condition{.low = 5, .high = 5};
    Scan scan(*shared.index.index, shared.index.context, sorter);
    ScanOptions options;
    options.filter.conditions = {&condition, 1};
    options.strategy = Strategy::kPreFilter;
    options.memo = &memo;
    memo.reset();
    scan.begin(shared.queries[1].data(), options);
    memo.reset();
    ScanRow row;
    EXPECT_TRUE(scan.next(&row));
    EXPECT_FALSE(scan.next(&row));
    EXPECT_FALSE(memo.complete);
    EXPECT_TRUE(memo.ids.empty());
}

/* Rows come, go and get other attributes while nobody has looked: a memo that is not current any more is
 * mended from the pages that have changed. */
TEST(FilteredScan, AMemoIsMended) {
    Shared shared(Metric::kL2);
    TestIndex &index = shared.index;
    Inserter inserter(*index.index, index.context, 64);
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    Condition condition{.low = 0, .high = 300};
    Rows expected;
    for (uint64_t i = 0; i < shared.vectors.size(); i++)
        if (i * 7919 % shared.vectors.size() <= 300)
            expected.insert(i);
    uint64_t tested = 0; /* directory pages looked at */
    auto found = [&] {
        Scan scan(*index.index, index.context, sorter);
        ScanOptions options;
        options.filter.conditions = {&condition, 1};
        options.strategy = Strategy::kExact;
        options.memo = &memo;
        const uint64_t before = index.stats.directory_reads;
        scan.begin(shared.queries[1].data(), options);
        Rows rows;
        ScanRow row;
        while (scan.next(&row))
            EXPECT_TRUE(rows.insert(row_of(row.tid)).second);
        tested = index.stats.directory_reads - before;
        EXPECT_TRUE(memo.current);
        return rows;
    };
    EXPECT_EQ(found(), expected);
    EXPECT_EQ(found(), expected);
    EXPECT_EQ(tested, 0u);
    uint64_t next = 20000;
    for (uint64_t round = 0; round < 6; round++) {
        DeadSet dead;
        for (uint64_t row : expected)
            if (row % 6 == round)
                dead.rows.insert(row);
        if (round % 2 == 0) {
            for (uint64_t row : dead.rows)
                expected.erase(row);
            remove_dead(*index.index, index.context, kVacuumMemory, dead);
            index.store.advance_transactions();
        }
        /* In the last round enough for pages that were not there. */
        for (uint64_t i = 0; i < (round == 5 ? 3000 : 3); i++, next++) {
            const uint64_t key = next % 2 == 0 ? 7 : 301;
            inserter.insert(shared.vectors[next % shared.vectors.size()].data(), tid_of(next),
                            {.key = {key}});
            if (key == 7)
                expected.insert(next);
        }
        memo.current = false;
        EXPECT_EQ(found(), expected) << round;
        EXPECT_GT(tested, 0u);
    }
    EXPECT_EQ(memo.ids.size(), memo.pages.back().end);
    /* A page of the version that it had is not tested again: what the memo says of it holds. */
    const size_t nodes = memo.ids.size();
    memo.ids.pop_back();
    memo.pages.back().end--;
    memo.current = false;
    found();
    EXPECT_EQ(memo.ids.size(), nodes - 1);
}

/* A memo filled when there was nothing yet knows how many nodes there are once there are some. */
TEST(FilteredScan, AMemoOfAnEmptyIndexIsMended) {
    TestIndex index({.dim = 12, .attributes = 1});
    Vectors vectors = clustered(700, 12, 8, 3);
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    Condition condition{.low = 0, .high = 0};
    auto found = [&] {
        memo.current = false;
        Scan scan(*index.index, index.context, sorter);
        ScanOptions options;
        options.filter.conditions = {&condition, 1};
        options.strategy = Strategy::kExact;
        options.memo = &memo;
        scan.begin(vectors[0].data(), options);
        size_t rows = 0;
        ScanRow row;
        while (scan.next(&row))
            rows++;
        return rows;
    };
    EXPECT_EQ(found(), 0u);
    EXPECT_EQ(memo.nodes, 0);
    Inserter inserter(*index.index, index.context, 40);
    for (uint64_t i = 0; i < vectors.size(); i++) {
        inserter.insert(vectors[i].data(), tid_of(i), {.key = {i % 10}});
        if (i == 0 || i + 1 == vectors.size()) {
            EXPECT_EQ(found(), i / 10 + 1);
            EXPECT_EQ(memo.nodes, static_cast<double>(i + 1));
        }
    }
}

TEST(FilteredScan, AWalkThatIsTooDearGivesUp) {
    Shared shared(Metric::kL2);
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

/* What is remembered of a filter from one scan to the next, and how it is mended. */
#include <gtest/gtest.h>

#include "core_check.h"
#include "core_filter_fixture.h"

namespace hnsw::core::testing {
namespace {

TEST(MatchMemo, SparesTheDirectory) {
    FilteredIndex shared(Metric::kL2);
    VectorSorter sorter;
    MatchMemo memo(&shared.index.memory);
    for (uint64_t high : {0, 40, 700, 2500}) {
        memo.reset();
        Condition condition{.low = 0, .high = high};
        const Rows expected = shared.rows_up_to(high);
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
TEST(MatchMemo, IsMended) {
    FilteredIndex shared(Metric::kL2);
    TestIndex &index = shared.index;
    Inserter inserter(*index.index, index.context, 64);
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    Condition condition{.low = 0, .high = 300};
    Rows expected = shared.rows_up_to(300);
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
    for (MatchMemo::Page &page : memo.pages) /* the last ones may have none */
        page.end = std::min(page.end, static_cast<uint32_t>(nodes - 1));
    memo.current = false;
    found();
    EXPECT_EQ(memo.ids.size(), nodes - 1);
}

/* The rows behind the nodes: those of chunks are tested one by one. */
TEST(MatchMemo, FindsRows) {
    FilteredIndex shared(Metric::kL2);
    TestIndex &index = shared.index;
    Inserter inserter(*index.index, index.context, 64);
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    Condition condition{.low = 0, .high = 30};
    const Filter filter{.conditions = {&condition, 1}};
    Rows expected = shared.rows_up_to(30);
    auto search = [&] {
        Scan scan(*index.index, index.context, sorter);
        ScanOptions options{.filter = filter, .strategy = Strategy::kExact, .memo = &memo};
        scan.begin(shared.queries[1].data(), options);
        ScanRow row;
        while (scan.next(&row)) {
        }
    };
    auto found = [&] {
        EXPECT_TRUE(memo.find_rows(*index.index, filter, &index.memory));
        Rows rows;
        uint64_t last = 0;
        for (const HeapTid &tid : memo.rows) {
            EXPECT_GT(tid.key(), last) << "not in order of the heap";
            last = tid.key();
            rows.insert(row_of(tid));
        }
        return rows;
    };
    EXPECT_FALSE(memo.find_rows(*index.index, filter, &index.memory)) << "nothing was searched for";
    search();
    EXPECT_EQ(found(), expected);
    /* They are kept, as long as nothing changes. */
    const uint64_t reads = index.stats.directory_reads;
    EXPECT_EQ(found(), expected);
    EXPECT_EQ(index.stats.directory_reads, reads);
    memo.current = false;
    EXPECT_FALSE(memo.find_rows(*index.index, filter, &index.memory));
    search();
    EXPECT_EQ(found(), expected);
    /* Values that are there already, of rows that meet the condition and rows that do not. */
    for (uint64_t row = 5000; row < 5400; row++) {
        const uint64_t key = row % 3 == 0 ? 30 : 31;
        inserter.insert(shared.vectors[row % 10].data(), tid_of(row), {.key = {key}});
        if (key == 30)
            expected.insert(row);
    }
    memo.current = false;
    search();
    EXPECT_EQ(found(), expected);
    DeadSet dead;
    for (uint64_t row = 0; row < 5200; row++)
        if (expected.erase(row) != 0)
            dead.rows.insert(row);
    remove_dead(*index.index, index.context, kVacuumMemory, dead);
    memo.current = false;
    search();
    EXPECT_EQ(found(), expected);
    /* A row without a vector meets conditions that nobody can test. */
    inserter.insert(nullptr, tid_of(9000), {.key = {7}});
    memo.current = false;
    search();
    for (int i = 0; i < 2; i++)
        EXPECT_FALSE(memo.find_rows(*index.index, filter, &index.memory));
}

/* Searches that go on asking with the same filter, or sets of rows of the same index, take a sample of the
 * directory now and then. */
TEST(SampleMemo, SparesSamples) {
    FilteredIndex shared(Metric::kL2);
    TestIndex &index = shared.index;
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    Experience experience;
    Condition condition{.low = 0, .high = 2000};
    TidSet tids(&index.memory);
    tids.begin(0, TidSet::kNoLimit);
    for (uint64_t row = 0; row < shared.vectors.size(); row++)
        if (row % 4 != 0)
            tids.add(tid_of(row));
    auto estimated = [&](bool with_tids) {
        Scan scan(*index.index, index.context, sorter);
        ScanOptions options{.ef = 10};
        if (with_tids)
            options.filter.rows = &tids;
        else
            options.filter.conditions = {&condition, 1};
        options.memo = with_tids ? nullptr : &memo;
        options.experience = &experience;
        options.wanted = 1;
        scan.begin(shared.queries[1].data(), options);
        ScanRow row;
        EXPECT_TRUE(scan.next(&row));
        EXPECT_EQ(scan.report().choice.strategy, Strategy::kPreFilter);
        return scan.report().estimated;
    };
    for (bool with_tids : {false, true}) {
        SampleMemo &sample = with_tids ? experience.sample : memo.sample;
        EXPECT_EQ(sample.uses_left, 0u);
        const double first = estimated(with_tids);
        EXPECT_NEAR(first, with_tids ? 1875 : 2001, 100);
        /* Every scan goes by it until it has been used so often. */
        for (uint32_t left = SampleMemo::kUses; left > 0; left--) {
            EXPECT_EQ(sample.uses_left, left);
            EXPECT_EQ(estimated(with_tids), first);
        }
        EXPECT_EQ(sample.uses_left, 0u);
        sample.nodes = sample.matching = 99;
        EXPECT_EQ(estimated(with_tids), first);
        EXPECT_EQ(sample.uses_left, SampleMemo::kUses);
    }
    /* Another filter has a sample of its own, and so has an index that has grown. */
    memo.reset();
    condition.high = 1500;
    EXPECT_NEAR(estimated(false), 1501, 100);
    Inserter inserter(*index.index, index.context, 64);
    uint64_t next = 20000;
    for (const auto &vector : clustered(2000, 24, 12, 9))
        inserter.insert(vector.data(), tid_of(next++), {.key = {1}});
    EXPECT_NEAR(estimated(false), 3501, 300);
}

/* Whatever has become of an index since its sample was taken, a search finds all that matches. */
TEST(SampleMemo, LosesNothingWhenStale) {
    FilteredIndex shared(Metric::kL2);
    TestIndex &index = shared.index;
    VectorSorter sorter;
    MatchMemo memo(&index.memory);
    for (uint64_t high : {3, 60, 1200})
        for (double matching : {0.0, 10.0, 2400.0, 1e9}) {
            Condition condition{.low = 0, .high = high};
            memo.reset();
            Scan scan(*index.index, index.context, sorter);
            ScanOptions options{.ef = 10};
            options.filter.conditions = {&condition, 1};
            options.memo = &memo;
            options.wanted = 10;
            scan.begin(shared.queries[0].data(), options);
            SampleMemo stale = memo.sample;
            EXPECT_EQ(stale.uses_left, SampleMemo::kUses);
            stale.matching = matching;
            stale.uses_left = 1;
            memo.reset();
            memo.sample = stale;
            scan.begin(shared.queries[1].data(), options);
            EXPECT_EQ(scan.report().estimated, matching);
            EXPECT_EQ(memo.sample.uses_left, 0u);
            Rows found;
            ScanRow row;
            while (scan.next(&row)) {
                EXPECT_TRUE(found.insert(row_of(row.tid)).second);
                EXPECT_LE(row_of(row.tid) * 7919 % shared.vectors.size(), high);
            }
            EXPECT_EQ(found.size(), high + 1) << high << " " << matching;
        }
}

/* A memo filled when there was nothing yet knows how many nodes there are once there are some. */
TEST(MatchMemo, OfAnEmptyIndexIsMended) {
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

}  // namespace
}  // namespace hnsw::core::testing

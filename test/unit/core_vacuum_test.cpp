/* VACUUM over pages in memory: nothing lost, graph as good as new, space comes back, crashes. */
#include <atomic>
#include <mutex>
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
    if (left.size() >= 2000) {
        EXPECT_LE(degree_distance(index, fresh), 0.05);
    }
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
                      Share{Metric::kInnerProduct, 48, 3, true}, Share{Metric::kL1, 24, 5, true},
                      Share{Metric::kCosine, 300, 3, true}));

/* Rows 0..n-1: distinct ones, equal ones, NULL and (cosine) zero ones. */
struct Mixed {
    Mixed(uint32_t n, uint32_t dim, uint64_t seed) : values(clustered(n, dim, 5, seed)) {
        std::mt19937_64 rng(seed);
        for (uint32_t i = 0; i < n; i++) {
            if (i % 3 == 0 && i > 0)
                values[i] = values[rng() % std::min(i, 4u)];
            null.push_back(i % 11 == 5);
            if (i % 13 == 7)
                std::fill(values[i].begin(), values[i].end(), 0.0f);
        }
    }
    const float *value(uint64_t row) const { return null[row] ? nullptr : values[row].data(); }

    Vectors values;
    std::vector<bool> null;
};

struct Crash {};

/* The next commits succeed `n` times, then everything fails. */
void crash_after(TestIndex &index, uint64_t n) {
    const uint64_t from = index.store.commits.load();
    index.store.on_commit = [from, n](uint64_t ordinal) {
        if (ordinal >= from + n)
            throw Crash();
    };
}

/* What a restarted server sees. */
void restart(TestIndex &index) {
    index.store.on_commit = nullptr;
    index.index.emplace(index.store, &index.memory);
    index.store.advance_transactions();
}

const CreateOptions kCrashCases[] = {
    {.metric = Metric::kCosine, .dim = 8, .m = 2, .ef_construction = 8, .attributes = 8},
    {.metric = Metric::kL1, .dim = 8, .m = 2, .ef_construction = 8, .attributes = 3},
    {.metric = Metric::kL2,
     .dim = 700,
     .m = 100,
     .ef_construction = 200,
     .attributes = 1},                                                  /* spanning records */
    {.metric = Metric::kL1, .dim = 9000, .m = 3, .ef_construction = 8}, /* spanning, no codes */
    {.metric = Metric::kL2, .dim = 500, .attributes = 2},               /* dense pages */
};

class CrashAt : public ::testing::TestWithParam<CreateOptions> {};

/* Inserts rows one by one while commits fail from the nth on, for all n. */
TEST_P(CrashAt, EveryCommitOfInserts) {
    const Mixed rows(60, GetParam().dim, 3);
    TestIndex index(GetParam());
    std::set<uint64_t> present;
    uint64_t next = 0;
    for (; next < 24; next++) {
        index.insert_row(rows.value(next), next);
        present.insert(next);
    }
    for (uint64_t n = 0; next < 60; n++) {
        crash_after(index, n);
        bool crashed = false;
        try {
            index.insert_row(rows.value(next), next);
        } catch (const Crash &) {
            crashed = true;
        }
        restart(index);
        Findings findings = check(index);
        ASSERT_EQ(findings.errors, 0) << "commit " << n << "\n" << findings.text;
        std::set<uint64_t> with = present;
        with.insert(next);
        std::set<uint64_t> found = all_rows(index, rows.values[0]);
        ASSERT_TRUE(found == with || (crashed && found == present)) << "commit " << n;
        if (!crashed) {
            present = with;
            next++;
            n = 0;
        } else if (found == with) {
            /* The row is there though its transaction is gone: VACUUM takes it out. */
            DeadSet dead;
            dead.rows.insert(next);
            vacuum(index, dead);
            index.store.advance_transactions();
        }
    }
    for (int i = 0; i < 3; i++) {
        DeadSet none;
        vacuum(index, none);
        index.store.advance_transactions();
    }
    expect_sound(index, present, rows.values[0]);
    Findings findings = check(index);
    EXPECT_EQ(findings.codes.count("orphan_chunk"), 0u);
    EXPECT_EQ(findings.codes.count("orphan_upper"), 0u);
    EXPECT_EQ(findings.codes.count("orphan_part"), 0u);
}

/* VACUUM fails at its nth commit, for all n; the next one finishes the job. */
TEST_P(CrashAt, EveryCommitOfVacuum) {
    const Mixed rows(70, GetParam().dim, 4);
    const uint64_t step = GetParam().dim > 100 ? 5 : 1;
    bool done = false;
    for (uint64_t n = 0; !done; n += step) {
        TestIndex index(GetParam());
        DeadSet dead;
        std::set<uint64_t> expected;
        for (uint64_t row = 0; row < rows.values.size(); row++) {
            index.insert_row(rows.value(row), row);
            if (row % 4 != 1)
                dead.rows.insert(row);
            else
                expected.insert(row);
        }
        index.store.advance_transactions();
        crash_after(index, n);
        done = true;
        try {
            vacuum(index, dead);
        } catch (const Crash &) {
            done = false;
        }
        restart(index);
        Findings findings = check(index);
        ASSERT_EQ(findings.errors, 0) << "commit " << n << "\n" << findings.text;
        for (uint64_t row : all_rows(index, rows.values[1]))
            ASSERT_TRUE(expected.count(row) == 1 || dead.rows.count(row) == 1);
        uint64_t recycled = vacuum(index, dead).slots_recycled;
        expect_sound(index, expected, rows.values[1]);
        /* Space comes back; what is put there is found. */
        index.store.advance_transactions();
        DeadSet none;
        recycled += vacuum(index, none).slots_recycled;
        EXPECT_GT(recycled, 0u);
        const BlockNo size = index.store.size();
        for (uint64_t row = 0; row < 20; row++) {
            index.insert_row(rows.value(row), 1000 + row);
            expected.insert(1000 + row);
        }
        EXPECT_LE(index.store.size(), size + 2);
        expect_sound(index, expected, rows.values[1], true);
        if (::testing::Test::HasFailure())
            FAIL() << "commit " << n;
    }
}

INSTANTIATE_TEST_SUITE_P(Layouts, CrashAt, ::testing::ValuesIn(kCrashCases));

/* VACUUM takes few dead nodes at a time when it has no memory. */
TEST(Vacuum, WorksInSeveralRounds) {
    TestIndex index({.dim = 16});
    const Mixed rows(600, 16, 5);
    DeadSet dead;
    std::set<uint64_t> expected;
    for (uint64_t row = 0; row < rows.values.size(); row++) {
        index.insert_row(rows.value(row), row);
        if (row % 4 != 1)
            dead.rows.insert(row);
        else
            expected.insert(row);
    }
    remove_dead(*index.index, index.context, 32, dead);
    expect_sound(index, expected, rows.values[1]);
    index.store.advance_transactions();
    DeadSet none;
    EXPECT_GT(remove_dead(*index.index, index.context, 32, none).slots_recycled, 100u);
    expect_sound(index, expected, rows.values[1]);
}

TEST(Vacuum, EmptiesAndRefills) {
    TestIndex index({.dim = 12, .m = 4, .ef_construction = 16});
    Vectors rows = clustered(500, 12, 5, 6);
    index.insert(rows);
    DeadSet dead;
    for (uint64_t row = 0; row < rows.size(); row++)
        dead.rows.insert(row);
    EXPECT_EQ(vacuum(index, dead).rows_left, 0u);
    expect_sound(index, {}, rows[0]);
    index.index->refresh();
    EXPECT_EQ(index.index->meta().entry_base, kNoNode);
    index.insert(rows, 1000);
    std::set<uint64_t> expected;
    for (uint64_t row = 0; row < rows.size(); row++)
        expected.insert(1000 + row);
    expect_sound(index, expected, rows[0], true);
}

TEST(Vacuum, SecondRoundReusesTheSpace) {
    TestIndex index({.dim = 16});
    Vectors rows = clustered(2000, 16, 5, 7);
    index.insert(rows);
    std::set<uint64_t> expected;
    DeadSet dead;
    auto round = [&](uint64_t first) {
        for (uint64_t row = first; row < first + 2000; row++)
            if (row % 10 != 0)
                dead.rows.insert(row);
            else
                expected.insert(row);
        for (auto it = expected.begin(); it != expected.end();)
            it = dead.rows.count(*it) != 0 ? expected.erase(it) : std::next(it);
        VacuumResult result = vacuum(index, dead);
        index.store.advance_transactions();
        return result;
    };
    EXPECT_EQ(round(0).slots_recycled, 0u); /* not at once: a scan may stand there */
    const BlockNo before = index.store.size();
    for (uint64_t row : std::set<uint64_t>(expected))
        if (row % 20 == 0) {
            dead.rows.insert(row);
            expected.erase(row);
        }
    EXPECT_GT(vacuum(index, dead).slots_recycled, 1700u);
    dead.rows.clear();
    Vectors fresh = clustered(1800, 16, 5, 8);
    index.insert(fresh, 2000);
    for (uint64_t row = 2000; row < 3800; row++)
        expected.insert(row);
    EXPECT_LE(index.store.size(), before + before / 10);
    expect_sound(index, expected, rows[0], true);
}

/* A freed slot is not filled while somebody who may know the old record is running. */
TEST(Vacuum, WaitsForThoseWhoMayStandThere) {
    TestIndex index({.dim = 8});
    Vectors rows = clustered(300, 8, 3, 9);
    index.insert(rows);
    DeadSet dead;
    for (uint64_t row = 0; row < 150; row++)
        dead.rows.insert(row);
    vacuum(index, dead);
    DeadSet none;
    index.store.transaction++; /* time goes on, but the oldest is still running */
    EXPECT_EQ(vacuum(index, none).slots_recycled, 0u);
    index.store.advance_transactions();
    EXPECT_GE(vacuum_cleanup(*index.index, index.context, kVacuumMemory).slots_recycled, 150u);
}

/* A scan that read a node before VACUUM shortened its chain still returns the rows that are left. */
TEST(Vacuum, ScanReadsAChainThatIsShortened) {
    TestIndex index({.dim = 8});
    Vectors rows = clustered(20, 8, 3, 10);
    index.insert(rows);
    Vectors copies(400, rows[3]);
    index.insert(copies, 1000);
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(rows[3].data(), {});
    ScanRow row;
    ASSERT_TRUE(scan.next(&row)); /* the beam has been run: the other nodes are waiting */
    scan.begin(rows[8].data(), {});
    ASSERT_TRUE(scan.next(&row));
    DeadSet dead;
    std::set<uint64_t> expected;
    for (uint64_t r = 0; r < 400; r++)
        if (r / 26 % 2 == 1 || r > 350)
            dead.rows.insert(1000 + r);
        else
            expected.insert(1000 + r);
    dead.rows.insert(3);
    vacuum(index, dead);
    std::set<uint64_t> found;
    while (scan.next(&row))
        if (row_of(row.tid) >= 1000) {
            EXPECT_TRUE(found.insert(row_of(row.tid)).second);
        }
    EXPECT_EQ(found, expected);
}

/* Random operations against a set of rows. */
class RandomOperations : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomOperations, AgreeWithASet) {
    std::mt19937_64 rng(GetParam());
    const Metric metrics[] = {Metric::kL2, Metric::kCosine, Metric::kInnerProduct, Metric::kL1};
    const Metric metric = metrics[GetParam() % 4];
    const bool dense = GetParam() >= 8; /* pages */
    const auto m = static_cast<uint32_t>(dense ? 12 + rng() % 4 : 2 + rng() % 14);
    const auto dim = static_cast<uint32_t>(dense ? 300 : 1 + rng() % 40);
    TestIndex index({.metric = metric,
                     .dim = dim,
                     .m = m,
                     .ef_construction = 2 * m + 10,
                     .attributes = static_cast<uint32_t>(GetParam() * 3 % 9)});
    EXPECT_EQ(index.index->layouts().has_dense(), dense && metric != Metric::kL1);
    Vectors pool = clustered(300, dim, 4, GetParam());
    pool.push_back(std::vector<float>(dim, 0.0f));
    std::set<uint64_t> live;
    DeadSet dead; /* deleted in the heap, not yet vacuumed */
    uint64_t next = 0;
    for (int step = 0; step < 60; step++) {
        switch (rng() % 6) {
            case 0:
            case 1:
            case 2:
                for (uint64_t n = rng() % 60; n > 0; n--) {
                    const bool null = rng() % 20 == 0;
                    const float *value = null ? nullptr : pool[rng() % pool.size()].data();
                    index.insert_row(value, next);
                    live.insert(next++);
                }
                break;
            case 3:
                for (auto it = live.begin(); it != live.end();) {
                    if (rng() % 3 == 0) {
                        dead.rows.insert(*it);
                        it = live.erase(it);
                    } else {
                        ++it;
                    }
                }
                break;
            case 4:
                remove_dead(*index.index, index.context, rng() % 2 == 0 ? 50 : kVacuumMemory, dead);
                dead.rows.clear();
                break;
            default:
                index.store.advance_transactions();
        }
        if (step % 5 != 4)
            continue;
        Findings findings = check(index);
        ASSERT_EQ(findings.errors, 0) << "step " << step << "\n" << findings.text;
        std::set<uint64_t> rows = live;
        rows.insert(dead.rows.begin(), dead.rows.end());
        expect_attributes(index);
        ASSERT_EQ(all_rows(index, pool[rng() % 300]), rows) << "step " << step;
        ASSERT_EQ(std::set<uint64_t>(findings.rows.begin(), findings.rows.end()), rows);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, ::testing::Range<uint64_t>(0, 12));

/* Transactions of a test's threads: slots freed while one runs are not filled before it ends. */
class Transactions {
public:
    explicit Transactions(MemStore &store) : store_(store) {}
    uint64_t begin() {
        std::lock_guard lock(mutex_);
        const uint64_t id = store_.transaction++;
        running_.insert(id);
        return id;
    }
    void end(uint64_t id) {
        std::lock_guard lock(mutex_);
        running_.erase(id);
        store_.oldest_running = running_.empty() ? store_.transaction.load() : *running_.begin();
    }

private:
    MemStore &store_;
    std::mutex mutex_;
    std::set<uint64_t> running_;
};

/* Inserts, scans, VACUUMs and the checker at the same time: rows that stay are always found, and
 * nobody ever sees a broken invariant. */
TEST(Vacuum, BesideInsertsAndScans) {
    constexpr uint32_t kDim = 12;
    constexpr uint64_t kStaying = 200;
    TestIndex shared({.dim = kDim, .m = 6, .ef_construction = 24, .attributes = 2});
    const Vectors values = clustered(1500, kDim, 5, 12);
    shared.insert(Vectors(values.begin(), values.begin() + kStaying));
    Transactions transactions(shared.store);
    std::mutex mutex;
    std::set<uint64_t> inserted; /* and not yet dead */
    std::atomic<int> writers{2};
    auto insert_some = [&](uint64_t first, uint64_t step) {
        Stats stats;
        Context context{&shared.memory, &stats};
        Index index(shared.store, &shared.memory);
        for (uint64_t row = first; row < values.size(); row += step) {
            const uint64_t id = transactions.begin();
            const size_t value = row % 7 == 0 ? row % 40 : row; /* equal rows too */
            Inserter(index, context, 24)
                .insert(values[value].data(), tid_of(row), attributes_of(tid_of(row), 2));
            transactions.end(id);
            std::lock_guard lock(mutex);
            inserted.insert(row);
        }
        writers--;
    };
    auto scan_until_done = [&] {
        Stats stats;
        Context context{&shared.memory, &stats};
        Index index(shared.store, &shared.memory);
        VectorSorter sorter;
        for (uint64_t n = 0; writers > 0; n++) {
            const uint64_t id = transactions.begin();
            Scan scan(index, context, sorter);
            scan.begin(values[n % values.size()].data(), {.ef = 10});
            std::set<uint64_t> found;
            ScanRow row;
            while (scan.next(&row))
                if (row_of(row.tid) < kStaying) {
                    EXPECT_TRUE(found.insert(row_of(row.tid)).second);
                }
            EXPECT_EQ(found.size(), kStaying);
            transactions.end(id);
        }
    };
    auto vacuum_until_done = [&] {
        Stats stats;
        Context context{&shared.memory, &stats};
        Index index(shared.store, &shared.memory);
        std::mt19937_64 rng(1);
        while (writers > 0) {
            DeadSet dead;
            {
                std::lock_guard lock(mutex);
                for (auto it = inserted.begin(); it != inserted.end();)
                    if (rng() % 2 == 0) {
                        dead.rows.insert(*it);
                        it = inserted.erase(it);
                    } else {
                        ++it;
                    }
            }
            remove_dead(index, context, kVacuumMemory, dead);
            Findings findings;
            verify(index, context, findings);
            EXPECT_EQ(findings.errors, 0) << findings.text;
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(insert_some, kStaying, 2);
    threads.emplace_back(insert_some, kStaying + 1, 2);
    threads.emplace_back(scan_until_done);
    threads.emplace_back(vacuum_until_done);
    for (std::thread &thread : threads)
        thread.join();

    DeadSet none;
    shared.store.advance_transactions();
    vacuum(shared, none);
    for (uint64_t row = 0; row < kStaying; row++)
        inserted.insert(row);
    expect_sound(shared, inserted, values[0]);
}

}  // namespace
}  // namespace hnsw::core::testing

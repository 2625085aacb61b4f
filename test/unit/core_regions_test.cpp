/* Builds with less memory than the graph needs: the regions, the index they become, the memory used. */
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <new>
#include <numeric>
#include <thread>

#include "core/build_regions.h"
#include "core/verify.h"
#include "core_attributes.h"
#include "core_fixture.h"

namespace hnsw::core::testing {
namespace {

class VectorSpool final : public Spool {
public:
    void write(const void *bytes, size_t n) override {
        const auto *from = static_cast<const char *>(bytes);
        bytes_.insert(bytes_.end(), from, from + n);
    }
    void rewind() override { at_ = 0; }
    bool read(void *bytes, size_t n) override {
        if (at_ == bytes_.size())
            return false;
        EXPECT_LE(n, bytes_.size() - at_);
        std::copy_n(&bytes_[at_], n, static_cast<char *>(bytes));
        at_ += n;
        return true;
    }

private:
    std::vector<char> bytes_;
    size_t at_ = 0;
};

class VectorSpools final : public SpoolSource {
public:
    ~VectorSpools() override { EXPECT_EQ(open_, 0); }
    Spool *create() override {
        open_++;
        return new VectorSpool;
    }
    void destroy(Spool *spool) override {
        open_--;
        delete spool;
    }

private:
    int open_ = 0;
};

/* Counts the bytes that are allocated. */
class CountingResource final : public std::pmr::memory_resource {
public:
    size_t now = 0;
    size_t peak = 0;

private:
    void *do_allocate(size_t bytes, size_t alignment) override {
        now += bytes;
        peak = std::max(peak, now);
        return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void do_deallocate(void *p, size_t bytes, size_t alignment) override {
        now -= bytes;
        std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
    }
    bool do_is_equal(const memory_resource &other) const noexcept override {
        return this == &other;
    }
};

/* Helpers that are threads. */
class ThreadCrew final : public Crew {
public:
    ThreadCrew(uint32_t helpers, const Space &space, const CreateOptions &options)
        : helpers_(helpers), space_(space), options_(options) {}
    uint32_t most() const override { return helpers_ + 1; }
    void *gather(size_t bytes) override {
        memory_ = ::operator new (bytes, std::align_val_t{64});
        for (uint32_t i = 0; i < helpers_; i++)
            threads_.emplace_back([this] { help(); });
        return memory_;
    }
    void begin_round() override {
        const std::lock_guard<std::mutex> lock(mutex_);
        round_++;
        open_ = true;
        changed_.notify_all();
    }
    void end_round() override {
        std::unique_lock<std::mutex> lock(mutex_);
        /* On a busy machine a round would often be over before a thread has noticed it. */
        if (round_ <= kMet)
            changed_.wait(lock, [&] { return joined_ >= round_ * helpers_; });
        open_ = false;
        changed_.wait(lock, [&] { return at_work_ == 0; });
    }
    void dismiss() override {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            over_ = true;
            changed_.notify_all();
        }
        for (std::thread &thread : threads_)
            thread.join();
        ::operator delete (memory_, std::align_val_t{64});
    }
    uint64_t joined() const { return joined_; }

private:
    static constexpr uint64_t kMet = 20; /* rounds that every helper joins */

    void help() {
        CrewMember member(
            static_cast<CrewBoard *>(memory_), space_, options_, [] {},
            std::pmr::new_delete_resource());
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t last = 0;;) {
            changed_.wait(lock, [&] { return over_ || (open_ && round_ != last); });
            if (over_)
                return;
            last = round_;
            joined_++;
            at_work_++;
            changed_.notify_all();
            lock.unlock();
            member.take_part();
            lock.lock();
            at_work_--;
            changed_.notify_all();
        }
    }

    const uint32_t helpers_;
    const Space &space_;
    const CreateOptions &options_;
    void *memory_ = nullptr;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t round_ = 0;
    uint64_t joined_ = 0; /* rounds, by all helpers */
    uint32_t at_work_ = 0;
    bool open_ = false;
    bool over_ = false;
};

struct Spec {
    CreateOptions create;
    size_t budget;
    uint32_t regions = 0; /* 0: as planned */
    uint32_t helpers = 0;
};

struct Built {
    uint64_t singly = 0;
    uint32_t regions = 0;
    size_t peak = 0;
};

/* Builds an index of the rows; those that are empty are NULL. */
Built build(MemStore &store, const Spec &spec, const Vectors &rows) {
    CountingResource memory;
    const CreateOptions &create = spec.create;
    Space plain(create.metric, create.dim, 0, 0, {}, &memory);
    Query query(&memory);
    std::vector<float> sample;
    std::vector<double> sum(create.dim);
    uint32_t summed = 0;
    for (size_t i = 0; i < rows.size(); i += 3) {
        if (rows[i].empty() || !plain.accumulate(rows[i].data(), sum.data()))
            continue;
        summed++;
        plain.prepare(rows[i].data(), &query);
        sample.insert(sample.end(), query.value.begin(), query.value.end());
    }
    std::vector<float> centre;
    for (double x : sum)
        centre.push_back(static_cast<float>(x / std::max(summed, 1u)));
    RegionPlan plan =
        plan_regions(create, static_cast<double>(rows.size()), spec.budget, spec.helpers + 1);
    EXPECT_GT(plan.regions, 1u);
    if (spec.regions != 0)
        plan.regions = spec.regions;
    Regions regions(create.dim, &memory);
    regions.fit(sample, plan.regions, plan.copied, [] {});
    create_index_with_centre(
        store, create, create.metric == Metric::kInnerProduct ? nullptr : centre.data(), &memory);
    Stats stats;
    Index index(store, &memory);
    VectorSpools spools;
    NoCrew nobody(&memory);
    ThreadCrew threads(spec.helpers, index.space(), create);
    Crew *crew = &nobody;
    if (spec.helpers != 0)
        crew = &threads;
    RegionBuild build(index, {&memory, &stats}, create, regions, spools, *crew, spec.budget, [] {});
    const size_t before = memory.now;
    memory.peak = before;
    for (size_t i = 0; i < rows.size(); i++)
        build.add(rows[i].empty() ? nullptr : rows[i].data(), tid_of(i),
                  attributes_of(tid_of(i), create.attributes));
    build.finish();
    if (spec.helpers != 0) {
        EXPECT_GE(threads.joined(), spec.helpers) << "nobody helped";
    }
    return {build.inserted_singly(), regions.count(), memory.peak - before};
}

class Findings final : public FindingSink {
public:
    void report(const Finding &finding) override {
        ADD_FAILURE() << finding.code << " at block " << finding.block << ": " << finding.detail;
    }
    void row(HeapTid, const Attributes *) override {}
};

void expect_sound(TestIndex &test, size_t rows) {
    Findings findings;
    verify(*test.index, test.context, findings);
    VectorSorter sorter;
    Scan scan(*test.index, test.context, sorter);
    const std::vector<float> query(test.index->meta().dim, 0.5f);
    scan.begin(query.data(), {});
    std::set<uint64_t> seen;
    for (ScanRow row; scan.next(&row);)
        EXPECT_TRUE(seen.insert(row_of(row.tid)).second) << "a row twice";
    EXPECT_EQ(seen.size(), rows);
}

TEST(Regions, AreEvenAndOverlap) {
    constexpr uint32_t kDim = 48;
    Vectors rows = clustered(6000, kDim, 40, 1);
    std::vector<float> sample;
    for (size_t i = 0; i < rows.size(); i += 6)
        sample.insert(sample.end(), rows[i].begin(), rows[i].end());
    for (const auto &[count, copied] :
         {std::pair{1u, 0.0}, {2u, 0.3}, {7u, 0.3}, {24u, 0.3}, {24u, 1.2}, {24u, 9.0}}) {
        Regions regions(kDim, std::pmr::get_default_resource());
        EXPECT_EQ(regions.count(), 1u);
        regions.fit(sample, count, copied, [] {});
        ASSERT_EQ(regions.count(), count);
        std::vector<uint32_t> homes(count);
        size_t copies = 0;
        size_t most = 0;
        std::pmr::vector<uint32_t> others;
        for (const auto &row : rows) {
            const uint32_t home = regions.find(row.data(), &others);
            ASSERT_LT(home, count);
            homes[home]++;
            std::set<uint32_t> different(others.begin(), others.end());
            different.insert(home);
            EXPECT_EQ(different.size(), others.size() + 1);
            EXPECT_LT(*different.rbegin(), count);
            copies += others.size();
            most = std::max(most, others.size());
        }
        EXPECT_LE(*std::max_element(homes.begin(), homes.end()), 1.5 * 6000 / count);
        EXPECT_GE(*std::min_element(homes.begin(), homes.end()), 0.5 * 6000 / count);
        /* A value has as many borders as its region is deep: those of 24 are 4 or 5. */
        const double all = copied > 4 ? 4.7 : copied;
        EXPECT_NEAR(static_cast<double>(copies) / 6000, all, 0.05 + all / 15);
        EXPECT_EQ(most > 1, count > 2) << "copies across one border only";
    }
}

TEST(Regions, OfDegenerateSamples) {
    for (size_t rows : {0, 1, 15, 400}) {
        const std::vector<float> sample(rows * 4, 2.5f); /* all the same */
        Regions regions(4, std::pmr::get_default_resource());
        regions.fit(sample, 8, 0.3, [] {});
        EXPECT_GE(regions.count(), 1u);
        const std::vector<float> large(4, 3e38f);
        std::pmr::vector<uint32_t> copies;
        EXPECT_LT(regions.find(large.data(), &copies), regions.count());
        EXPECT_LT(regions.find(sample.data(), &copies), regions.count());
    }
}

class RegionMetric : public ::testing::TestWithParam<Metric> {};

TEST_P(RegionMetric, BuildsAnIndexAsGoodAsAWholeOne) {
    constexpr uint32_t kDim = 48;
    Spec spec{.create = {.metric = GetParam(), .dim = kDim, .attributes = 3}, .budget = 0};
    Vectors rows = clustered(10000, kDim, 40, 3);
    std::set<std::vector<float>> different;
    for (size_t i = 0; i < rows.size(); i++) {
        if (i % 10 == 9)
            rows[i] = rows[i / 100]; /* many rows of few nodes */
        if (i % 500 == 250)
            rows[i] = std::vector<float>(kDim, 0.0f);
        different.insert(rows[i]);
    }
    spec.budget = different.size() * arena_bytes_per_row(spec.create) / 4;
    Built built;
    Vectors with_nulls = rows;
    for (size_t i = 0; i < rows.size(); i += 400)
        with_nulls[i].clear();
    TestIndex test(spec.create, [&](MemStore &store) { built = build(store, spec, with_nulls); });
    EXPECT_GE(built.regions, 4u);
    EXPECT_LE(built.singly, rows.size() / 50);
    expect_sound(test, rows.size());
    const size_t outside =
        rows.size() / 400 + (GetParam() == Metric::kCosine ? rows.size() / 500 : 0);
    EXPECT_EQ(expect_attributes(test), rows.size() - outside);

    Vectors queries = clustered(100, kDim, 40, 4);
    Vectors more = clustered(100, kDim, 40, 5);
    if (GetParam() == Metric::kCosine)
        for (auto &row : rows)
            if (row == std::vector<float>(kDim, 0.0f))
                row[0] = -1; /* far from everything, as rows without direction are */
    EXPECT_GE(test.recall(queries, rows, 40, 10), GetParam() == Metric::kInnerProduct ? 0.9 : 0.97);
    EXPECT_GE(test.recall(queries, rows, 200, 10), 0.99);

    test.insert(more, rows.size());
    expect_sound(test, rows.size() + more.size());
}

INSTANTIATE_TEST_SUITE_P(Metrics, RegionMetric,
                         ::testing::Values(Metric::kL2, Metric::kCosine, Metric::kInnerProduct));

TEST(RegionBuild, StaysWithinItsMemory) {
    Spec spec{.create = {.dim = 128}, .budget = size_t{2} << 20};
    Vectors rows = clustered(10000, 128, 50, 6);
    Built built;
    TestIndex test(spec.create, [&](MemStore &store) { built = build(store, spec, rows); });
    EXPECT_LE(built.peak, spec.budget);
    EXPECT_GE(built.peak, spec.budget / 2);
    expect_sound(test, rows.size());
}

/* The regions came out uneven: what does not fit is inserted. */
TEST(RegionBuild, InsertsWhatFindsNoRoom) {
    Spec spec{.create = {.dim = 24, .attributes = 1}, .budget = size_t{500} << 10, .regions = 2};
    Vectors rows = clustered(4000, 24, 20, 7);
    Built built;
    TestIndex test(spec.create, [&](MemStore &store) { built = build(store, spec, rows); });
    EXPECT_GE(built.singly, 100u);
    EXPECT_LT(built.singly, 3000u);
    expect_sound(test, rows.size());
    EXPECT_EQ(expect_attributes(test), rows.size());
    TestIndex inserted(spec.create);
    inserted.insert(rows);
    Vectors queries = clustered(50, 24, 20, 8);
    EXPECT_GE(test.recall(queries, rows, 100, 10), inserted.recall(queries, rows, 100, 10) - 0.02);
}

/* What helpers add is as good, all of it is there once, and rows without room are inserted as ever. */
TEST(RegionBuild, WithHelpers) {
    const CreateOptions create{.metric = Metric::kCosine, .dim = 24, .attributes = 1};
    Vectors rows = clustered(6000, 24, 20, 7);
    for (size_t i = 0; i < 500; i++)
        rows[5500 + i] = rows[i]; /* equal ones race each other */
    const Vectors queries = clustered(50, 24, 20, 8);
    TestIndex alone(create, [&](MemStore &store) {
        EXPECT_EQ(build(store, {create, size_t{1300} << 10}, rows).singly, 0u);
    });
    const double recall = alone.recall(queries, rows, 40, 10);
    for (uint32_t regions : {0u, 2u}) {
        const Spec spec{create, size_t{1300} << 10, regions, 3};
        Built built;
        TestIndex test(create, [&](MemStore &store) { built = build(store, spec, rows); });
        EXPECT_EQ(built.singly > 0, regions == 2);
        expect_sound(test, rows.size());
        EXPECT_EQ(expect_attributes(test), rows.size());
        EXPECT_GE(test.recall(queries, rows, 40, 10), recall - 0.02);
    }
}

/* Homes and what merging leaves them fit the pages that have room for fewer links. */
TEST(RegionBuild, OfDensePages) {
    const CreateOptions create{.metric = Metric::kCosine, .dim = 300};
    const Vectors rows = clustered(4000, 300, 30, 3);
    const Vectors queries = clustered(50, 300, 30, 4);
    Built built;
    TestIndex test(create, [&](MemStore &store) {
        built = build(store, {create, rows.size() * arena_bytes_per_row(create) / 3}, rows);
    });
    ASSERT_TRUE(test.index->layouts().has_dense());
    EXPECT_GE(built.regions, 3u);
    EXPECT_EQ(built.singly, 0u);
    expect_sound(test, rows.size());
    EXPECT_GE(test.recall(queries, rows, 40, 10), 0.97);
}

/* The more regions, the more rows have neighbours in others; but more copies make more regions, whose
 * spools must not take the memory. */
TEST(RegionBuild, CopiesMoreOfMoreRegions) {
    const RegionPlan few = plan_regions({.dim = 128}, 3e5, size_t{64} << 20, 1);
    const RegionPlan many = plan_regions({.dim = 128}, 3e6, size_t{64} << 20, 1);
    const RegionPlan tiny = plan_regions({.dim = 128}, 1e5, size_t{3} << 20, 1);
    EXPECT_LE(few.regions, 5u);
    EXPECT_LT(few.copied, 0.45);
    EXPECT_GE(many.regions, 30u);
    EXPECT_GE(many.copied, 1.2);
    EXPECT_LE(many.copied, 2.0);
    EXPECT_GE(tiny.regions, 25u);
    EXPECT_LE(tiny.copied, few.copied);
}

/* There were so many regions that their spools left next to nothing to the arena, and most rows were
 * inserted one by one. */
TEST(RegionBuild, SpoolsLeaveHalfTheMemory) {
    constexpr size_t kBudget = size_t{1} << 20;
    for (uint32_t dim : {64u, 768u}) {
        uint32_t most = 0;
        for (double rows = 1e3; rows < 1e5; rows *= 1.1)
            most = std::max(most, plan_regions({.dim = dim}, rows, kBudget, 1).regions);
        EXPECT_GE(most, 16u);
        EXPECT_LE(most, kBudget / 2 / (size_t{20} << 10));
    }
    const Spec spec{{.dim = 48}, size_t{700} << 10};
    const Vectors rows = clustered(15000, 48, 40, 9);
    Built built;
    TestIndex test(spec.create, [&](MemStore &store) { built = build(store, spec, rows); });
    EXPECT_LE(built.singly, rows.size() / 4);
    expect_sound(test, rows.size());
}

TEST(RegionBuild, OfTooLittleMemoryOrWithoutCodesIsNotPlanned) {
    EXPECT_EQ(plan_regions({.dim = 128}, 1e6, size_t{100} << 10, 1).regions, 0u);
    EXPECT_EQ(plan_regions({.dim = 128}, 1e9, size_t{64} << 20, 1).regions, 0u);
    EXPECT_EQ(plan_regions({.metric = Metric::kL1, .dim = 128}, 1e6, size_t{64} << 20, 1).regions,
              0u);
    EXPECT_GE(plan_regions({.dim = 128}, 1e6, size_t{64} << 20, 1).regions, 8u);
}

TEST(RegionBuild, OfNothingAndOfRowsWithoutVectors) {
    Spec spec{.create = {.dim = 8}, .budget = size_t{500} << 10};
    TestIndex empty(spec.create, [&](MemStore &store) {
        EXPECT_EQ(build(store, {spec.create, spec.budget, 3}, Vectors(3000)).singly, 0u);
    });
    expect_sound(empty, 3000);
    empty.insert(clustered(50, 8, 5, 9), 3000);
    expect_sound(empty, 3050);
}

TEST(RegionBuild, RecordsOfSeveralPages) {
    const CreateOptions create{.dim = 400, .m = 100, .ef_construction = 200};
    ASSERT_GT(layouts_of(create).usual.parts, 1u);
    Spec spec{.create = create, .budget = size_t{1600} << 10};
    Vectors rows = clustered(1000, 400, 5, 10);
    TestIndex test(create, [&](MemStore &store) { build(store, spec, rows); });
    expect_sound(test, rows.size());
    EXPECT_GE(test.recall(clustered(10, 400, 5, 11), rows, 100, 10), 0.95);
}

}  // namespace
}  // namespace hnsw::core::testing

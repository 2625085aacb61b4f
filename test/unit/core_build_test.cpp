/* CREATE INDEX's graph: recall, degrees, reachability, equal rows, memory bound, threads, pages. */
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "core/build.h"
#include "core/build_write.h"
#include "core/record_io.h"
#include "core/verify.h"
#include "core_attributes.h"
#include "core_fixture.h"

namespace hnsw::core::testing {
namespace {

constexpr std::byte kGuard{0xA5};

/* An arena with guard bytes on both sides. */
class TestArena {
public:
    TestArena(size_t bytes, const ArenaShape &shape)
        : bytes_(bytes), memory_(static_cast<std::byte *>(std::aligned_alloc(64, bytes + 128))) {
        std::fill_n(memory_, bytes + 128, kGuard);
        Arena::format(memory_ + 64, bytes, shape);
        arena.emplace(memory_ + 64);
    }
    ~TestArena() {
        for (size_t i = 0; i < 64; i++) {
            EXPECT_EQ(memory_[i], kGuard) << "before the arena";
            EXPECT_EQ(memory_[64 + bytes_ + i], kGuard) << "behind the arena";
        }
        std::free(memory_);
    }
    std::optional<Arena> arena;

private:
    size_t bytes_;
    std::byte *memory_;
};

struct BuildSpec {
    CreateOptions create;
    unsigned threads = 1;
    size_t memory = size_t{64} << 20;
    bool centre = true;
};

std::vector<float> mean(const Vectors &rows, const CreateOptions &create) {
    Space plain(create.metric, create.dim, 0, 0, {}, std::pmr::get_default_resource());
    std::vector<double> sum(create.dim);
    size_t n = 0;
    for (const auto &row : rows)
        n += plain.accumulate(row.data(), sum.data());
    std::vector<float> out;
    for (double x : sum)
        out.push_back(n == 0 ? 0 : static_cast<float>(x / static_cast<double>(n)));
    return out;
}

/* Builds an index of rows 0..n-1 into `store`; `null_row` says which have no vector. Returns the
 * rows that the arena had no room for. */
std::vector<uint64_t> build(MemStore &store, const BuildSpec &spec, const Vectors &rows,
                            const std::set<uint64_t> &null_rows = {}) {
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    std::vector<float> centre = mean(rows, spec.create);
    const bool has_centre = spec.centre && spec.create.metric != Metric::kInnerProduct;
    Space::Centres centres;
    centres.coordinates[0] = has_centre ? centre.data() : nullptr;
    const IndexLayouts layouts = layouts_of(spec.create);
    Space space(spec.create.metric, spec.create.dim, layouts.usual.bits, spec.create.rotation_seed,
                centres, memory);
    TestArena guarded(spec.memory, arena_shape(spec.create));
    Arena &arena = *guarded.arena;
    std::atomic<uint64_t> next{0};
    std::mutex mutex;
    std::vector<uint64_t> left_over;
    auto in_threads = [&](auto &&work) {
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < spec.threads; t++)
            threads.emplace_back(work);
        for (std::thread &thread : threads)
            thread.join();
    };
    in_threads([&] {
        BuildWorker worker(
            arena, space, spec.create, [] {}, memory);
        for (uint64_t i; (i = next.fetch_add(1)) < rows.size();) {
            const float *value = null_rows.contains(i) ? nullptr : rows[i].data();
            if (worker.add(value, tid_of(i), attributes_of(tid_of(i), spec.create.attributes)) ==
                BuildWorker::Added::kFull) {
                std::lock_guard lock(mutex);
                left_over.push_back(i);
            }
        }
    });
    EXPECT_LE(arena.used_bytes(), spec.memory);
    EXPECT_EQ(arena.full(), !left_over.empty());
    in_threads([&] {
        BuildWorker worker(
            arena, space, spec.create, [] {}, memory);
        while (worker.trim_some()) {
        }
    });
    BuildWorker worker(
        arena, space, spec.create, [] {}, memory);
    const BuildPlaces places(spec.create, centres.coordinates[0] != nullptr);
    worker.connect(&places);
    const SearchWidths widths = measure_widths(
        arena, space, spec.create, arena.free_bytes(), [] {}, memory);
    EXPECT_EQ(widths.beam_factor == 0, arena.node_count() < 1000);
    EXPECT_EQ(widths.descent_width == 0, arena.node_count() < 1000);
    EXPECT_LE(widths.beam_factor, spec.create.metric == Metric::kL1 ? 1 : 2);
    EXPECT_LE(widths.descent_width, 16);
    MemSink sink(store);
    const float *written_centre = centres.coordinates[0];
    in_threads([&] {
        GraphWriter writer(arena, space, spec.create, written_centre, sink, memory);
        while (writer.write_some()) {
        }
    });
    GraphWriter(arena, space, spec.create, written_centre, sink, memory).write_rest(widths);
    return left_over;
}

struct Shape {
    size_t nodes = 0;
    size_t unreachable = 0;
    size_t full_lists = 0;
    size_t uppers = 0;
};

/* What the checker has to say. */
class Findings final : public FindingSink {
public:
    void report(const Finding &finding) override {
        ADD_FAILURE() << finding.code << " at block " << finding.block << ": " << finding.detail;
    }
    void row(HeapTid, const Attributes *) override {}
};

/* Reads every base record by number; checks links, and follows them from the entry point. */
Shape check_pages(TestIndex &test) {
    Index &index = *test.index;
    Findings findings;
    verify(index, test.context, findings);
    expect_attributes(test);
    Shape shape;
    const MetaPage meta = index.meta();
    const IndexLayouts &layouts = index.layouts();
    RecordRef record(index.store(), layouts, RecordClass::kBase, &test.memory);
    RecordRef up(index.store(), layouts, RecordClass::kUpper, &test.memory);
    std::set<NodeId> nodes;
    std::map<NodeId, std::vector<NodeId>> links;
    for (BlockNo block = 1; block < test.store.size(); block++) {
        if (page_kind(test.store.raw(block)) != PageKind::kBase)
            continue;
        for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
            NodeId id = layouts.id_of(block, slot);
            if (!record.read(id))
                continue;
            nodes.insert(id);
            const RecordView &view = record.view();
            EXPECT_EQ(view.head().state, RecordState::kLive);
            EXPECT_TRUE(view.head().tid.tid().valid());
            std::vector<NodeId> to(view.ids(), view.ids() + view.count());
            shape.full_lists += view.count() == view.layout->slots;
            EXPECT_EQ(std::set<NodeId>(to.begin(), to.end()).size(), to.size()) << "repeated link";
            EXPECT_EQ(std::count(to.begin(), to.end(), id), 0) << "link to itself";
            links[id] = to;
            NodeId next = view.head().up;
            NodeId below = id;
            const uint32_t top = view.head().level;
            record.release(); /* a reader holds one page at a time */
            for (uint32_t layer = 1; layer <= top; layer++) {
                if (!up.read(next)) {
                    ADD_FAILURE() << "no upper record";
                    break;
                }
                EXPECT_EQ(up.view().head().level, layer);
                EXPECT_EQ(up.view().head().down, below);
                EXPECT_LE(up.view().count(), up.view().layout->slots);
                below = next;
                next = up.view().head().up;
                shape.uppers++;
            }
            up.release();
            EXPECT_EQ(next, kNoNode);
        }
    }
    shape.nodes = nodes.size();
    std::set<NodeId> reached;
    std::vector<NodeId> queue = {meta.entry_base};
    while (!queue.empty()) {
        NodeId id = queue.back();
        queue.pop_back();
        if (!reached.insert(id).second)
            continue;
        EXPECT_TRUE(nodes.contains(id)) << "link to nowhere";
        for (NodeId to : links[id])
            queue.push_back(to);
    }
    shape.unreachable = nodes.size() - reached.size();
    return shape;
}

/* All rows of the index in scan order. */
std::multiset<uint64_t> all_rows(TestIndex &test, const std::vector<float> &query) {
    VectorSorter sorter;
    Scan scan(*test.index, test.context, sorter);
    scan.begin(query.data(), {});
    std::multiset<uint64_t> out;
    for (ScanRow row; scan.next(&row);)
        out.insert(row_of(row.tid));
    return out;
}

std::multiset<uint64_t> numbers(uint64_t n) {
    std::multiset<uint64_t> out;
    for (uint64_t i = 0; i < n; i++)
        out.insert(i);
    return out;
}

struct MetricCase {
    Metric metric;
    uint32_t dim;
    double floor;
};

class BuiltIndex : public ::testing::TestWithParam<MetricCase> {};

TEST_P(BuiltIndex, FindsNearestRowsAndKeepsTheRules) {
    const MetricCase &c = GetParam();
    BuildSpec spec{.create = {.metric = c.metric, .dim = c.dim, .attributes = c.dim % 7}};
    Vectors rows = clustered(2000, c.dim, 20, 1);
    Vectors queries = clustered(50, c.dim, 20, 2);
    TestIndex test(spec.create,
                   [&](MemStore &store) { EXPECT_TRUE(build(store, spec, rows).empty()); });
    EXPECT_GE(test.recall(queries, rows, 40, 10), c.floor);
    EXPECT_GE(test.recall(queries, rows, 200, 10), 0.99);
    Shape shape = check_pages(test);
    EXPECT_EQ(shape.nodes, rows.size());
    EXPECT_EQ(shape.unreachable, 0u);
    EXPECT_EQ(shape.full_lists, rows.size());
    EXPECT_NEAR(static_cast<double>(shape.uppers), rows.size() / 63.0, rows.size() / 100.0);
    EXPECT_EQ(all_rows(test, queries[0]), numbers(rows.size()));
}

INSTANTIATE_TEST_SUITE_P(
    Metrics, BuiltIndex,
    ::testing::Values(MetricCase{Metric::kL2, 96, 0.97}, MetricCase{Metric::kCosine, 64, 0.97},
                      MetricCase{Metric::kInnerProduct, 64, 0.9}, MetricCase{Metric::kL1, 32, 0.97},
                      MetricCase{Metric::kCosine, 1000, 0.97}, MetricCase{Metric::kL2, 1600, 0.97},
                      MetricCase{Metric::kL2, 3, 0.97}, MetricCase{Metric::kL2, 300, 0.97},
                      MetricCase{Metric::kCosine, 385, 0.97}));

struct ErrorOfEstimates {
    double mean, largest; /* relative */
};

/* `estimates` of rows 1 and on. Of more dimensions than are looked at they must not be exact. */
void expect_estimates(const float *estimates, const std::vector<float> &exact,
                      const ErrorOfEstimates &most) {
    double sum = 0;
    const size_t n = exact.size() - 1;
    for (size_t i = 0; i < n; i++) {
        const double error = std::abs(estimates[i] / double{exact[i + 1]} - 1);
        EXPECT_LE(error, most.largest) << "row " << i + 1;
        sum += error;
    }
    EXPECT_LE(sum / static_cast<double>(n), most.mean);
    EXPECT_EQ(sum / static_cast<double>(n) > 0.005, most.mean > 0.005) << "nothing was estimated";
}

/* Candidates are found, and compared with each other, by their first coordinates alone if there are many. */
TEST(Build, DistancesAreEstimatesFromPartsOfVectors) {
    struct Case {
        Metric metric;
        uint32_t dim;
        ErrorOfEstimates search, links;
    };
    constexpr ErrorOfEstimates kExact = {1e-5, 1e-4};
    constexpr uint32_t kRows = 61;
    for (const Case &c :
         {Case{Metric::kL2, 96, kExact, kExact}, Case{Metric::kL2, 512, kExact, kExact},
          Case{Metric::kL2, 1000, kExact, {0.05, 0.25}}, Case{Metric::kL1, 1600, kExact, kExact},
          Case{Metric::kL2, 1600, {0.03, 0.12}, {0.05, 0.25}},
          Case{Metric::kCosine, 3072, {0.03, 0.12}, {0.05, 0.25}}}) {
        SCOPED_TRACE(c.dim);
        const CreateOptions create{.metric = c.metric, .dim = c.dim};
        std::pmr::memory_resource *memory = std::pmr::get_default_resource();
        const Space space(create.metric, create.dim, layouts_of(create).usual.bits, 1, {}, memory);
        TestArena guarded(size_t{1} << 20, arena_shape(create));
        BuildWorker worker(
            *guarded.arena, space, create, [] {}, memory);
        const Vectors rows = clustered(kRows, c.dim, 3, 1);
        for (uint32_t i = 0; i < kRows; i++)
            ASSERT_EQ(worker.add(rows[i].data(), tid_of(i), {}), BuildWorker::Added::kNode);
        const ArenaMetric metric(*guarded.arena, space);
        const Anchor anchor = metric.anchor(0);
        core::Vectors vectors(kRows, memory);
        std::vector<float> estimates(kRows);
        std::vector<ArenaId> ids(kRows);
        for (uint32_t i = 0; i < kRows; i++) {
            ids[i] = i;
            metric.set(anchor, i, &vectors, i);
        }
        core::Vectors others(kRows + 3, memory);
        for (uint32_t i = 1; i < kRows; i++) {
            others.clear(kRows + 3, guarded.arena->vector(0));
            others.copy(0, vectors, i);
            estimates[i - 1] = metric.least(vectors, 0, others, 0, 1);
        }
        others.clear(kRows + 3, guarded.arena->vector(0));
        EXPECT_GE(metric.least(vectors, 0, others, 0, 0), FLT_MAX);
        for (uint32_t n = 1; n < kRows; n++) {
            others.copy(n - 1, vectors, n);
            for (uint32_t first : {0U, n / 2, n - 1})
                EXPECT_EQ(metric.least(vectors, 0, others, first, n - first),
                          *std::min_element(&estimates[first], &estimates[n]));
        }
        std::vector<float> exact(kRows);
        metric.many(Part::kAll, anchor, ids.data(), kRows, exact.data());
        expect_estimates(estimates.data(), exact, c.links);
        metric.many(Part::kSearch, anchor, ids.data(), kRows, estimates.data());
        expect_estimates(&estimates[1], exact, c.search);
    }
}

TEST(Build, ThreadsGiveAnEquallyGoodGraph) {
    BuildSpec spec{.create = {.dim = 32, .attributes = 3}, .threads = 4};
    Vectors rows = clustered(4000, 32, 20, 5);
    for (size_t i = 3000; i < rows.size(); i++)
        rows[i] = rows[i % 500]; /* twins that race for their node */
    TestIndex test(spec.create,
                   [&](MemStore &store) { EXPECT_TRUE(build(store, spec, rows).empty()); });
    EXPECT_GE(test.recall(clustered(50, 32, 20, 6), rows, 40, 10), 0.97);
    Shape shape = check_pages(test);
    EXPECT_EQ(shape.nodes, 3000u);
    EXPECT_EQ(shape.unreachable, 0u);
    EXPECT_EQ(all_rows(test, rows[0]), numbers(rows.size()));
}

/* Clusters so far apart that what is near to a node says nothing about the way to another cluster. */
Vectors distant_clusters(size_t n, uint32_t dim, unsigned seed) {
    constexpr uint32_t kClusters = 100;
    Vectors vectors = clustered(n, dim, kClusters, seed);
    const Vectors centres = clustered(kClusters, dim, kClusters, 33);
    for (size_t i = 0; i < vectors.size(); i++)
        for (uint32_t d = 0; d < dim; d++)
            vectors[i][d] += 30 * centres[i % kClusters][d];
    return vectors;
}

TEST(Build, FindsRowsOfDistantClusters) {
    const Vectors rows = distant_clusters(5000, 24, 31);
    BuildSpec spec{.create = {.dim = 24}};
    TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows); });
    EXPECT_GE(test.recall(distant_clusters(200, 24, 32), rows, 40, 10), 0.97);
}

/* Many clusters, each in some direction of its own, and few links. */
TEST(Build, SearchesWiderWhereSearchesGoAstray) {
    constexpr uint32_t kDim = 128, kClusters = 300;
    auto near_centres = [&](size_t n, unsigned seed) {
        std::mt19937 random(35);
        std::normal_distribution<float> normal;
        Vectors centres(kClusters, std::vector<float>(kDim));
        for (auto &centre : centres)
            for (float &x : centre)
                x = normal(random);
        random.seed(seed);
        Vectors vectors;
        for (size_t i = 0; i < n; i++) {
            vectors.push_back(centres[i % kClusters]);
            for (float &x : vectors.back())
                x += 0.2f * normal(random);
        }
        return vectors;
    };
    const Vectors rows = near_centres(5000, 36);
    const Vectors queries = near_centres(kClusters, 37);
    BuildSpec spec{.create = {.dim = kDim, .m = 2}};
    TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows); });
    MetaPage &meta = meta_of(test.store.raw(kMetaBlock));
    EXPECT_GE(meta.descent_width, 2);
    const double as_measured = test.recall(queries, rows, 40, 10);
    meta.descent_width = 1;
    const double one_wide = test.recall(queries, rows, 40, 10);
    EXPECT_GE(as_measured, one_wide + 0.05);
}

TEST(Build, SearchesOneWideWhereNoneGoesAstray) {
    BuildSpec spec{.create = {.dim = 24}};
    TestIndex test(spec.create,
                   [&](MemStore &store) { build(store, spec, clustered(5000, 24, 40, 34)); });
    EXPECT_EQ(test.index->meta().descent_width, 1);
}

class ReachOfIndex : public ::testing::Test {
protected:
    ReachOfIndex()
        : rows(clustered(8000, 32, 60, 81)),
          queries(clustered(100, 32, 60, 82)),
          test(spec.create, [&](MemStore &store) { build(store, spec, rows); }) {}

    MetaPage &meta() { return meta_of(test.store.raw(kMetaBlock)); }

    /* Sets `reads` to the records of a query. */
    double recall(uint32_t ef, size_t k, double *reads) {
        test.stats = {};
        const double recall = test.recall(queries, rows, ef, k);
        *reads = static_cast<double>(test.stats.records_read) / static_cast<double>(queries.size());
        return recall;
    }

    BuildSpec spec{.create = {.dim = 32}};
    Vectors rows;
    Vectors queries;
    TestIndex test;
};

TEST_F(ReachOfIndex, ReadsLessForAsMuch) {
    ASSERT_GT(meta().reach, 1);
    double reads, reads_by_width;
    EXPECT_GE(recall(200, 10, &reads), 0.99);
    meta().reach = 0;
    EXPECT_GE(recall(200, 10, &reads_by_width), 0.99);
    EXPECT_LE(reads, 0.7 * reads_by_width);
}

/* Who asks for more than a reach is measured for gets what the width is good for. */
TEST_F(ReachOfIndex, IsNotAllThatCanBeHad) {
    double reads, reads_of_ten;
    recall(80, 10, &reads_of_ten);
    for (size_t k : {30, 100}) {
        EXPECT_GE(recall(80, k, &reads), 0.99) << k;
        EXPECT_GE(reads, 1.5 * reads_of_ten) << k;
    }
    EXPECT_EQ(all_rows(test, queries[0]), numbers(rows.size()));
}

/* However many rows are asked for after a narrow beam, those that it left aside lead to them. */
TEST_F(ReachOfIndex, LosesNothingForLater) {
    for (uint32_t ef : {2, 9, 10, 20}) {
        double reads;
        EXPECT_GE(recall(ef, 200, &reads), 0.95) << ef;
        EXPECT_EQ(test.stats.exact_pass_records, 0u) << ef;
    }
}

TEST(Build, MeasuresNoReachWhereDistancesWillNotDo) {
    for (Metric metric : {Metric::kInnerProduct, Metric::kL1}) {
        BuildSpec spec{.create = {.metric = metric, .dim = 16}};
        TestIndex test(spec.create,
                       [&](MemStore &store) { build(store, spec, clustered(2000, 16, 40, 34)); });
        EXPECT_EQ(test.index->meta().reach, 0);
    }
}

TEST(Build, EqualRowsShareANode) {
    Vectors rows = clustered(5, 8, 5, 7);
    while (rows.size() < 2000)
        rows.push_back(rows[rows.size() % 5]);
    for (uint32_t attributes = 0; attributes <= kMaxAttributes; attributes++) {
        BuildSpec spec{.create = {.dim = 8, .attributes = attributes}};
        TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows); });
        EXPECT_EQ(check_pages(test).nodes, 5u);
        EXPECT_EQ(expect_attributes(test), rows.size());
        EXPECT_EQ(all_rows(test, rows[0]), numbers(rows.size()));
    }
}

TEST(Build, RowsOutsideTheGraph) {
    BuildSpec spec{.create = {.metric = Metric::kCosine, .dim = 4}};
    Vectors rows = clustered(3000, 4, 5, 8);
    std::set<uint64_t> null_rows;
    for (uint64_t i = 0; i < 1600; i++)
        null_rows.insert(i);
    for (uint64_t i = 1600; i < 1610; i++)
        rows[i] = {0, 0, 0, 0};
    TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows, null_rows); });
    EXPECT_EQ(check_pages(test).nodes, 1390u);
    EXPECT_EQ(all_rows(test, rows[2000]), numbers(rows.size()));
}

TEST(Build, NothingButRowsOutsideTheGraph) {
    BuildSpec spec{.create = {.dim = 4}};
    Vectors rows = clustered(30, 4, 5, 8);
    std::multiset<uint64_t> all = numbers(rows.size());
    TestIndex test(spec.create, [&](MemStore &store) {
        build(store, spec, rows, std::set<uint64_t>(all.begin(), all.end()));
    });
    EXPECT_EQ(all_rows(test, rows[0]), all);
    test.insert(rows, rows.size());
    EXPECT_EQ(all_rows(test, rows[0]), numbers(2 * rows.size()));
}

TEST(Build, AnEmptyTableGivesAnIndexThatTakesRows) {
    BuildSpec spec{.create = {.dim = 16}, .centre = false};
    TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, {}); });
    Vectors rows = clustered(300, 16, 5, 9);
    test.insert(rows);
    EXPECT_EQ(all_rows(test, rows[0]), numbers(rows.size()));
}

/* Whatever the memory: rows that fit are indexed, the others can be inserted behind them. */
TEST(Build, GoesOnAsInsertsWhenMemoryIsFull) {
    Vectors rows = clustered(1200, 24, 10, 10);
    for (size_t i = 0; i < rows.size(); i += 3)
        rows[i] = rows[i / 2]; /* rows that need pieces of their own */
    Vectors queries = clustered(30, 24, 10, 11);
    BuildSpec spec{.create = {.dim = 24, .attributes = 8}, .threads = 2};
    const size_t least = Arena::min_bytes(arena_shape(spec.create));
    for (size_t memory : {least, 2 * least, 4 * least}) {
        spec.memory = (memory + 63) / 64 * 64;
        std::vector<uint64_t> left_over;
        TestIndex test(spec.create, [&](MemStore &store) { left_over = build(store, spec, rows); });
        EXPECT_FALSE(left_over.empty());
        EXPECT_LT(left_over.size(), rows.size());
        EXPECT_EQ(check_pages(test).unreachable, 0u);
        Inserter inserter(*test.index, test.context, spec.create.ef_construction);
        for (uint64_t row : left_over)
            test.add(inserter, rows[row].data(), row);
        EXPECT_EQ(test.index->meta().centre_count, 1u) << "a built index knows its centre";
        EXPECT_EQ(all_rows(test, rows[0]), numbers(rows.size()));
        EXPECT_GE(test.recall(queries, rows, 100, 10), 0.95);
    }
}

TEST(Build, RecordsOfSeveralPages) {
    for (CreateOptions create :
         {CreateOptions{.dim = 16000, .m = 2, .ef_construction = 4, .attributes = 8},
          CreateOptions{.dim = 400, .m = 100, .ef_construction = 200, .attributes = 7}}) {
        ASSERT_GT(layouts_of(create).usual.parts, 1u);
        BuildSpec spec{.create = create};
        Vectors rows = clustered(create.m == 2 ? 60 : 250, create.dim, 5, 12);
        TestIndex test(create, [&](MemStore &store) { build(store, spec, rows); });
        Shape shape = check_pages(test);
        EXPECT_EQ(shape.nodes, rows.size());
        EXPECT_EQ(shape.unreachable, 0u);
        EXPECT_GE(test.recall(clustered(10, create.dim, 5, 13), rows, 100, 10), 0.9);
        Vectors more = clustered(20, create.dim, 5, 14);
        test.insert(more, rows.size());
        EXPECT_EQ(all_rows(test, rows[0]), numbers(rows.size() + more.size()));
    }
}

/* Two far islands: the second is reached although no beam sees both. */
TEST(Build, ConnectsIslands) {
    BuildSpec spec{.create = {.dim = 8, .m = 2, .ef_construction = 4}};
    Vectors rows = clustered(400, 8, 4, 15);
    for (size_t i = 0; i < rows.size(); i++)
        for (float &x : rows[i])
            x = x * 1e-3f + static_cast<float>(i % 4) * 1000;
    TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows); });
    EXPECT_EQ(check_pages(test).unreachable, 0u);
}

TEST(Build, ExtremeScales) {
    for (float scale : {1e-30f, 1e30f}) {
        BuildSpec spec{.create = {.dim = 16}};
        Vectors rows = clustered(600, 16, 5, 16);
        Vectors queries = clustered(20, 16, 5, 17);
        for (auto *vectors : {&rows, &queries})
            for (auto &v : *vectors)
                for (float &x : v)
                    x *= scale;
        TestIndex test(spec.create, [&](MemStore &store) { build(store, spec, rows); });
        EXPECT_GE(test.recall(queries, rows, 60, 10), 0.97) << scale;
    }
}

}  // namespace
}  // namespace hnsw::core::testing

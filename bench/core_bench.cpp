/*
 * Build and search without a server: builds an index in memory from a folder of vectors, searches
 * it as the server would (the scan's rows put into exact order by a queue), and prints recall@k by
 * distance, records read and processor microseconds per query for several ef, and how long the
 * build took.
 *
 *   core_bench --data DIR [--k 10] [--m 16] [--ef-construction 64] [--threads 1] [--rows N] [--queries N]
 *              [--memory BYTES] [--ef 10,20,40,80,120,200,400] [--metric l2|cosine|ip|l1]
 *              [--inserted N]: the last N rows are inserted one by one
 *              [--filters attribute|tids [--strategies 01234]]: filtered searches, see core_filters.h;
 *              strategies by their number in core/chooser.h
 *              [--copied N]: copies of a row in other regions, on average, when the graph is larger than
 *              --memory
 *
 * DIR holds base.* and query.* as .fvecs, .hvecs or .bvecs; the metric is cosine if there is a
 * gt_cos.ivecs, else l2, unless given.  True neighbours are computed when DIR's do not fit.
 */
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <queue>
#include <string>
#include <thread>

#include "core/build_regions.h"
#include "core/build_write.h"
#include "core/insert.h"
#include "core/mem_store.h"
#include "core/scan.h"
#include "core_filters.h"
#include "simd/kernels.h"
#include "vector_files.h"

namespace {

using namespace hnsw;
using namespace hnsw::bench;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/* Processor time, all threads: what stays comparable on a machine that others use too. */
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/* The distance of each query's k-th neighbour: from the ground truth file or by brute force. */
std::vector<double> limits(const std::string &file, core::Metric metric, const Matrix &base,
                           const Matrix &queries, uint32_t k, bool usable) {
    std::vector<double> out;
    std::ifstream in(file, std::ios::binary);
    for (size_t q = 0; q < queries.rows(); q++) {
        if (usable && in) {
            int32_t n;
            in.read(reinterpret_cast<char *>(&n), 4);
            std::vector<int32_t> ids(static_cast<size_t>(n));
            in.read(reinterpret_cast<char *>(ids.data()), n * 4);
            if (k > ids.size())
                die(file + " has too few neighbours for --k");
            out.push_back(distance(metric, queries.row(q),
                                   base.row(static_cast<size_t>(ids[k - 1])), base.dim));
            continue;
        }
        std::vector<double> all(base.rows());
        for (size_t i = 0; i < base.rows(); i++)
            all[i] = distance(metric, queries.row(q), base.row(i), base.dim);
        std::nth_element(all.begin(), all.begin() + k - 1, all.end());
        out.push_back(all[k - 1]);
    }
    return out;
}

/* Exact passes are not what is measured here: the sorter keeps rows in memory. */
class VectorSorter final : public core::RowSorter {
public:
    void begin() override { rows_.clear(), next_ = 0; }
    void put(double bound, core::HeapTid tid) override { rows_.push_back({bound, tid}); }
    void sort() override {
        std::sort(rows_.begin(), rows_.end(),
                  [](const Row &a, const Row &b) { return a.bound < b.bound; });
    }
    bool next(double *bound, core::HeapTid *tid) override {
        if (next_ == rows_.size())
            return false;
        *bound = rows_[next_].bound;
        *tid = rows_[next_++].tid;
        return true;
    }

private:
    struct Row {
        double bound;
        core::HeapTid tid;
    };
    std::vector<Row> rows_;
    size_t next_ = 0;
};

struct Arguments {
    std::string data;
    std::string metric;
    core::CreateOptions create;
    uint32_t k = 10;
    unsigned threads = 1;
    size_t rows = SIZE_MAX;
    size_t queries = SIZE_MAX;
    size_t inserted = 0;
    size_t memory = size_t{2} << 30;
    double copied = -1;
    std::vector<uint32_t> efs = {10, 20, 40, 80, 120, 200, 400};
    std::string filters;              /* attribute or tids */
    std::string strategies = "15234"; /* digits of core::Strategy */
};

Arguments parse(int argc, char **argv) {
    Arguments a;
    for (int i = 1; i + 1 < argc; i += 2) {
        std::string key = argv[i];
        std::string value = argv[i + 1];
        if (key == "--data")
            a.data = value;
        else if (key == "--metric")
            a.metric = value;
        else if (key == "--k")
            a.k = static_cast<uint32_t>(std::stoul(value));
        else if (key == "--m")
            a.create.m = static_cast<uint32_t>(std::stoul(value));
        else if (key == "--ef-construction")
            a.create.ef_construction = static_cast<uint32_t>(std::stoul(value));
        else if (key == "--threads")
            a.threads = static_cast<unsigned>(std::stoul(value));
        else if (key == "--rows")
            a.rows = std::stoul(value);
        else if (key == "--queries")
            a.queries = std::stoul(value);
        else if (key == "--inserted")
            a.inserted = std::stoul(value);
        else if (key == "--memory")
            a.memory = std::stoul(value);
        else if (key == "--filters")
            a.filters = value;
        else if (key == "--strategies")
            a.strategies = value;
        else if (key == "--copied")
            a.copied = std::stod(value);
        else if (key == "--ef") {
            a.efs.clear();
            for (size_t at = 0; at < value.size(); at = value.find(',', at) + 1) {
                a.efs.push_back(static_cast<uint32_t>(std::stoul(value.substr(at))));
                if (value.find(',', at) == std::string::npos)
                    break;
            }
        } else
            die("unknown option " + key);
    }
    if (a.data.empty())
        die("--data DIR is missing");
    if (a.k == 0)
        die("--k must be positive");
    if (a.metric.empty())
        a.metric = std::filesystem::exists(a.data + "/gt_cos.ivecs") ? "cosine" : "l2";
    a.create.metric = a.metric == "cosine" ? core::Metric::kCosine
                      : a.metric == "ip"   ? core::Metric::kInnerProduct
                      : a.metric == "l1"   ? core::Metric::kL1
                                           : core::Metric::kL2;
    return a;
}

/* Bytes in memory. */
class MemorySpool final : public core::Spool {
public:
    void write(const void *bytes, size_t n) override {
        const auto *from = static_cast<const char *>(bytes);
        bytes_.insert(bytes_.end(), from, from + n);
    }
    void rewind() override { at_ = 0; }
    bool read(void *bytes, size_t n) override {
        if (bytes_.size() - at_ < n)
            return false;
        std::memcpy(bytes, bytes_.data() + at_, n);
        at_ += n;
        return true;
    }

private:
    std::vector<char> bytes_;
    size_t at_ = 0;
};

class MemorySpools final : public core::SpoolSource {
public:
    core::Spool *create() override { return new MemorySpool; }
    void destroy(core::Spool *spool) override { delete spool; }
};

/* The build with less memory than the graph needs. */
void build_in_regions(const Arguments &a, const Matrix &base, const core::Space &space,
                      const float *centre, core::MemStore &store) {
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    const double cpu = cpu_seconds();
    core::RegionPlan plan =
        core::plan_regions(a.create, static_cast<double>(base.rows()), a.memory, 1);
    if (plan.regions == 0)
        die("too little memory");
    if (a.copied >= 0) {
        plan.regions =
            static_cast<uint32_t>(std::ceil(plan.regions * (1 + a.copied) / (1 + plan.copied)));
        plan.copied = a.copied;
    }
    std::vector<float> sample;
    core::Query query(memory);
    for (size_t i = 0; i < base.rows(); i += 1 + base.rows() / 1000) {
        space.prepare(base.row(i), &query);
        sample.insert(sample.end(), query.value.begin(), query.value.end());
    }
    core::Regions regions(base.dim, memory);
    regions.fit(sample, plan.regions, plan.copied, [] {});
    core::create_index_with_centre(store, a.create, centre, memory);
    core::Stats stats;
    const core::Context context{memory, &stats};
    core::Index index(store, memory);
    MemorySpools spools;
    core::NoCrew nobody(memory);
    core::RegionBuild build(index, context, a.create, regions, spools, nobody, a.memory, [] {});
    for (size_t i = 0; i < base.rows(); i++)
        build.add(base.row(i), tid_of(i), {});
    std::printf("laid aside: %.2f s\n", cpu_seconds() - cpu);
    build.finish();
    std::printf("build in %u regions: processor %.2f s, %llu rows singly, beam factor %.2f\n",
                regions.count(), cpu_seconds() - cpu,
                static_cast<unsigned long long>(build.inserted_singly()),
                static_cast<double>(index.meta().beam_factor));
}

void build(const Arguments &a, const Matrix &base, core::MemStore &store) {
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    const core::CreateOptions &create = a.create;
    const core::IndexLayouts layouts = core::layouts_of(create);

    const double cpu = cpu_seconds();
    auto start = Clock::now();
    std::vector<float> centre(base.dim);
    core::Space::Centres centres;
    if (create.metric != core::Metric::kInnerProduct) {
        core::Space plain(create.metric, base.dim, 0, 0, centres, memory);
        std::vector<double> sum(base.dim);
        size_t n = 0;
        for (size_t i = 0; i < base.rows(); i += 1 + base.rows() / 2000)
            n += plain.accumulate(base.row(i), sum.data());
        for (uint32_t i = 0; i < base.dim; i++)
            centre[i] = static_cast<float>(sum[i] / static_cast<double>(n));
        centres.coordinates[0] = centre.data();
    }
    core::Space space(create.metric, base.dim, layouts.usual.bits, create.rotation_seed, centres,
                      memory);
    if (static_cast<double>(base.rows()) * static_cast<double>(core::arena_bytes_per_row(create)) >
        static_cast<double>(core::arena_bytes_within(create, a.memory, a.threads))) {
        build_in_regions(a, base, space, centres.coordinates[0], store);
        return;
    }
    void *block = std::aligned_alloc(64, a.memory / 64 * 64);
    core::Arena::format(block, a.memory / 64 * 64, core::arena_shape(create));
    core::Arena arena(block);
    std::atomic<size_t> next{0};
    std::atomic<size_t> left_over{0};
    auto in_threads = [&](auto &&work) {
        std::vector<std::thread> threads;
        for (unsigned t = 1; t < a.threads; t++)
            threads.emplace_back(work);
        work();
        for (std::thread &thread : threads)
            thread.join();
    };
    in_threads([&] {
        core::BuildWorker worker(
            arena, space, create, [] {}, memory);
        for (size_t i; (i = next.fetch_add(1)) < base.rows() - a.inserted;)
            if (worker.add(base.row(i), tid_of(i), {}) == core::BuildWorker::Added::kFull)
                left_over++;
    });
    double t_add = seconds_since(start);
    start = Clock::now();
    in_threads([&] {
        core::BuildWorker worker(
            arena, space, create, [] {}, memory);
        while (worker.trim_some()) {
        }
    });
    double t_trim = seconds_since(start);
    start = Clock::now();
    core::BuildWorker worker(
        arena, space, create, [] {}, memory);
    const core::BuildPlaces places(create, centres.coordinates[0] != nullptr);
    worker.connect(&places);
    const uint32_t nodes = arena.counts().nodes;
    double t_connect = seconds_since(start);
    start = Clock::now();
    const core::SearchWidths widths = core::measure_widths(
        arena, space, create, arena.free_bytes(), [] {}, memory);
    double t_measure = seconds_since(start);
    start = Clock::now();
    core::MemSink sink(store);
    in_threads([&] {
        core::GraphWriter writer(arena, space, create, centres.coordinates[0], sink, memory);
        while (writer.write_some()) {
        }
    });
    core::GraphWriter(arena, space, create, centres.coordinates[0], sink, memory)
        .write_rest(widths);
    double t_write = seconds_since(start);
    std::printf(
        "build %.2f s (processor %.2f): add %.2f, trim %.2f, connect %.2f, measure %.2f, write "
        "%.2f; "
        "%u nodes, %zu rows left over, arena %.1f MB (%zu bytes/node), index %.1f MB "
        "(%.0f bytes/row), beam factor %.2f, reach %.3f, way down %u wide\n",
        t_add + t_trim + t_connect + t_measure + t_write, cpu_seconds() - cpu, t_add, t_trim,
        t_connect, t_measure, t_write, nodes, left_over.load(), arena.used_bytes() / 1e6,
        nodes == 0 ? 0 : arena.used_bytes() / nodes, store.size() * 8192 / 1e6,
        store.size() * 8192.0 / static_cast<double>(base.rows()),
        static_cast<double>(widths.beam_factor), static_cast<double>(widths.reach),
        widths.descent_width);
    std::free(block);
}

void insert(const Arguments &a, const Matrix &base, core::MemStore &store) {
    if (a.inserted == 0)
        return;
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    core::Stats stats;
    core::Index index(store, memory);
    core::Inserter inserter(index, {memory, &stats}, a.create.ef_construction);
    const double cpu = cpu_seconds();
    const uint64_t commits = store.commits;
    for (size_t i = base.rows() - a.inserted; i < base.rows(); i++)
        inserter.insert(base.row(i), tid_of(i), {});
    const auto n = static_cast<double>(a.inserted);
    std::printf("inserted %zu: %.1f us each, %.1f records read, %.1f commits\n", a.inserted,
                (cpu_seconds() - cpu) / n * 1e6, static_cast<double>(stats.records_read) / n,
                static_cast<double>(store.commits - commits) / n);
}

/* The first k rows in exact order, as the executor's reorder queue gives them. Returns how many
 * are within `limit`. */
uint32_t top(core::Scan &scan, const Arguments &a, const Matrix &base, const float *query,
             uint32_t k, double limit) {
    struct Waiting {
        double distance;
        bool operator<(const Waiting &other) const { return distance > other.distance; }
    };
    std::priority_queue<Waiting> waiting;
    uint32_t hits = 0;
    uint32_t given = 0;
    core::ScanRow row;
    while (given < k && scan.next(&row)) {
        while (given < k && !waiting.empty() && waiting.top().distance <= row.bound) {
            hits += waiting.top().distance <= limit * (1 + 1e-6) + 1e-9;
            waiting.pop();
            given++;
        }
        waiting.push({distance(a.create.metric, query, base.row(row_of(row.tid)), base.dim)});
    }
    for (; given < k && !waiting.empty(); waiting.pop(), given++)
        hits += waiting.top().distance <= limit * (1 + 1e-6) + 1e-9;
    return hits;
}

void search(const Arguments &a, const Matrix &base, const Matrix &queries,
            const std::vector<double> &limit, core::MemStore &store) {
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    core::Stats stats;
    core::Context context{memory, &stats};
    core::Index index(store, memory);
    VectorSorter sorter;
    core::Scan scan(index, context, sorter);
    std::printf("%6s %8s %8s %8s %10s\n", "ef", "recall", "reads", "us", "estimates");
    for (uint32_t ef : a.efs) {
        stats = {};
        uint64_t hits = 0;
        const double cpu = cpu_seconds();
        for (size_t q = 0; q < queries.rows(); q++) {
            core::ScanOptions options;
            options.ef = ef;
            scan.begin(queries.row(q), options);
            hits += top(scan, a, base, queries.row(q), a.k, limit[q]);
        }
        const auto n = static_cast<double>(queries.rows());
        std::printf("%6u %8.4f %8.1f %8.1f %10.0f\n", ef, static_cast<double>(hits) / n / a.k,
                    static_cast<double>(stats.records_read) / n, (cpu_seconds() - cpu) / n * 1e6,
                    static_cast<double>(stats.estimates) / n);
    }
}

void filters(const Arguments &a, const Matrix &base, const Matrix &queries, core::MemStore &store) {
    VectorSorter sorter;
    std::vector<core::Strategy> strategies;
    for (char c : a.strategies)
        strategies.push_back(static_cast<core::Strategy>(c - '0'));
    for (uint32_t ef : a.efs) {
        std::printf("ef %u, filter by %s\n", ef, a.filters.c_str());
        run_filters(
            {store, sorter, base, queries, a.create.metric, ef, a.filters == "tids", strategies});
    }
}

}  // namespace

int main(int argc, char **argv) {
    Arguments a = parse(argc, argv);
    Matrix base = read_vectors(a.data + "/base", a.rows);
    Matrix queries = read_vectors(a.data + "/query", a.queries);
    a.create.dim = base.dim;
    a.create.attributes = 1;
    if (queries.dim != base.dim)
        die("base and queries differ in dimension");
    const bool usable = a.rows == SIZE_MAX && (a.metric == "cosine" || a.metric == "l2");
    std::vector<double> limit;
    if (a.filters.empty())
        limit = limits(a.data + (a.metric == "cosine" ? "/gt_cos.ivecs" : "/gt_l2.ivecs"),
                       a.create.metric, base, queries, a.k, usable);
    std::printf("%zu x %u, %s, m %u, ef_construction %u, %u threads\n", base.rows(), base.dim,
                a.metric.c_str(), a.create.m, a.create.ef_construction, a.threads);
    core::MemStore store;
    build(a, base, store);
    insert(a, base, store);
    if (a.filters.empty())
        search(a, base, queries, limit, store);
    else
        filters(a, base, queries, store);
    return 0;
}

/*
 * Does VACUUM leave an index as good as new, and how fast?  Inserts the rows of a folder into an index
 * in memory, deletes a share of them, vacuums, and compares degrees (Kolmogorov distance of layer
 * 0) and recall@10 with a fresh index of the rows left; then a second round of delete, vacuum and
 * insert must fit into the space of the first.
 *
 *   vacuum_bench --data DIR [--rows N] [--queries N] [--share 0.9] [--m 16] [--ef-construction 64]
 *
 * Exits with 1 if the degrees differ by more than 0.05, a recall by more than 0.01 (downwards), a
 * node is unreachable, the checker finds an error, or the second round grows the index by more than
 * a tenth.
 */
#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <queue>
#include <random>

#include "core/index_stats.h"
#include "core/insert.h"
#include "core/mem_store.h"
#include "core/scan.h"
#include "core/vacuum.h"
#include "core/verify.h"
#include "vector_files.h"

namespace {

using namespace hnsw;
using namespace hnsw::bench;

constexpr uint32_t kK = 10;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

class NoSorter final : public core::RowSorter {
public:
    void begin() override {}
    void put(double, core::HeapTid) override {}
    void sort() override {}
    bool next(double *, core::HeapTid *) override { return false; }
};

class DeadRows final : public core::DeadRows {
public:
    explicit DeadRows(size_t rows) : dead(rows) {}
    bool is_dead(core::HeapTid tid) override { return dead[row_of(tid)]; }
    std::vector<bool> dead;
};

struct Findings final : core::FindingSink {
    void report(const core::Finding &f) override {
        if (f.severity != core::Severity::kError)
            return;
        if (errors++ < 5)
            std::printf("error %s, node %u: %s\n", f.code, f.node, f.detail);
    }
    void row(core::HeapTid, const core::Attributes *) override { rows++; }
    uint64_t errors = 0;
    uint64_t rows = 0;
};

struct Subject {
    explicit Subject(const core::CreateOptions &options) {
        core::create_empty_index(store, options);
        index.emplace(store, memory);
    }
    void insert(const Matrix &base, const std::vector<size_t> &rows, uint32_t ef) {
        const double start = cpu_seconds();
        core::Inserter inserter(*index, context, ef);
        for (size_t row : rows)
            inserter.insert(base.row(row), tid_of(row), {});
        const double took = cpu_seconds() - start;
        std::printf("insert of %zu rows: %.2f s, %.0f us a row\n", rows.size(), took,
                    took / static_cast<double>(rows.size()) * 1e6);
    }
    core::VacuumResult vacuum(DeadRows &dead) {
        const double start = cpu_seconds();
        const uint64_t commits = store.commits.load();
        const uint64_t pins = store.pins.load();
        core::VacuumResult r = core::remove_dead(*index, context, size_t{64} << 20, dead);
        store.advance_transactions();
        std::printf(
            "vacuum: %.2f s, %lu rows removed, %lu left, %lu records repaired, %lu slots "
            "recycled, %lu commits, %lu pins\n",
            cpu_seconds() - start, r.rows_removed, r.rows_left, r.records_repaired,
            r.slots_recycled, store.commits.load() - commits, store.pins.load() - pins);
        return r;
    }
    double recall(const Matrix &base, const Matrix &queries, const std::vector<double> &limit,
                  uint32_t ef) {
        NoSorter sorter;
        core::Scan scan(*index, context, sorter);
        uint64_t hits = 0;
        for (size_t q = 0; q < queries.rows(); q++) {
            core::ScanOptions options;
            options.ef = ef;
            scan.begin(queries.row(q), options);
            std::priority_queue<double, std::vector<double>, std::greater<>> waiting;
            uint32_t given = 0;
            auto give = [&] {
                hits += waiting.top() <= limit[q] * (1 + 1e-6);
                waiting.pop();
                given++;
            };
            core::ScanRow row;
            while (given < kK && scan.next(&row)) {
                while (given < kK && !waiting.empty() && waiting.top() <= row.bound)
                    give();
                waiting.push(distance(metric, queries.row(q), base.row(row_of(row.tid)), base.dim));
            }
            while (given < kK && !waiting.empty())
                give();
        }
        return static_cast<double>(hits) / static_cast<double>(queries.rows() * kK);
    }

    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    core::Metric metric = core::Metric::kL2;
    core::Stats stats;
    core::Context context{memory, &stats};
    core::MemStore store;
    std::optional<core::Index> index;
};

double degree_distance(const core::IndexStats &a, const core::IndexStats &b) {
    double x = 0;
    double y = 0;
    double most = 0;
    const core::LevelStats &p = a.levels.at(0);
    const core::LevelStats &q = b.levels.at(0);
    for (size_t i = 0; i < p.degree_histogram.size(); i++) {
        x += static_cast<double>(p.degree_histogram[i]) / static_cast<double>(p.nodes);
        y += static_cast<double>(q.degree_histogram[i]) / static_cast<double>(q.nodes);
        most = std::max(most, std::fabs(x - y));
    }
    return most;
}

bool passed = true;

void require(bool condition, const char *what) {
    if (condition)
        return;
    std::printf("FAILED: %s\n", what);
    passed = false;
}

}  // namespace

int main(int argc, char **argv) {
    std::string data;
    size_t rows = SIZE_MAX;
    size_t most_queries = 1000;
    double share = 0.9;
    core::CreateOptions options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string key = argv[i];
        if (key == "--data")
            data = argv[i + 1];
        else if (key == "--rows")
            rows = std::stoul(argv[i + 1]);
        else if (key == "--queries")
            most_queries = std::stoul(argv[i + 1]);
        else if (key == "--share")
            share = std::stod(argv[i + 1]);
        else if (key == "--m")
            options.m = static_cast<uint32_t>(std::stoul(argv[i + 1]));
        else if (key == "--ef-construction")
            options.ef_construction = static_cast<uint32_t>(std::stoul(argv[i + 1]));
        else
            die("unknown option " + key);
    }
    if (data.empty())
        die("--data DIR is missing");
    const Matrix base = read_vectors(data + "/base", rows);
    const Matrix queries = read_vectors(data + "/query", most_queries);
    options.dim = base.dim;

    std::vector<size_t> order(base.rows());
    std::iota(order.begin(), order.end(), 0);
    Subject old(options);
    old.insert(base, order, options.ef_construction);
    std::mt19937_64 rng(7);
    std::shuffle(order.begin(), order.end(), rng);
    const auto gone = static_cast<size_t>(static_cast<double>(base.rows()) * share);
    DeadRows dead(base.rows());
    for (size_t i = 0; i < gone; i++)
        dead.dead[order[i]] = true;
    std::vector<size_t> left(order.begin() + static_cast<ptrdiff_t>(gone), order.end());
    std::sort(left.begin(), left.end());
    old.vacuum(dead);

    Subject fresh(options);
    fresh.insert(base, left, options.ef_construction);
    const core::IndexStats a = core::collect_stats(*old.index, old.context);
    const core::IndexStats b = core::collect_stats(*fresh.index, fresh.context);
    const double degrees = degree_distance(a, b);
    std::printf(
        "degrees of layer 0: mean %.2f vacuumed, %.2f fresh, Kolmogorov distance %.4f; "
        "unreachable %lu vacuumed, %lu fresh\n",
        static_cast<double>(a.levels[0].links) / static_cast<double>(a.levels[0].nodes),
        static_cast<double>(b.levels[0].links) / static_cast<double>(b.levels[0].nodes), degrees,
        a.unreachable_nodes, b.unreachable_nodes);
    require(degrees <= 0.05, "degrees");
    require(a.unreachable_nodes == 0, "reachability");

    std::vector<double> limit;
    for (size_t q = 0; q < queries.rows(); q++) {
        std::vector<double> all;
        for (size_t row : left)
            all.push_back(distance(old.metric, queries.row(q), base.row(row), base.dim));
        std::nth_element(all.begin(), all.begin() + kK - 1, all.end());
        limit.push_back(all[kK - 1]);
    }
    for (uint32_t ef : {10u, 40u, 200u}) {
        const double x = old.recall(base, queries, limit, ef);
        const double y = fresh.recall(base, queries, limit, ef);
        std::printf("recall@10 at ef %u: %.4f vacuumed, %.4f fresh\n", ef, x, y);
        require(x >= y - 0.01, "recall");
    }
    Findings findings;
    core::verify(*old.index, old.context, findings);
    std::printf("checker: %lu errors, %lu rows\n", findings.errors, findings.rows);
    require(findings.errors == 0 && findings.rows == left.size(), "checker");

    /* Second round: a tenth of what is left goes, what went comes back. */
    const core::BlockNo before = old.store.size();
    for (size_t i = 0; i < left.size() / 10; i++)
        dead.dead[left[i * 10]] = true;
    old.vacuum(dead);
    std::vector<size_t> back(order.begin(), order.begin() + static_cast<ptrdiff_t>(gone));
    old.insert(base, back, options.ef_construction);
    std::printf("second round: %u pages, then %u\n", before, old.store.size());
    require(old.store.size() <= before + before / 10, "growth");
    Findings again;
    core::verify(*old.index, old.context, again);
    require(again.errors == 0, "checker after the second round");
    return passed ? 0 : 1;
}

/*
 * core_bench --filters: every strategy of a filtered search against every kind of filter.
 *
 * A filter takes a share of the rows: at random, those nearest to a row near the query (correlated), or
 * those nearest to a row of the farther half (anti-correlated).  As an attribute, each row's rank in
 * that order is its key and the filter is a range; as a set of rows, it is a TidSet.
 */
#pragma once

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "core/mem_store.h"
#include "core/scan.h"
#include "vector_files.h"

namespace hnsw::bench {

struct FilterBench {
    core::MemStore &store;
    core::RowSorter &sorter;
    const Matrix &base;
    const Matrix &queries;
    core::Metric metric;
    uint32_t ef;
    bool by_tids;
    std::vector<core::Strategy> strategies;
};

/* Processor time of this thread: what one query took. */
inline double thread_seconds() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

inline const char *name_of(core::Strategy strategy) {
    constexpr const char *kNames[] = {"auto",      "exact",      "filter_first",
                                      "penalised", "pre_filter", "post_filter"};
    return kNames[static_cast<size_t>(strategy)];
}

/* Makes `key[row]` the only attribute of every row. */
inline void set_keys(core::MemStore &store, const core::DirectoryShape &shape,
                     const std::vector<uint32_t> &key) {
    for (core::BlockNo block = 1; block < store.size(); block += shape.blocks) {
        std::byte *page = store.raw(block);
        const core::DirectoryView view{core::payload(page), &shape};
        auto *keys = reinterpret_cast<uint64_t *>(core::payload(page));
        for (uint32_t i = 0; i < shape.entries; i++)
            if ((view.flags()[i] & core::kEntryUsed) != 0)
                keys[i] = key[row_of(view.tids()[i].tid())];
    }
}

struct FilterCell {
    double hits = 0;
    double rows = 0;
    double pulled = 0; /* out of the scan, to have these in order */
    double reads = 0;
    double directory = 0;
    double distances = 0;
    std::vector<double> seconds;
    uint32_t changes = 0;
    uint32_t chosen[6] = {};
};

/* One query: pulls rows until k are in exact order; rows that fail are left out, as the executor's
 * recheck does. */
inline void run_filtered(FilterBench &bench, core::Scan &scan, core::Stats &stats,
                         const core::ScanOptions &options, const float *query,
                         const std::vector<uint32_t> &key, uint32_t matching, double limit,
                         FilterCell &cell) {
    constexpr size_t kK = 10;
    stats = {};
    const double start = thread_seconds();
    std::vector<double> waiting; /* heap, nearest on top */
    size_t given = 0;
    size_t hits = 0;
    auto give = [&] {
        hits += waiting.front() <= limit * (1 + 1e-6) + 1e-9;
        std::pop_heap(waiting.begin(), waiting.end(), std::greater<>{});
        waiting.pop_back();
        given++;
    };
    core::ScanRow row;
    scan.begin(query, options);
    while (given < kK && scan.next(&row)) {
        while (given < kK && !waiting.empty() && waiting.front() <= row.bound)
            give();
        const size_t r = row_of(row.tid);
        cell.pulled++;
        if (key[r] >= matching) {
            if (options.strategy == core::Strategy::kPostFilter)
                scan.fail_last();
            continue;
        }
        waiting.push_back(distance(bench.metric, query, bench.base.row(r), bench.base.dim));
        std::push_heap(waiting.begin(), waiting.end(), std::greater<>{});
    }
    while (given < kK && !waiting.empty())
        give();
    cell.seconds.push_back(thread_seconds() - start);
    cell.hits += static_cast<double>(hits);
    cell.rows += static_cast<double>(given);
    cell.reads += static_cast<double>(stats.records_read);
    cell.directory += static_cast<double>(stats.directory_reads);
    cell.distances += static_cast<double>(stats.distances);
    cell.changes += scan.report().changes_of_mind;
    cell.chosen[static_cast<size_t>(scan.report().choice.strategy)]++;
}

/* The rows' order for one query: matching rows come first. */
inline std::vector<uint32_t> keys_for(const FilterBench &bench, const char *kind,
                                      const std::vector<double> &to_query, std::mt19937_64 &rng) {
    const size_t n = bench.base.rows();
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    if (kind[0] == 'r') {
        std::shuffle(order.begin(), order.end(), rng);
    } else {
        std::vector<uint32_t> ranked = order;
        const size_t middle = kind[0] == 'c' ? 100 : n / 2;
        std::nth_element(ranked.begin(), ranked.begin() + static_cast<ptrdiff_t>(middle),
                         ranked.end(),
                         [&](uint32_t a, uint32_t b) { return to_query[a] < to_query[b]; });
        const size_t pivot =
            ranked[kind[0] == 'c' ? rng() % middle : middle + rng() % (n - middle)];
        std::vector<double> to_pivot(n);
        for (size_t i = 0; i < n; i++)
            to_pivot[i] = distance(core::Metric::kL2, bench.base.row(pivot), bench.base.row(i),
                                   bench.base.dim);
        std::sort(order.begin(), order.end(),
                  [&](uint32_t a, uint32_t b) { return to_pivot[a] < to_pivot[b]; });
    }
    std::vector<uint32_t> key(n);
    for (size_t i = 0; i < n; i++)
        key[order[i]] = static_cast<uint32_t>(i);
    return key;
}

inline void fill(core::TidSet &set, const std::vector<uint32_t> &key, uint32_t matching) {
    set.begin(tid_of(key.size() - 1).block + size_t{1}, core::TidSet::kNoLimit);
    for (size_t row = 0; row < key.size(); row++)
        if (key[row] < matching)
            set.add(tid_of(row));
}

inline void run_filters(FilterBench bench) {
    constexpr double kShares[] = {0.5, 0.2, 0.1, 0.05, 0.01, 0.005, 0.001};
    constexpr size_t kK = 10;
    std::pmr::memory_resource *memory = std::pmr::get_default_resource();
    core::Stats stats;
    core::Index index(bench.store, memory);
    core::Scan scan(index, {memory, &stats}, bench.sorter);
    const size_t n = bench.base.rows();
    std::printf("%-10s %6s %-13s %7s %6s %7s %8s %7s %8s %8s %8s  %s\n", "filter", "share",
                "strategy", "recall", "rows", "pulled", "reads", "direct.", "distances", "us",
                "median", "chosen");
    for (const char *kind : {"random", "correlated", "anti"}) {
        std::vector<std::vector<FilterCell>> cells(
            std::size(kShares), std::vector<FilterCell>(bench.strategies.size()));
        std::mt19937_64 rng(7);
        for (size_t q = 0; q < bench.queries.rows(); q++) {
            const float *query = bench.queries.row(q);
            std::vector<double> to_query(n);
            for (size_t i = 0; i < n; i++)
                to_query[i] = distance(bench.metric, query, bench.base.row(i), bench.base.dim);
            const std::vector<uint32_t> key = keys_for(bench, kind, to_query, rng);
            set_keys(bench.store, index.directory(), key);
            for (size_t s = 0; s < std::size(kShares); s++) {
                const auto matching = std::max<uint32_t>(kK, static_cast<uint32_t>(kShares[s] * n));
                std::vector<double> exact;
                for (size_t i = 0; i < n; i++)
                    if (key[i] < matching)
                        exact.push_back(to_query[i]);
                std::nth_element(exact.begin(), exact.begin() + kK - 1, exact.end());
                core::Condition condition;
                condition.high = matching - 1;
                core::TidSet rows(memory);
                core::ScanOptions options;
                options.ef = bench.ef;
                options.wanted = kK;
                options.memory_limit = size_t{64} << 20;
                if (bench.by_tids) {
                    fill(rows, key, matching);
                    options.filter.rows = &rows;
                } else {
                    options.filter.conditions = {&condition, 1};
                }
                for (size_t i = 0; i < bench.strategies.size(); i++) {
                    options.strategy = bench.strategies[i];
                    if (options.strategy == core::Strategy::kPostFilter && kShares[s] < 0.05)
                        continue;
                    /* The first time brings the strategy's pages into the processor's caches. */
                    FilterCell first;
                    for (FilterCell *cell : {&first, &cells[s][i]})
                        run_filtered(bench, scan, stats, options, query, key, matching,
                                     exact[kK - 1], *cell);
                }
            }
        }
        for (size_t s = 0; s < std::size(kShares); s++)
            for (size_t i = 0; i < bench.strategies.size(); i++) {
                FilterCell &cell = cells[s][i];
                if (cell.seconds.empty())
                    continue;
                const auto times = static_cast<double>(cell.seconds.size());
                std::sort(cell.seconds.begin(), cell.seconds.end());
                std::printf(
                    "%-10s %5.1f%% %-13s %7.3f %6.2f %7.1f %8.0f %7.0f %8.0f %8.0f %8.0f ", kind,
                    kShares[s] * 100, name_of(bench.strategies[i]), cell.hits / times / kK,
                    cell.rows / times, cell.pulled / times, cell.reads / times,
                    cell.directory / times, cell.distances / times,
                    std::accumulate(cell.seconds.begin(), cell.seconds.end(), 0.0) / times * 1e6,
                    cell.seconds[cell.seconds.size() / 2] * 1e6);
                for (size_t c = 0; c < 6; c++)
                    if (cell.chosen[c] != 0)
                        std::printf(" %s:%u", name_of(static_cast<core::Strategy>(c)),
                                    cell.chosen[c]);
                std::printf(" changes:%u\n", cell.changes);
            }
        std::fflush(stdout);
    }
}

}  // namespace hnsw::bench

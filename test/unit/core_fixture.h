/*
 * What the core's tests share: seeded clustered vectors, an index in memory, brute-force answers.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <memory_resource>
#include <random>
#include <set>
#include <vector>

#include "core/index.h"
#include "core/insert.h"
#include "core/mem_store.h"
#include "core/scan.h"

namespace hnsw::core::testing {

/* Sorts in memory what the server sorts with tuplesort. */
class VectorSorter final : public RowSorter {
public:
    void begin() override {
        rows_.clear();
        at_ = 0;
    }
    void put(double bound, HeapTid tid) override { rows_.emplace_back(bound, tid.key()); }
    void sort() override { std::sort(rows_.begin(), rows_.end()); }
    bool next(double *bound, HeapTid *tid) override {
        if (at_ == rows_.size())
            return false;
        *bound = rows_[at_].first;
        *tid = HeapTid::from_key(rows_[at_++].second);
        return true;
    }

private:
    std::vector<std::pair<double, uint64_t>> rows_;
    size_t at_ = 0;
};

using Vectors = std::vector<std::vector<float>>;

/* n vectors around `clusters` centres, plus `offset` in every coordinate. */
inline Vectors clustered(uint32_t n, uint32_t dim, uint32_t clusters, uint64_t seed,
                         float offset = 0) {
    std::mt19937_64 rng(seed);
    std::normal_distribution<float> normal;
    std::mt19937_64 centre_rng(42);
    Vectors centres(clusters, std::vector<float>(dim));
    for (auto &c : centres)
        for (float &x : c)
            x = normal(centre_rng);
    Vectors out(n, std::vector<float>(dim));
    for (auto &v : out) {
        const auto &c = centres[rng() % clusters];
        for (uint32_t i = 0; i < dim; i++)
            v[i] = c[i] + 0.7f * normal(rng) + offset;
    }
    return out;
}

inline HeapTid tid_of(uint64_t row) {
    return {static_cast<uint32_t>(row / 100), static_cast<uint16_t>(row % 100 + 1)};
}
/* What the row of that address has for attributes wherever a test does not say otherwise: a key that
 * many rows share, one of its own, one that is often NULL. */
inline Attributes attributes_of(HeapTid tid, uint32_t attributes) {
    Attributes row;
    for (uint32_t i = 0; i < attributes; i++) {
        if (i % 3 == 2 && tid.offset % 2 == 0)
            row.nulls |= static_cast<uint8_t>(1u << i);
        else
            row.key[i] = i % 3 == 0 ? tid.offset % 7 : tid.key() * 1000 + i;
    }
    return row;
}
inline uint64_t row_of(HeapTid tid) { return uint64_t{tid.block} * 100 + tid.offset - 1; }

/* The operator's result as SQL computes it, in double. */
inline double operator_distance(Metric metric, const std::vector<float> &a,
                                const std::vector<float> &b) {
    double l2 = 0, dot = 0, na = 0, nb = 0, l1 = 0;
    for (size_t i = 0; i < a.size(); i++) {
        double d = double{a[i]} - b[i];
        l2 += d * d;
        l1 += std::fabs(d);
        dot += double{a[i]} * b[i];
        na += double{a[i]} * a[i];
        nb += double{b[i]} * b[i];
    }
    switch (metric) {
        case Metric::kL2:
            return std::sqrt(l2);
        case Metric::kCosine:
            return 1 - std::clamp(dot / std::sqrt(na * nb), -1.0, 1.0);
        case Metric::kInnerProduct:
            return -dot;
        case Metric::kL1:
            break;
    }
    return l1;
}

class TestIndex {
public:
    explicit TestIndex(const CreateOptions &options)
        : TestIndex(options, [&](MemStore &s) { create_empty_index(s, options); }) {}

    /* `fill` writes the index. */
    template <class Fill>
    TestIndex(const CreateOptions &options, Fill &&fill) {
        fill(store);
        index.emplace(store, &memory);
        context = {&memory, &stats};
        ef_construction = options.ef_construction;
        metric = options.metric;
    }

    void insert(const Vectors &vectors, uint64_t first_row = 0) {
        Inserter inserter(*index, context, ef_construction);
        for (size_t i = 0; i < vectors.size(); i++)
            add(inserter, vectors[i].data(), first_row + i);
    }

    /* Row `row` with attributes_of() it. */
    void add(Inserter &inserter, const float *value, uint64_t row) {
        inserter.insert(value, tid_of(row), attributes_of(tid_of(row), index->meta().attributes));
    }
    void insert_row(const float *value, uint64_t row) {
        Inserter inserter(*index, context, ef_construction);
        add(inserter, value, row);
    }

    /* The first k rows of a scan, as the executor's reorder queue would hand them out. */
    std::vector<uint64_t> search(const std::vector<float> &q, uint32_t ef, size_t k,
                                 const Vectors &rows) {
        VectorSorter sorter;
        Scan scan(*index, context, sorter);
        scan.begin(q.data(), {.ef = ef});
        std::multiset<std::pair<double, uint64_t>> queue;
        std::vector<uint64_t> out;
        ScanRow row;
        bool more = true;
        while (out.size() < k) {
            if (more && (more = scan.next(&row))) {
                while (!queue.empty() && out.size() < k && queue.begin()->first <= row.bound) {
                    out.push_back(queue.begin()->second);
                    queue.erase(queue.begin());
                }
                uint64_t r = row_of(row.tid);
                queue.emplace(operator_distance(metric, q, rows[r]), r);
            } else if (!queue.empty()) {
                out.push_back(queue.begin()->second);
                queue.erase(queue.begin());
            } else {
                break;
            }
        }
        return out;
    }

    /* Mean recall@k by distance. */
    double recall(const Vectors &queries, const Vectors &rows, uint32_t ef, size_t k) {
        double hits = 0;
        for (const auto &q : queries) {
            std::vector<double> exact;
            for (const auto &r : rows)
                exact.push_back(operator_distance(metric, q, r));
            std::vector<double> sorted = exact;
            std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end());
            for (uint64_t r : search(q, ef, k, rows))
                hits += exact[r] <= sorted[k - 1] ? 1 : 0;
        }
        return hits / static_cast<double>(queries.size() * k);
    }

    std::pmr::synchronized_pool_resource memory;
    Stats stats;
    Context context;
    MemStore store;
    std::optional<Index> index;
    uint32_t ef_construction;
    Metric metric;
};

}  // namespace hnsw::core::testing

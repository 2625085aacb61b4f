/* Distances between nodes of an arena; the choice of neighbours. */
#include "core/build_choose.h"

#include <algorithm>
#include <cfloat>
#include <cstring>

#include "core/neighbours.h"
#include "core/prefetch.h"
#include "core/round_up.h"
#include "simd/isa.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kBatch = 64;

/* A scale that is further above the anchor's is taken for this: the square of what it scales still
 * is a float. */
constexpr float kMaxScale = 1e14f;

/* The kernels take four rows at a time. */
constexpr uint32_t kRows = 4;
constexpr uint32_t padded_rows(uint32_t n) { return round_up(n, kRows); }

constexpr uint32_t kFewestForSearch = 1024;
/* As many as a code has bits at most (record.cpp). */
constexpr uint32_t kMostForLinks = 512;

}  // namespace

uint32_t part_dim(Part part, Metric metric, uint32_t dim) {
    if (part == Part::kAll || metric == Metric::kL1) /* which is not rotated */
        return dim;
    if (part == Part::kLinks)
        return std::min(dim, kMostForLinks);
    return std::min(dim, std::max(kFewestForSearch, padded_dim(dim * 2 / 3)));
}

ArenaMetric::ArenaMetric(const Arena &arena, const Space &space)
    : arena_(arena),
      kernels_(space.kernels()),
      metric_(space.metric()),
      dims_{part_dim(Part::kAll, metric_, space.padded()),
            part_dim(Part::kSearch, metric_, space.padded()),
            part_dim(Part::kLinks, metric_, space.padded())},
      asks_first_line_(simd::prefetches_rows()) {}

void ArenaMetric::keep_norms(ArenaId id) const {
    const int8_t *x = arena_.vector(id);
    const auto of = [&](Part part) { return static_cast<float>(kernels_.i8_dot(x, x, dim(part))); };
    arena_.scalars(id).norm = of(Part::kSearch);
    if (arena_.shape().norms)
        arena_.norms(id) = {of(Part::kAll), of(Part::kLinks)};
}

Anchor ArenaMetric::anchor(ArenaId id) const { return {id, 1 / arena_.scalars(id).scale}; }

float ArenaMetric::relative_scale(const Anchor &anchor, ArenaId id) const {
    return std::min(arena_.scalars(id).scale * anchor.inverse, kMaxScale);
}

float ArenaMetric::one(Part part, const Anchor &anchor, ArenaId id) const {
    float distance;
    many(part, anchor, &id, 1, &distance);
    return distance;
}

void ArenaMetric::many(Part part, const Anchor &anchor, const ArenaId *nodes, uint32_t n,
                       float *out) const {
    const int8_t *rows[kBatch];
    int32_t dots[kBatch];
    const int8_t *x = arena_.vector(anchor.id);
    const float anchor_norm = norm(part, anchor.id);
    const float factor = whole(part);
    for (uint32_t begin = 0; begin < n; begin += kBatch) {
        const uint32_t batch = std::min(n - begin, kBatch);
        for (uint32_t i = 0; i < batch; i++) {
            rows[i] = arena_.vector(nodes[begin + i]);
            __builtin_prefetch(&arena_.scalars(nodes[begin + i]));
            if (asks_first_line_)
                __builtin_prefetch(rows[i]);
            else
                prefetch_lines(rows[i], dim(part));
        }
        if (metric_ == Metric::kL1) {
            for (uint32_t i = 0; i < batch; i++)
                out[begin + i] = kernels_.i8_l1(
                    x, 1, rows[i], relative_scale(anchor, nodes[begin + i]), dim(part));
            continue;
        }
        for (uint32_t i = batch; i < padded_rows(batch); i++)
            rows[i] = rows[0];
        kernels_.i8_dot_many(x, rows, padded_rows(batch), dim(part), dots);
        for (uint32_t i = 0; i < batch; i++) {
            const ArenaId node = nodes[begin + i];
            const float t = relative_scale(anchor, node);
            const float dot = static_cast<float>(dots[i]);
            const float distance = anchor_norm + t * (t * norm(part, node) - 2 * dot);
            out[begin + i] = factor * (distance > 0 ? distance : 0);
        }
    }
}

void Vectors::clear(uint32_t n, const int8_t *some) {
    std::fill_n(row.begin(), n, some);
    std::fill_n(scale.begin(), n, 0.0f);
    std::fill_n(square.begin(), n, FLT_MAX);
}

void ArenaMetric::set(const Anchor &anchor, ArenaId id, Vectors *vectors, uint32_t at) const {
    const float t = relative_scale(anchor, id);
    vectors->row[at] = arena_.vector(id);
    vectors->scale[at] = t;
    vectors->square[at] = t * t * norm(Part::kLinks, id);
}

float ArenaMetric::least(const Vectors &from, uint32_t at, const Vectors &to, uint32_t first,
                         uint32_t n) const {
    if (metric_ == Metric::kL1) {
        float least = FLT_MAX;
        for (uint32_t i = first; i < first + n; i++)
            least = std::min(least, kernels_.i8_l1(from.row[at], from.scale[at], to.row[i],
                                                   to.scale[i], dim(Part::kLinks)));
        return least;
    }
    int32_t dots[kBatch];
    const float square = from.square[at];
    const float twice = 2 * from.scale[at];
    /* Without branches, of which many would be wrong, and four at a time: with std::min(), which takes references,
     * gcc 12 makes a build 6 % longer. */
    float lanes[kRows] = {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX};
    for (uint32_t begin = 0; begin < n; begin += kBatch) {
        const uint32_t batch = std::min(n - begin, kBatch);
        const float *scale = &to.scale[first + begin];
        const float *other = &to.square[first + begin];
        const int32_t *dot = dots;
        kernels_.i8_dot_many(from.row[at], &to.row[first + begin], padded_rows(batch),
                             dim(Part::kLinks), dots);
        const auto distance = [&](size_t i) {
            return square + other[i] - twice * scale[i] * static_cast<float>(dot[i]);
        };
        for (const int32_t *end = dots + batch; dot < end; dot += kRows) {
            float distances[kRows];
            for (size_t i = 0; i < kRows; i++)
                distances[i] = distance(i);
            for (size_t i = 0; i < kRows; i++)
                lanes[i] = distances[i] < lanes[i] ? distances[i] : lanes[i];
            scale += kRows;
            other += kRows;
        }
    }
    const float low = lanes[1] < lanes[0] ? lanes[1] : lanes[0];
    const float high = lanes[3] < lanes[2] ? lanes[3] : lanes[2];
    const float least = high < low ? high : low;
    return whole(Part::kLinks) * std::max(least, 0.0f);
}

LinkChooser::LinkChooser(const ArenaMetric &metric, uint32_t most,
                         std::pmr::memory_resource *memory)
    : metric_(metric),
      states_(most, memory),
      chosen_(memory),
      rest_(memory),
      spare_(memory),
      pool_(most + kRows, memory),
      taken_(most + kRows, memory) {
    chosen_.reserve(most);
    rest_.reserve(most);
    spare_.reserve(most);
}

/* Whether candidate `at`, `distance` from the anchor, is less than `tolerance` times as far from it as from
 * any chosen one.  What was compared in an earlier round is not compared again. */
bool LinkChooser::passes(uint32_t at, float distance, float tolerance) {
    State *state = &states_[at];
    const float threshold = 1 / tolerance;
    if (state->ratio <= threshold)
        return false;
    const uint32_t chosen = static_cast<uint32_t>(chosen_.size());
    while (state->seen < chosen) {
        const uint32_t n = std::min(kRows, chosen - state->seen);
        const float least = metric_.least(pool_, at, taken_, state->seen, n);
        state->seen += n;
        /* Two nodes of one SQ8 vector at distance 0 occlude each other. */
        const float ratio = distance > 0 ? least / distance : (least > 0 ? FLT_MAX : 1.0f);
        state->ratio = std::min(state->ratio, ratio);
        if (state->ratio <= threshold)
            return false;
    }
    return true;
}

std::span<const ArenaId> LinkChooser::choose(const Anchor &anchor, std::span<const Candidate> pool,
                                             uint32_t want) {
    chosen_.clear();
    if (pool.size() <= want) {
        for (const Candidate &c : pool)
            chosen_.push_back(c.node);
        return chosen_;
    }
    for (uint32_t i = 0; i < pool.size(); i++)
        metric_.set(anchor, pool[i].node, &pool_, i);
    taken_.clear(want + kRows, pool_.row[0]);
    std::fill_n(states_.begin(), pool.size(), State{FLT_MAX, 0});
    choose_in_rounds(
        0, static_cast<uint32_t>(pool.size()), want, tolerance_growth(metric_.metric()),
        [&](uint32_t i, float tolerance) { return passes(i, pool[i].distance, tolerance); },
        [&](uint32_t i) {
            taken_.copy(static_cast<uint32_t>(chosen_.size()), pool_, i);
            chosen_.push_back(pool[i].node);
        },
        rest_);
    return chosen_;
}

std::span<const ArenaId> LinkChooser::thin(const Anchor &anchor, std::span<const Candidate> list,
                                           uint32_t want) {
    chosen_.clear();
    spare_.clear();
    for (uint32_t i = 0; i < list.size(); i++)
        metric_.set(anchor, list[i].node, &pool_, i);
    taken_.clear(static_cast<uint32_t>(list.size()) + kRows, pool_.row[0]);
    for (const Candidate &c : list) {
        const auto nearer = static_cast<uint32_t>(chosen_.size());
        const float least = metric_.least(pool_, nearer, taken_, 0, nearer);
        /* Whatever is farther from the others than from the node is equally good. */
        const float freedom = c.distance > 0 ? std::min(least / c.distance, 1.0f) : 1.0f;
        spare_.push_back({-freedom, nearer});
        taken_.copy(nearer, pool_, nearer);
        chosen_.push_back(c.node);
    }
    if (list.size() <= want)
        return chosen_;
    /* Ascending: the freest first, of equals the nearest. */
    std::nth_element(spare_.begin(), spare_.begin() + want, spare_.end());
    std::sort(spare_.begin(), spare_.begin() + want,
              [](const Candidate &a, const Candidate &b) { return a.node < b.node; });
    for (uint32_t i = 0; i < want; i++)
        chosen_[i] = list[spare_[i].node].node;
    chosen_.resize(want);
    return chosen_;
}

}  // namespace hnsw::core

/* Distances between nodes of an arena; the choice of neighbours. */
#include "core/build_choose.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace hnsw::core {

namespace {

constexpr uint32_t kBatch = 64;

/* Rounds of filling: each forgives an occlusion worse by this factor (of squared distances). */
constexpr float kRoundFactor = 1.3f;
constexpr float kLastThreshold = 0.1f;

float clamp_float(double d) {
    return static_cast<float>(std::min<double>(std::max(d, 0.0), FLT_MAX));
}

}  // namespace

Anchor ArenaMetric::anchor(ArenaId id) const {
    const ArenaNode &n = arena_.node(id);
    double scale = n.scale;
    double norm = n.norm;
    return {arena_.vector(id), scale, norm * norm, l1_ ? 1 / scale : 1 / (scale * scale)};
}

float ArenaMetric::finish(const Anchor &anchor, const ArenaNode &node, int32_t dot) const {
    double norm = node.norm;
    return clamp_float((anchor.norm2 + norm * norm - 2 * anchor.scale * node.scale * dot) *
                       anchor.inverse);
}

float ArenaMetric::one(const Anchor &anchor, ArenaId id) const {
    const ArenaNode &n = arena_.node(id);
    const int8_t *x = arena_.vector(id);
    if (l1_)
        return clamp_float(
            kernels_.i8_l1(anchor.x, static_cast<float>(anchor.scale), x, n.scale, dim_) *
            anchor.inverse);
    return finish(anchor, n, kernels_.i8_dot(anchor.x, x, dim_));
}

void ArenaMetric::many(const Anchor &anchor, const ArenaId *nodes, uint32_t n, float *out) const {
    if (l1_) {
        for (uint32_t i = 0; i < n; i++)
            out[i] = one(anchor, nodes[i]);
        return;
    }
    const int8_t *rows[kBatch];
    int32_t dots[kBatch];
    for (uint32_t begin = 0; begin < n; begin += kBatch) {
        uint32_t batch = std::min(n - begin, kBatch);
        for (uint32_t i = 0; i < batch; i++) {
            rows[i] = arena_.vector(nodes[begin + i]);
            __builtin_prefetch(rows[i] - sizeof(ArenaNode));
        }
        kernels_.i8_dot_many(anchor.x, rows, batch, dim_, dots);
        for (uint32_t i = 0; i < batch; i++)
            out[begin + i] = finish(anchor, arena_.node(nodes[begin + i]), dots[i]);
    }
}

LinkChooser::LinkChooser(const ArenaMetric &metric, uint32_t most,
                         std::pmr::memory_resource *memory)
    : metric_(metric),
      states_(most, memory),
      chosen_(memory),
      distances_(most, memory),
      spare_(memory) {
    chosen_.reserve(most);
    spare_.reserve(most);
}

/* Whether no chosen node is so near to `c` that it occludes it by more than `threshold`.  What was
 * compared in an earlier round is not compared again. */
bool LinkChooser::passes(const Anchor &anchor, const Candidate &c, State *state, float threshold) {
    if (state->ratio <= threshold)
        return false;
    Anchor here = metric_.anchor(c.node);
    here.inverse = anchor.inverse;
    constexpr uint32_t kStep = 4;
    float distances[kStep];
    const uint32_t chosen = static_cast<uint32_t>(chosen_.size());
    while (state->seen < chosen) {
        uint32_t n = std::min(kStep, chosen - state->seen);
        metric_.many(here, &chosen_[state->seen], n, distances);
        state->seen += n;
        float least = *std::min_element(distances, distances + n);
        /* Two nodes of one SQ8 vector at distance 0 occlude each other. */
        float ratio = c.distance > 0 ? least / c.distance : (least > 0 ? FLT_MAX : 1.0f);
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
    constexpr float kTaken = -1;
    std::fill_n(states_.begin(), pool.size(), State{FLT_MAX, 0});
    float threshold = 1;
    while (chosen_.size() < want) {
        for (size_t i = 0; i < pool.size() && chosen_.size() < want; i++) {
            State &state = states_[i];
            if (state.ratio == kTaken)
                continue;
            if (threshold == 0 || passes(anchor, pool[i], &state, threshold)) {
                chosen_.push_back(pool[i].node);
                state.ratio = kTaken;
            }
        }
        threshold = threshold > kLastThreshold
                        ? threshold / (metric_.l1() ? std::sqrt(kRoundFactor) : kRoundFactor)
                        : 0;
    }
    return chosen_;
}

std::span<const ArenaId> LinkChooser::thin(const Anchor &anchor, std::span<const Candidate> list,
                                           uint32_t want) {
    chosen_.clear();
    spare_.clear();
    for (const Candidate &c : list) {
        Anchor here = metric_.anchor(c.node);
        here.inverse = anchor.inverse;
        const auto nearer = static_cast<uint32_t>(chosen_.size());
        metric_.many(here, chosen_.data(), nearer, distances_.data());
        const float least =
            nearer == 0 ? FLT_MAX
                        : *std::min_element(distances_.begin(), distances_.begin() + nearer);
        /* Whatever is farther from the others than from the node is equally good. */
        const float freedom = c.distance > 0 ? std::min(least / c.distance, 1.0f) : 1.0f;
        spare_.push_back({-freedom, nearer});
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

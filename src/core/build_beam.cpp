/* The beam and the candidates of a build's search. */
#include "core/build_beam.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/rank_sort.h"
#include "core/round_up.h"
#include "core/sorted_place.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kLanes = 8;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/* How many candidates outside the beam gather, beyond those that will be kept and a hop's, before the others are thrown out:
 * most searches of usual width do it once. */
constexpr uint32_t kGathered = 384;

/* Distances are not negative: as integers they are in the same order. */
int32_t key_of(float distance) { return std::bit_cast<int32_t>(distance); }
float distance_of(int32_t key) { return std::bit_cast<float>(key); }

/* n: a multiple of kLanes. */
uint32_t count_nearer(const float *distance, uint32_t n, float limit) {
    int32_t lanes[kLanes] = {};
    for (uint32_t i = 0; i < n; i += kLanes)
        for (uint32_t lane = 0; lane < kLanes; lane++)
            lanes[lane] += distance[i + lane] < limit ? 1 : 0;
    int32_t count = 0;
    for (int32_t lane : lanes)
        count += lane;
    return static_cast<uint32_t>(count);
}

}  // namespace

void BuildBeam::reset(SearchWidth width, uint32_t most) {
    width_ = width;
    at_ = 0;
    rest_count_ = 0;
    wanted_rest_ = width.candidates - width.expanded;
    rest_bound_ = wanted_rest_ != 0 ? kInfinity : 0;
    beam_.clear();
    beam_.reserve(width.expanded + 1);
    /* What the next nodes offered may add, and what they push out of the beam. Searches of other widths take turns. */
    const size_t room = wanted_rest_ + kGathered + 2 * most + kLanes;
    if (rest_.size() < room) {
        rest_.resize(room);
        distances_.resize(room);
    }
    if (near_.size() < most)
        near_.resize(most);
}

void BuildBeam::offer(const float *distance, const ArenaId *node, uint32_t n) {
    const float bound = beam_.size() < width_.expanded ? kInfinity : beam_.back().distance;
    Candidate *near = near_.data();
    Candidate *rest = rest_.data();
    uint32_t near_count = 0;
    uint32_t rest_count = rest_count_;
    /* Without branches, of which many would be wrong. */
    for (uint32_t i = 0; i < n; i++) {
        const Candidate c = {distance[i], node[i]};
        near[near_count] = c;
        rest[rest_count] = c;
        const uint32_t is_near = c.distance < bound ? 1 : 0;
        near_count += is_near;
        rest_count += (c.distance < rest_bound_ ? 1U : 0U) & ~is_near;
    }
    rest_count_ = rest_count;
    for (uint32_t i = 0; i < near_count; i++)
        push(near[i]);
    if (rest_count_ > wanted_rest_ + kGathered)
        keep_rest();
}

/* Into the beam, and what falls out of it into the rest. */
void BuildBeam::push(Candidate c) {
    auto n = static_cast<uint32_t>(beam_.size());
    if (n < width_.expanded) {
        beam_.resize(n + 1);
    } else {
        n--;
        Candidate out = beam_.back();
        if (!(c.distance < out.distance))
            out = c;
        out.node = node_of(out);
        rest_[rest_count_] = out;
        rest_count_ += wanted_rest_ != 0 ? 1 : 0;
        if (out.node == c.node)
            return;
    }
    Candidate *beam = beam_.data();
    const auto place = static_cast<uint32_t>(sorted_place(beam, n, c.distance));
    std::memmove(&beam[place + 1], &beam[place], (n - place) * sizeof(Candidate));
    beam[place] = c;
    at_ = std::min(at_, place);
}

ArenaId BuildBeam::pop() {
    if (at_ == beam_.size())
        return kNoArenaNode;
    Candidate *at = &beam_[at_];
    const ArenaId node = at->node;
    at->node |= kExpanded;
    do
        at_++;
    while (at_ < beam_.size() && (beam_[at_].node & kExpanded) != 0);
    return node;
}

/* Throws out all of the rest but the nearest that are wanted, and up to an eighth as many more. Finds a distance that so many
 * are nearer than by halving: counting takes no branches, of which std::nth_element() guesses every other one wrong. */
void BuildBeam::keep_rest() {
    const uint32_t n = rest_count_;
    float farthest = 0;
    for (uint32_t i = 0; i < n; i++) {
        distances_[i] = rest_[i].distance;
        farthest = std::max(farthest, rest_[i].distance);
    }
    const uint32_t padded = round_up(n, kLanes);
    std::fill(distances_.begin() + n, distances_.begin() + padded, kInfinity);
    int32_t low = key_of(beam_.back().distance); /* fewer than are wanted are nearer than this, */
    int32_t high = key_of(farthest) + 1;         /* so many than this */
    uint32_t count = n;
    while (count > wanted_rest_ + wanted_rest_ / 8 && high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        const uint32_t nearer = count_nearer(distances_.data(), padded, distance_of(middle));
        (nearer < wanted_rest_ ? low : high) = middle;
        count = nearer < wanted_rest_ ? count : nearer;
    }
    rest_bound_ = distance_of(high);
    rest_count_ = 0;
    for (uint32_t i = 0; i < n; i++) {
        const Candidate c = rest_[i];
        rest_[rest_count_] = c;
        rest_count_ += c.distance < rest_bound_ ? 1 : 0;
    }
    /* Too many are equally far. */
    if (rest_count_ > wanted_rest_ + wanted_rest_ / 8) {
        std::partition(
            rest_.begin(), rest_.begin() + rest_count_,
            [limit = distance_of(low)](const Candidate &c) { return c.distance < limit; });
        rest_count_ = wanted_rest_;
    }
}

std::span<const Candidate> BuildBeam::candidates() {
    for (Candidate &c : beam_)
        c.node = node_of(c);
    if (rest_count_ > wanted_rest_)
        keep_rest();
    rank_sort(rest_.data(), rest_count_);
    const uint32_t kept = std::min(rest_count_, wanted_rest_);
    beam_.insert(beam_.end(), rest_.begin(), rest_.begin() + kept);
    return beam_;
}

}  // namespace hnsw::core

/*
 * Which of its candidates a node links to.  One selection for the in-memory build, for inserts, for
 * backlinks into full lists and for vacuum's repair; they differ in how they know the distance
 * between two candidates.
 *
 * The heuristic is HNSW's algorithm 4 (Malkov and Yashunin, arXiv 1603.09320): nearest first, take a
 * candidate unless one already taken is nearer to it than the node is.  Slots left over are filled
 * from the occluded in rounds of growing tolerance (alpha^2 = 1.2^2, then times 1.3 each round):
 * the least redundant first (graph-construction measurements: docs/performance.md).
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <vector>

namespace hnsw::core {

/* Chooses up to `slots` of `n` candidates.
 * distance: to the node, ascending (internal units; may be negative for inner product).
 * between(i, j): distance between candidates i and j, same units.
 * chosen: receives indices into the candidates; taken by the heuristic first, fill after.
 * kept: the first so many candidates (at most `slots`) are links to be kept whatever the heuristic
 * would say; only the others need to be in order of distance.
 * Returns how many of them the heuristic itself took. */
template <class Between>
uint32_t select_neighbours(const float *distance, uint32_t n, uint32_t slots, Between &&between,
                           std::pmr::vector<uint32_t> &chosen, uint32_t kept = 0) {
    constexpr float kFirstAlpha2 = 1.2f * 1.2f;
    constexpr float kAlphaGrowth = 1.3f;
    constexpr float kNever = 3e38f;

    chosen.clear();
    /* For each occluded candidate the smallest alpha^2 at which it would have been taken: its
     * distance to the node over the distance to its nearest taken occluder. */
    std::pmr::vector<float> redundancy(n, 0.0f, chosen.get_allocator().resource());
    auto occlude = [&](uint32_t candidate, uint32_t taken) {
        float apart = between(candidate, taken);
        if (apart >= distance[candidate])
            return false;
        /* Negative distances (inner product) have no ratio: any occlusion counts the same. */
        float ratio = apart > 0 && distance[candidate] > 0 ? distance[candidate] / apart : kNever;
        redundancy[candidate] = std::max(redundancy[candidate], ratio);
        return true;
    };
    std::pmr::vector<uint32_t> rest(chosen.get_allocator());
    for (uint32_t i = 0; i < kept; i++)
        chosen.push_back(i);
    for (uint32_t i = kept; i < n && chosen.size() < slots; i++) {
        bool occluded = false;
        for (uint32_t taken : chosen)
            if (occlude(i, taken)) {
                occluded = true;
                break;
            }
        if (occluded)
            rest.push_back(i);
        else
            chosen.push_back(i);
    }
    const auto by_heuristic = static_cast<uint32_t>(chosen.size());
    if (chosen.size() == slots || rest.empty())
        return by_heuristic;

    /* The first occluder was enough to put a candidate aside; the fill wants all of them. */
    for (uint32_t candidate : rest)
        for (uint32_t taken : chosen)
            occlude(candidate, taken);
    for (float alpha2 = kFirstAlpha2; chosen.size() < slots && !rest.empty();
         alpha2 *= kAlphaGrowth) {
        if (alpha2 > 100)
            alpha2 = kNever; /* whatever is left, nearest first */
        size_t left = 0;
        for (uint32_t candidate : rest) {
            if (chosen.size() == slots || redundancy[candidate] > alpha2) {
                rest[left++] = candidate;
                continue;
            }
            chosen.push_back(candidate);
            for (uint32_t other : rest)
                if (other > candidate)
                    occlude(other, candidate);
        }
        rest.resize(left);
        if (alpha2 >= kNever)
            break;
    }
    return by_heuristic;
}

}  // namespace hnsw::core

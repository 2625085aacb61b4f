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
    /* For each occluded candidate the smallest alpha^2 at which it would have been taken, as far as
     * it has been compared: its distance to the node over the distance to its nearest taken
     * occluder. */
    struct Occluded {
        uint32_t candidate;
        uint32_t compared; /* with so many of `chosen` */
        float redundancy;
    };
    std::pmr::vector<Occluded> rest(chosen.get_allocator().resource());
    /* Compares until it turns out to be more redundant than `limit`. */
    auto compare = [&](Occluded &o, float limit) {
        const float own = distance[o.candidate];
        while (o.redundancy <= limit && o.compared < chosen.size()) {
            const uint32_t taken = chosen[o.compared++];
            const float apart = between(o.candidate, taken);
            /* Negative distances (inner product) have no ratio: any occlusion counts the same. */
            if (apart < own)
                o.redundancy = std::max(o.redundancy, apart > 0 && own > 0 ? own / apart : kNever);
        }
        return o.redundancy <= limit;
    };
    for (uint32_t i = 0; i < kept; i++)
        chosen.push_back(i);
    for (uint32_t i = kept; i < n && chosen.size() < slots; i++) {
        Occluded o{i, 0, 0};
        if (compare(o, 0))
            chosen.push_back(i);
        else
            rest.push_back(o);
    }
    const auto by_heuristic = static_cast<uint32_t>(chosen.size());
    for (float alpha2 = kFirstAlpha2; chosen.size() < slots && !rest.empty();
         alpha2 *= kAlphaGrowth) {
        if (alpha2 > 100)
            alpha2 = kNever; /* whatever is left, nearest first */
        size_t left = 0;
        for (Occluded &o : rest) {
            if (chosen.size() < slots && (alpha2 == kNever || compare(o, alpha2)))
                chosen.push_back(o.candidate);
            else
                rest[left++] = o;
        }
        rest.resize(left);
    }
    return by_heuristic;
}

}  // namespace hnsw::core

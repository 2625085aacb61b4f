/*
 * Which of its candidates a node links to: in the arena of a build (build_choose.h), and in pages, for
 * inserts, for backlinks into full lists, for vacuum's repair and for regions that are joined
 * (select_neighbours()).  They differ in how the distance between two candidates is known.
 *
 * The heuristic is HNSW's algorithm 4 (Malkov and Yashunin, arXiv 1603.09320): nearest first, take a
 * candidate unless one already taken is nearer to it than the node is, which occludes it.  Slots left over
 * are filled from the occluded in rounds that forgive more and more (as the alpha of Vamana does:
 * Subramanya et al., DiskANN, NeurIPS 2019), so that every record is full and the fillers still point in
 * different directions: the least redundant first (graph-construction measurements: docs/performance.md).
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <numeric>
#include <vector>

#include "core/meta.h"

namespace hnsw::core {

/* How much more each round forgives: 1.3 of squared distances, its root of others. */
inline float tolerance_growth(Metric metric) { return metric == Metric::kL1 ? 1.140175f : 1.3f; }

/* The most that a round forgives; then whatever is left is taken, nearest first. */
inline constexpr float kMostTolerance = 10;

/* Takes candidates first..n - 1, ascending by distance, until `slots` are taken; the first ones are.
 * passes(i, tolerance): whether candidate i is at most `tolerance` times as far from the node as from any
 * that is taken.
 * take(i): takes it.
 * rest: scratch. */
template <class Passes, class Take>
void choose_in_rounds(uint32_t first, uint32_t n, uint32_t slots, float growth, Passes &&passes,
                      Take &&take, std::pmr::vector<uint32_t> &rest) {
    rest.resize(n - first);
    std::iota(rest.begin(), rest.end(), first);
    uint32_t taken = first;
    for (float tolerance = 1; taken < slots && !rest.empty(); tolerance *= growth) {
        size_t left = 0;
        for (const uint32_t candidate : rest) {
            if (taken < slots && (tolerance > kMostTolerance || passes(candidate, tolerance))) {
                take(candidate);
                taken++;
            } else {
                rest[left++] = candidate;
            }
        }
        rest.resize(left);
    }
}

/* Chooses up to `slots` of `n` candidates.
 * distance: to the node, ascending (internal units; may be negative for inner product).
 * between(i, j): distance between candidates i and j, same units.
 * chosen: receives indices into the candidates, in the order in which they were taken.
 * kept: the first so many candidates (at most `slots`) are links to be kept whatever the heuristic
 * would say; only the others need to be in order of distance. */
template <class Between>
void select_neighbours(Metric metric, const float *distance, uint32_t n, uint32_t slots,
                       Between &&between, std::pmr::vector<uint32_t> &chosen, uint32_t kept = 0) {
    constexpr float kNever = 3e38f;
    /* What is known of a candidate: its distance to the node over that to the nearest taken one which
     * occludes it, as far as it has been compared. */
    struct Redundancy {
        float times = 0;
        uint32_t compared = 0; /* with so many of `chosen` */
    };
    std::pmr::memory_resource *memory = chosen.get_allocator().resource();
    std::pmr::vector<Redundancy> known(n, Redundancy{}, memory);
    std::pmr::vector<uint32_t> rest(memory);
    chosen.resize(kept);
    std::iota(chosen.begin(), chosen.end(), 0);
    auto passes = [&](uint32_t i, float tolerance) {
        Redundancy &of = known[i];
        while (of.times <= tolerance && of.compared < chosen.size()) {
            const float apart = between(i, chosen[of.compared++]);
            /* Negative distances (inner product) have no ratio: any occlusion counts the same. */
            if (apart < distance[i])
                of.times =
                    std::max(of.times, apart > 0 && distance[i] > 0 ? distance[i] / apart : kNever);
        }
        return of.times <= tolerance;
    };
    choose_in_rounds(
        kept, n, slots, tolerance_growth(metric), passes, [&](uint32_t i) { chosen.push_back(i); },
        rest);
}

}  // namespace hnsw::core

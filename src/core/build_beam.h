/*
 * What a build's search has found: a short beam in order, which it expands, and a larger number of candidates,
 * which links are chosen among. To keep all of those in order while the search goes on was an eighth of a build.
 */
#pragma once

#include <cstdint>
#include <limits>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/build_choose.h"

namespace hnsw::core {

/* How far a search in the arena goes. */
struct SearchWidth {
    uint32_t expanded; /* nodes, the nearest of... */
    uint32_t
        candidates; /* ...so many that it keeps: the nearest of all it has evaluated; no fewer */

    SearchWidth half() const { return {(expanded + 1) / 2, (candidates + 1) / 2}; }
};

class BuildBeam {
public:
    explicit BuildBeam(std::pmr::memory_resource *memory)
        : beam_(memory), rest_(memory), distances_(memory), near_(memory) {}

    /* Empties it. most: nodes offered at once. */
    void reset(SearchWidth width, uint32_t most);
    /* n nodes, none of them offered before, and their distances (>= 0). */
    void offer(const float *distance, const ArenaId *node, uint32_t n);

    /* The nearest node of the beam not expanded yet, which counts as expanded from now on; kNoArenaNode: there is none,
     * the search is over. */
    ArenaId pop();
    /* What pop() will return unless a nearer node is offered. */
    ArenaId next() const { return at_ < beam_.size() ? node_of(beam_[at_]) : kNoArenaNode; }

    /* The candidates, nearest first. Ends the search; valid until reset(). */
    std::span<const Candidate> candidates();

private:
    static constexpr ArenaId kExpanded = 0x80000000u; /* mark in Candidate::node, inside the beam */
    static ArenaId node_of(const Candidate &c) { return c.node & ~kExpanded; }

    void push(Candidate c);
    void keep_rest();

    SearchWidth width_ = {};
    std::pmr::vector<Candidate> beam_; /* sorted */
    uint32_t at_ = 0;                  /* the first of beam_ not expanded */
    /* Candidates outside the beam, none nearer than those in it; more than will be kept. */
    std::pmr::vector<Candidate> rest_;
    uint32_t rest_count_ = 0;
    uint32_t wanted_rest_ = 0;
    float rest_bound_ = 0;              /* whoever is farther will not be kept */
    std::pmr::vector<float> distances_; /* keep_rest(): of rest_ */
    std::pmr::vector<Candidate> near_;  /* offer(): those that may enter the beam */
};

}  // namespace hnsw::core

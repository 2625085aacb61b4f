/*
 * Distances between nodes of an arena, and the choice of a node's neighbours among candidates
 * (neighbours.h says how), by kernels that compare with four at a time.
 */
#pragma once

#include <memory_resource>
#include <span>
#include <vector>

#include "core/arena.h"

namespace hnsw::core {

struct Candidate {
    float distance;
    ArenaId node;
    friend bool operator<(const Candidate &a, const Candidate &b) {
        return a.distance < b.distance || (a.distance == b.distance && a.node < b.node);
    }
};

/* Which coordinates of its vectors a distance is computed from. Of rotated vectors any part tells nearly what
 * all do, and a build waits most of its time for vectors; docs/performance.md has what fewer would cost. */
enum class Part {
    kAll,
    kSearch, /* the first 1,024 or two thirds: a build's candidates */
    kLinks,  /* the first 512: candidates among each other */
};

/* How many of `dim` coordinates those are, both padded. */
uint32_t part_dim(Part part, Metric metric, uint32_t dim);

/* A node that others are compared with; distances are in units of its own scale. */
struct Anchor {
    ArenaId id = kNoArenaNode;
    float inverse = 0; /* one over its scale */
};

/* Vectors in the scale of one anchor, side by side as the kernels take them. */
struct Vectors {
    Vectors(uint32_t most, std::pmr::memory_resource *memory)
        : row(most, memory), scale(most, memory), square(most, memory) {}

    void copy(uint32_t to, const Vectors &from, uint32_t at) {
        row[to] = from.row[at];
        scale[to] = from.scale[at];
        square[to] = from.square[at];
    }

    /* The first n become vectors at no distance that counts; the kernels read `some` row of a node in their place. */
    void clear(uint32_t n, const int8_t *some);

    std::pmr::vector<const int8_t *> row;
    std::pmr::vector<float> scale;  /* relative to the anchor's */
    std::pmr::vector<float> square; /* of the Euclidean norm of Part::kLinks */
};

/* Distances between an arena's nodes, from their SQ8 vectors alone.  Inner product too builds its
 * graph on Euclidean distances: a linear function has no local maximum on a Delaunay graph that is
 * not the global one, so such a graph leads a search by inner product to its goal, and a short
 * vector is not cut off by long ones. */
class ArenaMetric {
public:
    ArenaMetric(const Arena &arena, const Space &space);

    Metric metric() const { return metric_; }
    /* Sets the norms of a node from its vector. */
    void keep_norms(ArenaId id) const;

    Anchor anchor(ArenaId id) const;
    float one(Part part, const Anchor &anchor, ArenaId id) const;
    /* out[i] = distance of nodes[i], of all coordinates as estimated from that part of them. */
    void many(Part part, const Anchor &anchor, const ArenaId *nodes, uint32_t n, float *out) const;

    /* Sets vector `at` to the node's. */
    void set(const Anchor &anchor, ArenaId id, Vectors *vectors, uint32_t at) const;
    /* The least distance from vector `at` to `n` of `to` from `first` on, estimated from Part::kLinks; FLT_MAX or more
     * if n is 0. Those beyond, up to a multiple of four, must be cleared. */
    float least(const Vectors &from, uint32_t at, const Vectors &to, uint32_t first,
                uint32_t n) const;

private:
    uint32_t dim(Part part) const { return dims_[static_cast<size_t>(part)]; }
    /* A distance by that part times this is one by all, nearly. */
    float whole(Part part) const {
        return static_cast<float>(dim(Part::kAll)) / static_cast<float>(dim(part));
    }
    float norm(Part part, ArenaId id) const {
        if (dim(part) == dim(Part::kSearch))
            return arena_.scalars(id).norm;
        return part == Part::kAll ? arena_.norms(id).all : arena_.norms(id).links;
    }
    float relative_scale(const Anchor &anchor, ArenaId id) const;

    const Arena &arena_;
    const simd::CodeKernels &kernels_;
    Metric metric_;
    uint32_t dims_[3];     /* coordinates of each Part */
    bool asks_first_line_; /* of a row, before it is read; the processor asks for the others */
};

class LinkChooser {
public:
    /* most: the largest pool that choose() will be given. */
    LinkChooser(const ArenaMetric &metric, uint32_t most, std::pmr::memory_resource *memory);

    /* Chooses up to `want` nodes of `pool`, which is sorted, without repetition and without the
     * anchor itself; all of the pool if it is no larger. Returns them in the order of choice, valid
     * until the next call. */
    std::span<const ArenaId> choose(const Anchor &anchor, std::span<const Candidate> pool,
                                    uint32_t want);

    /* Keeps `want` links of a list that has become too long, sorted: those go whose distance is the
     * largest multiple of that to a nearer one, redundant or not, and of equals the farthest. As an
     * insert into pages does it (EdgeAngles::most_redundant). Valid until the next call. */
    std::span<const ArenaId> thin(const Anchor &anchor, std::span<const Candidate> list,
                                  uint32_t want);

private:
    struct State {
        float ratio;   /* least distance to a chosen one, divided by that to the anchor */
        uint32_t seen; /* chosen ones compared with so far */
    };
    bool passes(uint32_t at, float distance, float tolerance);

    const ArenaMetric &metric_;
    std::pmr::vector<State> states_;
    std::pmr::vector<ArenaId> chosen_;
    std::pmr::vector<uint32_t> rest_;   /* choose(): those not chosen yet */
    std::pmr::vector<Candidate> spare_; /* thin(): redundancy in place of the distance */
    Vectors pool_;
    Vectors taken_; /* of chosen_ */
};

}  // namespace hnsw::core

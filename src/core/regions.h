/*
 * A division of the vector space into regions of about equal load, for a build that takes them one
 * after the other: a tree of hyperplanes, each between the two means of a balanced 2-means clustering
 * of its part of a sample.  (Weighted k-means was tried: in many dimensions distances are so much
 * alike that no weights keep its cells even.)  A value has one home; near borders it is also copied
 * into the regions beyond them, so that the graphs of neighbouring regions overlap (the idea of DiskANN's
 * merged Vamana: Subramanya et al., NeurIPS 2019).
 *
 * Used by build_regions.h.
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/build.h"

namespace hnsw::core {

class Regions {
public:
    /* dim: floats per value. One region, until fit(). */
    Regions(uint32_t dim, std::pmr::memory_resource *memory);

    /* Makes `count` (>= 1) regions, or fewer if the sample is small. sample: rows of dim floats, as
     * Query::value has them. copied: copies of a value, on average; not negative. */
    void fit(std::span<const float> sample, uint32_t count, double copied, Poll poll);

    uint32_t count() const { return static_cast<uint32_t>(splits_.size()) + 1; }

    /* Returns the value's home; copies: the other regions that it belongs into, none twice. The same for
     * equal values. */
    uint32_t find(const float *value, std::pmr::vector<uint32_t> *copies) const;

private:
    /* Values beyond the plane <value, direction> = threshold go right. Direction number i belongs to
     * split number i. */
    struct Split {
        float threshold;
        float inverse_length; /* of the direction */
        uint32_t child[2];    /* a split, or a region + kLeaf */
    };
    static constexpr uint32_t kLeaf = 0x80000000u;

    float project(uint32_t split, const float *value) const;
    template <class Visit>
    uint32_t descend(uint32_t at, const float *value, Visit &&visit) const;
    uint32_t divide(std::span<const float> sample, std::span<uint32_t> rows, uint32_t count,
                    Poll poll);
    void aim(std::span<const float> sample, std::span<const uint32_t> rows, size_t left,
             uint32_t split);

    uint32_t dim_;
    uint32_t regions_ = 1;
    uint32_t root_ = kLeaf;
    float border_ = 0; /* values nearer to a plane are copied across it */
    std::pmr::vector<Split> splits_;
    std::pmr::vector<float> directions_;
    /* Scratch of fit(). */
    std::pmr::vector<uint32_t> rows_;
    std::pmr::vector<float> projections_; /* by sample row */
};

}  // namespace hnsw::core

/*
 * How the distances from a value to the rows of an index are distributed, from a sample of its nodes:
 * the planner's estimate of how many rows lie within a bound.
 *
 * The sample is far smaller than the share of rows that bounds usually admit, so what lies below its
 * smallest distances is extrapolated: near a point of data of m intrinsic dimensions the number of rows
 * grows with the m-th power of the distance, and the smallest distances of the sample give m by maximum
 * likelihood (Hill, Annals of Statistics 3, 1975; Levina and Bickel, NIPS 2004).
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/context.h"
#include "core/index.h"

namespace hnsw::core {

class DistanceSample {
public:
    /* Nodes looked at, two of a page. */
    static constexpr uint32_t kNodes = 160;

    explicit DistanceSample(std::pmr::memory_resource *memory) : distances_(memory) {}

    /* Takes up the distances, as the operator gives them, from `value` (dim finite floats) to nodes
     * evenly spread over the index. Holds one page at a time. May poll(). */
    void take(Index &index, const Context &context, const float *value);
    /* The same from distances at hand. positive: none can be less than 0. */
    void take(std::pmr::vector<double> distances, bool positive);

    /* Whether there are enough of them to say anything. */
    bool tells() const { return distances_.size() >= kTail; }
    /* The share of rows within `bound`: 0..1. Only if tells(). */
    double share_within(double bound) const;

private:
    /* Distances that the extrapolation goes by, and below which number it is needed. */
    static constexpr uint32_t kTail = 12;

    double scale(double distance) const;

    std::pmr::vector<double> distances_; /* ascending */
    bool positive_ = true;
};

}  // namespace hnsw::core

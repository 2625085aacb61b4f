/*
 * How far a search of layer 0 goes for what ef_search promises: a beam so many nodes wide, or, where that was
 * measured, as far as a multiple of the distance of the tenth nearest row found.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/beam.h"
#include "core/meta.h"

namespace hnsw::core {

/* What builds measure widths at: the default of hnsw.ef_search. */
inline constexpr uint32_t kMeasuredEf = 40;

/* Width of the beam for `ef`; beam_factor: of the index (MetaPage). The factor is measured at ef 40, and in a
 * shorter beam an estimate that errs pushes out a larger share: hence so many more. */
inline size_t estimated_beam_width(uint32_t ef, float beam_factor) {
    constexpr size_t kMargin = 8;
    return static_cast<size_t>(std::ceil(static_cast<float>(ef) * beam_factor)) + kMargin;
}

/* Whether searches may end by it: distances must not be negative. L1, which has no codes, pays for each neighbour a
 * record, and its searches are as wide as they were asked to be. */
inline bool has_reach(Metric metric) { return metric == Metric::kL2 || metric == Metric::kCosine; }

/*
 * A beam of fixed width expands as many nodes for an easy query as for a hard one, around which hundreds are
 * about equally far. One that ends where the nearest candidate is farther than a multiple of the k-th nearest
 * distance found (Adaptive Beam Search, arXiv 2505.15636) spends more on the hard ones, less on the easy ones, and
 * in the mean less for the same recall.
 */
class Reach {
public:
    static constexpr uint32_t kRank = 10;
    /* A search expands no fewer nodes than that share of its width, and no more than so many times the width. */
    static constexpr size_t kLeastShare = 8;
    static constexpr size_t kMostWidths = 4;

    explicit Reach(std::pmr::memory_resource *memory) : nearest_(memory) {}

    /* The factor for a beam `width` wide, given the one `measured` for `measured_width`; 0: none is known, or
     * there would be none to measure from. How they grow with each other is the mean of three data sets
     * (docs/performance.md). */
    static float factor(float measured, size_t width, size_t measured_width) {
        if (!(measured > 1) || width <= kRank || measured_width <= kRank)
            return 0;
        constexpr double kPower = 1.5;
        const auto wide = [](size_t nodes) { return std::log(static_cast<double>(nodes) / kRank); };
        const double power = std::pow(wide(width) / wide(measured_width), kPower);
        return static_cast<float>(std::pow(static_cast<double>(measured), power));
    }

    /* Of internal distances. 0: beams keep their width. */
    void begin(float factor) {
        factor_ = factor;
        found_ = 0;
        nearest_.clear();
    }
    bool used() const { return factor_ != 0; }

    /* A row has been found so far away. */
    void found(float distance) {
        found_++;
        if (nearest_.size() == kRank) {
            if (distance >= nearest_.front())
                return;
            std::pop_heap(nearest_.begin(), nearest_.end());
            nearest_.pop_back();
        }
        nearest_.push_back(distance);
        std::push_heap(nearest_.begin(), nearest_.end());
    }

    /* Lets the beam go as far as the rows found say; as wide as it is, while they are too few. */
    void apply_to(Beam *beam) const {
        if (used() && found_ >= std::max<size_t>(kRank, beam->width() / kLeastShare))
            beam->set_reach(factor_ * nearest_.front(), kMostWidths * beam->width());
    }

    /* How far rows that have been found are known in order, or nearly: half the way from the tenth to what has not
     * been expanded. Only if the beam has a reach. */
    float settled() const { return factor_ * nearest_.front(); }

private:
    float factor_ = 0;
    size_t found_ = 0;
    std::pmr::vector<float> nearest_; /* the kRank nearest, the farthest of them on top */
};

}  // namespace hnsw::core

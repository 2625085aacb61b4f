/*
 * How far a search of layer 0 goes for what ef_search promises: a beam so many nodes wide, or, where that was
 * measured, as far as a multiple of the distance of the tenth nearest row found.
 */
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

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

    /* The factor for a beam `width` wide, given the one `measured` for `measured_width`; 0: none is known, or
     * there would be none to measure from. How they grow with each other is the mean of three data sets
     * (docs/performance.md). */
    static float factor(float measured, size_t width, size_t measured_width) {
        if (!(measured > 1) || width < 2 * kRank || measured_width < 2 * kRank)
            return 0;
        constexpr double kPower = 1.5;
        const auto wide = [](size_t nodes) { return std::log(static_cast<double>(nodes) / kRank); };
        const double power = std::pow(wide(width) / wide(measured_width), kPower);
        return static_cast<float>(std::pow(static_cast<double>(measured), power));
    }

    /* factor: of internal distances; 0: the beam keeps its width. */
    void begin(float factor, size_t width) {
        factor_ = factor;
        width_ = width;
        enough_ = std::max<size_t>(kRank, width / kLeastShare);
        found_ = 0;
    }
    bool used() const { return factor_ != 0; }

    /* A row has been found so far away. Returns whether the beam should be told. */
    bool found(float distance) {
        found_++;
        const auto end =
            nearest_.begin() + std::min<ptrdiff_t>(static_cast<ptrdiff_t>(found_), kRank);
        if (found_ > kRank) {
            if (distance >= nearest_.front())
                return found_ == enough_;
            std::pop_heap(nearest_.begin(), end);
        }
        end[-1] = distance;
        std::push_heap(nearest_.begin(), end);
        return found_ >= enough_;
    }

    /* Lets the beam go as far as the rows found say; as wide as it is, while they are too few. */
    void apply_to(Beam *beam) const {
        if (used() && found_ >= enough_)
            beam->set_reach(factor_ * nearest_.front(), kMostWidths * width_);
    }

    /* How far the rows found are in order, or nearly. Only if the beam has a reach. */
    float settled() const { return factor_ * nearest_.front(); }

private:
    float factor_ = 0;
    size_t width_ = 0;
    size_t enough_ = 0; /* rows, before there is a reach */
    size_t found_ = 0;
    std::array<float, kRank> nearest_ = {}; /* a heap, the farthest on top */
};

}  // namespace hnsw::core

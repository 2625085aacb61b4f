/* The tree of regions. regions.h says what for. */
#include "core/regions.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "simd/kernels.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kRounds = 8;      /* of 2-means */
constexpr size_t kRowsPerRegion = 8; /* fewer sample rows say nothing */

}  // namespace

Regions::Regions(uint32_t dim, std::pmr::memory_resource *memory)
    : dim_(dim), splits_(memory), directions_(memory), rows_(memory), projections_(memory) {}

float Regions::project(uint32_t split, const float *value) const {
    return simd::kernels().inner_product(value, &directions_[size_t{split} * dim_], dim_);
}

/* The region below `at`. visit(distance, beyond) is called with each plane on the way and the subtree
 * behind it. */
template <class Visit>
uint32_t Regions::descend(uint32_t at, const float *value, Visit &&visit) const {
    while ((at & kLeaf) == 0) {
        const Split &split = splits_[at];
        const float over = project(at, value) - split.threshold;
        const bool right = over > 0;
        visit(std::fabs(over) * split.inverse_length, split.child[right ? 0 : 1]);
        at = split.child[right ? 1 : 0];
    }
    return at & ~kLeaf;
}

uint32_t Regions::find(const float *value, std::pmr::vector<uint32_t> *copies) const {
    copies->clear();
    return descend(root_, value, [&](float distance, uint32_t beyond) {
        if (distance < border_)
            copies->push_back(descend(beyond, value, [](float, uint32_t) {}));
    });
}

/* Sets a split's direction: from the mean of the lower `left` rows to that of the others, in order of
 * their projections on it. */
void Regions::aim(std::span<const float> sample, std::span<const uint32_t> rows, size_t left,
                  uint32_t split) {
    float *direction = &directions_[size_t{split} * dim_];
    for (uint32_t d = 0; d < dim_; d++) {
        double low = 0;
        double high = 0;
        for (size_t i = 0; i < rows.size(); i++)
            (i < left ? low : high) += sample[size_t{rows[i]} * dim_ + d];
        direction[d] = static_cast<float>(high / static_cast<double>(rows.size() - left) -
                                          low / static_cast<double>(left));
    }
}

/* Divides sample rows among `count` regions; returns the subtree. */
uint32_t Regions::divide(std::span<const float> sample, std::span<uint32_t> rows, uint32_t count,
                         Poll poll) {
    if (count < 2 || rows.size() < 2 * kRowsPerRegion)
        return kLeaf | regions_++;
    poll();
    const auto split = static_cast<uint32_t>(splits_.size());
    splits_.push_back({});
    directions_.resize(directions_.size() + dim_);
    const simd::Kernels &kernels = simd::kernels();
    auto row = [&](uint32_t i) { return &sample[size_t{i} * dim_]; };
    /* Towards the row farthest from the middle one. */
    const uint32_t middle = rows[rows.size() / 2];
    uint32_t far = middle;
    for (uint32_t i : rows)
        if (kernels.l2_squared(row(i), row(middle), dim_) >
            kernels.l2_squared(row(far), row(middle), dim_))
            far = i;
    for (uint32_t d = 0; d < dim_; d++)
        directions_[size_t{split} * dim_ + d] = row(far)[d] - row(middle)[d];
    const uint32_t lower = count / 2;
    const size_t left = std::max<size_t>(1, rows.size() * lower / count);
    for (uint32_t round = 0;; round++) {
        for (uint32_t i : rows)
            projections_[i] = project(split, row(i));
        std::nth_element(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(left), rows.end(),
                         [&](uint32_t a, uint32_t b) { return projections_[a] < projections_[b]; });
        if (round == kRounds)
            break;
        aim(sample, rows, left, split);
    }
    /* Half way between the last of the left and the first of the right. */
    float last = -FLT_MAX;
    for (size_t i = 0; i < left; i++)
        last = std::max(last, projections_[rows[i]]);
    const double length = std::sqrt(kernels.norm_squared(&directions_[size_t{split} * dim_], dim_));
    splits_[split].threshold = last + (projections_[rows[left]] - last) / 2;
    splits_[split].inverse_length = length > FLT_MIN ? static_cast<float>(1 / length) : 0;
    const uint32_t low = divide(sample, rows.first(left), lower, poll);
    const uint32_t high = divide(sample, rows.subspan(left), count - lower, poll);
    splits_[split].child[0] = low;
    splits_[split].child[1] = high;
    return split;
}

void Regions::fit(std::span<const float> sample, uint32_t count, double copied, Poll poll) {
    const size_t rows = sample.size() / dim_;
    rows_.resize(rows);
    std::iota(rows_.begin(), rows_.end(), 0u);
    projections_.resize(rows);
    splits_.clear();
    directions_.clear();
    regions_ = 0;
    root_ = divide(sample, rows_, count, poll);
    border_ = 0;
    if (splits_.empty() || copied <= 0)
        return;
    std::pmr::vector<float> margins(splits_.get_allocator());
    for (size_t i = 0; i < rows; i++)
        descend(root_, &sample[i * dim_],
                [&](float distance, uint32_t) { margins.push_back(distance); });
    const double all = copied * static_cast<double>(rows - 1);
    const auto last = static_cast<double>(margins.size() - 1);
    const auto at = margins.begin() + static_cast<ptrdiff_t>(std::min(all, last));
    std::nth_element(margins.begin(), at, margins.end());
    border_ = *at;
}

}  // namespace hnsw::core

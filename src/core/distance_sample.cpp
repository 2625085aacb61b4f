/* Distances from a value to a sample of an index. distance_sample.h says what for. */
#include "core/distance_sample.h"

#include <algorithm>
#include <cmath>

#include "core/record_io.h"

namespace hnsw::core {

namespace {

/* More of a page say less: neighbours in the graph may lie side by side. */
constexpr uint32_t kPerPage = 2;

/* Distances less than this share of the sample's are taken for it: a row equal to the value says
 * nothing about dimensions. */
constexpr double kLeastShare = 1e-3;

}  // namespace

void DistanceSample::take(Index &index, const Context &context, const float *value) {
    std::pmr::vector<double> found(context.memory);
    const Space &space = index.space();
    Query query(context.memory);
    space.prepare(value, &query);
    if (!query.zero) {
        const IndexLayouts &layouts = index.layouts();
        RecordRef record(index.store(), layouts, RecordClass::kBase, context.memory);
        const uint32_t per_page = std::min(kPerPage, layouts.usual.per_page);
        const BlockNo blocks = index.store().size();
        const BlockNo step = std::max<BlockNo>(1, blocks / (kNodes / per_page));
        for (BlockNo block = step / 2; block < blocks && found.size() < kNodes; block += step) {
            for (uint32_t slot = 0; slot < per_page; slot++) {
                if (!record.read(layouts.id_of(block, slot)))
                    continue;
                const RecordHeader &head = record.view().head();
                if (head.state == RecordState::kLive && head.centre < space.centre_count())
                    found.push_back(
                        space.operator_value(query, space.distance(query, sq8_of(record.view()))));
            }
            record.release();
            index.store().poll();
        }
    }
    take(std::move(found), space.metric() != Metric::kInnerProduct);
}

void DistanceSample::take(std::pmr::vector<double> distances, bool positive) {
    std::erase_if(distances, [](double d) { return !std::isfinite(d); });
    distances_ = std::move(distances);
    std::sort(distances_.begin(), distances_.end());
    positive_ = positive;
}

/* On this scale the share of rows falls exponentially. */
double DistanceSample::scale(double distance) const {
    if (!positive_)
        return distance;
    const double least = std::max(distances_[kTail - 1] * kLeastShare, 1e-300);
    return std::log(std::max(distance, least));
}

double DistanceSample::share_within(double bound) const {
    const auto n = static_cast<double>(distances_.size());
    const auto within = static_cast<double>(
        std::upper_bound(distances_.begin(), distances_.end(), bound) - distances_.begin());
    if (within >= kTail)
        return within / n;
    if (positive_ && bound < 0)
        return 0;
    const double edge = scale(distances_[kTail - 1]);
    double excess = 0;
    for (uint32_t i = 0; i + 1 < kTail; i++)
        excess += edge - scale(distances_[i]);
    excess /= kTail - 1;
    if (excess <= 0)
        return within / n;
    return kTail / n * std::exp((scale(bound) - edge) / excess);
}

}  // namespace hnsw::core

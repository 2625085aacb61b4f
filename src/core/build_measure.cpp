/* How much wider a beam by estimates must be than one by exact distances. */
#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/beam.h"
#include "core/build.h"
#include "core/build_write.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kSample = 128;
constexpr uint32_t kFewest = 1000; /* nodes; fewer say nothing about the index they grow into */
constexpr uint32_t kNeighbours = 10;
constexpr uint32_t kEf = 40;       /* the width compared: the default of hnsw.ef_search */
constexpr uint32_t kTruthEf = 200; /* what stands in for the true neighbours */
constexpr double kTolerance = 0.002;
constexpr float kFactors[] = {1, 1.1f, 1.2f, 1.35f, 1.5f, 1.75f, 2};

/* The search of PageGraph in the arena, with records made up on the way; or the same with exact
 * distances in place of the estimates. */
class SampleSearch {
public:
    SampleSearch(const Arena &arena, const Space &space, const RecordLayout &layout,
                 std::pmr::memory_resource *memory)
        : arena_(arena),
          space_(space),
          layout_(layout),
          query_(memory),
          beam_(memory),
          expanded_((arena.max_nodes() + 63) / 64, memory),
          touched_(memory),
          record_(layout.bytes, memory),
          estimates_(layout.slots, memory),
          found_(memory) {}

    enum class By { kEstimate, kDistance };
    /* Internal distances of what was expanded, nearest first, without the node itself. */
    std::span<const float> run(ArenaId self, By by, size_t width) {
        by_ = by;
        space_.prepare_from(arena_.sq8(self), &query_);
        beam_.reset(width, false);
        found_.clear();
        const ArenaId start = descend();
        beam_.push(space_.distance(query_, arena_.sq8(start)), start);
        Beam::Entry next;
        while (beam_.pop(&next))
            if (first_time(next.id))
                expand(next.id, self);
        for (ArenaId id : touched_)
            expanded_[id / 64] = 0;
        touched_.clear();
        std::sort(found_.begin(), found_.end());
        return found_;
    }

private:
    /* The node of layer 1 that a greedy walk by exact distances ends at. */
    ArenaId descend() const {
        const Arena::Entry entry = arena_.entry();
        ArenaId best = entry.node;
        float least = space_.distance(query_, arena_.sq8(best));
        for (uint32_t layer = entry.level; layer > 0; layer--) {
            for (ArenaId from = kNoArenaNode; from != best;) {
                from = best;
                LinkList links = arena_.links(from, layer);
                const uint32_t count = links.count->load(std::memory_order_relaxed);
                for (uint32_t i = 0; i < count; i++) {
                    const ArenaId to = links.ids[i].load(std::memory_order_relaxed);
                    const float d = space_.distance(query_, arena_.sq8(to));
                    if (d < least) {
                        least = d;
                        best = to;
                    }
                }
            }
        }
        return best;
    }

    bool first_time(ArenaId id) {
        uint64_t bit = uint64_t{1} << (id % 64);
        if ((expanded_[id / 64] & bit) != 0)
            return false;
        expanded_[id / 64] |= bit;
        touched_.push_back(id);
        return true;
    }

    void expand(ArenaId id, ArenaId self) {
        const float own = space_.distance(query_, arena_.sq8(id));
        if (id != self)
            found_.push_back(own);
        LinkList links = arena_.links(id, 0);
        const uint32_t count = links.count->load(std::memory_order_relaxed);
        if (by_ == By::kEstimate) {
            std::fill(record_.begin(), record_.end(), std::byte{0});
            RecordImage image = {record_.data(), &layout_};
            encode_record(arena_, space_, id, 0, image);
            space_.estimate(query_, image.view(), own, estimates_.data());
        }
        for (uint32_t i = 0; i < count; i++) {
            ArenaId to = links.ids[i].load(std::memory_order_relaxed);
            float d =
                by_ == By::kEstimate ? estimates_[i] : space_.distance(query_, arena_.sq8(to));
            if (d < beam_.bound())
                beam_.push(d, to);
        }
    }

    const Arena &arena_;
    const Space &space_;
    const RecordLayout &layout_;
    Query query_;
    Beam beam_;
    std::pmr::vector<uint64_t> expanded_;
    std::pmr::vector<ArenaId> touched_;
    std::pmr::vector<std::byte> record_;
    std::pmr::vector<float> estimates_;
    std::pmr::vector<float> found_;
    By by_ = By::kEstimate;
};

}  // namespace

float measure_beam_factor(const Arena &arena, const Space &space, const CreateOptions &options,
                          Poll poll, std::pmr::memory_resource *memory) {
    using By = SampleSearch::By;
    const uint32_t nodes = arena.node_count();
    if (!space.has_codes())
        return 1;
    if (nodes < kFewest)
        return 0;
    const IndexLayouts layouts = layouts_of(options);
    SampleSearch search(arena, space, layouts.base, memory);
    struct Sample {
        ArenaId id;
        float limit; /* distance of its last true neighbour */
    };
    std::pmr::vector<Sample> sample(memory);
    auto hits = [](std::span<const float> found, float limit) {
        auto end = found.begin() + std::min<ptrdiff_t>(kNeighbours, std::ssize(found));
        return std::upper_bound(found.begin(), end, limit) - found.begin();
    };
    ptrdiff_t enough = 0;
    const uint32_t stride = nodes / kSample;
    for (ArenaId id = 0; id < nodes; id += stride) {
        poll();
        if (arena.node(id).discarded())
            continue;
        std::span<const float> truth = search.run(id, By::kDistance, kTruthEf);
        if (truth.size() < kNeighbours)
            continue;
        sample.push_back({id, truth[kNeighbours - 1]});
        enough += hits(search.run(id, By::kDistance, kEf), sample.back().limit);
    }
    enough -= static_cast<ptrdiff_t>(kTolerance * kNeighbours * static_cast<double>(sample.size()));
    auto good = [&](float factor) {
        const auto width = static_cast<size_t>(std::ceil(kEf * factor));
        ptrdiff_t found = 0;
        for (const Sample &s : sample) {
            poll();
            found += hits(search.run(s.id, By::kEstimate, width), s.limit);
        }
        return found >= enough;
    };
    /* Wider beams find more: the smallest factor by bisection. */
    const float *first = std::begin(kFactors);
    const float *last = std::end(kFactors) - 1;
    while (first < last) {
        const float *middle = first + (last - first) / 2;
        if (good(*middle))
            last = middle;
        else
            first = middle + 1;
    }
    return *first;
}

}  // namespace hnsw::core

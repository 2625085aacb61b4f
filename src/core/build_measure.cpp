/* How much wider a beam by estimates must be than one by exact distances; how wide the way down. */
#include "core/build_measure.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <unordered_map>

#include "core/beam.h"
#include "core/build_write.h"
#include "core/search_width.h"

namespace hnsw::core {

namespace {

/* Hits grow little with the widths: of 96 rows' searches they once said as well 1.1 for a reach as 1.06. */
constexpr uint32_t kSample = 128;
constexpr uint32_t kSampleInShort = 64; /* where records are made up for each search anew */
constexpr uint32_t kFewest = 1000; /* nodes; fewer say nothing about the index they grow into */
constexpr uint32_t kNeighbours = 10;
constexpr uint32_t kEf = kMeasuredEf; /* the width compared */
constexpr uint32_t kTruthEf = 200;    /* what stands in for the true neighbours */
constexpr float kFactors[] = {1, 1.1f, 1.2f, 1.35f, 1.5f, 1.75f, 2};
/* Graphs of the same rows differ by more than so many hits: asking for as many made beams a step wider than
 * need be. */
constexpr double kTolerance = 0.005;

constexpr float kReaches[] = {1.02f, 1.03f, 1.04f, 1.05f, 1.06f, 1.07f, 1.08f,
                              1.1f,  1.12f, 1.15f, 1.2f,  1.3f,  1.5f};

/* Records are made up once for all searches of a sample, if so many bytes will do for what is asked of them. */
constexpr size_t kMostKept = size_t{4} << 20;
constexpr size_t kKeptOverhead = 64; /* of a record, at most */

/* A search that goes astray is rare: more samples, but of few nodes not so many that a build notices. */
constexpr uint32_t kDescentSample = 256;
constexpr uint32_t kDescentStride = 64;
constexpr uint16_t kWidths[] = {1, 2, 4, 8, 16};
constexpr double kAstrayTolerance =
    0.02; /* real queries go astray half as often or less: see hidden */

/* The search of PageGraph in the arena; the query is a node. */
class SampleSearch {
public:
    SampleSearch(const Arena &arena, const Space &space, const RecordLayout &layout, size_t spare,
                 std::pmr::memory_resource *memory)
        : arena_(arena),
          space_(space),
          layout_(layout),
          metric_(arena, space),
          query_(memory),
          beam_(memory),
          starts_(memory),
          expanded_((arena.max_nodes() + 63) / 64, memory),
          touched_(memory),
          record_(layout.bytes, memory),
          estimates_at_(memory),
          estimates_(memory),
          most_kept_(std::min(spare, kMostKept) /
                     (kKeptOverhead + sizeof(float) * arena.links(0, 0).capacity)),
          links_(memory),
          distances_(arena.links(0, 0).capacity, memory),
          found_(memory) {}

    enum class By {
        kEstimate, /* with records made up on the way */
        kOnce, /* with exact distances, and a node enters the beam once: plain HNSW, or that without codes */
    };

    Metric metric() const { return space_.metric(); }
    /* Of most of the nodes that searches of a sample meet. */
    bool keeps_estimates() const { return most_kept_ >= size_t{kSample} * 64; }

    /* `self` becomes the query, a node of layer 0 alone. `hidden`: hits() does not pass through it. */
    void begin(ArenaId self, bool hidden) {
        self_ = self;
        hidden_ = hidden ? self : kNoArenaNode;
        space_.prepare_from(arena_.sq8(self), &query_);
        anchor_ = metric_.anchor(self);
        const double scale = arena_.scalars(self).scale / query_.unit;
        unit_ = static_cast<float>(space_.metric() == Metric::kL1 ? scale : scale * scale);
    }

    /* Distance of the last of kNeighbours true neighbours, or a negative number: there are fewer. */
    float limit(size_t width) {
        starts_.assign(1, {0, self_});
        run(0, By::kOnce, width);
        return found_.size() < kNeighbours ? -1 : found_[kNeighbours - 1];
    }

    /* Goes down `width` wide. Returns where layer 0 is entered: valid until the next call of anything. */
    std::span<const Beam::Entry> descend(By by, size_t width) {
        const Arena::Entry entry = arena_.entry();
        starts_.assign(1, {distance(entry.node), entry.node});
        for (uint32_t layer = entry.level; layer > 0; layer--)
            run(layer, by, width);
        return starts_;
    }
    /* Enters layer 0 there, instead. */
    void enter(std::span<const Beam::Entry> starts) {
        starts_.assign(starts.begin(), starts.end());
    }

    /* How many of kNeighbours rows within `limit` a search of layer 0 finds that is `width` wide, */
    uint32_t hits(By by, size_t width, float limit) {
        run(0, by, width);
        const auto end = found_.begin() + std::min<ptrdiff_t>(kNeighbours, std::ssize(found_));
        return static_cast<uint32_t>(std::upper_bound(found_.begin(), end, limit) - found_.begin());
    }
    /* or by estimates as far as `reach` says. */
    uint32_t hits_within(float reach, size_t width, float limit) {
        reach_.begin(reach, width);
        const uint32_t count = hits(By::kEstimate, width, limit);
        reach_.begin(0, 0);
        return count;
    }

private:
    /* A search of one layer from starts_: found_, the distances of what was expanded, nearest first, and starts_ for the
     * layer below. */
    void run(uint32_t layer, By by, size_t width) {
        beam_.reset(width);
        for (const Beam::Entry &start : starts_)
            if (by != By::kOnce || first_time(start.id))
                beam_.push(start.distance, start.id);
        starts_.clear();
        found_.clear();
        Beam::Entry next;
        while (beam_.pop(&next))
            if (by == By::kOnce || first_time(next.id))
                expand(next, layer, by);
        for (ArenaId id : touched_)
            expanded_[id / 64] = 0;
        touched_.clear();
        std::sort(found_.begin(), found_.end());
    }

    bool expanded(ArenaId id) const { return (expanded_[id / 64] >> (id % 64) & 1) != 0; }

    bool first_time(ArenaId id) {
        uint64_t bit = uint64_t{1} << (id % 64);
        if ((expanded_[id / 64] & bit) != 0)
            return false;
        expanded_[id / 64] |= bit;
        touched_.push_back(id);
        return true;
    }

    /* As estimates are, in the query's units. */
    float distance(ArenaId id) const { return metric_.one(Part::kAll, anchor_, id) * unit_; }

    void expand(const Beam::Entry &at, uint32_t layer, By by) {
        const float own = by == By::kEstimate ? distance(at.id) : at.distance;
        if (layer > 0) {
            starts_.push_back({own, at.id});
        } else if (at.id != self_) {
            found_.push_back(own);
            if (reach_.used() && reach_.found(own))
                reach_.apply_to(&beam_);
        }
        if (by == By::kEstimate)
            estimate_links(at.id, layer, own);
        else
            compute_links(at.id, layer);
        for (size_t i = 0; i < links_.size(); i++)
            if (links_[i] != hidden_ && distances_[i] < beam_.bound() &&
                (by == By::kOnce || !expanded(links_[i])))
                beam_.push(distances_[i], links_[i]);
    }

    /* links_ and distances_: the node's, estimated as from its record. */
    void estimate_links(ArenaId id, uint32_t layer, float own) {
        take_links(id, layer, [](ArenaId) { return true; });
        const uint64_t key = uint64_t{self_} << 32 | id;
        if (const auto at = layer == 0 ? estimates_at_.find(key) : estimates_at_.end();
            at != estimates_at_.end()) {
            std::copy_n(estimates_.begin() + at->second, links_.size(), distances_.begin());
            return;
        }
        std::fill(record_.begin(), record_.end(), std::byte{0});
        RecordImage image = {record_.data(), &layout_};
        encode_record(arena_, space_, id, layer, image);
        space_.estimate(query_, image.view(), own, distances_.data());
        if (layer == 0 && estimates_at_.size() < most_kept_) {
            if (estimates_.empty())
                estimates_.reserve(most_kept_ * distances_.size());
            estimates_at_.emplace(key, static_cast<uint32_t>(estimates_.size()));
            estimates_.insert(estimates_.end(), distances_.begin(),
                              distances_.begin() + std::ssize(links_));
        }
    }

    /* The same, exact, of those that are met for the first time. */
    void compute_links(ArenaId id, uint32_t layer) {
        take_links(id, layer, [&](ArenaId to) { return first_time(to); });
        metric_.many(Part::kAll, anchor_, links_.data(), static_cast<uint32_t>(links_.size()),
                     distances_.data());
        for (size_t i = 0; i < links_.size(); i++)
            distances_[i] *= unit_;
    }

    template <class Wanted>
    void take_links(ArenaId id, uint32_t layer, Wanted &&wanted) {
        const LinkList list = arena_.links(id, layer);
        const uint32_t count = list.count->load(std::memory_order_relaxed);
        links_.clear();
        for (uint32_t i = 0; i < count; i++) {
            const ArenaId to = list.ids[i].load(std::memory_order_relaxed);
            if (wanted(to))
                links_.push_back(to);
        }
    }

    const Arena &arena_;
    const Space &space_;
    const RecordLayout &layout_; /* of all records: dense ones are few */
    const ArenaMetric metric_;
    Query query_;
    Anchor anchor_;
    float unit_ = 0; /* a distance by metric_ in the query's units */
    ArenaId self_ = kNoArenaNode;
    ArenaId hidden_ = kNoArenaNode;
    Beam beam_;
    Reach reach_;
    std::pmr::vector<Beam::Entry> starts_;
    std::pmr::vector<uint64_t> expanded_;
    std::pmr::vector<ArenaId> touched_;
    std::pmr::vector<std::byte> record_;
    /* Of a node's links in layer 0 from a query, which most searches of a sample ask for: at (query, node). */
    std::pmr::unordered_map<uint64_t, uint32_t> estimates_at_;
    std::pmr::vector<float> estimates_;
    size_t most_kept_;
    std::pmr::vector<ArenaId> links_;
    std::pmr::vector<float> distances_;
    std::pmr::vector<float> found_;
};

using By = SampleSearch::By;

struct Sample {
    ArenaId id;
    float limit; /* distance of its last true neighbour */
};

/* Evenly strided nodes that are in layer 0 alone. */
std::pmr::vector<Sample> take_sample(const Arena &arena, SampleSearch *search, uint32_t size,
                                     size_t width, Poll poll, std::pmr::memory_resource *memory) {
    std::pmr::vector<Sample> sample(memory);
    const uint32_t nodes = arena.node_count();
    for (ArenaId id = 0; id < nodes; id += std::max(1u, nodes / size)) {
        poll();
        if (arena.node(id).level != 0) /* or discarded */
            continue;
        search->begin(id, false);
        const float limit = search->limit(width);
        if (limit >= 0)
            sample.push_back({id, limit});
    }
    return sample;
}

uint16_t measure_descent(const Arena &arena, SampleSearch *search, By by, Poll poll,
                         std::pmr::memory_resource *memory) {
    const uint32_t size = std::min(kDescentSample, arena.node_count() / kDescentStride);
    const std::pmr::vector<Sample> sample = take_sample(arena, search, size, kEf, poll, memory);
    /* Searches that find none of the neighbours that a walk from the node itself finds. The node's own
     * links must not show them the way: a query has none. */
    auto astray = [&](By down, uint16_t width) {
        uint32_t count = 0;
        for (const Sample &s : sample) {
            poll();
            search->begin(s.id, true);
            search->descend(down, width);
            count += search->hits(By::kOnce, kEf, s.limit) == 0;
        }
        return count;
    };
    const uint16_t widest = *(std::end(kWidths) - 1);
    const double spare = kAstrayTolerance * static_cast<double>(sample.size());
    const double few = astray(By::kOnce, widest) + std::max(1.0, spare);
    return *std::find_if(std::begin(kWidths), std::end(kWidths) - 1,
                         [&](uint16_t width) { return astray(by, width) <= few; });
}

/* The first of `values`, ascending, with which enough is found; the last if with none. The larger, the more is found. */
template <size_t kCount, class Enough>
float first_enough(const float (&values)[kCount], Enough &&enough) {
    const float *first = values;
    const float *last = values + kCount - 1;
    while (first < last) {
        const float *middle = first + (last - first) / 2;
        if (enough(*middle))
            last = middle;
        else
            first = middle + 1;
    }
    return *first;
}

/* Sets beam_factor and reach, given the other width. */
void measure_base(const Arena &arena, SampleSearch *search, Poll poll, SearchWidths *widths,
                  std::pmr::memory_resource *memory) {
    const std::pmr::vector<Sample> sample =
        take_sample(arena, search, search->keeps_estimates() ? kSample : kSampleInShort, kTruthEf,
                    poll, memory);
    /* As of a query that is not a row: a row is found by its links, and its neighbours by theirs to it. */
    std::pmr::vector<std::pmr::vector<Beam::Entry>> starts(memory);
    for (const Sample &s : sample) {
        poll();
        search->begin(s.id, true);
        const auto entered = search->descend(By::kEstimate, widths->descent_width);
        starts.emplace_back(entered.begin(), entered.end());
    }
    auto found = [&](auto hits) {
        uint32_t count = 0;
        for (size_t i = 0; i < sample.size(); i++) {
            poll();
            search->begin(sample[i].id, true);
            search->enter(starts[i]);
            count += hits(sample[i].limit);
        }
        return count;
    };
    const double enough =
        (1 - kTolerance) * found([&](float limit) { return search->hits(By::kOnce, kEf, limit); });
    widths->beam_factor = first_enough(kFactors, [&](float factor) {
        const auto width = static_cast<size_t>(std::ceil(kEf * factor));
        return found([&](float limit) { return search->hits(By::kEstimate, width, limit); }) >=
               enough;
    });
    if (!has_reach(search->metric()))
        return;
    const size_t width = estimated_beam_width(kEf, widths->beam_factor);
    widths->reach = first_enough(kReaches, [&](float reach) {
        return found([&](float limit) { return search->hits_within(reach, width, limit); }) >=
               enough;
    });
}

}  // namespace

SearchWidths measure_widths(const Arena &arena, const Space &space, const CreateOptions &options,
                            size_t spare, Poll poll, std::pmr::memory_resource *memory) {
    if (arena.node_count() < kFewest)
        return {};
    const IndexLayouts layouts = layouts_of(options);
    SampleSearch search(arena, space, layouts.usual, spare, memory);
    const By by = space.has_codes() ? By::kEstimate : By::kOnce;
    const uint16_t descent_width = measure_descent(arena, &search, by, poll, memory);
    SearchWidths widths = {.beam_factor = 1, .descent_width = descent_width, .reach = 0};
    if (space.has_codes())
        measure_base(arena, &search, poll, &widths, memory);
    return widths;
}

}  // namespace hnsw::core

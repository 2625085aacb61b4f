/* Searches over pages. page_graph.h says what for. */
#include "core/page_graph.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hnsw::core {

namespace {

/* Hops between two looks at the interrupt flag. */
constexpr uint32_t kHopsPerPoll = 64;

/* Upper layers are small; their visited set never needs the hashed form. */
constexpr size_t kUpperVisitedBudget = size_t{1} << 40;

}  // namespace

/* Collects where the records shown continue in the layer below. */
struct PageGraph::Below final : RecordSink {
    Below(std::pmr::vector<EntryPoint> &starts_ref, RecordSink *next_sink)
        : starts(starts_ref), next(next_sink) {}

    void visit(NodeId id, const RecordView &record, float distance) override {
        starts.push_back({record.head().down, distance});
        if (next != nullptr)
            next->visit(id, record, distance);
    }

    std::pmr::vector<EntryPoint> &starts;
    RecordSink *next;
};

PageGraph::PageGraph(Index &index, const Context &context)
    : index_(index),
      context_(context),
      starts_(context.memory),
      beam_(context.memory),
      passing_(context.memory),
      visited_(context.memory),
      seen_(context.memory),
      base_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      upper_(index.store(), index.layouts(), RecordClass::kUpper, context.memory),
      neighbour_base_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      neighbour_upper_(index.store(), index.layouts(), RecordClass::kUpper, context.memory),
      ids_(context.memory),
      estimates_(context.memory) {
    const size_t slots = index.layouts().usual.slots;
    ids_.resize(slots);
    estimates_.resize(slots);
}

void PageGraph::begin(const Query &query) {
    query_ = &query;
    map_ = nullptr;
    const MetaPage &meta = index_.meta();
    entry_base_ = meta.entry_base;
    entry_level_ = meta.entry_level;
    entry_ = {meta.entry_level > 0 ? meta.entry_upper : meta.entry_base, 0};
}

std::span<const EntryPoint> PageGraph::descend(uint32_t to_level) {
    starts_.clear();
    if (entry_base_ == kNoNode)
        return starts_;
    starts_.push_back(entry_);
    for (uint32_t level = entry_level_; level > to_level; level--) {
        search_upper(level, index_.meta().descent_width, nullptr);
        /* Upper records that have gone (recycled while we were on the way): layer 0 can be
         * entered at the entry node itself. */
        if (starts_.empty()) {
            if (to_level == 0)
                starts_.push_back({entry_base_, 0});
            break;
        }
    }
    return starts_;
}

void PageGraph::search_upper(uint32_t level, size_t width, RecordSink *sink) {
    visited_.reset(0, kUpperVisitedBudget);
    if (!index_.space().has_codes())
        seen_.reset(0, kUpperVisitedBudget);
    beam_.reset(width);
    push_starts(upper_, level);
    starts_.clear();
    Below below(starts_, sink);
    run(upper_, level, below, UINT64_MAX);
    std::sort(starts_.begin(), starts_.end(),
              [](const EntryPoint &a, const EntryPoint &b) { return a.distance < b.distance; });
}

/* A start's distance is known from the layer above, where it was expanded; not that of the entry
 * point, which is the only one then. */
void PageGraph::push_starts(RecordRef &record, uint32_t level) {
    for (EntryPoint &start : starts_) {
        bool usable = true;
        if (!index_.space().has_codes()) {
            seen_.insert(start.id);
            usable = evaluate(record, start.id, level, &start.distance);
        }
        if (usable)
            beam_.push(start.distance, start.id);
    }
}

void PageGraph::start_base(size_t width, size_t room, size_t visited_budget) {
    reset_visited(visited_budget);
    beam_.reset(width, room);
    entered_ = false;
}

void PageGraph::reset_visited(size_t visited_budget) {
    const uint64_t addresses = index_.layouts().addresses(index_.store().size());
    visited_.reset(addresses, visited_budget);
    if (!index_.space().has_codes())
        seen_.reset(addresses, visited_budget);
}

void PageGraph::start_passing(size_t width, PassMap &map) {
    map_ = &map;
    expanded_for_passing_ = 0;
    passing_.reset(width, width);
    beam_.for_each_waiting([&](const Beam::Entry &entry) {
        if (map.passes(entry.id))
            passing_.push(entry.distance, entry.id);
    });
}

bool PageGraph::run_base(RecordSink &sink, uint64_t hops) {
    if (!std::exchange(entered_, true))
        push_starts(base_, 0);
    return run(base_, 0, sink, hops);
}

/* Whether the passing beam's nearest candidate is nearer than the other's. */
bool PageGraph::passing_is_next() {
    return map_ != nullptr && passing_.peek().distance < beam_.peek().distance;
}

Beam::Entry PageGraph::next() { return passing_is_next() ? passing_.peek() : beam_.peek(); }

bool PageGraph::run(RecordRef &record, uint32_t level, RecordSink &sink, uint64_t hops) {
    asked_for_[0] = asked_for_[1] = kNoNode;
    Beam::Entry entry;
    for (;;) {
        const bool passing = passing_is_next();
        if (!(passing ? passing_ : beam_).pop(&entry))
            break;
        if (!visited_.insert(entry.id))
            continue;
        expanded_for_passing_ += passing;
        /* Unless this hop finds a nearer one. */
        ask_for(record, next().id);
        expand(record, entry, level, sink);
        poll();
        if (--hops == 0)
            return false;
    }
    return true;
}

/* Interrupts are looked at now and then, with no page held. */
void PageGraph::poll() {
    if (++until_poll_ >= kHopsPerPoll) {
        until_poll_ = 0;
        index_.store().poll();
    }
}

bool PageGraph::knows_centre(const RecordView &record) const {
    return record.head().centre < index_.space().centre_count();
}

/* Reads a record and pushes its neighbours. False: no record of that layer is there. */
bool PageGraph::expand(RecordRef &record, const Beam::Entry &entry, uint32_t level,
                       RecordSink &sink) {
    context_.stats->records_read++;
    if (!record.read(entry.id))
        return false;
    if ((level > 0 && record.view().head().level != level) || !knows_centre(record.view())) {
        record.release();
        return false;
    }
    if (index_.space().has_codes())
        expand_coded(record, entry.id, sink);
    else
        expand_plain(record, entry, sink);
    return true;
}

void PageGraph::expand_coded(RecordRef &record, NodeId id, RecordSink &sink) {
    const RecordView &view = record.view();
    const Space &space = index_.space();
    const float own = space.distance(*query_, sq8_of(view));
    context_.stats->distances++;
    sink.visit(id, view, own);
    const uint32_t n = view.count();
    const Beam::Kept all =
        beam_.keeps() ? beam_.keep(n) : Beam::Kept{estimates_.data(), ids_.data()};
    if (n != 0) {
        space.estimate(*query_, view, own, all.distances);
        std::memcpy(all.ids, view.ids(), n * sizeof(NodeId));
        context_.stats->estimates += n;
    }
    record.release();
    /* A node may enter the beam once per neighbour that names it, each time with another
     * estimate; only its expansion is marked (SymphonyQG's rule, measured the best). */
    const float bound = map_ == nullptr ? beam_.bound() : std::max(beam_.bound(), passing_.bound());
    /* One in five is near enough, and which ones takes no branches. */
    float *estimates = estimates_.data();
    NodeId *ids = ids_.data();
    uint32_t near = 0;
    for (uint32_t i = 0; i < n; i++) {
        const float estimate = all.distances[i];
        estimates[near] = estimate;
        ids[near] = all.ids[i];
        near += estimate < bound ? 1 : 0;
    }
    uint32_t found = 0;
    uint32_t nearest = 0;
    for (uint32_t i = 0; i < near; i++) {
        if (visited_.contains(ids[i]))
            continue;
        estimates[found] = estimates[i];
        ids[found] = ids[i];
        nearest = estimates[found] < estimates[nearest] ? found : nearest;
        found++;
    }
    /* Asked for before the beam is put in order, which takes about as long. */
    if (found > 0 && estimates_[nearest] < next().distance)
        ask_for(record, ids_[nearest]);
    for (uint32_t i = 0; i < found; i++)
        if (estimates[i] < beam_.bound())
            beam_.push(estimates[i], ids[i]);
    if (map_ != nullptr)
        push_passing(found);
}

/* Of the neighbours in hand. No page is held. */
void PageGraph::push_passing(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (estimates_[i] < passing_.bound() && map_->passes(ids_[i]))
            passing_.push(estimates_[i], ids_[i]);
}

void PageGraph::ask_for(const RecordRef &record, NodeId id) {
    if (id == asked_for_[0] || id == asked_for_[1])
        return;
    asked_for_[1] = asked_for_[0];
    asked_for_[0] = id;
    record.prefetch(id);
}

/* Without codes every neighbour's own vector is read, once. */
void PageGraph::expand_plain(RecordRef &record, const Beam::Entry &entry, RecordSink &sink) {
    const RecordView &view = record.view();
    sink.visit(entry.id, view, entry.distance);
    const uint32_t n = view.count();
    const uint32_t level = &record == &upper_ ? view.head().level : 0;
    std::memcpy(ids_.data(), view.ids(), n * sizeof(NodeId));
    record.release();
    RecordRef &neighbour = level > 0 ? neighbour_upper_ : neighbour_base_;
    for (uint32_t i = 0; i < n; i++) {
        float distance;
        if (ids_[i] != kNoNode && seen_.insert(ids_[i]) &&
            evaluate(neighbour, ids_[i], level, &distance)) {
            beam_.push(distance, ids_[i]);
            if (map_ != nullptr && map_->passes(ids_[i]))
                passing_.push(distance, ids_[i]);
        }
        poll();
    }
}

/* Own distance of a record that is not expanded (yet). */
bool PageGraph::evaluate(RecordRef &record, NodeId id, uint32_t level, float *distance) {
    context_.stats->records_read++;
    if (!record.read(id))
        return false;
    const bool usable =
        (level == 0 || record.view().head().level == level) && knows_centre(record.view());
    if (usable) {
        *distance = index_.space().distance(*query_, sq8_of(record.view()));
        context_.stats->distances++;
    }
    record.release();
    return usable;
}

}  // namespace hnsw::core

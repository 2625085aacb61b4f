/* Walking the graph under a filter. filtered_walk.h says how. */
#include "core/filtered_walk.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace hnsw::core {

namespace {

/* kPenalised: by how much of its size the estimate of a failing node is raised. Distances are squared
 * (but for L1). */
constexpr float kPenalty = 0.2f;

float raised(float distance) { return distance + kPenalty * std::fabs(distance); }

/* kFilterFirst: failing neighbours of a matching node that are expanded with it. */
constexpr size_t kBridges = 4;

/* Hops between two looks at the interrupt flag. */
constexpr uint32_t kHopsPerPoll = 64;

}  // namespace

void NearestDistances::widen(size_t width) {
    width_ = width;
    kept_.insert(kept_.end(), rest_.begin(), rest_.end());
    rest_.clear();
    if (kept_.size() > width) {
        const auto middle = kept_.begin() + static_cast<ptrdiff_t>(width);
        std::nth_element(kept_.begin(), middle, kept_.end());
        rest_.assign(middle, kept_.end());
        kept_.erase(middle, kept_.end());
    }
    std::make_heap(kept_.begin(), kept_.end());
}

void NearestDistances::add(float distance) {
    if (full() && distance >= kept_.front()) {
        rest_.push_back(distance);
        return;
    }
    kept_.push_back(distance);
    std::push_heap(kept_.begin(), kept_.end());
    if (kept_.size() > width_) {
        std::pop_heap(kept_.begin(), kept_.end());
        rest_.push_back(kept_.back());
        kept_.pop_back();
    }
}

FilteredWalk::FilteredWalk(Index &index, const Context &context, PageGraph &graph)
    : index_(index),
      context_(context),
      near_(context.memory),
      far_(context.memory),
      bridges_(context.memory),
      all_(context.memory),
      matching_(context.memory),
      cross_(context.memory),
      visited_(graph.visited()),
      seen_(graph.seen()),
      record_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      neighbour_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      ids_(context.memory),
      estimates_(context.memory) {
    ids_.resize(index.layouts().usual.slots);
    estimates_.resize(index.layouts().usual.slots);
}

void FilteredWalk::push(Heap &heap, Candidate candidate) {
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end(), Farther{});
}

FilteredWalk::Candidate FilteredWalk::pop(Heap &heap) {
    std::pop_heap(heap.begin(), heap.end(), Farther{});
    const Candidate nearest = heap.back();
    heap.pop_back();
    return nearest;
}

size_t FilteredWalk::bytes() const {
    return (near_.capacity() + far_.capacity() + bridges_.capacity()) * sizeof(Candidate) +
           all_.bytes() + matching_.bytes();
}

void FilteredWalk::begin(const Query &query, PassMap &map, Strategy strategy, size_t width,
                         size_t matches) {
    query_ = &query;
    map_ = &map;
    strategy_ = strategy;
    sorted_out_ = false;
    all_.reset(width);
    matching_.reset(matches);
    reads_ = 0;
    failed_ = 0;
    cut_short_ = false;
    near_.clear();
    far_.clear();
    bridges_.clear();
}

void FilteredWalk::add_expanded(float distance, bool match) {
    all_.add(distance);
    if (match)
        matching_.add(distance);
}

void FilteredWalk::widen() {
    all_.widen(all_.width() * 2);
    matching_.widen(matching_.width() * 2);
    near_.insert(near_.end(), far_.begin(), far_.end());
    far_.clear();
    std::make_heap(near_.begin(), near_.end(), Farther{});
}

void FilteredWalk::change_to_filter_first(size_t matches) {
    strategy_ = Strategy::kFilterFirst;
    sorted_out_ = false;
    matching_.widen(std::max(matches, matching_.width()));
    near_.insert(near_.end(), far_.begin(), far_.end());
    far_.clear();
}

/* Candidates that were taken up without a look at the filter go where they belong. */
void FilteredWalk::sort_out() {
    sorted_out_ = true;
    const auto failing = std::partition(near_.begin(), near_.end(),
                                        [this](const Candidate &c) { return map_->passes(c.id); });
    if (strategy_ == Strategy::kFilterFirst) {
        bridges_.assign(failing, near_.end());
        near_.erase(failing, near_.end());
        std::make_heap(bridges_.begin(), bridges_.end(), Farther{});
    } else {
        for (auto c = failing; c != near_.end(); c++)
            c->key = raised(c->key);
    }
    std::make_heap(near_.begin(), near_.end(), Farther{});
}

bool FilteredWalk::run(MatchSink &sink, uint64_t read_limit, size_t byte_limit) {
    cut_short_ = false;
    if (!sorted_out_)
        sort_out();
    while (step(sink)) {
        if (++until_poll_ >= kHopsPerPoll) {
            until_poll_ = 0;
            index_.store().poll();
            cut_short_ = bytes() > byte_limit;
        }
        cut_short_ |= reads_ >= read_limit;
        if (cut_short_)
            return false;
    }
    return true;
}

/* The next candidate, unless this hop finds a nearer one. */
void FilteredWalk::prefetch(const Heap &heap) {
    if (!heap.empty())
        record_.prefetch(heap.front().id);
}

/* Expands the next candidate. False: none is nearer than the bound. */
bool FilteredWalk::step(MatchSink &sink) {
    if (!near_.empty() && !(near_.front().key > bound())) {
        const Candidate next = pop(near_);
        if (!visited_.insert(next.id))
            return true;
        prefetch(near_);
        const bool pass = map_->passes(next.id);
        if (expand(next.id, pass, sink) && strategy_ == Strategy::kFilterFirst)
            cross(sink);
        return true;
    }
    /* No candidate is left, and too few matching nodes are found: over the nearest failing one. */
    if (bridges_.empty() || matching_.full())
        return false;
    const Candidate next = pop(bridges_);
    prefetch(bridges_);
    if (visited_.insert(next.id))
        expand(next.id, false, sink);
    return true;
}

/* The second hop: over the nearest failing neighbours of the node just expanded. */
void FilteredWalk::cross(MatchSink &sink) {
    const size_t n = std::min(kBridges, cross_.size());
    std::partial_sort(cross_.begin(), cross_.begin() + static_cast<ptrdiff_t>(n), cross_.end(),
                      [](const Candidate &a, const Candidate &b) { return a.key < b.key; });
    for (size_t i = n; i < cross_.size(); i++)
        push(bridges_, cross_[i]);
    Candidate now[kBridges];
    std::copy_n(cross_.begin(), n, now);
    for (size_t i = 0; i < n; i++)
        if (visited_.insert(now[i].id))
            expand(now[i].id, false, sink);
}

/* Reads a record and takes up its neighbours. False: no record is there. */
bool FilteredWalk::expand(NodeId id, bool pass, MatchSink &sink) {
    context_.stats->records_read++;
    reads_++;
    if (!record_.read(id))
        return false;
    const RecordView &view = record_.view();
    const Space &space = index_.space();
    if (view.head().centre >= space.centre_count()) {
        record_.release();
        return false;
    }
    const float own = space.distance(*query_, sq8_of(view));
    context_.stats->distances++;
    const bool match = pass && sink.visit_match(id, view, own);
    const uint32_t n = view.count();
    std::memcpy(ids_.data(), view.ids(), n * sizeof(NodeId));
    if (n != 0 && space.has_codes()) {
        space.estimate(*query_, view, own, estimates_.data());
        context_.stats->estimates += n;
    }
    record_.release();
    all_.add(own);
    if (match && sink.confirm_match())
        matching_.add(own);
    else
        failed_++;
    if (!space.has_codes())
        estimate_plain(n);
    take(n, !pass);
    return true;
}

/* Without codes every neighbour's own vector is read, once. */
void FilteredWalk::estimate_plain(uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        estimates_[i] = std::numeric_limits<float>::infinity();
        if (ids_[i] == kNoNode || visited_.contains(ids_[i]) || !seen_.insert(ids_[i]))
            continue;
        context_.stats->records_read++;
        reads_++;
        if (!neighbour_.read(ids_[i]))
            continue;
        if (neighbour_.view().head().centre < index_.space().centre_count()) {
            estimates_[i] = index_.space().distance(*query_, sq8_of(neighbour_.view()));
            context_.stats->distances++;
        }
        neighbour_.release();
    }
}

/* Neighbours become candidates or bridges. */
void FilteredWalk::take(uint32_t n, bool is_bridge) {
    const float limit = bound();
    const bool filter_first = strategy_ == Strategy::kFilterFirst;
    cross_.clear();
    for (uint32_t i = 0; i < n; i++) {
        float key = estimates_[i];
        if (ids_[i] == kNoNode || !(key < std::numeric_limits<float>::infinity()) ||
            visited_.contains(ids_[i]))
            continue;
        if (!map_->passes(ids_[i])) {
            if (filter_first) {
                if (is_bridge)
                    push(bridges_, {key, ids_[i]});
                else if (key < limit)
                    cross_.push_back({key, ids_[i]});
                continue;
            }
            key = raised(key);
        }
        if (key > limit)
            far_.push_back({key, ids_[i]});
        else
            push(near_, {key, ids_[i]});
    }
}

}  // namespace hnsw::core

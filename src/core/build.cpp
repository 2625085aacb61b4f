/* Adding rows to the graph in memory: search, choice of links, links back. */
#include "core/build.h"

#include <algorithm>
#include <cstring>

#include "core/prefetch.h"
#include "core/rank_sort.h"
#include "core/round_up.h"

namespace hnsw::core {

namespace {

/* Of the nodes a search evaluated, so many evenly strided ones join its candidates: long links
 * that a beam of near nodes would never offer. */
constexpr uint32_t kFar = 64;

/* From this dimension on a search takes more candidates than ef_construction asks for and expands fewer: to expand
 * them too costs far more than to choose among them and finds little. */
constexpr uint32_t kWideFrom = 256;

SearchWidth search_width(const CreateOptions &options) {
    const uint32_t ef = options.ef_construction;
    if (padded_dim(options.dim) < kWideFrom)
        return {ef, ef};
    return {ef - ef / 8, 2 * ef + ef / 4};
}

/* Width of the search in the layers above a node's own. Next to nothing of a build's time. */
constexpr SearchWidth kDescentWidth = {8, 8};

}  // namespace

IndexLayouts layouts_of(const CreateOptions &options) {
    return IndexLayouts::choose(options.dim, options.m, options.metric != Metric::kL1);
}

ArenaShape arena_shape(const CreateOptions &options) {
    IndexLayouts layouts = layouts_of(options);
    const uint32_t dim = padded_dim(options.dim);
    return {dim, layouts.usual.slots, layouts.usual.slots, options.attributes,
            part_dim(Part::kLinks, options.metric, dim) < dim};
}

size_t arena_bytes_within(const CreateOptions &options, size_t budget, uint32_t workers) {
    const ArenaShape shape = arena_shape(options);
    /* A worker's scratch: one bit per node, and what one search sees. */
    const size_t fixed =
        size_t{workers} * ((size_t{64} << 10) + size_t{search_width(options).expanded} *
                                                    shape.base_slots * sizeof(Candidate));
    const size_t least = round_up(Arena::min_bytes(shape), 64);
    if (budget <= fixed + least)
        return least;
    const size_t per_node = sizeof(ArenaNode) + shape.dim; /* less than a node takes */
    const double share = 1 / (1 + workers / 8.0 / static_cast<double>(per_node));
    auto bytes = static_cast<size_t>(static_cast<double>(budget - fixed) * share);
    return std::max(least, bytes / 64 * 64);
}

size_t arena_bytes_per_row(const CreateOptions &options) {
    const ArenaShape shape = arena_shape(options);
    /* A node has 1 / (4m - 1) upper layers on average. */
    const size_t upper = (shape.upper_slots + 8) * sizeof(ArenaId) / (4 * options.m - 1) + 1;
    return Arena::node_bytes(shape) + Arena::aside_bytes(shape) + upper;
}

BuildWorker::BuildWorker(Arena &arena, const Space &space, const CreateOptions &options, Poll poll,
                         std::pmr::memory_resource *memory)
    : arena_(arena),
      space_(space),
      m_(options.m),
      width_(search_width(options)),
      poll_(poll),
      metric_(arena, space),
      chooser_(metric_, width_.candidates + 2 * kFar, memory),
      query_(memory),
      visited_((arena.max_nodes() + 63) / 64, memory),
      placed_bits_(memory),
      seen_(4096, memory),
      seen_distances_(seen_.size(), memory),
      beam_(memory),
      starts_(memory),
      pool_(memory),
      list_(memory),
      linked_(memory),
      distances_(memory),
      selected_(memory) {
    /* What link() uses under a lock must not grow there. */
    const size_t longest = arena.links(0, 0).capacity + 1;
    list_.reserve(longest + 1);
    linked_.reserve(longest);
    distances_.resize(longest);
}

BuildWorker::Added BuildWorker::add(const float *value, HeapTid tid, const Attributes &row,
                                    NodeRole role) {
    if (value == nullptr)
        return arena_.add_outside(Arena::Outside::kNull, tid) ? Added::kRow : Added::kFull;
    space_.prepare(value, &query_);
    if (query_.zero)
        return arena_.add_outside(Arena::Outside::kZero, tid) ? Added::kRow : Added::kFull;
    space_.identify(&query_);
    ArenaId twin = arena_.find(query_.hash);
    last_node_ = twin;
    if (twin == kNoArenaNode) {
        ArenaId id = arena_.new_node(level_of(query_.hash, m_));
        if (id == kNoArenaNode)
            return Added::kFull;
        ArenaNode &n = arena_.node(id);
        Sq8 v = space_.encode(query_, 0, arena_.vector(id));
        arena_.scalars(id).scale = v.scale;
        metric_.keep_norms(id);
        n.norm = v.norm;
        n.error = v.error;
        n.tid = StoredTid::from(tid);
        arena_.set_attributes(id, row);
        std::memcpy(n.hash, query_.hash, sizeof(n.hash));
        twin = arena_.publish(id);
        last_node_ = twin;
        if (twin == id) {
            insert_node(id, role == NodeRole::kHome ? width_ : width_.half());
            return Added::kNode;
        }
        n.level = ArenaNode::kDiscarded;
    }
    return arena_.add_tid(twin, tid, row) ? Added::kRow : Added::kFull;
}

void BuildWorker::insert_node(ArenaId id, SearchWidth width) {
    const ArenaNode &n = arena_.node(id);
    const Anchor anchor = metric_.anchor(id);
    if (arena_.entry().none() && arena_.start_entry({id, n.level}))
        return;
    const Arena::Entry entry = arena_.entry();
    descend(anchor, id, entry, n.level);
    /* All lists of the node are complete before the first link leads to it. */
    const uint32_t top = std::min<uint32_t>(n.level, entry.level);
    for (uint32_t layer = top + 1; layer-- > 0;) {
        find_candidates(anchor, id, layer, width);
        set_links(id, layer, chooser_.choose(anchor, pool_, slots(layer)));
    }
    for (uint32_t layer = 0; layer <= top; layer++) {
        LinkList own = arena_.links(id, layer);
        selected_.clear();
        for (uint32_t i = 0; i < own.count->load(std::memory_order_acquire); i++)
            selected_.push_back(own.ids[i].load(std::memory_order_relaxed));
        for (ArenaId to : selected_)
            link(to, id, layer);
    }
    if (n.level > entry.level)
        arena_.offer_entry({id, n.level});
}

/* pool_ = what the node may link to at `layer`; starts_ = where the search below begins. */
void BuildWorker::find_candidates(const Anchor &anchor, ArenaId self, uint32_t layer,
                                  SearchWidth width) {
    const std::span<const Candidate> found = search(anchor, self, layer, width);
    starts_.assign(found.begin(), found.end());
    pool_.assign(found.begin(), found.end());
    sample_far();
    std::erase_if(pool_, [self](const Candidate &c) { return c.node == self; });
    forget_seen();
}

/* Where a walk at `layer` towards the anchor begins: starts_. */
void BuildWorker::descend(const Anchor &anchor, ArenaId self, const Arena::Entry &entry,
                          uint32_t to_layer) {
    starts_.assign(1, {metric_.one(Part::kSearch, anchor, entry.node), entry.node});
    for (uint32_t layer = entry.level; layer > to_layer; layer--) {
        const std::span<const Candidate> found = search(anchor, self, layer, kDescentWidth);
        starts_.assign(found.begin(), found.end());
        forget_seen();
    }
}

std::span<const Candidate> BuildWorker::search(const Anchor &anchor, ArenaId self, uint32_t layer,
                                               SearchWidth width) {
    beam_.reset(width, arena_.links(self, layer).capacity);
    seen_count_ = 0;
    see({0, self});
    for (const Candidate &start : starts_)
        /* A walk may start at the node itself: its links lead on. */
        if (see(start) || start.node == self)
            beam_.offer(&start.distance, &start.node, 1);
    for (ArenaId id; (id = beam_.pop()) != kNoArenaNode;) {
        if (layer == 0 && beam_.next() != kNoArenaNode)
            prefetch_links(beam_.next());
        expand(anchor, id, layer);
    }
    return beam_.candidates();
}

/* Evaluates the neighbours of `id` not seen before, and offers them to the beam. */
void BuildWorker::expand(const Anchor &anchor, ArenaId id, uint32_t layer) {
    const LinkList list = arena_.links(id, layer);
    const uint32_t count = list.count->load(std::memory_order_acquire);
    make_room_to_see(count);
    ArenaId *fresh = &seen_[seen_count_];
    float *distances = &seen_distances_[seen_count_];
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        const ArenaId to = list.ids[i].load(std::memory_order_acquire);
        fresh[n] = to;
        n += visit(to) ? 1 : 0;
    }
    seen_count_ += n;
    metric_.many(Part::kSearch, anchor, fresh, n, distances);
    beam_.offer(distances, fresh, n);
}

/* Asks for the list that will be read next unless the present one leads nearer. */
void BuildWorker::prefetch_links(ArenaId id) const {
    const LinkList list = arena_.links(id, 0);
    __builtin_prefetch(list.count);
    prefetch_lines(list.ids, list.capacity * sizeof(ArenaId));
}

void BuildWorker::make_room_to_see(uint32_t more) {
    if (seen_count_ + more < seen_.size())
        return;
    seen_.resize(2 * seen_.size() + more);
    seen_distances_.resize(seen_.size());
}

/* False: it was seen before. */
bool BuildWorker::see(const Candidate &c) {
    if (!visit(c.node))
        return false;
    make_room_to_see(1);
    seen_[seen_count_] = c.node;
    seen_distances_[seen_count_++] = c.distance;
    return true;
}

void BuildWorker::forget_seen() {
    for (uint32_t i = 0; i < seen_count_; i++)
        visited_[seen_[i] / 64] = 0;
}

/* Adds to pool_, in order, a sample of what was seen farther away than all in it. */
void BuildWorker::sample_far() {
    const size_t near = pool_.size();
    if (seen_count_ <= near)
        return;
    const float farthest = pool_.back().distance;
    const uint32_t stride = std::max(1u, seen_count_ / kFar);
    for (uint32_t i = 1; i < seen_count_; i += stride)
        if (seen_distances_[i] > farthest)
            pool_.push_back({seen_distances_[i], seen_[i]});
    rank_sort(pool_.data() + near, pool_.size() - near);
}

void BuildWorker::set_links(ArenaId id, uint32_t layer, std::span<const ArenaId> ids) {
    LinkList list = arena_.links(id, layer);
    for (uint32_t i = 0; i < ids.size(); i++)
        list.ids[i].store(ids[i], std::memory_order_release);
    list.count->store(static_cast<uint16_t>(ids.size()), std::memory_order_release);
}

void BuildWorker::link(ArenaId from, ArenaId to, uint32_t layer) {
    LinkList list = arena_.links(from, layer);
    NodeLock lock(arena_.node(from).lock);
    const uint32_t count = list.count->load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (list.ids[i].load(std::memory_order_relaxed) == to)
            return;
    if (count < list.capacity) {
        list.ids[count].store(to, std::memory_order_release);
        list.count->store(static_cast<uint16_t>(count + 1), std::memory_order_release);
        return;
    }
    prune(from, layer, to, slots(layer));
}

void BuildWorker::prune(ArenaId id, uint32_t layer, ArenaId extra, uint32_t want) {
    const Anchor anchor = metric_.anchor(id);
    LinkList list = arena_.links(id, layer);
    const uint32_t count = list.count->load(std::memory_order_relaxed);
    linked_.clear();
    for (uint32_t i = 0; i < count; i++)
        linked_.push_back(list.ids[i].load(std::memory_order_relaxed));
    if (extra != kNoArenaNode)
        linked_.push_back(extra);
    metric_.many(Part::kAll, anchor, linked_.data(), static_cast<uint32_t>(linked_.size()),
                 distances_.data());
    list_.clear();
    for (size_t i = 0; i < linked_.size(); i++)
        list_.push_back({distances_[i], linked_[i]});
    rank_sort(list_.data(), list_.size());
    set_links(id, layer, chooser_.thin(anchor, list_, want));
}

}  // namespace hnsw::core

/* What is done to the graph when all rows are in: better links, reachability, order of writing. */
#include <algorithm>

#include "core/build.h"
#include "core/build_places.h"
#include "core/page.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kNodesPerRun = 256;
constexpr uint32_t kNodesPerPoll = 4096;

}  // namespace

bool BuildWorker::trim_some() {
    const Arena::Run run = arena_.take_run(Arena::Work::kTrim, kNodesPerRun, arena_.node_count());
    for (ArenaId id = run.begin; id < run.end; id++) {
        NodeLock lock(arena_.node(id).lock);
        cut(id, 0, slots(0));
    }
    return run.begin < run.end;
}

/* Leaves the node at most `want` links. */
void BuildWorker::cut(ArenaId id, uint32_t layer, uint32_t want) {
    if (arena_.links(id, layer).count->load(std::memory_order_relaxed) > want)
        prune(id, layer, kNoArenaNode, want);
}

/* Links that the node has room for at layer 0, once it is placed. */
uint32_t BuildWorker::room(const ArenaNode &n) const {
    return places_ == nullptr ? slots(0) : places_->base(0).layout(n.place).slots;
}

std::span<const Candidate> BuildWorker::nearest(ArenaId self) {
    const Anchor anchor = metric_.anchor(self);
    descend(anchor, self, arena_.entry(), 0);
    find_candidates(anchor, self, 0, width_);
    return pool_;
}

void BuildWorker::place(ArenaId id, ArenaId parent) {
    ArenaNode &n = arena_.node(id);
    n.place = placed_;
    n.parent = parent;
    n.cursor = 0;
    placed_bits_[id / 64] |= uint64_t{1} << (id % 64);
    arena_.node(placed_++).next = id;
    cut(id, 0, room(n));
}

/* Depth first, nearest link first: what is written next to a node is mostly a neighbour. */
void BuildWorker::flood(ArenaId from, ArenaId parent) {
    place(from, parent);
    for (ArenaId at = from; at != parent;) {
        ArenaNode &n = arena_.node(at);
        LinkList list = arena_.links(at, 0);
        if (n.cursor == 0 && n.place % kNodesPerPoll == 0)
            poll_();
        if (n.cursor >= list.count->load(std::memory_order_relaxed)) {
            at = n.parent;
            continue;
        }
        ArenaId to = list.ids[n.cursor++].load(std::memory_order_relaxed);
        if (!is_placed(to)) {
            place(to, at);
            at = to;
        }
    }
}

/* Gives `orphan` a link from `id` if that cuts nothing off: in a free slot, or in place of a link
 * that the walk did not use to reach anything. */
bool BuildWorker::adopt(ArenaId id, ArenaId orphan) {
    LinkList list = arena_.links(id, 0);
    const uint32_t count = list.count->load(std::memory_order_relaxed);
    if (count < room(arena_.node(id))) {
        list.ids[count].store(orphan, std::memory_order_relaxed);
        list.count->store(static_cast<uint16_t>(count + 1), std::memory_order_relaxed);
        return true;
    }
    for (uint32_t i = count; i-- > 0;) {
        const ArenaId to = list.ids[i].load(std::memory_order_relaxed);
        if (arena_.node(to).parent == id)
            continue;
        list.ids[i].store(orphan, std::memory_order_relaxed);
        return true;
    }
    return false;
}

/* Finds a reached node, the nearer the better, to link to `orphan`. */
ArenaId BuildWorker::find_parent(ArenaId orphan) {
    /* All a search finds is reached: it begins at the entry point. */
    for (const Candidate &c : nearest(orphan))
        if (is_placed(c.node) && adopt(c.node, orphan))
            return c.node;
    /* The links used are fewer than the nodes reached, so one has a link to spare. */
    for (uint32_t i = 0; i < placed_; i++)
        if (adopt(arena_.written(i), orphan))
            return arena_.written(i);
    return kNoArenaNode;
}

/* Numbers upper records and posting chunks in the order of writing. */
void BuildWorker::number() {
    const RecordExtent upper = places_ != nullptr ? places_->upper(placed_, 0) : RecordExtent{};
    constexpr uint32_t kAhead = 8;
    const uint32_t capacity = PostingChunk::capacity(arena_.shape().attributes);
    Arena::Counts counts;
    for (; counts.nodes < placed_; counts.nodes++) {
        if (counts.nodes + kAhead < placed_)
            __builtin_prefetch(&arena_.node(arena_.written(counts.nodes + kAhead)), 1);
        const ArenaId id = arena_.written(counts.nodes);
        ArenaNode &n = arena_.node(id);
        n.parent = counts.uppers;
        n.chunk = counts.chunks;
        for (uint32_t layer = 1; layer <= n.level; layer++, counts.uppers++)
            if (places_ != nullptr)
                cut(id, layer, upper.layout(counts.uppers).slots);
        counts.chunks += (n.tid_count + capacity - 1) / capacity;
    }
    arena_.set_counts(counts);
}

void BuildWorker::connect(const BuildPlaces *places) {
    places_ = places;
    const Arena::Entry entry = arena_.entry();
    if (entry.none())
        return;
    const uint32_t nodes = arena_.node_count();
    placed_bits_.assign((nodes + 63) / 64, 0);
    flood(entry.node, kNoArenaNode);
    for (ArenaId id = 0; id < nodes; id++) {
        const ArenaNode &n = arena_.node(id);
        if (id % kNodesPerPoll == 0)
            poll_();
        if (!is_placed(id) && !n.discarded())
            flood(id, find_parent(id));
    }
    number();
}

}  // namespace hnsw::core

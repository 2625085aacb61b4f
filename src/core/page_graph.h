/*
 * Searching the graph over its pages: narrow beams through the upper layers, then a wide one at
 * layer 0.  One record read per hop; the neighbours' distances are estimated from the codes beside
 * their ids (L1 has no codes: there the neighbours' own vectors are read, as in plain HNSW).
 */
#pragma once

#include <memory_resource>
#include <span>
#include <vector>

#include "core/beam.h"
#include "core/context.h"
#include "core/index.h"
#include "core/pass_map.h"
#include "core/record_io.h"
#include "core/visited.h"

namespace hnsw::core {

/* What a search does with each record it expands. Called with the
 * record's page latched: copy and return; no poll, no other page. */
class RecordSink {
public:
    virtual ~RecordSink() = default;
    virtual void visit(NodeId id, const RecordView &record, float distance) = 0;
};

/* A place to start a layer from. */
struct EntryPoint {
    NodeId id = kNoNode; /* of the layer's class; kNoNode: the graph is empty */
    float distance = 0;
};

/* One search at a time; keeps its scratch memory. */
class PageGraph {
public:
    PageGraph(Index &index, const Context &context);

    /* Prepares the search for a value; enters where the metapage said at Index::refresh(). */
    void begin(const Query &query);
    uint32_t entry_level() const { return entry_level_; }

    /* Goes from the top layer down to layer `to_level`, where the next search begins at the places
     * returned, nearest first (to_level 0: base records); none if the graph is empty. If `to_level`
     * is above the graph's top, the entry point. Valid until the next call. */
    std::span<const EntryPoint> descend(uint32_t to_level);

    /* Beam search in an upper layer, to which descend() has led; what it expanded goes to `sink`. */
    void search_upper(uint32_t level, size_t width, RecordSink *sink);

    /* Layer 0, to which descend() has led: starts a beam of `width` that has room to become as wide as
     * `room` at no loss; 0: it will not be widened. */
    void start_base(size_t width, size_t room, size_t visited_budget);
    /* Begins a beam of nodes that pass beside it, with those of its candidates, for the rest of this search.
     * Nodes expanded before are for the caller to push(). */
    void start_passing(size_t width, PassMap &map);
    bool has_passing() const { return map_ != nullptr; }
    Beam &passing() { return passing_; }
    const Beam &passing() const { return passing_; }
    /* Nodes that it alone has led to. */
    uint64_t expanded_for_passing() const { return expanded_for_passing_; }
    /* Expands both beams until nothing in them waits, or `hops` records are expanded: then false. */
    bool run_base(RecordSink &sink, uint64_t hops = UINT64_MAX);
    /* Empties visited() and seen(), for a walk of layer 0. */
    void reset_visited(size_t visited_budget);
    Beam &beam() { return beam_; }
    const Beam &beam() const { return beam_; }
    /* Expanded records. */
    VisitedSet &visited() { return visited_; }
    const VisitedSet &visited() const { return visited_; }
    /* L1: records whose own distance was computed, to expand them if the beam comes to them. */
    VisitedSet &seen() { return seen_; }

private:
    struct Below;

    bool expand(RecordRef &record, const Beam::Entry &entry, uint32_t level, RecordSink &sink);
    void expand_coded(RecordRef &record, NodeId id, RecordSink &sink);
    void ask_for(const RecordRef &record, NodeId id);
    void expand_plain(RecordRef &record, const Beam::Entry &entry, RecordSink &sink);
    bool evaluate(RecordRef &record, NodeId id, uint32_t level, float *distance);
    void push_starts(RecordRef &record, uint32_t level);
    bool passing_is_next();
    Beam::Entry next();
    void push_passing(uint32_t count);
    bool run(RecordRef &record, uint32_t level, RecordSink &sink, uint64_t hops);
    bool knows_centre(const RecordView &record) const;
    void poll();

    Index &index_;
    Context context_;
    const Query *query_ = nullptr;
    EntryPoint entry_;
    std::pmr::vector<EntryPoint> starts_; /* where the next search begins */
    bool entered_ = true;                 /* layer 0: the beam has taken them */
    NodeId entry_base_ = kNoNode;
    uint32_t entry_level_ = 0;
    Beam beam_;
    Beam passing_;
    PassMap *map_ = nullptr; /* of passing_; null: there is none */
    uint64_t expanded_for_passing_ = 0;
    VisitedSet visited_; /* expanded */
    VisitedSet seen_;    /* L1: own distance known */
    RecordRef base_;
    RecordRef upper_;
    RecordRef neighbour_base_; /* L1: a neighbour, while the node's ids are a copy */
    RecordRef neighbour_upper_;
    std::pmr::vector<NodeId> ids_;
    std::pmr::vector<float> estimates_;
    NodeId asked_for_[2]; /* records prefetched last, by this run */
    uint32_t until_poll_ = 0;
};

}  // namespace hnsw::core

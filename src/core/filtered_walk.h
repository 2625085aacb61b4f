/*
 * The walks of a filtered search that treat neighbours unlike for failing the filter: candidates to
 * expand lie in a heap by estimated distance; a walk ends when the nearest of them is farther than the
 * `width` nearest nodes found and the `matches` nearest of those that match.
 *
 *   kPenalised    failing neighbours are candidates whose estimate is raised, so that they are expanded only when
 *                 nothing better is there
 *   kFilterFirst  they are no candidates, but the nearest few of them are expanded at once (ACORN-1's second
 *                 hop, arXiv 2403.04871, over few bridges); the others are kept for when no candidate is
 *                 left
 *
 * Only nodes that pass are handed out.  (kPreFilter is the plain search of page_graph.h, whose rows
 * are tested as they leave.)  A walk begins at layer 0's entry or goes on from such a search, whose
 * visited set it shares.  docs/filtering-measured.md has measurements.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <vector>

#include "core/chooser.h"
#include "core/context.h"
#include "core/index.h"
#include "core/page_graph.h"
#include "core/pass_map.h"
#include "core/record_io.h"
#include "core/visited.h"

namespace hnsw::core {

/* Receives the nodes that pass. */
class MatchSink {
public:
    virtual ~MatchSink() = default;
    /* A node that passes, with its own distance; its page is latched: copy and return. False: it has
     * no row to return. */
    virtual bool visit_match(NodeId id, const RecordView &record, float distance) = 0;
    /* No page is held: whether the node last visited has rows that meet the filter. False: the sink
     * has forgotten it. */
    virtual bool confirm_match() = 0;
};

/* The `width` smallest of some distances. */
class NearestDistances {
public:
    explicit NearestDistances(std::pmr::memory_resource *memory) : kept_(memory), rest_(memory) {}

    void reset(size_t width) {
        width_ = width;
        kept_.clear();
        rest_.clear();
    }
    void widen(size_t width);
    void add(float distance);
    size_t width() const { return width_; }
    bool full() const { return kept_.size() >= width_; }
    /* The width-th smallest; infinite while there are fewer. */
    float bound() const { return full() ? kept_.front() : std::numeric_limits<float>::infinity(); }
    size_t bytes() const { return (kept_.capacity() + rest_.capacity()) * sizeof(float); }

private:
    size_t width_ = 1;
    std::pmr::vector<float> kept_; /* heap, largest on top */
    std::pmr::vector<float> rest_;
};

/* One walk at a time; begin() again uses the memory already there. */
class FilteredWalk {
public:
    FilteredWalk(Index &index, const Context &context, PageGraph &graph);

    /* A walk over what graph.visited() has not, without candidates so far. strategy: kFilterFirst or
     * kPenalised. It covers the `width` nearest nodes it comes to, and the `matches` nearest of those
     * that match. */
    void begin(const Query &query, PassMap &map, Strategy strategy, size_t width, size_t matches);
    /* A candidate to start from. */
    void add_candidate(float distance, NodeId id) { near_.push_back({distance, id}); }
    /* A node expanded before begin(), and whether it matches. */
    void add_expanded(float distance, bool match);
    /* Walks on until the nearest candidate is farther than bound(), or nothing is left to expand. False:
     * reads() came to read_limit or bytes() beyond byte_limit before that. */
    bool run(MatchSink &sink, uint64_t read_limit, size_t byte_limit);
    /* Doubles both widths. */
    void widen();
    /* Goes on as kFilterFirst, until `matches` matching nodes are covered. */
    void change_to_filter_first(size_t matches);

    /* Internal distance up to which the walk has covered its nodes. */
    float bound() const { return std::max(all_.bound(), matching_.bound()); }
    /* Whether run() ended because nothing was left to expand, or a limit was reached. */
    bool unfinished() const { return cut_short_ || !matching_.full(); }
    /* Records read since begin(), and of those expanded how many had no matching row. */
    uint64_t reads() const { return reads_; }
    uint64_t failed() const { return failed_; }
    /* Without the visited set. */
    size_t bytes() const;

private:
    struct Candidate {
        float key; /* estimated distance, raised if the filter fails and the strategy says so */
        NodeId id;
    };
    struct Farther {
        bool operator()(const Candidate &a, const Candidate &b) const { return a.key > b.key; }
    };
    using Heap = std::pmr::vector<Candidate>;

    static void push(Heap &heap, Candidate candidate);
    static Candidate pop(Heap &heap);
    void sort_out();
    void prefetch(const Heap &heap);
    bool step(MatchSink &sink);
    bool expand(NodeId id, bool pass, MatchSink &sink);
    void estimate_plain(uint32_t n);
    void take(uint32_t n, bool is_bridge);
    void cross(MatchSink &sink);

    Index &index_;
    Context context_;
    const Query *query_ = nullptr;
    PassMap *map_ = nullptr;
    Strategy strategy_ = Strategy::kPenalised;
    bool sorted_out_ = false; /* candidates are where the strategy wants them */
    uint64_t reads_ = 0;
    uint64_t failed_ = 0;
    bool cut_short_ = false;
    uint32_t until_poll_ = 0;

    Heap near_;                         /* candidates, nearest on top */
    Heap far_;                          /* candidates beyond bound() when they came, unordered */
    Heap bridges_;                      /* kFilterFirst: failing nodes, nearest on top */
    NearestDistances all_;              /* of the nodes expanded */
    NearestDistances matching_;         /* of those that match */
    std::pmr::vector<Candidate> cross_; /* bridges of the node just expanded */
    VisitedSet &visited_;               /* expanded */
    VisitedSet &seen_;                  /* L1: own distance known */
    RecordRef record_;
    RecordRef neighbour_; /* L1 */
    std::pmr::vector<NodeId> ids_;
    std::pmr::vector<float> estimates_;
};

}  // namespace hnsw::core

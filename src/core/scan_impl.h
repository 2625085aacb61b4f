/*
 * What the parts of a scan share: scan.cpp has the plain scan, scan_filter.cpp the filtered one,
 * scan_matching.cpp the pass over all that matches.
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/filtered_walk.h"
#include "core/page_graph.h"
#include "core/pass_map.h"
#include "core/scan.h"
#include "core/search_width.h"

namespace hnsw::core {

/* Share of the memory limit that the visited bitmap may take before it becomes a hash set; a filter's
 * bits may take as much. */
inline constexpr size_t kVisitedShare = 4;

struct Scan::Impl final : RecordSink, MatchSink {
    Impl(Index &index_ref, const Context &context_ref, RowSorter &sorter_ref)
        : index(index_ref),
          context(context_ref),
          sorter(sorter_ref),
          query(context.memory),
          graph(index, context),
          map(index.store(), context),
          walk(index, context, graph),
          results(context.memory),
          tids(context.memory),
          attributes(context.memory),
          kills(context.memory),
          rows(context.memory),
          ids(context.memory) {}

    enum class Phase : uint8_t { kGraph, kExact, kZero, kNull, kDone };

    /* A node whose own distance is known and whose rows have not been returned. */
    struct Result {
        double bound;
        NodeId id;
        uint32_t generation;
        uint32_t posting;
        uint16_t tid_changes;
        StoredTid tid;
        float distance; /* internal */
    };
    struct Farther {
        bool operator()(const Result &a, const Result &b) const { return a.bound > b.bound; }
    };

    struct Counts {
        double nodes = 0;    /* tested */
        double matching = 0; /* of them */
        double untested = 0; /* nodes beside them */
    };

    /* How far a walk has come. */
    struct WalkMark {
        double reads = 0;
        double found = 0; /* matching nodes */
    };

    struct Kill {
        NodeId id;
        uint32_t generation;
        uint16_t tid_changes;
        HeapTid tid;
    };

    void begin(const float *value);
    size_t peek(std::span<HeapTid> out);
    bool next(ScanRow *row);
    size_t look_ahead(std::span<HeapTid, kLookAhead> out) const;
    void visit(NodeId id, const RecordView &record, float distance) override;

    bool next_of_graph(ScanRow *row);
    double passed_share() const;
    void widen_for_failing();
    double growth() const;
    bool more_of_graph();
    bool emit(ScanRow *row);
    Result result_of(NodeId id, const RecordView &record, float distance) const;
    bool has_row(const RecordHeader &head) const;
    void add_result(const Result &result);
    void take_rows(const Result &result);
    bool over_memory() const;
    size_t beam_width(uint32_t ef) const;
    size_t beam_width_for(double share) const;
    float reach_factor() const;
    void start_exact();
    void put_rows(const Result &result);
    bool next_of_exact(ScanRow *row);
    bool next_of_list(ScanRow *row, ScanRow::Kind kind);
    void start_zero_list();
    void start_list(bool zero_list);
    void note_order(double bound);
    void kill_last();
    void flush_kills();

    /* The filtered scan. */
    bool visit_match(NodeId id, const RecordView &record, float distance) override;
    bool confirm_match() override;
    void begin_filtered();
    bool reuse_sample();
    void take_sample(uint32_t pages);
    SampleMemo *sample_memo() const;
    FilterFacts facts() const;
    double known_pages() const;
    bool forced() const;
    bool more_of_filtered();
    void start_beam();
    bool passes(NodeId id, double tested);
    Counts count_in_hand(double limit, double wanted);
    void count_near();
    bool beam_goes_on();
    bool found_enough();
    bool widen_for_share();
    bool more_of_beam();
    bool widen_beam();
    template <class Take>
    void keep_matches(Take take);
    void drop_failing();
    void start_walk();
    void run_walk();
    void learn(double Experience::*what, double measured, double least, double most);
    void forget();
    WalkMark mark() const;
    double reads_to_go(const Choice &begun, const WalkMark &start, const WalkMark &from) const;
    void learn_from_walk(const Choice &begun, const WalkMark &start, double rest);
    bool more_of_walk();
    bool has_memo() const;
    bool remembers() const;
    void start_matching();
    void refresh_memo();
    bool next_batch(size_t *at, uint64_t *found);
    void read_matching(RecordRef &record);
    bool has_matching_row(const Result &result);
    bool thinks_again(uint64_t found, uint32_t pages);
    bool first_row_matches(const Result &result);
    bool may_leave(const Result &result);

    Index &index;
    Context context;
    RowSorter &sorter;
    ScanOptions options;
    ScanReport report;
    Query query;
    PageGraph graph;
    PassMap map;
    FilteredWalk walk;
    Reach reach; /* of the first beam of a plain scan */
    Phase phase = Phase::kDone;
    bool null_query = false;
    bool filtered = false; /* the filter is tested here, not by who reads the rows */
    bool first_beam = true;
    bool peeking = false;     /* the beam is narrower than it will be */
    bool reach_ended = false; /* the first beam has gone as far as its reach */
    bool stopping = false;    /* options say: no further beam; hand out what is there and end */
    double horizon = 0;       /* rows with a bound up to here may leave */
    double last_bound = 0;    /* largest bound returned */
    uint64_t visited_after_first = 0;
    double handed_out = 0;            /* rows of the graph */
    double failed = 0;                /* of them, by fail_last() */
    std::pmr::vector<Result> results; /* heap, nearest on top */

    /* The filtered scan. Nodes that a beam or walk has expanded are in graph.visited(). */
    enum class Way : uint8_t {
        kBeam,     /* results may fail: nodes are tested as they leave */
        kWalk,     /* results match */
        kMatching, /* results are all that match */
    };
    Way way = Way::kMatching;
    Result pending{};    /* the match last visited */
    bool walked = false; /* the walk has run */
    PassMap::Estimate estimate;
    uint32_t sampled = 0;     /* directory pages behind it, if there are so many */
    uint64_t memo_number = 0; /* of options.memo when the scan began; 0: it is of no use */
    double target = 0;        /* matching nodes the beam is to find, from the first */
    double shown = 0;         /* nodes the beam has expanded */
    Counts in_hand;           /* of the beam's results, those within the horizon */
    Counts gone;              /* results that have left, or were found to fail then */
    double near_horizon = 0;  /* the beam reaches so far, without that of nodes that pass... */
    double gone_near = 0;     /* ...and of `gone` match so many within it */
    Counts near;              /* nodes seen near the query, those beyond the horizon too */
    Experience known;

    /* Rows of the node being returned. */
    Result current{};
    std::pmr::vector<StoredTid> tids;
    std::pmr::vector<Attributes> attributes; /* scratch: of the rows in posting chunks */
    size_t next_tid = 0;
    Kill last{};
    std::pmr::vector<Kill> kills;

    /* Rows of the TID list being returned, one page at a time. */
    std::pmr::vector<StoredTid> rows;
    size_t next_row = 0;
    BlockNo next_list_block = kNoBlock;
    BlockNo list_pages = 0; /* read so far: more than there are means a circle */

    std::pmr::vector<NodeId> ids; /* of matching nodes, one directory page at a time */
};

}  // namespace hnsw::core

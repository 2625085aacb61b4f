/*
 * CREATE INDEX: rows go into a graph in memory (arena.h), any number of workers at once, who then
 * finish the graph and write it out as an index.
 *
 * Order of calls: Arena::format; add() by all workers until the rows end or the arena is full;
 * when all have stopped, trim_some() by all until it returns false; when all have stopped again,
 * one calls connect(); then pages are written by all (build_write.h).  The result is a complete
 * index: further rows, if the arena was full, are inserted into it (insert.h).
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/attributes.h"
#include "core/build_beam.h"
#include "core/build_choose.h"
#include "core/index.h"

namespace hnsw::core {

/* The sizes of an index built with these options. */
IndexLayouts layouts_of(const CreateOptions &options);
ArenaShape arena_shape(const CreateOptions &options);

/* The arena that `workers` workers can share so that all of it stays within `budget` bytes: arena and
 * what each worker needs besides. At least Arena::min_bytes(). */
size_t arena_bytes_within(const CreateOptions &options, size_t budget, uint32_t workers);
/* What a row with a node of its own takes in the arena, on average. */
size_t arena_bytes_per_row(const CreateOptions &options);

/* What long steps call now and then, holding nothing: an interrupt point. May not return. */
using Poll = void (*)();

struct BuildPlaces;

/* What a row's node is to the graph. */
enum class NodeRole {
    kHome, /* the row's only node, or the one that is written */
    kCopy, /* one that gives links to the row's node in another graph (build_regions.h): half as wide a
              search finds them, the best of both lists being chosen in the end */
};

/* One process' or thread's part in a build. Abandonable. */
class BuildWorker {
public:
    /* All outlive the object. `space` has one centre. */
    BuildWorker(Arena &arena, const Space &space, const CreateOptions &options, Poll poll,
                std::pmr::memory_resource *memory);

    enum class Added {
        kNode, /* a new node */
        kRow,  /* a further row of a node, or one outside the graph */
        kFull, /* no room: nothing was added */
    };
    /* value: dim finite floats, or null for a NULL column. row: the row's attributes, as many as the
     * options say; a row without a vector keeps none. */
    Added add(const float *value, HeapTid tid, const Attributes &row,
              NodeRole role = NodeRole::kHome);
    /* The node that the last row added with a vector has become, or has joined. */
    ArenaId last_node() const { return last_node_; }

    /* Brings some nodes' lists down to the record's slots, once all rows are in. All workers share
     * the work. False: none were left. Takes a few milliseconds at most. */
    bool trim_some();

    /* Gives every node that no path from the entry point leads to a link from a node that one
     * leads to, sets the order of writing (ArenaNode::place, Arena::written) so that neighbours are
     * near each other, and numbers what is written (Arena::counts). Cuts the lists of nodes that get
     * fewer slots where `places` has them; null: it is not known yet where they go. Alone at work, once,
     * after trim_some(). */
    void connect(const BuildPlaces *places);

private:
    void insert_node(ArenaId id, SearchWidth width);
    void descend(const Anchor &anchor, ArenaId self, const Arena::Entry &entry, uint32_t to_layer);
    void find_candidates(const Anchor &anchor, ArenaId self, uint32_t layer, SearchWidth width);
    /* From starts_. Fills seen_ and seen_distances_; returns the candidates, nearest first, valid until the next
     * search. */
    std::span<const Candidate> search(const Anchor &anchor, ArenaId self, uint32_t layer,
                                      SearchWidth width);
    void expand(const Anchor &anchor, ArenaId id, uint32_t layer);
    void prefetch_links(ArenaId id) const;
    bool see(const Candidate &c);
    void make_room_to_see(uint32_t more);
    void forget_seen();
    void sample_far();

    void set_links(ArenaId id, uint32_t layer, std::span<const ArenaId> ids);
    /* Adds the link from -> to, pruning if the list is full. */
    void link(ArenaId from, ArenaId to, uint32_t layer);
    /* Chooses at most `want` of the list of `id` and `extra` (kNoArenaNode = none). Locked. */
    void prune(ArenaId id, uint32_t layer, ArenaId extra, uint32_t want);

    void cut(ArenaId id, uint32_t layer, uint32_t want);
    uint32_t room(const ArenaNode &n) const;
    bool is_placed(ArenaId id) const { return (placed_bits_[id / 64] >> (id % 64) & 1) != 0; }
    void place(ArenaId id, ArenaId parent);
    void number();
    void flood(ArenaId from, ArenaId parent);
    std::span<const Candidate> nearest(ArenaId self);
    bool adopt(ArenaId id, ArenaId orphan);
    ArenaId find_parent(ArenaId orphan);

    uint32_t slots(uint32_t layer) const {
        return layer == 0 ? arena_.shape().base_slots : arena_.shape().upper_slots;
    }
    bool visit(ArenaId id) {
        uint64_t &word = visited_[id / 64];
        uint64_t bit = uint64_t{1} << (id % 64);
        bool fresh = (word & bit) == 0;
        word |= bit;
        return fresh;
    }

    Arena &arena_;
    const Space &space_;
    const uint32_t m_;
    const SearchWidth width_; /* of the search for a home's neighbours */
    const Poll poll_;
    ArenaMetric metric_;
    LinkChooser chooser_;
    Query query_;

    std::pmr::vector<uint64_t> visited_;     /* one bit per node */
    std::pmr::vector<uint64_t> placed_bits_; /* connect(): the same; nodes are out of the cache */
    /* What the search has evaluated: the bits set in visited_. */
    std::pmr::vector<ArenaId> seen_;
    std::pmr::vector<float> seen_distances_;
    uint32_t seen_count_ = 0;
    BuildBeam beam_;
    std::pmr::vector<Candidate> starts_; /* where the next search begins */
    std::pmr::vector<Candidate> pool_;
    std::pmr::vector<Candidate> list_;  /* prune()'s pool */
    std::pmr::vector<ArenaId> linked_;  /* prune(): the list, */
    std::pmr::vector<float> distances_; /* and how far its nodes are */
    std::pmr::vector<ArenaId> selected_;

    ArenaId last_node_ = kNoArenaNode;
    uint32_t placed_ = 0;
    const BuildPlaces *places_ = nullptr; /* connect() */
};

}  // namespace hnsw::core

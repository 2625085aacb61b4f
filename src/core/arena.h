/*
 * The graph while CREATE INDEX builds it: nodes, links and heap TIDs in one block of memory that
 * any number of processes or threads work on at once.
 *
 * Nothing in the block is a pointer, so it may be mapped at different addresses.  Nodes are
 * numbered from 0 and lie in a row from the front; pieces of other sizes (links of the upper
 * layers, further TIDs) are taken from the back.  When the two meet the arena is full, and stays
 * as it was: no operation leaves a half-made change.
 *
 * Who may touch what: a node's vector, scalars, hash and level are written before its number is known to
 * others and never again.  Link lists are read without a lock (ids are atomic, and an id found in
 * a list is always a complete node); they, the TIDs and nothing else change under the node's spin
 * lock.  While one is held nothing is allocated outside the arena, thrown or waited for, and at
 * most one is held at a time.
 *
 * Called by the build only (build.h).
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/attributes.h"
#include "core/codes.h"
#include "core/ids.h"

namespace hnsw::core {

using ArenaId = uint32_t;
inline constexpr ArenaId kNoArenaNode = 0xFFFFFFFFu;

/* What fixes the sizes inside an arena. */
struct ArenaShape {
    uint32_t dim = 0;         /* padded dimensions: bytes of a vector */
    uint32_t base_slots = 0;  /* links a layer-0 record will have room for */
    uint32_t upper_slots = 0; /* the same above */
    uint32_t attributes = 0;  /* of every row of a node */
    bool norms = false;       /* whether nodes have ArenaNorms */
};

/* A list of links: `count` of the ids are in use. */
struct LinkList {
    std::atomic<uint16_t> *count;
    std::atomic<ArenaId> *ids;
    uint32_t capacity; /* may exceed the record's slots: the surplus is pruned at the end */
};

/* What a distance needs beside the vector. In an array of their own: it is small enough to stay in the
 * processor's cache, and a distance reads no line of the node but its vector's. */
struct ArenaScalars {
    float scale;
    float norm; /* squared norm of the vector before it is scaled, as far as a search looks */
};

/* The same norm of other parts of the vector (Part in build_choose.h), if those are not all of it. */
struct ArenaNorms {
    float all;
    float links;
};

struct alignas(64) ArenaNode {
    float norm;
    float error;
    std::atomic<uint8_t> lock;
    uint8_t level;
    std::atomic<uint16_t> count; /* links at layer 0 */
    uint8_t hash[16];
    StoredTid tid;
    uint16_t cursor;    /* connect(): links looked at so far */
    uint32_t upper;     /* piece with the links of layers 1..level */
    uint32_t tids;      /* newest piece of further rows, 0 = none */
    uint32_t tid_count; /* further rows */
    ArenaId next;       /* chain of the hash table; after connect() see Arena::written() */
    ArenaId parent;     /* connect(): where the walk came from, kNoArenaNode = not reached; then
                           the number of the node's first upper record */
    uint32_t place;     /* connect(): number in the order of writing */
    uint32_t chunk;     /* connect(): number of the node's first posting chunk */

    static constexpr uint8_t kDiscarded = 255; /* level of a node that lost a race against a twin */
    bool discarded() const { return level == kDiscarded; }
};
static_assert(sizeof(ArenaNode) == 64);

/* Some packed rows (attributes.h) and the piece before this one (0 = none). Full but for the newest
 * of a chain. */
struct RowPiece {
    uint32_t previous;

    /* Rows in a piece: ten without attributes, then 8, 5, 4, 3, 2, 2, 1, 1. */
    static constexpr uint32_t rows(uint32_t attributes) {
        return attributes == 0 ? 10 : std::max(1u, 124 / packed_row_bytes(attributes));
    }
    static constexpr uint32_t bytes(uint32_t attributes) {
        return 4 + rows(attributes) * packed_row_bytes(attributes);
    }
    std::byte *row(uint32_t i, uint32_t attributes) {
        return reinterpret_cast<std::byte *>(this + 1) + size_t{i} * packed_row_bytes(attributes);
    }
    const std::byte *row(uint32_t i, uint32_t attributes) const {
        return const_cast<RowPiece *>(this)->row(i, attributes);
    }
};
static_assert(sizeof(RowPiece) == 4 && RowPiece::bytes(0) == 64);

class Arena {
public:
    /* Bytes of a node in the row of nodes, without its upper layers. */
    static uint32_t node_bytes(const ArenaShape &shape);
    /* What every node takes besides, in arrays of their own. */
    static uint32_t aside_bytes(const ArenaShape &shape);
    /* The fewest bytes format() accepts. */
    static size_t min_bytes(const ArenaShape &shape);
    /* Makes `memory` (64-byte aligned) an empty arena. At least min_bytes(). */
    static void format(void *memory, size_t bytes, const ArenaShape &shape);
    /* Attaches to a formatted arena, which outlives the object. */
    explicit Arena(void *memory);

    const ArenaShape &shape() const { return head().shape; }
    /* Nodes that fit if nothing else did. */
    uint32_t max_nodes() const { return head().max_nodes; }
    uint32_t node_count() const {
        return static_cast<uint32_t>(head().cursor.load(std::memory_order_acquire));
    }
    /* Bytes in use. */
    size_t used_bytes() const;
    size_t free_bytes() const;
    /* Set once when an add found no room. */
    bool full() const { return head().full.load(std::memory_order_relaxed); }
    void set_full() { head().full.store(true, std::memory_order_relaxed); }

    ArenaNode &node(ArenaId id) const {
        return *reinterpret_cast<ArenaNode *>(nodes_ + size_t{id} * node_bytes_);
    }
    int8_t *vector(ArenaId id) const {
        return reinterpret_cast<int8_t *>(nodes_ + size_t{id} * node_bytes_ + sizeof(ArenaNode));
    }
    ArenaScalars &scalars(ArenaId id) const { return scalars_[id]; }
    /* Only with shape().norms. */
    ArenaNorms &norms(ArenaId id) const { return norms_[id]; }
    Sq8 sq8(ArenaId id) const {
        const ArenaNode &n = node(id);
        return {vector(id), scalars(id).scale, n.norm, n.error, 0};
    }
    LinkList links(ArenaId id, uint32_t layer) const;

    /* Takes a node with room for `level` upper layers; kNoArenaNode if the arena is full. The
     * caller fills it in before anyone else learns its number. */
    ArenaId new_node(uint32_t level);
    /* The node of that hash, or kNoArenaNode. */
    ArenaId find(const uint8_t hash[16]) const;
    /* Makes `id`, whose hash is set, findable; or returns the node that came first. */
    ArenaId publish(ArenaId id);
    /* The attributes of the node's first row (ArenaNode::tid). */
    Attributes attributes(ArenaId id) const;
    void set_attributes(ArenaId id, const Attributes &row);
    /* Adds a row to a node. False if the arena is full. */
    bool add_tid(ArenaId id, HeapTid tid, const Attributes &row);

    /* Rows outside the graph. */
    enum class Outside { kNull, kZero };
    bool add_outside(Outside which, HeapTid tid);
    struct TidChain {
        uint32_t count;
        uint32_t newest;
    };
    TidChain outside(Outside which) const;
    /* Pieces of rows outside the graph have no attributes. */
    const RowPiece &row_piece(uint32_t piece) const {
        return *reinterpret_cast<const RowPiece *>(piece_at(piece));
    }
    /* The next row of a chain of pieces of which `left` rows are left, newest first; moves both on. */
    const std::byte *take_row(uint32_t *left, uint32_t *piece, uint32_t columns) const {
        const RowPiece &rows = row_piece(*piece);
        const uint32_t at = --*left % RowPiece::rows(columns);
        if (at == 0)
            *piece = rows.previous;
        return rows.row(at, columns);
    }

    /* Entry point: a node and its level, as one value. */
    struct Entry {
        ArenaId node = kNoArenaNode;
        uint32_t level = 0;
        bool none() const { return node == kNoArenaNode; }
    };
    Entry entry() const;
    /* Makes `first` the entry point if there is none; false if there is. */
    bool start_entry(Entry first);
    /* Makes `candidate` the entry point if the present one is of a lower level. */
    void offer_entry(Entry candidate);

    /* What connect() has counted. */
    struct Counts {
        uint32_t nodes = 0;  /* placed */
        uint32_t uppers = 0; /* upper records */
        uint32_t chunks = 0; /* posting chunks */
    };
    const Counts &counts() const { return head().counts; }
    void set_counts(const Counts &counts) { head().counts = counts; }
    /* The node of that place: kept in `next` of the node of that number, which connect() frees. */
    ArenaId written(uint32_t place) const { return node(place).next; }

    /* Work sharing, once all rows are in: the next at most `most` of 0..end-1 that nobody has taken
     * yet for this work; empty when there are none. */
    enum class Work { kTrim, kWrite };
    struct Run {
        uint32_t begin;
        uint32_t end;
    };
    Run take_run(Work work, uint32_t most, uint32_t end);

private:
    struct TidList {
        std::atomic<uint8_t> lock;
        uint32_t count;
        uint32_t newest;
    };
    struct Head {
        ArenaShape shape;
        uint32_t max_nodes;
        uint32_t bucket_mask;
        size_t bytes;
        size_t buckets_offset;
        size_t scalars_offset;
        size_t norms_offset;
        size_t nodes_offset;
        std::atomic<bool> full;
        std::atomic<uint64_t> cursor; /* nodes, and in the upper half units from the back */
        std::atomic<uint64_t> entry;
        std::atomic<uint32_t> taken[2]; /* by Work: what is below is taken */
        Counts counts;
        TidList outside[2];
    };

    Head &head() const { return *reinterpret_cast<Head *>(base_); }
    std::atomic<uint32_t> &bucket(const uint8_t hash[16]) const;
    /* Takes `nodes` nodes and `units` units, or nothing. Out: the first new node, the piece. */
    bool take(uint32_t nodes, uint32_t units, ArenaId *first, uint32_t *piece);
    bool append_row(uint32_t *count, uint32_t *newest, HeapTid tid, const Attributes &row,
                    uint32_t attributes);
    std::byte *piece_at(uint32_t piece) const;

    std::byte *base_;
    std::byte *nodes_;
    ArenaScalars *scalars_;
    ArenaNorms *norms_;
    uint32_t node_bytes_;
    uint32_t ids_offset_;
    uint32_t attributes_offset_;
    uint32_t base_capacity_;
    uint32_t upper_units_;
};

/* Holds a node's spin lock. The holder only computes. */
class NodeLock {
public:
    explicit NodeLock(std::atomic<uint8_t> &lock) : lock_(lock) {
        if (lock_.exchange(1, std::memory_order_acquire) != 0)
            wait();
    }
    NodeLock(const NodeLock &) = delete;
    NodeLock &operator=(const NodeLock &) = delete;
    ~NodeLock() { lock_.store(0, std::memory_order_release); }

private:
    void wait();

    std::atomic<uint8_t> &lock_;
};

}  // namespace hnsw::core

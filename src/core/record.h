/*
 * The record of a node: what one hop of a search reads.  A record is a string of
 * RecordLayout::bytes bytes: header, own vector as SQ8, and per neighbour slot its id, two factors
 * and a 1-bit code of the edge.  It lies in one page slot, or, when larger than a page, in a head
 * page and continuation pages (see record_io.h).
 *
 * Sources: codes of the neighbours beside their ids are SymphonyQG's idea (arXiv 2411.12229), the
 * estimator is RaBitQ's (arXiv 2405.12497), centred on the node itself; codes.h has the formulas.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/ids.h"
#include "core/page.h"
#include "core/round_up.h"

namespace hnsw::core {

enum class RecordState : uint8_t {
    kFree = 0, /* slot unused (freed_at says since when); links to it are stale, readers skip it */
    kLive = 1,
    kDeleted = 2, /* no heap row left, still linked: searches pass through, nobody links to it */
};

/* The two classes of records. */
enum class RecordClass : uint8_t { kBase, kUpper };

inline PageKind page_kind_of(RecordClass cls) {
    return cls == RecordClass::kBase ? PageKind::kBase : PageKind::kUpper;
}

struct RecordHeader {
    RecordState state;
    uint8_t level;       /* base record: the node's top layer; upper record: its own layer (>= 1) */
    uint8_t count;       /* neighbours in use: slots 0..count-1 */
    uint8_t centre;      /* which centre of the metapage the own vector is relative to */
    uint32_t generation; /* raised each time the slot is filled again */
    StoredTid tid;       /* base: first heap row (invalid when none is left) */
    uint16_t tid_changes; /* counts changes of the node's set of heap rows, wrapping */
    uint32_t posting;     /* base: first posting chunk of further heap rows, kNoNode = none */
    NodeId up;            /* same node one layer up (an upper record), kNoNode = top */
    NodeId down;          /* upper: same node one layer down (layer 1: the base record) */
    float scale;          /* coordinate i of the own vector is scale * x[i] (rotated, centred) */
    float norm;           /* Euclidean norm of that vector */
    float error;          /* norm (L1 opclass: L1 norm) of value minus that vector, rounded up */
    union {
        uint8_t hash[16];  /* of the indexed value: equal hash = equal vector */
        uint64_t freed_at; /* kFree: next full transaction id when it was freed; 0 = no link names
                              it: may be filled at once */
    };
};
static_assert(sizeof(RecordHeader) == 56);

/* Records per page at most: a page of the directory covers at least two blocks, its own and one of
 * base records, however many attributes there are. */
inline constexpr uint32_t kMaxPerPage = 56;

/* Where the pieces of a record lie. */
struct RecordLayout {
    uint32_t dim = 0;   /* padded dimensions, a multiple of 64: bytes of the own vector */
    uint32_t slots = 0; /* neighbour slots */
    uint32_t bits = 0;  /* bits of a neighbour's code, multiple of 64; 0 = ids only (L1) */
    uint32_t own_offset = 0;
    uint32_t id_offset = 0;
    uint32_t factor_a_offset = 0; /* bfloat16[slots] */
    uint32_t factor_b_offset = 0;
    uint32_t code_offset = 0;
    uint32_t bytes = 0;    /* of the whole record, a multiple of 8 */
    uint32_t per_page = 0; /* records per page; 1 also for a record of several pages */
    uint32_t parts = 1;    /* pages per record */

    uint32_t code_bytes() const { return bits / 8; }

    static RecordLayout make(uint32_t dim, uint32_t slots, uint32_t bits);
};

/* In every so many blocks, the last of them, records are dense. A power of two. */
inline constexpr uint32_t kDensePeriod = 8;
/* Dense records in a page at most: of more, one more saves less than it costs. (And a page of the
 * directory covers kDensePeriod blocks at least, however many attributes there are.) */
inline constexpr uint32_t kMaxDensePerPage = 8;

/* Where the records of an index lie, base and upper ones alike: in most pages `usual` records, in every
 * kDensePeriod-th block `dense` ones, with fewer slots, of which one more fits (docs/format.md, "Dense
 * pages"). What differs between them follows from the block's number; it has as many record numbers
 * whatever it holds. */
struct IndexLayouts {
    RecordLayout usual;
    RecordLayout dense; /* the same as usual: there are no dense pages */

    /* Chosen from dimensions and options. `metric_has_codes` is false for L1. */
    static IndexLayouts choose(uint32_t dim, uint32_t m, bool metric_has_codes);
    /* dense_slots: 0 = no dense pages. */
    static IndexLayouts make(uint32_t padded_dim, uint32_t slots, uint32_t bits,
                             uint32_t dense_slots);

    bool has_dense() const { return dense.per_page != usual.per_page; }
    const RecordLayout &at(BlockNo block) const {
        return block % kDensePeriod == kDensePeriod - 1 ? dense : usual;
    }
    /* Blocks before `block` in which records are dense, or would be. */
    static uint32_t dense_blocks(BlockNo block) { return block / kDensePeriod; }

    /* Record numbers of a block. */
    uint32_t stride() const { return dense.per_page; }
    uint64_t addresses(BlockNo blocks) const { return uint64_t{blocks} * stride(); }
    BlockNo block_of(NodeId id) const { return id / stride(); }
    uint32_t slot_of(NodeId id) const { return id % stride(); }
    NodeId id_of(BlockNo block, uint32_t slot) const { return block * stride() + slot; }
    /* False: the number of no record, in a page that is not dense. */
    bool has(NodeId id) const { return slot_of(id) < at(block_of(id)).per_page; }
};

inline uint32_t padded_dim(uint32_t dim) { return round_up(dim, 64); }

/* A record in one contiguous piece (in a latched page, or assembled). */
struct RecordView {
    const std::byte *bytes = nullptr;
    const RecordLayout *layout = nullptr;

    const RecordHeader &head() const { return *reinterpret_cast<const RecordHeader *>(bytes); }
    const int8_t *own() const {
        return reinterpret_cast<const int8_t *>(bytes + layout->own_offset);
    }
    const NodeId *ids() const {
        return reinterpret_cast<const NodeId *>(bytes + layout->id_offset);
    }
    const uint16_t *factor_a() const {
        return reinterpret_cast<const uint16_t *>(bytes + layout->factor_a_offset);
    }
    const uint16_t *factor_b() const {
        return reinterpret_cast<const uint16_t *>(bytes + layout->factor_b_offset);
    }
    const uint8_t *code(uint32_t slot) const {
        return reinterpret_cast<const uint8_t *>(bytes + layout->code_offset) +
               size_t{slot} * layout->code_bytes();
    }
    /* Neighbours in use; never more than the layout has, whatever the page says. */
    uint32_t count() const { return head().count < layout->slots ? head().count : layout->slots; }
};

/* The same, writable. */
struct RecordImage {
    std::byte *bytes = nullptr;
    const RecordLayout *layout = nullptr;

    RecordView view() const { return {bytes, layout}; }
    RecordHeader &head() const { return *reinterpret_cast<RecordHeader *>(bytes); }
    int8_t *own() const { return reinterpret_cast<int8_t *>(bytes + layout->own_offset); }
    NodeId *ids() const { return reinterpret_cast<NodeId *>(bytes + layout->id_offset); }
    uint16_t *factor_a() const {
        return reinterpret_cast<uint16_t *>(bytes + layout->factor_a_offset);
    }
    uint16_t *factor_b() const {
        return reinterpret_cast<uint16_t *>(bytes + layout->factor_b_offset);
    }
    uint8_t *code(uint32_t slot) const {
        return reinterpret_cast<uint8_t *>(bytes + layout->code_offset) +
               size_t{slot} * layout->code_bytes();
    }
};

/* Copies a link with its code and factors. The layouts differ in nothing, the records may be one. */
void copy_slot(const RecordImage &to, uint32_t to_slot, const RecordView &from, uint32_t from_slot);

}  // namespace hnsw::core

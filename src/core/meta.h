/*
 * The metapage (block 0): what the index is, where a search enters, and the heads of its lists.
 */
#pragma once

#include <cstdint>

#include "core/page.h"
#include "core/record.h"

namespace hnsw::core {

enum class Metric : uint16_t { kL2 = 1, kCosine = 2, kInnerProduct = 3, kL1 = 4 };

inline constexpr uint32_t kMetaMagic = 0x484E5357; /* "HNSW" */
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint32_t kMaxCentres = 2;
inline constexpr uint32_t kMaxDimensions = 16000;
inline constexpr uint32_t kMaxLevel = 32;
inline constexpr uint32_t kMaxDescentWidth = 64;

/* Head of a list of pages, and the page that new entries go to. */
struct PageList {
    BlockNo head = kNoBlock;
    BlockNo fill = kNoBlock;
};

/* On disk: the payload of block 0. Fields are only ever appended within a format version. */
struct MetaPage {
    uint32_t magic;
    uint32_t version;
    uint32_t dim; /* dimensions of the column */
    Metric metric;
    uint16_t m;
    uint16_t ef_construction; /* as of CREATE INDEX; inserts use the current reloption */
    uint16_t slots;         /* neighbours a record has room for, at most 2 * m; dense ones: below */
    uint16_t descent_width; /* of a search above layer 0 */
    uint16_t code_bits;
    uint64_t rotation_seed;
    uint32_t centre_count;       /* 1 or 2 */
    BlockNo centre[kMaxCentres]; /* first page of its coordinates, kNoBlock = the origin */
    uint32_t centre_is_guess;    /* centre 0 is the first row of an index created empty: the
                                          mean of the first rows becomes centre 1 */
    float beam_factor;           /* ef of a search is ef_search times this (decision 11) */

    /* Entry point: the node whose top layer is the highest. */
    NodeId entry_base;  /* kNoNode: the graph is empty */
    NodeId entry_upper; /* its record at entry_level; kNoNode when entry_level is 0 */
    uint32_t entry_level;

    /* Pages with free slots, chained by PageTrailer::next; inserts fill the first. */
    BlockNo free_base;
    BlockNo free_upper;
    BlockNo free_posting;
    BlockNo free_part;

    PageList null_rows; /* rows whose vector is NULL */
    PageList zero_rows; /* rows whose vector has no direction (cosine only) */

    uint32_t attributes;  /* further columns of the index, 0..kMaxAttributes */
    uint32_t dense_slots; /* neighbours a record of a dense page has room for; 0: there are none */
    float reach; /* a search for ef 40 ends where nodes are so many times as far as the tenth
                              nearest row found (internal distances); 0: where its beam ends */
};
static_assert(sizeof(MetaPage) <= kPayloadBytes);

inline const MetaPage &meta_of(const std::byte *page) {
    return *reinterpret_cast<const MetaPage *>(payload(page));
}
inline MetaPage &meta_of(std::byte *page) { return *reinterpret_cast<MetaPage *>(payload(page)); }

}  // namespace hnsw::core

/*
 * The outer form of every page: PostgreSQL's page header in front (so that checksums, LSNs and
 * generic WAL's hole work as for any index), a payload, and an 8-byte trailer in the special space
 * that says what kind of page it is.  docs/format.md draws the kinds.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/attributes.h"
#include "core/ids.h"

namespace hnsw::core {

inline constexpr uint32_t kPageSize = 8192;
inline constexpr uint32_t kPageHeaderBytes = 24;
inline constexpr uint32_t kPageTrailerBytes = 8;
inline constexpr uint32_t kPayloadBytes = kPageSize - kPageHeaderBytes - kPageTrailerBytes;

enum class PageKind : uint16_t {
    kUnused = 0, /* all zero: an extension that a crash left behind; legal, ignored */
    kMeta = 1,
    kBase = 2,      /* layer-0 records */
    kUpper = 3,     /* records of the layers above */
    kPart = 4,      /* continuation of a record that is larger than a page */
    kPosting = 5,   /* chunks of further heap TIDs of a node */
    kTidList = 6,   /* heap TIDs of NULL or zero vectors */
    kCentre = 7,    /* the centre that vectors are quantised around */
    kDirectory = 8, /* first rows and attributes of the base records of the blocks behind it */
};

/* Values of PageTrailer::next besides a block number. */
inline constexpr BlockNo kNotListed = 0xFFFFFFFEu; /* on no list; kNoBlock = end of its list */

struct PageTrailer {
    /* Record and posting pages: the next page with free slots, or kNotListed.
     * TID-list and centre pages: the next page of the chain. */
    BlockNo next;
    PageKind kind;
    uint16_t magic;
};
static_assert(sizeof(PageTrailer) == kPageTrailerBytes);

inline constexpr uint16_t kPageMagic = 0x48E5;

/* Makes `page` (8 KiB) an empty page of that kind: header set as PageInit does, payload zero. */
void init_page(std::byte *page, PageKind kind);

inline std::byte *payload(std::byte *page) { return page + kPageHeaderBytes; }
inline const std::byte *payload(const std::byte *page) { return page + kPageHeaderBytes; }

inline PageTrailer &trailer(std::byte *page) {
    return *reinterpret_cast<PageTrailer *>(page + kPageSize - kPageTrailerBytes);
}
inline const PageTrailer &trailer(const std::byte *page) {
    return *reinterpret_cast<const PageTrailer *>(page + kPageSize - kPageTrailerBytes);
}

/* A number that is another one after every change of the page that is logged (its LSN); 0 before the
 * first. */
inline uint64_t page_version(const std::byte *page) {
    uint64_t version;
    std::memcpy(&version, page, sizeof(version));
    return version;
}

/* The page's kind; kUnused for anything that is not one of our pages. */
inline PageKind page_kind(const std::byte *page) {
    const PageTrailer &t = trailer(page);
    return t.magic == kPageMagic ? t.kind : PageKind::kUnused;
}

/* ---- Posting chunks: further heap rows of a node with equal vectors ------------------------- */

struct PostingChunk {
    static constexpr uint32_t kRowBytes = 160;

    NodeId owner; /* base record the chunk belongs to; kNoNode = free */
    uint32_t owner_generation;
    uint32_t next;  /* next chunk of the chain, kNoNode = last */
    uint16_t count; /* rows in use, 0..capacity() */
    uint16_t unused;
    union {
        std::byte rows[kRowBytes]; /* packed (attributes.h) */
        uint64_t freed_at;         /* a free chunk: see RecordHeader::freed_at */
    };

    /* Rows of an index with so many attributes: 26, 10, 6, 5, 4, 3, 2, 2, 2. */
    static constexpr uint32_t capacity(uint32_t attributes) {
        return kRowBytes / packed_row_bytes(attributes);
    }
    std::byte *row(uint32_t i, uint32_t attributes) {
        return rows + size_t{i} * packed_row_bytes(attributes);
    }
    const std::byte *row(uint32_t i, uint32_t attributes) const {
        return rows + size_t{i} * packed_row_bytes(attributes);
    }
    static constexpr uint32_t per_page();
};
inline constexpr uint32_t PostingChunk::per_page() { return kPayloadBytes / sizeof(PostingChunk); }
static_assert(sizeof(PostingChunk) == 176);
static_assert(PostingChunk::capacity(0) == 26 && PostingChunk::capacity(kMaxAttributes) == 2);

/* ---- TID lists: rows whose vector is NULL (or zero, where the metric has no direction for it) - */

struct TidListPage {
    static constexpr uint32_t kTids = (kPayloadBytes - 8) / sizeof(StoredTid);

    uint32_t count;
    uint32_t unused;
    StoredTid tids[kTids];
};
static_assert(sizeof(TidListPage) <= kPayloadBytes);

}  // namespace hnsw::core

/*
 * The directory: for every base record its first heap row and that row's attributes, packed column by
 * column into pages of their own.  A filter is tested on some hundreds of nodes by reading one page,
 * before any of their records is read; VACUUM looks for dead rows here.
 *
 * Directory pages lie at fixed blocks, one in front of the blocks it covers, so finding a node's entry
 * needs no lookup.  An entry is written in the same PageTxn as the record it describes, which makes it
 * exact at all times; a reader that reads the page earlier than the record finds out by comparing the
 * heap TID.
 *
 * Written by everything that adds, changes or removes a base record's rows (insert.cpp, posting.cpp,
 * record_io.cpp, vacuum*.cpp, build_write.cpp); compared with the records by verify_directory.cpp.
 */
#pragma once

#include <cstdint>

#include "core/attributes.h"
#include "core/ids.h"
#include "core/page.h"
#include "core/record.h"
#include "core/store.h"

namespace hnsw::core {

/* Flags of an entry; the lower byte is Attributes::nulls. */
inline constexpr uint16_t kEntryUsed = 1 << 8;   /* the record is live and has a row */
inline constexpr uint16_t kEntryMany = 1 << 9;   /* it has further rows, in posting chunks, with
                                                  attributes of their own: read them */
inline constexpr uint16_t kEntryTower = 1 << 10; /* it names an upper record */

/* One entry. What is not in use is zero. */
struct DirectoryEntry {
    StoredTid tid{}; /* first row, without its dead mark; invalid if all rows are in chunks */
    uint16_t flags = 0;
    Attributes row; /* of that row */

    bool used() const { return (flags & kEntryUsed) != 0; }
    bool many() const { return (flags & kEntryMany) != 0; }
};

/* Where entries lie. A page's payload: keys[attributes][entries], tids[entries], flags[entries]. The
 * entries for the page's own block are never used, nor those of numbers that a page's records do not have:
 * so every number there is has an entry. */
struct DirectoryShape {
    uint32_t attributes = 0; /* 0..kMaxAttributes */
    uint32_t stride = 1;     /* record numbers of a block */
    uint32_t entries = 0;    /* a page has room for, a multiple of 8 */
    uint32_t blocks = 1;     /* a page covers, itself the first of them */

    /* dense: there are dense pages. None of them is a directory page then. */
    static constexpr DirectoryShape make(uint32_t attributes, uint32_t stride, bool dense) {
        DirectoryShape shape;
        shape.attributes = attributes;
        shape.stride = stride;
        shape.entries = kPayloadBytes / (8 + 8 * attributes) / 8 * 8;
        shape.blocks = shape.entries / stride; /* at least 2: see kMaxPerPage */
        if (dense)                             /* at least kDensePeriod: see kMaxDensePerPage */
            shape.blocks = shape.blocks / kDensePeriod * kDensePeriod;
        return shape;
    }
    static DirectoryShape make(uint32_t attributes, const IndexLayouts &layouts) {
        return make(attributes, layouts.stride(), layouts.has_dense());
    }

    /* Blocks 1, 1 + blocks, 1 + 2 * blocks... are directory pages. */
    bool is_directory(BlockNo block) const {
        return block != kMetaBlock && (block - 1) % blocks == 0;
    }
    /* The n of data_block() that is `block`. */
    uint32_t data_page(BlockNo block) const {
        return (block - 1) / blocks * (blocks - 1) + (block - 1) % blocks - 1;
    }
    /* The directory page of a base page. */
    BlockNo page_of(BlockNo block) const { return block - (block - 1) % blocks; }
    /* Block number n of those that are neither the metapage nor directory pages. */
    BlockNo data_block(uint32_t n) const {
        return 2 + n / (blocks - 1) * blocks + n % (blocks - 1);
    }
    BlockNo block_of(NodeId id) const { return id / stride; }
    BlockNo page_of_node(NodeId id) const { return page_of(block_of(id)); }
    uint32_t entry_of(NodeId id) const {
        return (block_of(id) - 1) % blocks * stride + id % stride;
    }
    /* Where in a page's payload the keys of an attribute lie, the first rows, and the flags. */
    uint32_t keys_at(uint32_t attribute) const { return 8 * attribute * entries; }
    uint32_t tids_at() const { return keys_at(attributes); }
    uint32_t flags_at() const { return tids_at() + 6 * entries; }
    /* The node that entry `entry` of directory page `page` describes. */
    NodeId node_of(BlockNo page, uint32_t entry) const { return page * stride + entry; }
};

static_assert(DirectoryShape::make(kMaxAttributes, kMaxPerPage, false).blocks >= 2);
static_assert(DirectoryShape::make(kMaxAttributes, kMaxDensePerPage, true).blocks >= kDensePeriod);
/* A directory page's block is 1 more than a multiple of kDensePeriod, a dense page's 1 less. */
static_assert(kDensePeriod > 2);

/* A directory page. Of a page of zeros (an extension a crash cut short) every entry is unused. */
struct DirectoryView {
    const std::byte *payload = nullptr;
    const DirectoryShape *shape = nullptr;

    const uint64_t *keys(uint32_t attribute) const {
        return reinterpret_cast<const uint64_t *>(payload + shape->keys_at(attribute));
    }
    const StoredTid *tids() const {
        return reinterpret_cast<const StoredTid *>(payload + shape->tids_at());
    }
    const uint16_t *flags() const {
        return reinterpret_cast<const uint16_t *>(payload + shape->flags_at());
    }
    Attributes attributes(uint32_t entry) const {
        Attributes row;
        for (uint32_t i = 0; i < shape->attributes; i++)
            row.key[i] = keys(i)[entry];
        row.nulls = static_cast<uint8_t>(flags()[entry]);
        return row;
    }
    DirectoryEntry entry(uint32_t n) const { return {tids()[n], flags()[n], attributes(n)}; }
};

/* Changes one entry of a directory page. */
void set_entry(std::byte *page, const DirectoryShape &shape, uint32_t n,
               const DirectoryEntry &entry);

/* What the directory says about a base record that says `head`; row: attributes of head.tid. */
DirectoryEntry entry_of(const RecordHeader &head, const Attributes &row);

/* Makes the entry of base record `id`, latched in `txn`, say what `head` says, in the same commit.
 * row: attributes of head.tid; null: head.tid is the one the entry has, or none. */
void write_entry(PageTxn &txn, const DirectoryShape &shape, NodeId id, const RecordHeader &head,
                 const Attributes *row);

/* The entry of a base record; unused for an id beyond the end. Latches one page. */
DirectoryEntry read_entry(PageStore &store, const DirectoryShape &shape, NodeId id);

}  // namespace hnsw::core

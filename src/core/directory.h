/*
 * The directory: for every base record its first heap row and that row's attributes, packed column by
 * column into pages of their own.  A filter is tested on some hundreds of nodes by reading one page,
 * before any of their records is read; VACUUM looks for dead rows here.
 *
 * Directory pages lie at fixed blocks, one in front of the blocks it covers, so finding a node's entry
 * needs no lookup.  An entry is written in the same PageTxn as the record it describes, which makes it
 * exact at all times; a reader that reads the page earlier than the record finds out by comparing the
 * heap TID.
 */
#pragma once

#include <cstdint>

#include "core/attributes.h"
#include "core/ids.h"
#include "core/page.h"

namespace hnsw::core {

/* Flags of an entry; the lower byte is Attributes::nulls. */
inline constexpr uint16_t kEntryUsed = 1 << 8; /* the record is live and has a row */
inline constexpr uint16_t kEntryMany = 1 << 9; /* it has further rows, in posting chunks, with
                                                  attributes of their own: read them */

/* Where entries lie. A page's payload: keys[attributes][entries], tids[entries], flags[entries]. */
struct DirectoryShape {
    uint32_t attributes = 0; /* 0..kMaxAttributes */
    uint32_t per_page = 1;   /* base records per page */
    uint32_t entries = 0;    /* a page has room for, a multiple of 8 */
    uint32_t blocks = 1;     /* a page covers, itself the first of them */

    static constexpr DirectoryShape make(uint32_t attributes, uint32_t base_per_page) {
        DirectoryShape shape;
        shape.attributes = attributes;
        shape.per_page = base_per_page;
        shape.entries = kPayloadBytes / (8 + 8 * attributes) / 8 * 8;
        shape.blocks = shape.entries / base_per_page;
        return shape;
    }

    /* Blocks 1, 1 + blocks, 1 + 2 * blocks... are directory pages. */
    bool is_directory(BlockNo block) const {
        return block != kMetaBlock && (block - 1) % blocks == 0;
    }
    /* The directory page of a base page. */
    BlockNo page_of(BlockNo block) const { return block - (block - 1) % blocks; }
    BlockNo page_of_node(NodeId id) const { return page_of(id / per_page); }
    uint32_t entry_of(NodeId id) const {
        const BlockNo block = id / per_page;
        return (block - 1) % blocks * per_page + id % per_page;
    }
    /* The node that entry `entry` of directory page `page` describes. */
    NodeId node_of(BlockNo page, uint32_t entry) const { return page * per_page + entry; }
};

/* A directory page. Of a page of zeros (an extension a crash cut short) every entry is unused. */
struct DirectoryView {
    const std::byte *payload = nullptr;
    const DirectoryShape *shape = nullptr;

    const uint64_t *keys(uint32_t attribute) const {
        return reinterpret_cast<const uint64_t *>(payload) + size_t{attribute} * shape->entries;
    }
    const StoredTid *tids() const {
        return reinterpret_cast<const StoredTid *>(keys(shape->attributes));
    }
    const uint16_t *flags() const {
        return reinterpret_cast<const uint16_t *>(tids() + shape->entries);
    }
    Attributes attributes(uint32_t entry) const {
        Attributes row;
        for (uint32_t i = 0; i < shape->attributes; i++)
            row.key[i] = keys(i)[entry];
        row.nulls = static_cast<uint8_t>(flags()[entry]);
        return row;
    }
};

}  // namespace hnsw::core

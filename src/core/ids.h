/*
 * Names of places: blocks of the index, records of the graph, rows of the heap.
 */
#pragma once

#include <cstdint>
#include <cstring>

namespace hnsw::core {

using BlockNo = uint32_t;
inline constexpr BlockNo kNoBlock = 0xFFFFFFFFu;
inline constexpr BlockNo kMetaBlock = 0;

/*
 * A record's address: block * records_per_page + slot, within its record class.  Base records
 * (layer 0, one per node) and upper records (one per node and layer above 0) are separate classes
 * with separate record sizes; an address says nothing without its class (see RecordLayout).
 */
using NodeId = uint32_t;
inline constexpr NodeId kNoNode = 0xFFFFFFFFu;

/* A heap row: block and 1-based line pointer, as PostgreSQL's ItemPointer. */
struct HeapTid {
    uint32_t block = 0xFFFFFFFFu;
    uint16_t offset = 0;

    bool valid() const { return offset != 0; }
    friend bool operator==(const HeapTid &, const HeapTid &) = default;
    /* Order of the heap: block, then offset. */
    uint64_t key() const { return (uint64_t{block} << 16) | offset; }
    static HeapTid from_key(uint64_t key) {
        return {static_cast<uint32_t>(key >> 16), static_cast<uint16_t>(key)};
    }
};

/*
 * A heap TID as pages hold it: 6 bytes, and a mark in the top bit of the offset that says every
 * snapshot sees the row as dead (kill_prior_tuple).  Offsets need 11 bits at most.
 */
struct StoredTid {
    uint8_t bytes[6];

    static constexpr uint16_t kDeadMark = 0x8000;

    static StoredTid from(HeapTid tid, bool dead = false) {
        StoredTid stored;
        uint16_t offset = dead ? static_cast<uint16_t>(tid.offset | kDeadMark) : tid.offset;
        std::memcpy(stored.bytes, &tid.block, 4);
        std::memcpy(stored.bytes + 4, &offset, 2);
        return stored;
    }
    HeapTid tid() const {
        HeapTid tid;
        std::memcpy(&tid.block, bytes, 4);
        std::memcpy(&tid.offset, bytes + 4, 2);
        tid.offset &= static_cast<uint16_t>(~kDeadMark);
        return tid;
    }
    bool dead() const { return (bytes[5] & 0x80) != 0; }
};
static_assert(sizeof(StoredTid) == 6);

}  // namespace hnsw::core

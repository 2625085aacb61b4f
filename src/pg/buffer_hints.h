// Where blocks of an index and of its table were last seen in shared buffers.  Trying that buffer first
// saves the lookup in the shared buffer table, a cache miss or two per page.  Only hints: what a buffer
// holds is checked when it is pinned.  For buffer_store.cpp and heap_prefetch.cpp; toast_fetch.cpp keeps
// its own.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// By block number modulo the size, which is the index's. In the relation cache entry of the index, so they
// serve all scans of the session and go when the relation changes.
class BufferHints {
public:
    // To be looked up anew each time: an invalidation message frees it.
    static BufferHints &of(Relation index);

    // InvalidBuffer: not seen. May be another block's.
    Buffer &of_index(BlockNumber block) { return entries_[block & (count_ - 1)]; }
    Buffer &of_table(BlockNumber block) { return entries_[count_ + (block & (count_ - 1))]; }

private:
    static constexpr uint32_t kMaxCount = 1 << 18;

    uint32_t count_;  // a power of two
    Buffer entries_[FLEXIBLE_ARRAY_MEMBER];
};

// Whether hints are worth while for a relation of so many blocks.
bool hints_pay(BlockNumber blocks);

// Pins `block` in the buffer `seen`, if that still holds it. False: not, or it is the turn of an
// ordinary read. Counted as a buffer hit.
bool pin_where_seen(Relation relation, ForkNumber fork, BlockNumber block, Buffer seen);

}  // namespace hnsw::pg

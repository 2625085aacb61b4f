// Where blocks of a relation were last seen in shared buffers.  Trying that buffer first saves the lookup
// in the shared buffer table, a cache miss or two per page.  Only hints: what a buffer holds is checked
// when it is pinned.  For buffer_store.cpp (an index), heap_prefetch.cpp and toast_fetch.cpp (its table).
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// By block number modulo the size. One piece of memory that nobody need destroy.
class BufferHints {
public:
    // In `context`, for a relation of about so many blocks.
    static BufferHints *create(MemoryContext context, BlockNumber blocks);

    // InvalidBuffer: not seen. May be another block's.
    Buffer &at(BlockNumber block) { return entries_[block & (count_ - 1)]; }

private:
    static constexpr uint32_t kMaxEntries = 1 << 18;

    uint32_t count_;  // a power of two
    Buffer entries_[FLEXIBLE_ARRAY_MEMBER];
};

// Whether hints are worth while for a relation of so many blocks.
bool hints_pay(BlockNumber blocks);

// Pins `block` in the buffer `seen`, if that still holds it. False: not, or it is the turn of an
// ordinary read. Counted as a buffer hit.
bool pin_where_seen(Relation relation, ForkNumber fork, BlockNumber block, Buffer seen);

}  // namespace hnsw::pg

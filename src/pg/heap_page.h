// Pages of a table seen from outside, neither pinned nor locked: what is read there is a guess, of use
// for asking the processor for what comes next.  For heap_prefetch.cpp and toast_fetch.cpp.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// Asks for what fetching a row begins with: the descriptor of a shared buffer, the page's header and the
// row's line pointer.
inline void prefetch_page(Buffer buffer, OffsetNumber row) {
    __builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
    Page page = BufferGetPage(buffer);
    __builtin_prefetch(page);
    __builtin_prefetch(PageGetItemId(page, row));
}

// Where the row is in the page, as its line pointer says; 0 if that says nothing.
inline uint16_t row_start(Page page, OffsetNumber row) {
    const unsigned at = ItemIdGetOffset(PageGetItemId(page, row));
    return at < BLCKSZ ? static_cast<uint16_t>(at) : 0;
}

// Where it ends, likewise.
inline uint16_t row_end(Page page, OffsetNumber row) {
    ItemId item = PageGetItemId(page, row);
    const unsigned at = ItemIdGetOffset(item) + ItemIdGetLength(item);
    return at <= BLCKSZ ? static_cast<uint16_t>(at) : 0;
}

}  // namespace hnsw::pg

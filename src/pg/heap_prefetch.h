// Brings the rows that an index scan will probably return next nearer: their table pages from disk if
// they are not in buffers, and from memory into the processor's cache, while the executor is busy with
// the row before. Nothing is pinned or locked, and nothing depends on what is read.  Called by
// am_scan.cpp.
#pragma once

#include "core/ids.h"
#include "pg/pg.h"

namespace hnsw::pg {

class HeapPrefetch {
public:
    // How many rows ahead of the one returned: of the third page and line pointer are asked for, of
    // the second the tuple itself, of the next its vector, if that is in the TOAST table.
    static constexpr size_t kAhead = 3;

    // heap: the table scanned, vector: the number of its column, 0 = none. Idle if reading ahead is off
    // (effective_io_concurrency) or the table is not a heap in shared buffers.
    HeapPrefetch(Relation heap, AttrNumber vector);

    bool idle() const { return idle_; }
    // The rows after the one returned now, the next first; at most kAhead.
    void look_ahead(std::span<const core::HeapTid> rows);

private:
    struct Row {
        core::HeapTid tid;
        Buffer buffer = InvalidBuffer;  // where its page was found
    };

    void ask_for_page(Row *row);
    static void ask_for_tuple(const Row &row);
    void ask_for_vector(const Row &row);

    Relation heap_;
    AttrNumber vector_;  // 0 also once one was found in its row
    bool idle_;
    BlockNumber blocks_ = 0;  // of the table, when the scan began: more would raise an error
    Row known_[kAhead];
};

}  // namespace hnsw::pg

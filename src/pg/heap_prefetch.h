// Brings the rows that an index scan will probably return next nearer: their table pages from disk if
// they are not in buffers, and from memory into the processor's cache, while the executor is busy with
// the row before. Nothing depends on what is read.  Called by
// am_scan.cpp and filter_run.cpp.
#pragma once

#include "core/scan.h"
#include "pg/buffer_hints.h"

namespace hnsw::pg {

// Where the row in a table's slot is.
inline core::HeapTid tid_of(const TupleTableSlot *slot) {
    return {ItemPointerGetBlockNumber(&slot->tts_tid), ItemPointerGetOffsetNumber(&slot->tts_tid)};
}

// Brings the version that an index entry for `row` leads to into `slot`, if there is one for the snapshot.
bool fetch_row(IndexFetchTableData *fetch, const core::HeapTid &row, Snapshot snapshot,
               TupleTableSlot *slot);

class HeapPrefetch {
public:
    // How many rows ahead of the one returned, as many as a scan tells: of the third page and line
    // pointer are asked for, of the second the tuple itself, of the next its vector, if that is in the
    // TOAST table.
    static constexpr size_t kAhead = core::Scan::kLookAhead;

    // heap: the table to be read, or null; index: the one whose first column is what is read.
    HeapPrefetch(Relation index, Relation heap);

    // Reading ahead is off (effective_io_concurrency), or the table is not a heap in shared buffers.
    bool idle() const { return idle_; }
    // For the row returned now: pins its page for the executor's fetch, if it is where it was: whether it
    // is. `fetch` is the scan's own.
    bool pin_page(IndexFetchTableData *fetch, const core::HeapTid &row);
    // Fetches the very row version that the scan has fetched before, if its page is where it was and it is
    // where an index entry may lead. False: it must be asked for in the ordinary way.
    bool fetch_again(IndexFetchTableData *fetch, const core::HeapTid &row, Snapshot snapshot,
                     TupleTableSlot *slot);
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

    Relation index_;
    Relation heap_;
    AttrNumber vector_;  // its column; 0: an expression, or one was found in its row
    bool idle_;
    bool hinted_;         // then the table is a heap
    BlockNumber blocks_;  // of the table, when the scan began: more would raise an error
    Row known_[kAhead];
};

}  // namespace hnsw::pg

/* The rows behind a memo's nodes. match_memo.h says what for. */
#include "core/match_memo.h"

#include <algorithm>

#include "core/directory.h"
#include "core/index.h"
#include "core/posting.h"

namespace hnsw::core {

bool MatchMemo::find_rows(Index &index, const Filter &filter, std::pmr::memory_resource *scratch) {
    if (!complete || !current)
        return false;
    if (!has_rows)
        has_rows = read_rows(index, filter, scratch);
    return *has_rows;
}

bool MatchMemo::read_rows(Index &index, const Filter &filter, std::pmr::memory_resource *scratch) {
    rows.clear();
    index.refresh();
    /* Rows without a node are in lists of their own. */
    const MetaPage &meta = index.meta();
    if (meta.null_rows.head != kNoBlock || meta.zero_rows.head != kNoBlock)
        return false;
    for (const NodeId id : ids) {
        if (!read_rows_of(id, index, filter, scratch))
            return false;
        index.store().poll();
    }
    std::sort(rows.begin(), rows.end(),
              [](const HeapTid &a, const HeapTid &b) { return a.key() < b.key(); });
    return true;
}

/* False: the node is being changed. */
bool MatchMemo::read_rows_of(NodeId id, Index &index, const Filter &filter,
                             std::pmr::memory_resource *scratch) {
    const DirectoryEntry entry = read_entry(index.store(), index.directory(), id);
    const HeapTid first = entry.tid.tid();
    if (!entry.used())
        return false;
    if (first.valid() && filter.met_by(first, entry.row))
        rows.push_back(first);
    if (!entry.many())
        return true;
    RecordRef record(index.store(), index.layouts(), RecordClass::kBase, scratch);
    if (!record.read(id))
        return false;
    const RecordHeader head = record.view().head();
    record.release();
    std::pmr::vector<StoredTid> others(scratch);
    std::pmr::vector<Attributes> attributes(scratch);
    if (head.posting != kNoNode &&
        !read_postings(index, id, head.generation, head.posting, others, &attributes))
        return false;
    keep_meeting(filter, attributes, 0, others);
    for (const StoredTid &other : others)
        rows.push_back(other.tid());
    return true;
}

}  // namespace hnsw::core

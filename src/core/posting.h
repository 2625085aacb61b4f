/*
 * Further heap rows of a node: a chain of posting chunks, newest first.  Chunks are changed only while
 * the node's base record is latched exclusively, so the chain of a latched node stands still.
 */
#pragma once

#include <memory_resource>
#include <vector>

#include "core/filter.h"
#include "core/index.h"
#include "core/record_io.h"

namespace hnsw::core {

inline PostingChunk *chunk_in_page(std::byte *page, uint32_t address) {
    return reinterpret_cast<PostingChunk *>(payload(page)) + address % PostingChunk::per_page();
}
inline const PostingChunk *chunk_in_page(const std::byte *page, uint32_t address) {
    return reinterpret_cast<const PostingChunk *>(payload(page)) +
           address % PostingChunk::per_page();
}
inline BlockNo chunk_block(uint32_t address) { return address / PostingChunk::per_page(); }

/* Appends the rows of the chain that starts at `first` to `tids`, and to `attributes`, if given, what
 * goes with each.  Latches one chunk's page at a time. False, and both as they were: a chunk is not (any longer) the node's, since VACUUM took it out
 * of the chain (read the record again), or the chain is damaged and runs in a circle. */
bool read_postings(const Index &index, NodeId owner, uint32_t generation, uint32_t first,
                   std::pmr::vector<StoredTid> &tids,
                   std::pmr::vector<Attributes> *attributes = nullptr);

/* Of rows that read_postings() has appended, at tids[first] and on, keeps those that may meet the filter.
 * attributes: theirs alone. */
void keep_meeting(const Filter &filter, const std::pmr::vector<Attributes> &attributes,
                  size_t first, std::pmr::vector<StoredTid> &tids);

/* Adds a row to the node whose base record `edit` holds open, and commits. */
void add_posting(const Index &index, RecordEdit &edit, NodeId owner, HeapTid tid,
                 const Attributes &row);

/* Marks a row of the node whose base record `edit` holds open as dead to every snapshot, if the node
 * has that row. A row in the record itself is marked in the image: the caller commits. */
void mark_dead(const Index &index, RecordEdit &edit, NodeId owner, HeapTid tid);

/* Adds a row to one of the metapage's TID lists (zero_list: vectors without direction, otherwise
 * NULLs). These rows have no attributes. */
void add_to_tid_list(const Index &index, bool zero_list, HeapTid tid);

}  // namespace hnsw::core

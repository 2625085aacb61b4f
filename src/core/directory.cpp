/* Entries of the directory. directory.h says what they are for. */
#include "core/directory.h"

#include <algorithm>
#include <cstring>

namespace hnsw::core {

namespace {

/* The directory page `block`, to be changed.  A page of zeros is what a crash between the extension of
 * the file and the page's first commit leaves: whoever comes first initialises it. */
std::byte *modify_directory(PageTxn &txn, BlockNo block) {
    const std::byte *page = txn.latch(block);
    if (page_kind(page) == PageKind::kDirectory)
        return txn.modify(block);
    if (std::any_of(page, page + kPageSize, [](std::byte b) { return b != std::byte{0}; }))
        txn.store().corrupt(block, "not a directory page, in the place of one");
    return txn.initialise(block, PageKind::kDirectory);
}

}  // namespace

void set_entry(std::byte *page, const DirectoryShape &shape, uint32_t n,
               const DirectoryEntry &entry) {
    const DirectoryView view{payload(page), &shape};
    for (uint32_t i = 0; i < shape.attributes; i++)
        const_cast<uint64_t *>(view.keys(i))[n] = entry.row.key[i];
    const_cast<StoredTid *>(view.tids())[n] = entry.tid;
    const_cast<uint16_t *>(view.flags())[n] = entry.flags;
}

DirectoryEntry entry_of(const RecordHeader &head, const Attributes &row) {
    DirectoryEntry entry;
    if (head.state != RecordState::kLive)
        return entry;
    entry.flags = kEntryUsed;
    if (head.posting != kNoNode)
        entry.flags |= kEntryMany;
    if (head.up != kNoNode)
        entry.flags |= kEntryTower;
    if (head.tid.tid().valid()) {
        entry.tid = StoredTid::from(head.tid.tid());
        entry.row = row;
        entry.flags |= row.nulls;
    }
    return entry;
}

void write_entry(PageTxn &txn, const DirectoryShape &shape, NodeId id, const RecordHeader &head,
                 const Attributes *row) {
    std::byte *page = modify_directory(txn, shape.page_of_node(id));
    const uint32_t n = shape.entry_of(id);
    const Attributes now = DirectoryView{payload(page), &shape}.attributes(n);
    set_entry(page, shape, n, entry_of(head, row != nullptr ? *row : now));
}

DirectoryEntry read_entry(PageStore &store, const DirectoryShape &shape, NodeId id) {
    const BlockNo block = shape.page_of_node(id);
    if (id == kNoNode || shape.block_of(id) == kMetaBlock || block >= store.size())
        return {};
    PageRef page(store, block);
    if (page_kind(page.data()) != PageKind::kDirectory)
        return {};
    return DirectoryView{payload(page.data()), &shape}.entry(shape.entry_of(id));
}

}  // namespace hnsw::core

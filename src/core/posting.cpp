/* Posting chunks and TID lists. */
#include "core/posting.h"

#include <bit>
#include <cstring>

namespace hnsw::core {

namespace {

/* Notices that a damaged chain runs in a circle: it comes back to a marker that moves on in ever
 * longer steps (Brent's algorithm). */
class CircleWatch {
public:
    bool comes_back(uint32_t address) {
        if (address == marker_)
            return true;
        if (std::has_single_bit(++steps_))
            marker_ = address;
        return false;
    }

private:
    uint32_t marker_ = kNoNode;
    uint32_t steps_ = 0;
};

}  // namespace

bool read_postings(const Index &index, NodeId owner, uint32_t generation, uint32_t first,
                   std::pmr::vector<StoredTid> &tids, std::pmr::vector<Attributes> *attributes) {
    PageStore &store = index.store();
    const uint32_t columns = index.directory().attributes;
    const size_t before = tids.size();
    const size_t attributes_before = attributes == nullptr ? 0 : attributes->size();
    CircleWatch watch;
    for (uint32_t address = first; address != kNoNode;) {
        const bool there = chunk_block(address) < store.size();
        PageRef page(store, there ? chunk_block(address) : kMetaBlock);
        const PostingChunk *chunk = chunk_in_page(page.data(), address);
        if (page_kind(page.data()) != PageKind::kPosting || chunk->owner != owner ||
            chunk->owner_generation != generation ||
            chunk->count > PostingChunk::capacity(columns) || watch.comes_back(address)) {
            tids.resize(before);
            if (attributes != nullptr)
                attributes->resize(attributes_before);
            return false;
        }
        for (uint32_t i = 0; i < chunk->count; i++) {
            tids.push_back(packed_tid(chunk->row(i, columns)));
            if (attributes != nullptr)
                attributes->push_back(packed_attributes(chunk->row(i, columns), columns));
        }
        address = chunk->next;
        page.release();
        store.poll();
    }
    return true;
}

void keep_meeting(const Filter &filter, const std::pmr::vector<Attributes> &attributes,
                  size_t first, std::pmr::vector<StoredTid> &tids) {
    size_t kept = first;
    for (size_t i = first; i < tids.size(); i++)
        if (filter.met_by(tids[i].tid(), attributes[i - first]))
            tids[kept++] = tids[i];
    tids.resize(kept);
}

namespace {

/* A free chunk, its page held in `txn`: from the list of posting pages or a new page. */
uint32_t take_free_chunk(const Index &index, PageTxn &txn) {
    PageStore &store = index.store();
    constexpr uint32_t per_page = PostingChunk::per_page();
    BlockNo listed = first_free_page(store, PageKind::kPosting);
    if (listed != kNoBlock) {
        const std::byte *page = latch_free_page(txn, listed, PageKind::kPosting);
        uint32_t found = kNoNode;
        uint32_t free = 0;
        for (uint32_t slot = 0; slot < per_page; slot++) {
            const PostingChunk *chunk = chunk_in_page(page, slot);
            if (chunk->owner != kNoNode || !slot_reusable(store, chunk->freed_at))
                continue;
            free++;
            if (found == kNoNode)
                found = listed * per_page + slot;
        }
        if (free <= 1)
            take_off_free_list(txn, listed);
        if (found != kNoNode)
            return found;
        txn.commit();
    }
    BlockNo block;
    std::byte *page = txn.extend(index.directory(), PageKind::kPosting, &block);
    for (uint32_t slot = 0; slot < per_page; slot++)
        chunk_in_page(page, slot)->owner = kNoNode;
    put_on_free_list(txn, block, page);
    return block * per_page;
}

/* Whether the first chunk of a node's chain is its own and takes another row. The node is latched,
 * so the answer holds. */
bool has_room(const Index &index, NodeId owner, const RecordHeader &head) {
    PageStore &store = index.store();
    if (head.posting == kNoNode || chunk_block(head.posting) >= store.size())
        return false;
    PageRef page(store, chunk_block(head.posting));
    const PostingChunk *chunk = chunk_in_page(page.data(), head.posting);
    return page_kind(page.data()) == PageKind::kPosting && chunk->owner == owner &&
           chunk->owner_generation == head.generation &&
           chunk->count < PostingChunk::capacity(index.directory().attributes);
}

}  // namespace

void add_posting(const Index &index, RecordEdit &edit, NodeId owner, HeapTid tid,
                 const Attributes &row) {
    const RecordHeader head = edit.view().head();
    const uint32_t columns = index.directory().attributes;
    if (!head.tid.tid().valid()) { /* VACUUM has taken the first row */
        edit.image().head().tid = StoredTid::from(tid);
        edit.image().head().tid_changes++;
        write_entry(edit.txn(), index.directory(), owner, edit.view().head(), &row);
        edit.commit();
        return;
    }
    if (has_room(index, owner, head)) {
        std::byte *page = edit.txn().modify(chunk_block(head.posting));
        PostingChunk *chunk = chunk_in_page(page, head.posting);
        pack_row(chunk->row(chunk->count++, columns), StoredTid::from(tid), row, columns);
        edit.image().head().tid_changes++;
        edit.commit();
        return;
    }
    /* A new chunk in front. The chunk is published before the record names it; a crash between
     * the two leaves an owned chunk nobody names, which VACUUM frees. */
    PageTxn chunk_txn(index.store());
    uint32_t address = take_free_chunk(index, chunk_txn);
    PostingChunk *chunk = chunk_in_page(chunk_txn.modify(chunk_block(address)), address);
    std::memset(chunk, 0, sizeof(*chunk));
    chunk->owner = owner;
    chunk->owner_generation = head.generation;
    chunk->next = head.posting;
    chunk->count = 1;
    pack_row(chunk->row(0, columns), StoredTid::from(tid), row, columns);
    chunk_txn.commit();
    RecordHeader &image = edit.image().head();
    image.posting = address;
    image.tid_changes++;
    if (head.posting == kNoNode)
        write_entry(edit.txn(), index.directory(), owner, image, nullptr);
    edit.commit();
}

void mark_dead(const Index &index, RecordEdit &edit, NodeId owner, HeapTid tid) {
    PageStore &store = index.store();
    const uint32_t columns = index.directory().attributes;
    const RecordHeader head = edit.view().head();
    if (head.tid.tid() == tid) {
        edit.image().head().tid = StoredTid::from(tid, true);
        return;
    }
    CircleWatch watch;
    for (uint32_t address = head.posting; address != kNoNode;) {
        if (chunk_block(address) >= store.size())
            return;
        PageTxn txn(store);
        const std::byte *page = txn.latch(chunk_block(address));
        const PostingChunk *chunk = chunk_in_page(page, address);
        if (page_kind(page) != PageKind::kPosting || chunk->owner != owner ||
            chunk->owner_generation != head.generation || watch.comes_back(address))
            return;
        for (uint32_t i = 0; i < chunk->count && i < PostingChunk::capacity(columns); i++) {
            if (packed_tid(chunk->row(i, columns)).tid() != tid)
                continue;
            const StoredTid dead = StoredTid::from(tid, true);
            std::memcpy(chunk_in_page(txn.modify(chunk_block(address)), address)->row(i, columns),
                        &dead, sizeof(dead));
            txn.commit();
            return;
        }
        address = chunk->next;
    }
}

void add_to_tid_list(const Index &index, bool zero_list, HeapTid tid) {
    PageStore &store = index.store();
    auto list_of = [zero_list](auto &meta) -> auto & {
        return zero_list ? meta.zero_rows : meta.null_rows;
    };
    auto has_room = [](const std::byte *page) {
        return page_kind(page) == PageKind::kTidList &&
               reinterpret_cast<const TidListPage *>(payload(page))->count < TidListPage::kTids;
    };
    for (;;) {
        BlockNo fill;
        {
            PageRef meta(store, kMetaBlock);
            fill = list_of(meta_of(meta.data())).fill;
        }
        PageTxn txn(store);
        if (fill != kNoBlock && has_room(txn.latch(fill))) {
            auto *list = reinterpret_cast<TidListPage *>(payload(txn.modify(fill)));
            list->tids[list->count++] = StoredTid::from(tid);
            txn.commit();
            return;
        }
        /* Full: go on to the next page of the chain, or add one; whoever comes first decides. */
        BlockNo next = fill == kNoBlock ? kNoBlock : trailer(txn.latch(fill)).next;
        const PageList &list = list_of(meta_of(txn.latch(kMetaBlock)));
        if (list.fill != fill)
            continue;
        if (fill != kNoBlock && next == kNotListed)
            store.corrupt(fill, "a TID list page without a next page");
        if (fill == kNoBlock || next == kNoBlock) {
            std::byte *page = txn.extend(index.directory(), PageKind::kTidList, &next);
            trailer(page).next = kNoBlock;
            if (fill != kNoBlock)
                trailer(txn.modify(fill)).next = next;
        }
        PageList &image = list_of(meta_of(txn.modify(kMetaBlock)));
        if (image.head == kNoBlock)
            image.head = next;
        image.fill = next;
        txn.commit();
    }
}

}  // namespace hnsw::core

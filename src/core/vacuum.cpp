/* VACUUM: rows out, links repaired. vacuum.h says what; docs/vacuum.md why. */
#include "core/vacuum.h"

#include <algorithm>
#include <cstring>

#include "core/flood.h"
#include "core/vacuum_state.h"

namespace hnsw::core {

namespace {

/* Pages asked for ahead of a sequential pass. */
constexpr BlockNo kReadAhead = 16;

/* Memory for the flood even if the limit is lower; an index for which it is not enough (64 million
 * records at this size) is left unchecked. */
constexpr size_t kFloodMemory = size_t{16} << 20;

/* Chunks of one chain cleaned before its node is let go of for a moment. */
constexpr uint32_t kChunksPerLatch = 64;

}  // namespace

Vacuum::Vacuum(Index &index, const Context &context, size_t memory_limit, DeadRows *dead)
    : index_(index),
      store_(index.store()),
      context_(context),
      memory_limit_(memory_limit),
      dead_(dead),
      live_base_(context.memory),
      live_upper_(context.memory),
      claimed_(context.memory),
      chunks_(context.memory),
      dying_(context.memory),
      chains_(context.memory),
      towers_(context.memory),
      suspects_(context.memory),
      empty_(context.memory) {}

VacuumResult Vacuum::run() {
    index_.refresh();
    blocks_ = store_.size();
    result_.pages = blocks_;
    const IndexLayouts &layouts = index_.layouts();
    /* Per block: live base, live and claimed upper records, chunks. */
    const size_t bits = 3 * layouts.stride() + PostingChunk::per_page();
    const auto step = static_cast<BlockNo>(
        std::min<size_t>(blocks_, std::max<size_t>(memory_limit_ * 8 / bits, 1)));
    one_round_ = step == blocks_;
    for (BlockNo first = 0; first < blocks_; first += step) {
        const BlockNo last = std::min<uint64_t>(uint64_t{first} + step, blocks_);
        live_base_.cover(first, last, layouts.stride());
        live_upper_.cover(first, last, layouts.stride());
        claimed_.cover(first, last, layouts.stride());
        chunks_.cover(first, last, PostingChunk::per_page());
        for (BlockNo block = kMetaBlock + 1; block < blocks_; block++) {
            if (block + kReadAhead < blocks_)
                store_.prefetch(block + kReadAhead);
            look(block, first == 0);
            store_.poll();
        }
        adopt_towers();
        if (first == 0)
            move_entry();
        if (deleted_ == 0 && recyclable_ == 0)
            break;
        Repairer repairer(index_, context_, live_base_, live_upper_);
        const BlockNo now = store_.size();
        for (BlockNo block = kMetaBlock + 1; block < now; block++) {
            if (block + kReadAhead < now)
                store_.prefetch(block + kReadAhead);
            const uint32_t base = repairer.repair_page(block, RecordClass::kBase);
            result_.records_repaired += base;
            if (base == 0)
                result_.records_repaired += repairer.repair_page(block, RecordClass::kUpper);
            store_.poll();
        }
        if (last == blocks_)
            break;
    }
    refill_lists();
    link_unreached(); /* also after inserts only: one may take a node's last link away */
    if (deleted_ == 0 && recyclable_ == 0 && !slots_to_list_)
        return result_;
    result_.pages_with_free = 0;
    for (BlockNo block = kMetaBlock + 1; block < blocks_; block++) {
        release(block);
        store_.poll();
    }
    result_.pages = store_.size();
    return result_;
}

/* ---- Rows ------------------------------------------------------------------------------------- */

bool Vacuum::gone(const StoredTid &stored) const {
    const HeapTid tid = stored.tid();
    return !tid.valid() || (dead_ != nullptr && dead_->is_dead(tid));
}

/* A free slot, on a page whose trailer says `listed`. */
void Vacuum::note_free(uint64_t freed_at, BlockNo listed) {
    if (freed_at == 0) {
        slots_to_list_ |= listed == kNotListed;
    } else if (store_.reusable(freed_at)) {
        recyclable_++;
        horizon_ = std::max(horizon_, freed_at);
    }
}

void Vacuum::look(BlockNo block, bool remove) {
    PageKind kind;
    {
        PageRef page(store_, block);
        kind = page_kind(page.data());
    }
    switch (kind) {
        case PageKind::kBase:
            look_at_base(block, remove);
            break;
        case PageKind::kUpper:
            look_at_upper(block, remove);
            break;
        case PageKind::kPosting:
            look_at_postings(block, remove);
            break;
        case PageKind::kTidList:
            look_at_list(block, remove);
            break;
        default:
            break;
    }
}

/* A node stays. */
void Vacuum::keep(NodeId id, const RecordHeader &head) {
    live_base_.add(id);
    if (head.up != kNoNode)
        claimed_.add(head.up);
    if (top_node_ == kNoNode || head.level > top_level_) {
        top_node_ = id;
        top_level_ = head.level;
    }
}

void Vacuum::look_at_base(BlockNo block, bool remove) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    dying_.clear();
    chains_.clear();
    towers_.clear();
    bool free_slot = false;
    {
        PageRef page(store_, block);
        for (uint32_t slot = 0; slot < layout.per_page; slot++) {
            const auto &head =
                *reinterpret_cast<const RecordHeader *>(record_in_page(page.data(), layout, slot));
            const NodeId id = layouts.id_of(block, slot);
            if (head.state == RecordState::kFree) {
                free_slot = true;
                if (remove)
                    note_free(head.freed_at, trailer(page.data()).next);
            } else if (head.state == RecordState::kDeleted) {
                if (remove)
                    deleted_++;
                if (head.up != kNoNode)
                    towers_.push_back({id, head.up});
            } else if (!remove) {
                keep(id, head);
            } else if (head.posting != kNoNode) {
                chains_.push_back(id);
            } else if (gone(head.tid)) {
                dying_.push_back(slot);
            } else {
                result_.rows_left++;
                keep(id, head);
            }
        }
    }
    result_.pages_with_free += remove && free_slot;
    if (!dying_.empty())
        remove_inline(block);
    for (NodeId id : chains_)
        clean_node(id);
    for (const Tower &tower : towers_)
        delete_tower(tower.base, tower.first);
}

/* Deletes the nodes of dying_, whose only row is in the record. */
void Vacuum::remove_inline(BlockNo block) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    PageTxn txn(store_);
    const std::byte *page = txn.latch(block);
    for (uint32_t slot : dying_) {
        const auto &now =
            *reinterpret_cast<const RecordHeader *>(record_in_page(page, layout, slot));
        const NodeId id = layouts.id_of(block, slot);
        if (now.state != RecordState::kLive)
            continue;
        if (now.posting != kNoNode) { /* an equal row came in between */
            chains_.push_back(id);
            continue;
        }
        std::byte *image = txn.modify(block);
        auto &head = *reinterpret_cast<RecordHeader *>(record_in_page(image, layout, slot));
        result_.rows_removed += head.tid.tid().valid();
        head.state = RecordState::kDeleted;
        head.tid = StoredTid::from({});
        head.tid_changes++;
        write_entry(txn, index_.directory(), id, head, nullptr);
        deleted_++;
        if (head.up != kNoNode)
            towers_.push_back({id, head.up});
        page = image;
    }
    txn.commit();
}

/* Takes the dead rows out of a node with a posting chain, some chunks at a time. No row moves from
 * one place to another, since a scan may be between the two. */
void Vacuum::clean_node(NodeId id) {
    uint32_t prev = kNoNode;
    while (clean_some(id, &prev))
        store_.poll();
}

/* Goes on behind chunk *prev (kNoNode: at the first). The node's latch keeps the chain still. False:
 * the chain is done, and the node with it. */
bool Vacuum::clean_some(NodeId id, uint32_t *prev) {
    const IndexLayouts &layouts = index_.layouts();
    const BlockNo block = layouts.block_of(id);
    const RecordLayout &layout = layouts.at(block);
    const uint32_t slot = layouts.slot_of(id);
    PageTxn txn(store_);
    const RecordHeader before =
        *reinterpret_cast<const RecordHeader *>(record_in_page(txn.latch(block), layout, slot));
    if (before.state != RecordState::kLive)
        return false;
    RecordHeader head = before;
    const uint64_t removed = result_.rows_removed;
    uint32_t address = head.posting;
    if (*prev != kNoNode)
        address = chunk_in_page(PageRef(store_, chunk_block(*prev)).data(), *prev)->next;
    empty_.clear();
    for (uint32_t n = 0; n < kChunksPerLatch && address != kNoNode; n++) {
        uint32_t next;
        const uint32_t count = clean_chunk(address, id, head.generation, &next);
        result_.rows_left += count;
        if (count != 0) {
            if (!chunks_.add(address) && chunks_.covers(address))
                store_.corrupt(chunk_block(address), "a posting chain runs in a circle");
            *prev = address;
        } else {
            empty_.push_back(address);
            if (*prev == kNoNode) {
                head.posting = next;
            } else {
                PageTxn link(store_);
                chunk_in_page(link.modify(chunk_block(*prev)), *prev)->next = next;
                link.commit();
            }
        }
        address = next;
    }
    const bool done = address == kNoNode;
    if (done) {
        if (gone(head.tid)) {
            result_.rows_removed += head.tid.tid().valid();
            head.tid = StoredTid::from({});
        } else {
            result_.rows_left++;
        }
        if (head.posting == kNoNode && !head.tid.tid().valid()) {
            head.state = RecordState::kDeleted;
            deleted_++;
            if (head.up != kNoNode)
                towers_.push_back({id, head.up});
        } else {
            keep(id, head);
        }
    }
    if (result_.rows_removed != removed || head.state != RecordState::kLive || !empty_.empty()) {
        head.tid_changes++;
        std::memcpy(record_in_page(txn.modify(block), layout, slot), &head, sizeof(head));
        if (head.tid.tid() != before.tid.tid() ||
            (head.posting == kNoNode) != (before.posting == kNoNode))
            write_entry(txn, index_.directory(), id, head, nullptr);
    }
    txn.commit();
    /* Nothing names them any more. What a crash before this leaves is freed by the next VACUUM. */
    for (uint32_t chunk : empty_)
        free_chunk(chunk);
    return !done;
}

void Vacuum::free_chunk(uint32_t address) {
    PageTxn txn(store_);
    PostingChunk *chunk = chunk_in_page(txn.modify(chunk_block(address)), address);
    chunk->owner = kNoNode;
    chunk->count = 0;
    chunk->freed_at = store_.next_transaction();
    txn.commit();
}

/* Takes dead rows out of one chunk; returns how many are left and which chunk follows. */
uint32_t Vacuum::clean_chunk(uint32_t address, NodeId owner, uint32_t generation, uint32_t *next) {
    if (chunk_block(address) >= store_.size())
        store_.corrupt(index_.layouts().block_of(owner), "a posting chain leaves the index");
    const uint32_t columns = index_.directory().attributes;
    PageTxn txn(store_);
    const std::byte *page = txn.latch(chunk_block(address));
    const PostingChunk *chunk = chunk_in_page(page, address);
    if (page_kind(page) != PageKind::kPosting || chunk->owner != owner ||
        chunk->owner_generation != generation || chunk->count > PostingChunk::capacity(columns) ||
        chunk->next == address)
        store_.corrupt(chunk_block(address), "a posting chain runs into another's chunk");
    *next = chunk->next;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < chunk->count; i++)
        kept += !gone(packed_tid(chunk->row(i, columns)));
    if (kept == chunk->count)
        return kept;
    result_.rows_removed += chunk->count - kept;
    PostingChunk *image = chunk_in_page(txn.modify(chunk_block(address)), address);
    uint32_t to = 0;
    for (uint32_t i = 0; i < image->count; i++)
        if (!gone(packed_tid(image->row(i, columns))))
            std::memmove(image->row(to++, columns), image->row(i, columns),
                         packed_row_bytes(columns));
    std::memset(image->row(to, columns), 0,
                PostingChunk::kRowBytes - to * packed_row_bytes(columns));
    image->count = static_cast<uint16_t>(to);
    txn.commit();
    return kept;
}

void Vacuum::look_at_postings(BlockNo block, bool remove) {
    if (!remove)
        return;
    PageRef page(store_, block);
    for (uint32_t slot = 0; slot < PostingChunk::per_page(); slot++) {
        const PostingChunk *chunk = chunk_in_page(page.data(), slot);
        if (chunk->owner == kNoNode)
            note_free(chunk->freed_at, trailer(page.data()).next);
    }
}

void Vacuum::look_at_list(BlockNo block, bool remove) {
    if (!remove)
        return;
    uint32_t dying = 0;
    {
        PageRef page(store_, block);
        const auto *list = reinterpret_cast<const TidListPage *>(payload(page.data()));
        const uint32_t count = std::min(list->count, TidListPage::kTids);
        for (uint32_t i = 0; i < count; i++)
            dying += gone(list->tids[i]);
        result_.rows_left += count - dying;
    }
    if (dying == 0)
        return;
    PageTxn txn(store_);
    auto *list = reinterpret_cast<TidListPage *>(payload(txn.modify(block)));
    StoredTid *last = list->tids + std::min(list->count, TidListPage::kTids);
    StoredTid *end =
        std::remove_if(list->tids, last, [&](const StoredTid &stored) { return gone(stored); });
    result_.rows_removed += static_cast<uint64_t>(last - end);
    list->count = static_cast<uint32_t>(end - list->tids);
    std::memset(static_cast<void *>(end), 0, sizeof(StoredTid) * static_cast<size_t>(last - end));
    txn.commit();
}

/* Lets new rows of the TID lists fill the gaps: their first page with room is where they go. */
void Vacuum::refill_lists() {
    for (auto list : {&MetaPage::null_rows, &MetaPage::zero_rows}) {
        PageList now;
        {
            PageRef meta(store_, kMetaBlock);
            now = meta_of(meta.data()).*list;
        }
        BlockNo block = now.head;
        while (block < store_.size() && block != now.fill) {
            PageRef page(store_, block);
            if (page_kind(page.data()) != PageKind::kTidList)
                store_.corrupt(block, "not a TID list page");
            if (reinterpret_cast<const TidListPage *>(payload(page.data()))->count <
                TidListPage::kTids)
                break;
            block = trailer(page.data()).next;
            page.release();
            store_.poll();
        }
        if (block == now.fill || block >= store_.size())
            continue;
        PageTxn txn(store_);
        (meta_of(txn.modify(kMetaBlock)).*list).fill = block;
        txn.commit();
    }
}

/* ---- Links ------------------------------------------------------------------------------------- */

/* Links every live node that no path from the entry point reaches. */
void Vacuum::link_unreached() {
    const BlockNo blocks = store_.size();
    if (Flood::bytes(index_, blocks) > std::max(memory_limit_, kFloodMemory))
        return;
    index_.refresh();
    result_.records_repaired += core::link_unreached(index_, context_, live_base_, live_upper_);
}

VacuumResult remove_dead(Index &index, const Context &context, size_t memory_limit,
                         DeadRows &dead) {
    return Vacuum(index, context, memory_limit, &dead).run();
}

VacuumResult vacuum_cleanup(Index &index, const Context &context, size_t memory_limit) {
    return Vacuum(index, context, memory_limit, nullptr).run();
}

}  // namespace hnsw::core

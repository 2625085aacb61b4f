/* VACUUM's last pass: deleted records become free, slots no link can name any more become fillable,
 * and what crashes left behind is collected.  docs/vacuum.md has the argument. */
#include <algorithm>
#include <cstring>

#include "core/vacuum_state.h"

namespace hnsw::core {

void Vacuum::release(BlockNo block) {
    PageKind kind;
    {
        PageRef page(store_, block);
        kind = page_kind(page.data());
    }
    switch (kind) {
        case PageKind::kBase:
            release_records(block, RecordClass::kBase);
            break;
        case PageKind::kUpper:
            release_records(block, RecordClass::kUpper);
            break;
        case PageKind::kPosting:
            release_chunks(block);
            break;
        case PageKind::kPart:
            release_part(block);
            break;
        default:
            break;
    }
}

void Vacuum::release_records(BlockNo block, RecordClass cls) {
    const RecordLayout &layout = index_.layouts().at(block);
    bool change = false;
    bool free_slot = false;
    {
        PageRef page(store_, block);
        for (uint32_t slot = 0; slot < layout.per_page; slot++) {
            const auto &head =
                *reinterpret_cast<const RecordHeader *>(record_in_page(page.data(), layout, slot));
            free_slot |= head.state != RecordState::kLive;
            change |= head.state == RecordState::kDeleted;
            change |= head.state == RecordState::kFree &&
                      (recyclable(head.freed_at) ||
                       (head.freed_at == 0 && trailer(page.data()).next == kNotListed));
        }
    }
    result_.pages_with_free += free_slot;
    if (!change)
        return;
    PageTxn txn(store_);
    std::byte *image = txn.modify(block);
    bool fillable = false;
    for (uint32_t slot = 0; slot < layout.per_page; slot++) {
        auto &head = *reinterpret_cast<RecordHeader *>(record_in_page(image, layout, slot));
        if (head.state == RecordState::kDeleted) {
            head.state = RecordState::kFree;
            head.count = 0;
            std::memset(head.hash, 0, sizeof(head.hash));
            head.freed_at = store_.next_transaction();
            result_.nodes_freed += cls == RecordClass::kBase;
        } else if (head.state == RecordState::kFree && recyclable(head.freed_at)) {
            head.freed_at = 0;
            result_.slots_recycled++;
        }
        fillable |= head.state == RecordState::kFree && head.freed_at == 0;
    }
    if (fillable)
        put_on_free_list(txn, block, image);
    txn.commit();
}

void Vacuum::release_chunks(BlockNo block) {
    suspects_.clear();
    bool change = false;
    bool free_slot = false;
    {
        PageRef page(store_, block);
        for (uint32_t slot = 0; slot < PostingChunk::per_page(); slot++) {
            const PostingChunk *chunk = chunk_in_page(page.data(), slot);
            const uint32_t address = block * PostingChunk::per_page() + slot;
            if (chunk->owner == kNoNode) {
                free_slot = true;
                change |= recyclable(chunk->freed_at) ||
                          (chunk->freed_at == 0 && trailer(page.data()).next == kNotListed);
            } else if (one_round_ && !chunks_.contains(address)) {
                suspects_.push_back(address);
            }
        }
    }
    result_.pages_with_free += free_slot;
    for (uint32_t address : suspects_)
        release_orphan(address);
    if (!change)
        return;
    PageTxn txn(store_);
    std::byte *image = txn.modify(block);
    bool fillable = false;
    for (uint32_t slot = 0; slot < PostingChunk::per_page(); slot++) {
        PostingChunk *chunk = chunk_in_page(image, slot);
        if (chunk->owner != kNoNode)
            continue;
        if (recyclable(chunk->freed_at)) {
            chunk->freed_at = 0;
            result_.slots_recycled++;
        }
        fillable |= chunk->freed_at == 0;
    }
    if (fillable)
        put_on_free_list(txn, block, image);
    txn.commit();
}

/* Frees a chunk that its owner's chain does not name: a crash or error came between its commit and
 * the record's.  Whoever is between the two holds the owner's latch. */
void Vacuum::release_orphan(uint32_t address) {
    NodeId owner;
    uint32_t generation;
    {
        PageRef page(store_, chunk_block(address));
        const PostingChunk *chunk = chunk_in_page(page.data(), address);
        owner = chunk->owner;
        generation = chunk->owner_generation;
    }
    RecordEdit edit(store_, index_.layouts(), RecordClass::kBase, context_.memory);
    if (owner != kNoNode && edit.open(owner) && edit.view().head().generation == generation) {
        uint32_t at = edit.view().head().posting;
        while (at != kNoNode && at != address && chunk_block(at) < store_.size()) {
            PageRef page(store_, chunk_block(at));
            const PostingChunk *chunk = chunk_in_page(page.data(), at);
            if (chunk->owner != owner)
                break;
            at = chunk->next;
        }
        if (at == address)
            return;
    }
    PageTxn txn(store_);
    PostingChunk *chunk = chunk_in_page(txn.modify(chunk_block(address)), address);
    if (chunk->owner != owner || chunk->owner_generation != generation)
        return; /* freed and taken by another node meanwhile */
    chunk->owner = kNoNode;
    chunk->count = 0;
    chunk->freed_at = store_.next_transaction();
    txn.commit();
}

/* Lists a part page that no head names: a crash came before its head was written. Whoever writes
 * parts holds the head's latch. */
void Vacuum::release_part(BlockNo block) {
    PartHeader part;
    {
        PageRef page(store_, block);
        if (trailer(page.data()).next != kNotListed) {
            result_.pages_with_free++;
            return;
        }
        part = part_header(page.data());
    }
    if (part.owner != kNoNode && part.index != 0) {
        for (RecordClass cls : {RecordClass::kBase, RecordClass::kUpper}) {
            const RecordLayout &layout = index_.layouts().usual;
            if (layout.parts == 1 || part.owner >= store_.size() || part.index >= layout.parts)
                continue;
            PageRef head(store_, part.owner);
            if (page_kind(head.data()) == page_kind_of(cls) &&
                part_table(head.data(), layout)[part.index - 1] == block)
                return;
        }
    }
    PageTxn txn(store_);
    std::byte *image = txn.modify(block);
    const PartHeader &now = part_header(image);
    if (now.owner != part.owner || now.generation != part.generation)
        return;
    part_header(image) = {.owner = kNoNode, .generation = 0, .index = 0, .unused = 0};
    put_on_free_list(txn, block, image);
    txn.commit();
    result_.slots_recycled++;
    result_.pages_with_free++;
}

}  // namespace hnsw::core

/* VACUUM above layer 0: upper records of nodes that are gone, and the entry point. */
#include <algorithm>
#include <cstring>

#include "core/vacuum_state.h"

namespace hnsw::core {

void Vacuum::look_at_upper(BlockNo block, bool remove) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    bool free_slot = false;
    PageRef page(store_, block);
    for (uint32_t slot = 0; slot < layout.per_page; slot++) {
        const auto &head =
            *reinterpret_cast<const RecordHeader *>(record_in_page(page.data(), layout, slot));
        if (head.state == RecordState::kFree) {
            free_slot = true;
            if (remove)
                note_free(head.freed_at, trailer(page.data()).next);
        } else if (head.state == RecordState::kDeleted) {
            deleted_ += remove;
        } else {
            live_upper_.add(layouts.id_of(block, slot));
            if (head.up != kNoNode)
                claimed_.add(head.up);
        }
    }
    result_.pages_with_free += remove && free_slot;
}

/* The upper records of a deleted node are deleted with it. A crash before the last of them leaves
 * the node deleted, and the next VACUUM comes here for it again. */
void Vacuum::delete_tower(NodeId base, NodeId first) {
    RecordRef record(store_, index_.layouts(), RecordClass::kUpper, context_.memory);
    NodeId below = base;
    uint32_t level = 1;
    for (NodeId id = first; id != kNoNode; level++) {
        if (level > kMaxLevel || !record.read(id))
            return;
        const RecordHeader head = record.view().head();
        record.release();
        if (head.down != below || head.level != level)
            return;
        if (head.state == RecordState::kLive)
            delete_upper(id);
        below = id;
        id = head.up;
    }
}

void Vacuum::delete_upper(NodeId id) {
    const IndexLayouts &layouts = index_.layouts();
    const BlockNo block = layouts.block_of(id);
    PageTxn txn(store_);
    reinterpret_cast<RecordHeader *>(
        record_in_page(txn.modify(block), layouts.at(block), layouts.slot_of(id)))
        ->state = RecordState::kDeleted;
    txn.commit();
    live_upper_.remove(id);
    deleted_++;
}

/* An insert that ended between an upper record and the link up to it leaves a record that the
 * node's deletion would not find. */
void Vacuum::adopt_towers() {
    for (NodeId id = live_upper_.next(0); id != kNoNode; id = live_upper_.next(id + 1))
        if (!claimed_.contains(id)) {
            adopt_tower(id);
            store_.poll();
        }
}

/* The record below names it from now on (an insert in progress will say the same), or, if that is
 * another node's by now or gone, it is deleted. */
void Vacuum::adopt_tower(NodeId id) {
    RecordRef record(store_, index_.layouts(), RecordClass::kUpper, context_.memory);
    if (!record.read(id))
        return;
    const RecordHeader upper = record.view().head();
    record.release();
    if (upper.state != RecordState::kLive)
        return;
    const RecordClass cls = upper.level == 1 ? RecordClass::kBase : RecordClass::kUpper;
    RecordEdit below(store_, index_.layouts(), cls, context_.memory);
    if (below.open(upper.down)) {
        const RecordHeader &head = below.view().head();
        const bool next_level =
            cls == RecordClass::kBase ? head.level >= upper.level : head.level + 1 == upper.level;
        const bool same = head.state == RecordState::kLive && next_level &&
                          std::memcmp(head.hash, upper.hash, sizeof(head.hash)) == 0;
        if (same && head.up == id)
            return;
        if (same && head.up == kNoNode) {
            below.image().head().up = id;
            if (cls == RecordClass::kBase)
                write_entry(below.txn(), index_.directory(), upper.down, below.view().head(),
                            nullptr);
            below.commit();
            return;
        }
        below.close();
    }
    delete_upper(id);
}

/* The highest record of a node's tower that is not above level `at_most`; kNoNode if there is none
 * above the base record. */
NodeId Vacuum::tower_record(NodeId base, uint32_t at_most, uint32_t *level) {
    RecordRef node(store_, index_.layouts(), RecordClass::kBase, context_.memory);
    RecordRef record(store_, index_.layouts(), RecordClass::kUpper, context_.memory);
    NodeId top = kNoNode;
    *level = 0;
    NodeId next = node.read(base) ? node.view().head().up : kNoNode;
    node.release();
    while (next != kNoNode && *level < at_most && record.read(next)) {
        const RecordHeader head = record.view().head();
        record.release();
        if (head.state != RecordState::kLive || head.level != *level + 1)
            break;
        top = next;
        ++*level;
        next = head.up;
    }
    return top;
}

/* Whether searches may go on entering where they do. */
bool Vacuum::entry_usable(const MetaPage &meta) {
    RecordRef node(store_, index_.layouts(), RecordClass::kBase, context_.memory);
    if (!node.read(meta.entry_base) || node.view().head().state != RecordState::kLive)
        return false;
    node.release();
    uint32_t level;
    const NodeId top = tower_record(meta.entry_base, meta.entry_level, &level);
    return level == meta.entry_level && (level == 0 || top == meta.entry_upper);
}

/* Moves the entry point to a live node of the highest level. Without one the graph is empty. */
void Vacuum::move_entry() {
    MetaPage meta;
    {
        PageRef page(store_, kMetaBlock);
        meta = meta_of(page.data());
    }
    if (meta.entry_base == kNoNode ? top_node_ == kNoNode : entry_usable(meta))
        return;
    uint32_t level = 0;
    const NodeId upper =
        top_node_ == kNoNode ? kNoNode : tower_record(top_node_, kMaxLevel, &level);
    PageTxn txn(store_);
    const MetaPage &now = meta_of(txn.latch(kMetaBlock));
    if (now.entry_base != meta.entry_base || now.entry_upper != meta.entry_upper)
        return; /* an insert has moved it */
    MetaPage &image = meta_of(txn.modify(kMetaBlock));
    image.entry_base = top_node_;
    image.entry_upper = upper;
    image.entry_level = level;
    txn.commit();
}

}  // namespace hnsw::core

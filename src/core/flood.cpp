/* Reachability at layer 0. flood.h says how. */
#include "core/flood.h"

namespace hnsw::core {

Flood::Flood(Index &index, const Context &context, bool through_deleted)
    : index_(index),
      through_deleted_(through_deleted),
      reached_(context.memory),
      pending_(context.memory),
      record_(index.store(), index.layouts(), RecordClass::kBase, context.memory) {}

void Flood::start(BlockNo blocks) {
    const uint32_t stride = index_.layouts().stride();
    reached_.cover(0, blocks, stride);
    pending_.cover(0, blocks, stride);
}

void Flood::add(NodeId id) {
    if (reached_.add(id))
        pending_.add(id);
}

void Flood::follow(const RecordView &view) {
    const RecordState state = view.head().state;
    if (state != RecordState::kLive && !(through_deleted_ && state == RecordState::kDeleted))
        return;
    for (uint32_t i = 0; i < view.count(); i++)
        add(view.ids()[i]);
}

/* Follows all pending records of one page, those included that become pending meanwhile. */
void Flood::follow_page(BlockNo block) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    const NodeId first = layouts.id_of(block, 0);
    const NodeId end = layouts.id_of(block + 1, 0);
    if (layout.parts > 1) {
        pending_.remove(first);
        if (record_.read(first))
            follow(record_.view());
        record_.release();
        return;
    }
    PageRef page(index_.store(), block);
    const bool ours = page_kind(page.data()) == PageKind::kBase;
    for (NodeId id = pending_.next(first); id < end; id = pending_.next(first)) {
        pending_.remove(id);
        const uint32_t slot = layouts.slot_of(id);
        if (ours && slot < layout.per_page)
            follow({record_in_page(page.data(), layout, slot), &layout});
    }
}

void Flood::run() {
    const IndexLayouts &layouts = index_.layouts();
    NodeId id = pending_.next(0);
    while (id != kNoNode) {
        const BlockNo block = layouts.block_of(id);
        follow_page(block);
        index_.store().poll();
        id = pending_.next(layouts.id_of(block + 1, 0));
        if (id == kNoNode)
            id = pending_.next(0);
    }
}

}  // namespace hnsw::core

/* Statistics of an index: one pass over its pages, then a flood over its links. */
#include "core/index_stats.h"

#include <algorithm>

#include "core/flood.h"
#include "core/posting.h"

namespace hnsw::core {

namespace {

/* Counts one live record among those of its level. most: slots of a usual record. */
void count_node(IndexStats &stats, uint32_t level, const RecordView &view, uint32_t most) {
    while (stats.levels.size() <= level)
        stats.levels.push_back({.degree_histogram = std::pmr::vector<uint64_t>(
                                    stats.levels.get_allocator().resource())});
    LevelStats &of_level = stats.levels[level];
    of_level.degree_histogram.resize(most + 1);
    of_level.nodes++;
    of_level.links += view.count();
    of_level.slots += view.layout->slots;
    of_level.degree_histogram[view.count()]++;
}

/* Counts the records of a page; `live` receives those of layer 0 that have rows. */
void count_records(const Index &index, const std::byte *page, BlockNo block, RecordClass cls,
                   IndexStats &stats, AddressSet &live) {
    const IndexLayouts &layouts = index.layouts();
    const RecordLayout &layout = layouts.at(block);
    for (uint32_t slot = 0; slot < layout.per_page; slot++) {
        const RecordView view{record_in_page(page, layout, slot), &layout};
        const RecordHeader &head = view.head();
        switch (head.state) {
            case RecordState::kLive:
                count_node(
                    stats,
                    cls == RecordClass::kBase ? 0 : std::min<uint32_t>(head.level, kMaxLevel), view,
                    layouts.usual.slots);
                if (cls == RecordClass::kBase) {
                    live.add(layouts.id_of(block, slot));
                    stats.rows += head.tid.tid().valid();
                }
                break;
            case RecordState::kDeleted:
                stats.deleted_nodes += cls == RecordClass::kBase;
                break;
            default:
                if (head.generation == 0)
                    stats.unused_slots++;
                else
                    stats.free_slots++;
        }
    }
}

}  // namespace

IndexStats collect_stats(Index &index, const Context &context) {
    IndexStats stats(context.memory);
    PageStore &store = index.store();
    index.refresh();
    const BlockNo blocks = store.size();
    AddressSet live(context.memory);
    live.cover(0, blocks, index.layouts().stride());
    BlockNo null_head;
    {
        PageRef meta(store, kMetaBlock);
        null_head = meta_of(meta.data()).null_rows.head;
    }
    uint64_t listed_rows = 0;
    for (BlockNo block = 0; block < blocks; block++) {
        PageRef page(store, block);
        const PageKind kind = page_kind(page.data());
        if (static_cast<size_t>(kind) < std::size(stats.pages_by_kind))
            stats.pages_by_kind[static_cast<size_t>(kind)]++;
        if (kind == PageKind::kBase || kind == PageKind::kUpper) {
            count_records(index, page.data(), block,
                          kind == PageKind::kBase ? RecordClass::kBase : RecordClass::kUpper, stats,
                          live);
        } else if (kind == PageKind::kPosting) {
            for (uint32_t slot = 0; slot < PostingChunk::per_page(); slot++) {
                const PostingChunk *chunk = chunk_in_page(page.data(), slot);
                if (chunk->owner != kNoNode)
                    stats.duplicate_rows += std::min<uint32_t>(
                        chunk->count, PostingChunk::capacity(index.directory().attributes));
            }
        } else if (kind == PageKind::kTidList) {
            listed_rows +=
                std::min(reinterpret_cast<const TidListPage *>(payload(page.data()))->count,
                         TidListPage::kTids);
        }
        page.release();
        store.poll();
    }
    BlockNo block = null_head;
    for (BlockNo n = 0; n < blocks && block < blocks; n++) {
        PageRef page(store, block);
        if (page_kind(page.data()) != PageKind::kTidList)
            break;
        stats.null_rows += std::min(
            reinterpret_cast<const TidListPage *>(payload(page.data()))->count, TidListPage::kTids);
        block = trailer(page.data()).next;
        page.release();
        store.poll();
    }
    stats.zero_rows = listed_rows - std::min(listed_rows, stats.null_rows);
    stats.rows += stats.duplicate_rows + listed_rows;

    Flood flood(index, context, true);
    flood.start(blocks);
    flood.add(index.meta().entry_base);
    flood.run();
    for (NodeId id = live.next(0); id != kNoNode; id = live.next(id + 1))
        stats.unreachable_nodes += !flood.reached().contains(id);
    return stats;
}

}  // namespace hnsw::core

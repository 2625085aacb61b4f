/* Reading, changing and adding records. record_io.h says what lies where. */
#include "core/record_io.h"

#include <algorithm>
#include <cstring>

namespace hnsw::core {

namespace {

bool spans(const RecordLayout &layout) { return layout.parts > 1; }

/* The bytes of a record that part `index` (0 = head) holds: [first, last). */
struct PartRange {
    uint32_t first;
    uint32_t last;
};
PartRange part_range(const RecordLayout &layout, uint32_t index) {
    uint32_t head = head_capacity(layout.parts);
    uint32_t first = index == 0 ? 0 : head + (index - 1) * kPartCapacity;
    uint32_t last = index == 0 ? head : first + kPartCapacity;
    return {first, std::min(last, layout.bytes)};
}

bool in_use(const std::byte *page, RecordClass cls, const RecordHeader &head) {
    return page_kind(page) == page_kind_of(cls) &&
           (head.state == RecordState::kLive || head.state == RecordState::kDeleted);
}

/* Copies a spanning record whose head page the caller holds latched exclusively; no other writer
 * can change it meanwhile. False if a part is not its own. */
bool copy_record(PageStore &store, const RecordLayout &layout, const std::byte *head_page,
                 NodeId id, std::byte *out) {
    PartRange head = part_range(layout, 0);
    std::memcpy(out, payload(head_page), head.last);
    uint32_t generation = reinterpret_cast<const RecordHeader *>(out)->generation;
    const BlockNo *blocks = part_table(head_page, layout);
    for (uint32_t part = 1; part < layout.parts; part++) {
        if (blocks[part - 1] >= store.size())
            return false;
        PageRef page(store, blocks[part - 1]);
        const PartHeader &h = part_header(page.data());
        if (page_kind(page.data()) != PageKind::kPart || h.owner != id ||
            h.generation != generation)
            return false;
        PartRange range = part_range(layout, part);
        std::memcpy(out + range.first, payload(page.data()) + sizeof(PartHeader),
                    range.last - range.first);
    }
    return true;
}

}  // namespace

/* ---- RecordRef ------------------------------------------------------------------------------- */

void RecordRef::prefetch(NodeId id, uint32_t most) const {
    if (id == kNoNode || spans(layouts_.usual))
        return;
    const BlockNo block = layouts_.block_of(id);
    const uint32_t bytes = layouts_.at(block).bytes;
    store_.prefetch_cached(block, kPageHeaderBytes + layouts_.slot_of(id) * bytes,
                           std::min(most, bytes));
}

/* Makes view_ the record, if it is one, in the page held. */
bool RecordRef::look(BlockNo block, NodeId id) {
    const RecordLayout &layout = layouts_.at(block);
    const uint32_t slot = layouts_.slot_of(id);
    if (slot >= layout.per_page)
        return false;
    view_ = {record_in_page(page_.data(), layout, slot), &layout};
    return in_use(page_.data(), cls_, view_.head());
}

bool RecordRef::read_on(NodeId id) {
    const BlockNo block = layouts_.block_of(id);
    return id != kNoNode && held_ == block ? look(block, id) : read(id);
}

bool RecordRef::read(NodeId id) {
    release();
    if (id == kNoNode)
        return false;
    const BlockNo block = layouts_.block_of(id);
    if (block >= known_size_ && block >= (known_size_ = store_.size()))
        return false;
    page_ = PageRef(store_, block);
    if (!look(block, id)) {
        page_.release();
        return false;
    }
    if (spans(*view_.layout))
        return assemble(id);
    held_ = block;
    return true;
}

/* Copies a spanning record part by part, one latch at a time. */
bool RecordRef::assemble(NodeId id) {
    const RecordLayout &layout = layouts_.usual;
    scratch_.resize(layout.bytes + sizeof(BlockNo) * layout.parts);
    std::byte *out = scratch_.data();
    auto *blocks = reinterpret_cast<BlockNo *>(out + layout.bytes);
    PartRange head = part_range(layout, 0);
    std::memcpy(out, view_.bytes, head.last);
    std::memcpy(blocks, part_table(page_.data(), layout), sizeof(BlockNo) * (layout.parts - 1));
    page_.release();
    view_ = {out, &layout};
    for (uint32_t part = 1; part < layout.parts; part++) {
        if (blocks[part - 1] >= store_.size())
            return false;
        PageRef page(store_, blocks[part - 1]);
        const PartHeader &h = part_header(page.data());
        if (page_kind(page.data()) != PageKind::kPart || h.owner != id ||
            h.generation != view_.head().generation)
            return false;
        PartRange range = part_range(layout, part);
        std::memcpy(out + range.first, payload(page.data()) + sizeof(PartHeader),
                    range.last - range.first);
    }
    return true;
}

/* ---- RecordEdit ------------------------------------------------------------------------------ */

bool RecordEdit::open(NodeId id) {
    close();
    id_ = id;
    const BlockNo block = layouts_.block_of(id);
    const RecordLayout &layout = layouts_.at(block);
    const uint32_t slot = layouts_.slot_of(id);
    if (id == kNoNode || slot >= layout.per_page ||
        (block >= known_size_ && block >= (known_size_ = store_.size())))
        return false;
    if (spans(layout))
        scratch_.resize(size_t{2} * layout.bytes);
    const std::byte *page = txn_.latch(block);
    view_ = {record_in_page(page, layout, slot), &layout};
    bool usable = in_use(page, cls_, view_.head());
    if (usable && spans(layout)) {
        usable = copy_record(store_, layout, page, id, scratch_.data());
        std::memcpy(scratch_.data() + layout.bytes, scratch_.data(), layout.bytes);
        view_.bytes = scratch_.data();
    }
    if (!usable)
        close();
    return usable;
}

RecordImage RecordEdit::image() {
    changed_ = true;
    if (!spans(*view_.layout))
        view_.bytes = record_in_page(txn_.modify(layouts_.block_of(id_)), *view_.layout,
                                     layouts_.slot_of(id_));
    return {const_cast<std::byte *>(view_.bytes), view_.layout};
}

/* Adds the parts of a spanning record that differ from what was read to the transaction: the
 * largest layout has as many parts as a transaction has pages, so an edit is one commit and a crash
 * never leaves ids beside another edit's codes. */
void RecordEdit::write_parts() {
    const RecordLayout &layout = layouts_.usual;
    const std::byte *now = scratch_.data();
    const std::byte *before = now + layout.bytes;
    for (uint32_t part = 1; part < layout.parts; part++) {
        PartRange range = part_range(layout, part);
        if (std::memcmp(now + range.first, before + range.first, range.last - range.first) == 0)
            continue;
        BlockNo block = part_table(txn_.latch(layouts_.block_of(id_)), layout)[part - 1];
        std::memcpy(payload(txn_.modify(block)) + sizeof(PartHeader), now + range.first,
                    range.last - range.first);
    }
    std::memcpy(payload(txn_.modify(layouts_.block_of(id_))), now, part_range(layout, 0).last);
}

void RecordEdit::commit() {
    if (changed_ && spans(layouts_.usual))
        write_parts();
    txn_.commit();
    changed_ = false;
    view_ = {};
}

void RecordEdit::close() {
    txn_.release();
    changed_ = false;
    view_ = {};
}

/* ---- NewRecord ------------------------------------------------------------------------------- */

void NewRecord::open() {
    txn_.release();
    if (spans(layouts_.usual))
        scratch_.resize(layouts_.usual.bytes);
    while (!take_from_list()) {
        if (id_ == kNoNode) {
            extend();
            return;
        }
        store_.poll();
    }
}

/* Tries the first page of the list of pages with free slots. True: image_ is ready. False with
 * id_ == kNoNode: the list is empty; otherwise: look again. */
bool NewRecord::take_from_list() {
    PageKind kind = page_kind_of(cls_);
    BlockNo block = first_free_page(store_, kind);
    id_ = kNoNode;
    if (block == kNoBlock)
        return false;
    const std::byte *page = latch_free_page(txn_, block, kind);
    const RecordLayout &layout = layouts_.at(block);
    uint32_t found = layout.per_page;
    bool more = false;
    for (uint32_t slot = 0; slot < layout.per_page && !more; slot++) {
        const auto &head =
            *reinterpret_cast<const RecordHeader *>(record_in_page(page, layout, slot));
        /* A stamp that has become reusable is not enough: a link may still name the slot. VACUUM
         * clears the stamp once it has made sure that none does. */
        if (head.state != RecordState::kFree || head.freed_at != 0)
            continue;
        if (found == layout.per_page)
            found = slot;
        else
            more = true;
    }
    id_ = layouts_.id_of(block, 0); /* not kNoNode: the list was not empty */
    if (!more && !spans(layout))
        latch_directory(block);
    if (!more && !take_off_free_list(txn_, block)) {
        /* Somebody put another page in front of it: then it stays listed, full or not, and
         * is taken off when it comes to the front again. */
        txn_.release();
        return false;
    }
    if (found == layout.per_page) {
        txn_.commit();
        return false;
    }
    if (spans(layout)) {
        /* Parts come before the metapage in the order of latches, so it is let go first. VACUUM may
         * list the page again meanwhile, and somebody else fill it. */
        txn_.commit();
        page = txn_.latch(block);
        const auto &head =
            *reinterpret_cast<const RecordHeader *>(record_in_page(page, layout, found));
        if (page_kind(page) != kind || head.state != RecordState::kFree || head.freed_at != 0) {
            txn_.release();
            return false;
        }
    }
    return prepare(block, found, false);
}

/* Before the metapage, which comes after it in the order of latches. */
void NewRecord::latch_directory(BlockNo block) {
    if (cls_ == RecordClass::kBase)
        txn_.latch(directory_.page_of(block));
}

void NewRecord::extend() {
    BlockNo block;
    std::byte *page = txn_.extend(directory_, page_kind_of(cls_), &block);
    if (!spans(layouts_.usual))
        latch_directory(block);
    if (layouts_.at(block).per_page > 1)
        put_on_free_list(txn_, block, page);
    prepare(block, 0, true);
}

/* Makes image_ the empty record in that slot. For a spanning record `fresh` says that it has no
 * part pages yet. */
bool NewRecord::prepare(BlockNo block, uint32_t slot, bool fresh) {
    const RecordLayout &layout = layouts_.at(block);
    std::byte *page = txn_.modify(block);
    std::byte *bytes = record_in_page(page, layout, slot);
    uint32_t generation = reinterpret_cast<RecordHeader *>(bytes)->generation;
    parts_.clear();
    if (spans(layout)) {
        parts_.resize(layout.parts - 1, kNoBlock);
        if (!fresh)
            std::copy_n(part_table(page, layout), layout.parts - 1, parts_.begin());
        bytes = scratch_.data();
    }
    std::memset(bytes, 0, layout.bytes);
    image_ = {bytes, &layout};
    RecordHeader &head = image_.head();
    head.state = RecordState::kLive;
    head.generation = generation + 1;
    head.posting = kNoNode;
    head.up = kNoNode;
    head.down = kNoNode;
    std::fill_n(image_.ids(), layout.slots, kNoNode);
    id_ = layouts_.id_of(block, slot);
    return true;
}

void NewRecord::commit(const Attributes &row) {
    const RecordLayout &layout = layouts_.usual;
    if (spans(layout)) {
        for (uint32_t part = 1; part < layout.parts; part++) {
            PageTxn txn(store_);
            BlockNo &block = parts_[part - 1];
            std::byte *page;
            if (block == kNoBlock) {
                BlockNo listed = first_free_page(store_, PageKind::kPart);
                if (listed != kNoBlock &&
                    latch_free_page(txn, listed, PageKind::kPart) != nullptr &&
                    take_off_free_list(txn, listed)) {
                    block = listed;
                    page = txn.modify(block);
                } else {
                    txn.release();
                    page = txn.extend(directory_, PageKind::kPart, &block);
                }
            } else {
                if (block >= store_.size() || page_kind(txn.latch(block)) != PageKind::kPart)
                    store_.corrupt(block, "named as part of a record, but of another kind");
                page = txn.modify(block);
            }
            part_header(page) = {
                .owner = id_, .generation = image_.head().generation, .index = part, .unused = 0};
            PartRange range = part_range(layout, part);
            std::memcpy(payload(page) + sizeof(PartHeader), image_.bytes + range.first,
                        range.last - range.first);
            txn.commit();
        }
        std::byte *page = txn_.modify(layouts_.block_of(id_));
        std::memcpy(payload(page), image_.bytes, part_range(layout, 0).last);
        std::copy(parts_.begin(), parts_.end(), part_table(page, layout));
    }
    if (cls_ == RecordClass::kBase)
        write_entry(txn_, directory_, id_, image_.head(), &row);
    txn_.commit();
}

/* ---- Lists of pages with free slots ----------------------------------------------------------- */

BlockNo &free_list_head(MetaPage &meta, PageKind kind) {
    switch (kind) {
        case PageKind::kUpper:
            return meta.free_upper;
        case PageKind::kPosting:
            return meta.free_posting;
        case PageKind::kPart:
            return meta.free_part;
        default:
            return meta.free_base;
    }
}

BlockNo first_free_page(PageStore &store, PageKind kind) {
    BlockNo block;
    {
        PageRef meta(store, kMetaBlock);
        MetaPage copy = meta_of(meta.data());
        block = free_list_head(copy, kind);
    }
    if (block != kNoBlock && block >= store.size())
        store.corrupt(kMetaBlock, "a list of pages with free slots leaves the index");
    return block;
}

const std::byte *latch_free_page(PageTxn &txn, BlockNo block, PageKind kind) {
    const std::byte *page = txn.latch(block);
    if (page_kind(page) != kind)
        txn.store().corrupt(block, "on a list of pages with free slots of another kind");
    return page;
}

void put_on_free_list(PageTxn &txn, BlockNo block, std::byte *image) {
    if (trailer(image).next != kNotListed)
        return;
    MetaPage &meta = meta_of(txn.modify(kMetaBlock));
    BlockNo &head = free_list_head(meta, page_kind(image));
    trailer(image).next = head;
    head = block;
}

bool take_off_free_list(PageTxn &txn, BlockNo block) {
    PageKind kind = page_kind(txn.latch(block));
    MetaPage copy = meta_of(txn.latch(kMetaBlock));
    if (free_list_head(copy, kind) != block)
        return false;
    PageTrailer &t = trailer(txn.modify(block));
    if (t.next == kNotListed) /* as the pages of a circle are, once taken off */
        txn.store().corrupt(block, "first of a list of pages with free slots, but not on it");
    free_list_head(meta_of(txn.modify(kMetaBlock)), kind) = t.next;
    t.next = kNotListed;
    return true;
}

}  // namespace hnsw::core

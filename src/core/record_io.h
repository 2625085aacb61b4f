/*
 * Reading, changing and adding records, whether they lie in one page or span several.
 *
 * A record larger than a page: the head page's payload holds the first bytes of the record and, at
 * its end, the blocks of the parts; each part page holds a PartHeader and the following bytes.
 * Parts are written before the head, the head's commit publishes; a reader checks owner and
 * generation of every part.  Parts stay with their head when the record is freed, and are filled
 * again with it.  A crash between parts and head leaves part pages nobody refers to: legal, noted
 * by the verifier, put on the free list by VACUUM.
 */
#pragma once

#include <memory_resource>
#include <vector>

#include "core/index.h"
#include "core/meta.h"
#include "core/record.h"
#include "core/store.h"

namespace hnsw::core {

struct PartHeader {
    NodeId owner;
    uint32_t generation;
    uint32_t index; /* 1..; a part on the free list has owner kNoNode and index 0 */
    uint32_t unused;
};

inline constexpr uint32_t kPartCapacity = kPayloadBytes - sizeof(PartHeader);

/* Bytes of a record that the head page holds when there are `parts` pages in all. */
constexpr uint32_t head_capacity(uint32_t parts) { return kPayloadBytes - 4 * (parts - 1); }
/* Bytes that `parts` pages hold together. */
constexpr uint32_t spanning_capacity(uint32_t parts) {
    return head_capacity(parts) + (parts - 1) * kPartCapacity;
}

/* Where a record's bytes start in its (head) page. */
inline const std::byte *record_in_page(const std::byte *page, const RecordLayout &layout,
                                       uint32_t slot) {
    return payload(page) + size_t{slot} * layout.bytes;
}
inline std::byte *record_in_page(std::byte *page, const RecordLayout &layout, uint32_t slot) {
    return payload(page) + size_t{slot} * layout.bytes;
}

/* Blocks of parts 1.. at the end of a head page's payload. Unaligned access is not an issue: the
 * payload is 8-aligned and its size a multiple of 4. */
inline const BlockNo *part_table(const std::byte *page, const RecordLayout &layout) {
    return reinterpret_cast<const BlockNo *>(payload(page) + head_capacity(layout.parts));
}
inline BlockNo *part_table(std::byte *page, const RecordLayout &layout) {
    return reinterpret_cast<BlockNo *>(payload(page) + head_capacity(layout.parts));
}

inline PartHeader &part_header(std::byte *page) {
    return *reinterpret_cast<PartHeader *>(payload(page));
}
inline const PartHeader &part_header(const std::byte *page) {
    return *reinterpret_cast<const PartHeader *>(payload(page));
}

/*
 * A record held for reading: one page pinned and latched shared, or (spanning records) a copy.
 * Reuse one object for many records; it keeps its scratch memory.
 */
class RecordRef {
public:
    RecordRef(PageStore &store, const IndexLayouts &layouts, RecordClass cls,
              std::pmr::memory_resource *memory)
        : store_(store), layouts_(layouts), cls_(cls), scratch_(memory) {}

    /* Releases what it held and reads record `id`. False: there is no live or deleted record of
     * this class at that address (a stale link: skip it). No latch is held then. */
    bool read(NodeId id);
    /* The same, but a page already held stays so: for many records in order of their ids. The latch goes
     * with release(), or when another page is read. */
    bool read_on(NodeId id);
    /* Record `id` (kNoNode: none) will probably be read next: asks for its first `most` bytes in the
     * processor's cache, unless it spans pages. */
    void prefetch(NodeId id, uint32_t most = UINT32_MAX) const;
    const RecordView &view() const { return view_; }
    /* Releases the page; view() is gone, except that a spanning record's copy stays. */
    void release() {
        page_.release();
        held_ = kNoBlock;
    }

private:
    bool look(BlockNo block, NodeId id);
    bool assemble(NodeId id);

    PageStore &store_;
    const IndexLayouts &layouts_;
    RecordClass cls_;
    BlockNo known_size_ = 0;
    PageRef page_;
    BlockNo held_ = kNoBlock; /* page_, if a record in it was read */
    RecordView view_;
    std::pmr::vector<std::byte> scratch_;
};

/*
 * A record held for change: its (head) page latched exclusively.  Changes are made in image() and
 * become durable, as one unit for a record of one page, at commit().
 */
class RecordEdit {
public:
    RecordEdit(PageStore &store, const IndexLayouts &layouts, RecordClass cls,
               std::pmr::memory_resource *memory)
        : store_(store), layouts_(layouts), cls_(cls), txn_(store), scratch_(memory) {}

    /* False: no live or deleted record there; nothing is held then. */
    bool open(NodeId id);
    /* As it is now (with changes made so far). */
    const RecordView &view() const { return view_; }
    RecordImage image();
    /* To change further pages in the same commit (mind the latch order). */
    PageTxn &txn() { return txn_; }
    void commit();
    /* Drops changes and latches. */
    void close();

private:
    void write_parts();

    PageStore &store_;
    const IndexLayouts &layouts_;
    RecordClass cls_;
    PageTxn txn_;
    BlockNo known_size_ = 0;
    NodeId id_ = kNoNode;
    bool changed_ = false;
    RecordView view_;
    std::pmr::vector<std::byte> scratch_; /* spanning: the changed record, then the old one */
};

/*
 * A record to be added: takes a free slot from the metapage's list or extends the index.
 * open() latches the slot's page exclusively; the record exists for others from commit() on.
 */
class NewRecord {
public:
    NewRecord(const Index &index, RecordClass cls, std::pmr::memory_resource *memory)
        : store_(index.store()),
          layouts_(index.layouts()),
          directory_(index.directory()),
          cls_(cls),
          txn_(index.store()),
          scratch_(memory) {}

    /* Finds a slot. image() is then all zero but for state (kLive) and generation, and without
     * links (posting, up, down and ids kNoNode). */
    void open();
    NodeId id() const { return id_; }
    const RecordImage &image() const { return image_; }
    /* row: a base record's attributes, which go into the directory in the same commit. */
    void commit(const Attributes &row = {});

private:
    bool take_from_list();
    void latch_directory(BlockNo block);
    void extend();
    bool prepare(BlockNo block, uint32_t slot, bool fresh);

    PageStore &store_;
    const IndexLayouts &layouts_;
    const DirectoryShape &directory_;
    RecordClass cls_;
    PageTxn txn_;
    NodeId id_ = kNoNode;
    RecordImage image_;
    std::pmr::vector<std::byte> scratch_;
    std::pmr::vector<BlockNo> parts_{scratch_.get_allocator().resource()};
};

/* Whether a free slot of that stamp may be filled again (0 = it never was). */
inline bool slot_reusable(PageStore &store, uint64_t freed_at) {
    return freed_at == 0 || store.reusable(freed_at);
}

/* Member of MetaPage that heads the list of pages with free slots for a page kind. */
BlockNo &free_list_head(MetaPage &meta, PageKind kind);

/* The first page with free slots of a kind, kNoBlock = none. Of a list that leaves the index:
 * corrupt(). */
BlockNo first_free_page(PageStore &store, PageKind kind);

/* Latches `block`, which first_free_page() gave. corrupt() if it is a page of another kind. */
const std::byte *latch_free_page(PageTxn &txn, BlockNo block, PageKind kind);

/* Puts `block`, a page held in `txn` and being modified, at the head of its kind's free list
 * unless it is on it. Latches the metapage. */
void put_on_free_list(PageTxn &txn, BlockNo block, std::byte *image);

/* Takes `block`, held in `txn`, off the head of its list; false if it is not the head. */
bool take_off_free_list(PageTxn &txn, BlockNo block);

}  // namespace hnsw::core

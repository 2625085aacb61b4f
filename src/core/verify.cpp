/* The checker's driver: pages, lists, rows, reachability. verify.h says what for. */
#include "core/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/flood.h"
#include "core/verify_state.h"

namespace hnsw::core {

namespace {

/* A finding is reported when it is there each time of so many. */
constexpr uint32_t kLooks = 3;

constexpr BlockNo kReadAhead = 16;

/* Where PostgreSQL's page header keeps what init_page() wrote. */
constexpr size_t kSpecialAt = 16;
constexpr size_t kSizeVersionAt = 18;

uint16_t u16_at(const std::byte *page, size_t at) {
    uint16_t value;
    std::memcpy(&value, page + at, sizeof(value));
    return value;
}

bool all_zero(const std::byte *page) {
    return std::all_of(page, page + kPageSize, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void suspect(Suspicions &out, Severity severity, const char *code, NodeId node, const char *format,
             ...) {
    Suspicion &s = out.emplace_back();
    s.severity = severity;
    s.code = code;
    s.node = node;
    va_list args;
    va_start(args, format);
    std::vsnprintf(s.detail, sizeof(s.detail), format, args);
    va_end(args);
}

Verifier::Verifier(Index &index, const Context &context, FindingSink &sink)
    : index_(index),
      store_(index.store()),
      context_(context),
      sink_(sink),
      first_(context.memory),
      again_(context.memory),
      page_(kPageSize, context.memory),
      record_(context.memory),
      edge_(context.memory),
      base_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      upper_(index.store(), index.layouts(), RecordClass::kUpper, context.memory),
      live_(context.memory),
      chunks_(context.memory),
      listed_(context.memory),
      tids_(context.memory),
      chain_(context.memory),
      chain_rows_(context.memory) {
    edge_.resize(index.layouts().usual.bytes);
}

void Verifier::run() {
    if (check_meta(PageRef(store_, kMetaBlock).data()) != MetaStatus::kOk) {
        /* Nothing else can be read without it. */
        sink_.report({.severity = Severity::kError,
                      .code = "metapage",
                      .block = kMetaBlock,
                      .node = kNoNode,
                      .detail = "not a metapage this version can read"});
        return;
    }
    index_.refresh();
    blocks_ = store_.size();
    live_.cover(0, blocks_, index_.layouts().stride());
    chunks_.cover(0, blocks_, PostingChunk::per_page());
    listed_.cover(0, blocks_, 1);
    check_meta_page();
    for (PageKind kind : {PageKind::kBase, PageKind::kUpper, PageKind::kPosting, PageKind::kPart})
        check_free_list(kind);
    check_tid_list(false);
    check_tid_list(true);
    check_centres();
    for (BlockNo block = kMetaBlock + 1; block < blocks_; block++) {
        if (block + kReadAhead < blocks_)
            store_.prefetch(block + kReadAhead);
        check_page(block);
        store_.poll();
    }
    /* When all chains have been walked. */
    for (BlockNo block = kMetaBlock + 1; block < blocks_; block++) {
        settle(block, [&](Suspicions &out) { check_chunks(block, out); });
        store_.poll();
    }
    check_duplicates();
    check_reachable();
}

template <class Look>
void Verifier::settle(BlockNo block, Look &&look) {
    first_.clear();
    look(first_);
    for (uint32_t n = 1; n < kLooks && !first_.empty(); n++) {
        store_.poll();
        index_.refresh(); /* a centre may have been learnt */
        again_.clear();
        look(again_);
        std::erase_if(first_, [&](const Suspicion &s) {
            return std::none_of(again_.begin(), again_.end(), [&](const Suspicion &t) {
                return s.node == t.node && std::strcmp(s.code, t.code) == 0;
            });
        });
    }
    for (const Suspicion &s : first_)
        sink_.report({.severity = s.severity,
                      .code = s.code,
                      .block = block,
                      .node = s.node,
                      .detail = s.detail});
}

/* ---- Pages ------------------------------------------------------------------------------------ */

void Verifier::check_page(BlockNo block) {
    bool first = true;
    settle(block, [&](Suspicions &out) {
        {
            PageRef page(store_, block);
            std::memcpy(page_.data(), page.data(), kPageSize);
        }
        const std::byte *page = page_.data();
        check_outer(block, page, out);
        const PageKind kind = page_kind(page);
        check_place(block, kind, out);
        if (kind == PageKind::kBase || kind == PageKind::kUpper)
            check_records(block, kind == PageKind::kBase ? RecordClass::kBase : RecordClass::kUpper,
                          first, out);
        else if (kind == PageKind::kDirectory)
            check_directory(block, out);
        else if (kind == PageKind::kPart)
            check_part(block, out);
        else if (kind == PageKind::kTidList)
            check_tid_page(block, page, out);
        first = false;
    });
}

void Verifier::check_outer(BlockNo block, const std::byte *page, Suspicions &out) {
    const PageTrailer &t = trailer(page);
    if (t.magic != kPageMagic) {
        if (all_zero(page))
            suspect(out, Severity::kNote, "unused_page", kNoNode, "never initialised");
        else
            suspect(out, Severity::kError, "page_kind", kNoNode, "not a page of this index");
        return;
    }
    if (u16_at(page, kSpecialAt) != kPageSize - kPageTrailerBytes ||
        (u16_at(page, kSizeVersionAt) & 0xFF00) != kPageSize)
        suspect(out, Severity::kError, "page_header", kNoNode, "special space at %u, size %u",
                u16_at(page, kSpecialAt), u16_at(page, kSizeVersionAt) & 0xFF00);
    if (t.kind <= PageKind::kMeta || t.kind > PageKind::kDirectory)
        suspect(out, Severity::kError, "page_kind", kNoNode, "kind %u",
                static_cast<unsigned>(t.kind));
    check_unlisted(block, page, out);
}

/* A page whose list does not know it. */
void Verifier::check_unlisted(BlockNo block, const std::byte *page, Suspicions &out) {
    if (listed_.contains(block))
        return;
    switch (page_kind(page)) {
        case PageKind::kBase:
        case PageKind::kUpper:
        case PageKind::kPosting:
        case PageKind::kPart:
            /* Those listed since we walked the lists are new, or an insert filled one of them. */
            if (trailer(page).next != kNotListed && !on_free_list(block, page_kind(page)))
                suspect(out, Severity::kWarning, "free_list_lost", kNoNode,
                        "says it is on a free list, but is not");
            break;
        case PageKind::kTidList:
            if (trailer(page).next != kNoBlock || !is_fill_page(block))
                suspect(out, Severity::kWarning, "orphan_tid_list", kNoNode,
                        "rows that no list of the metapage leads to");
            break;
        case PageKind::kCentre:
            suspect(out, Severity::kNote, "orphan_centre", kNoNode, "a centre that is not in use");
            break;
        default:
            break;
    }
}

void Verifier::check_records(BlockNo block, RecordClass cls, bool first, Suspicions &out) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    for (uint32_t slot = 0; slot < layout.per_page; slot++) {
        const NodeId id = layouts.id_of(block, slot);
        RecordView view{record_in_page(page_.data(), layout, slot), &layout};
        const bool in_use =
            view.head().state == RecordState::kLive || view.head().state == RecordState::kDeleted;
        if (layout.parts > 1 && in_use) {
            RecordRef &record = cls == RecordClass::kBase ? base_ : upper_;
            if (!record.read(id)) {
                suspect(out, Severity::kError, "record_parts", id, "a part is not the record's");
                continue;
            }
            record_.assign(record.view().bytes, record.view().bytes + layout.bytes);
            record.release();
            view.bytes = record_.data();
        }
        check_record(id, cls, view, out);
        if (cls == RecordClass::kBase)
            check_directory_entry(id, view.head(), out);
        if (first && cls == RecordClass::kBase && view.head().state == RecordState::kLive) {
            live_.add(id);
            rows_of(id, view.head());
        }
    }
}

void Verifier::check_part(BlockNo block, Suspicions &out) {
    const PartHeader part = part_header(page_.data());
    if (trailer(page_.data()).next != kNotListed)
        return;
    for (RecordClass cls : {RecordClass::kBase, RecordClass::kUpper}) {
        const RecordLayout &layout = index_.layouts().usual;
        if (layout.parts == 1 || part.owner >= store_.size() || part.index == 0 ||
            part.index >= layout.parts)
            continue;
        PageRef head(store_, part.owner);
        if (page_kind(head.data()) == page_kind_of(cls) &&
            part_table(head.data(), layout)[part.index - 1] == block)
            return;
    }
    suspect(out, Severity::kNote, "orphan_part", kNoNode, "no record %u names it", part.owner);
}

/* Chunks that have an owner but were not found in its chain. */
void Verifier::check_chunks(BlockNo block, Suspicions &out) {
    for (uint32_t slot = 0; slot < PostingChunk::per_page(); slot++) {
        const uint32_t address = block * PostingChunk::per_page() + slot;
        PostingChunk chunk;
        {
            PageRef page(store_, block);
            if (page_kind(page.data()) != PageKind::kPosting)
                return;
            std::memcpy(&chunk, chunk_in_page(page.data(), address), sizeof(chunk));
        }
        if (chunk.owner == kNoNode || chunks_.contains(address))
            continue;
        if (base_.read(chunk.owner)) {
            const RecordHeader head = base_.view().head();
            base_.release();
            Suspicions ignored(context_.memory); /* the chain itself was looked at before */
            check_chain(chunk.owner, head, ignored);
        }
        if (!chunks_.contains(address))
            suspect(out, Severity::kNote, "orphan_chunk", chunk.owner, "chunk %u is in no chain",
                    address);
    }
}

void Verifier::check_tid_page(BlockNo, const std::byte *page, Suspicions &out) {
    const auto *list = reinterpret_cast<const TidListPage *>(payload(page));
    if (list->count > TidListPage::kTids) {
        suspect(out, Severity::kError, "tid_list_count", kNoNode, "%u rows", list->count);
        return;
    }
    for (uint32_t i = 0; i < list->count; i++)
        check_tid(list->tids[i].tid(), kNoNode, out);
}

/* ---- Metapage and lists ----------------------------------------------------------------------- */

void Verifier::check_meta_page() {
    settle(kMetaBlock, [&](Suspicions &out) {
        MetaPage meta;
        {
            PageRef page(store_, kMetaBlock);
            meta = meta_of(page.data());
        }
        check_entry(meta, out);
    });
}

/* A search enters at a record of the level the metapage says, and comes down to the entry node. */
void Verifier::check_entry(const MetaPage &meta, Suspicions &out) {
    if (meta.entry_base == kNoNode) {
        if (meta.entry_upper != kNoNode || meta.entry_level != 0)
            suspect(out, Severity::kError, "entry_point", kNoNode, "a level without a node");
        return;
    }
    if (!base_.read(meta.entry_base)) {
        suspect(out, Severity::kError, "entry_point", meta.entry_base, "not a record in use");
        return;
    }
    const bool deleted = base_.view().head().state == RecordState::kDeleted;
    base_.release();
    if (deleted)
        suspect(out, Severity::kNote, "entry_deleted", meta.entry_base,
                "a node without rows; VACUUM moves it");
    NodeId id = meta.entry_upper;
    for (uint32_t level = meta.entry_level; level > 0; level--) {
        if (!upper_.read(id) || upper_.view().head().level != level) {
            suspect(out, Severity::kError, "entry_point", id, "no record of level %u there", level);
            return;
        }
        id = upper_.view().head().down;
        upper_.release();
    }
    if (meta.entry_level > 0 && id != meta.entry_base)
        suspect(out, Severity::kError, "entry_point", meta.entry_base,
                "the way down ends at another node, %u", id);
}

/* Marks the pages of the list; a page may leave or enter it meanwhile. */
void Verifier::check_free_list(PageKind kind) {
    settle(kMetaBlock, [&](Suspicions &out) {
        BlockNo block;
        {
            PageRef meta(store_, kMetaBlock);
            MetaPage copy = meta_of(meta.data());
            block = free_list_head(copy, kind);
        }
        for (BlockNo n = 0; block != kNoBlock; n++) {
            if (block >= store_.size() || n > store_.size()) {
                suspect(out, Severity::kError, "free_list", kNoNode,
                        block >= store_.size() ? "kind %u: leaves the index at %u"
                                               : "kind %u: runs in a circle at %u",
                        static_cast<unsigned>(kind), block);
                return;
            }
            PageRef page(store_, block);
            if (page_kind(page.data()) != kind || trailer(page.data()).next == kNotListed) {
                suspect(out, Severity::kError, "free_list", kNoNode,
                        "kind %u: page %u is not one of its pages", static_cast<unsigned>(kind),
                        block);
                return;
            }
            listed_.add(block);
            block = trailer(page.data()).next;
            page.release();
            store_.poll();
        }
    });
}

bool Verifier::on_free_list(BlockNo wanted, PageKind kind) {
    BlockNo block;
    {
        PageRef meta(store_, kMetaBlock);
        MetaPage copy = meta_of(meta.data());
        block = free_list_head(copy, kind);
    }
    for (BlockNo n = 0; block != wanted; n++) {
        if (block >= store_.size() || n > store_.size())
            return false;
        PageRef page(store_, block);
        block = trailer(page.data()).next;
    }
    return true;
}

bool Verifier::is_fill_page(BlockNo block) {
    PageRef page(store_, kMetaBlock);
    const MetaPage &meta = meta_of(page.data());
    return meta.null_rows.fill == block || meta.zero_rows.fill == block;
}

void Verifier::check_tid_list(bool zero_list) {
    const char *name = zero_list ? "zero" : "NULL";
    bool first = true;
    settle(kMetaBlock, [&](Suspicions &out) {
        PageList list;
        {
            PageRef meta(store_, kMetaBlock);
            const MetaPage &m = meta_of(meta.data());
            list = zero_list ? m.zero_rows : m.null_rows;
        }
        bool filled = list.fill == kNoBlock && list.head == kNoBlock;
        BlockNo block = list.head;
        for (BlockNo n = 0; block != kNoBlock; n++) {
            const char *wrong = nullptr;
            if (block >= store_.size())
                wrong = "leaves the index";
            else if (n > store_.size())
                wrong = "runs in a circle";
            if (wrong == nullptr) {
                PageRef page(store_, block);
                if (page_kind(page.data()) != PageKind::kTidList)
                    wrong = "comes to a page of another kind";
                else
                    std::memcpy(page_.data(), page.data(), kPageSize);
            }
            if (wrong != nullptr) {
                suspect(out, Severity::kError, "tid_list", kNoNode, "%s rows: the list %s at %u",
                        name, wrong, block);
                return;
            }
            filled |= block == list.fill;
            listed_.add(block);
            const auto *rows = reinterpret_cast<const TidListPage *>(payload(page_.data()));
            for (uint32_t i = 0; first && i < std::min(rows->count, TidListPage::kTids); i++)
                row(rows->tids[i].tid(), nullptr);
            block = trailer(page_.data()).next;
            store_.poll();
        }
        if (!filled)
            suspect(out, Severity::kError, "tid_list", kNoNode,
                    "%s rows: page %u, the one to be filled, is not in the list", name, list.fill);
        first = false;
    });
}

void Verifier::check_centres() {
    settle(kMetaBlock, [&](Suspicions &out) {
        const MetaPage &meta = index_.meta();
        const uint32_t per_page = kPayloadBytes / sizeof(float);
        for (uint32_t c = 0; c < meta.centre_count; c++) {
            BlockNo block = meta.centre[c];
            if (block == kNoBlock)
                continue;
            for (uint32_t done = 0; done < meta.dim; done += per_page) {
                if (block >= store_.size()) {
                    suspect(out, Severity::kError, "centre", kNoNode, "centre %u ends early", c);
                    return;
                }
                PageRef page(store_, block);
                const auto *x = reinterpret_cast<const float *>(payload(page.data()));
                if (page_kind(page.data()) != PageKind::kCentre ||
                    !std::all_of(x, x + std::min(per_page, meta.dim - done),
                                 [](float f) { return std::isfinite(f); })) {
                    suspect(out, Severity::kError, "centre", kNoNode,
                            "centre %u: page %u does not hold coordinates", c, block);
                    return;
                }
                listed_.add(block);
                block = trailer(page.data()).next;
            }
        }
    });
}

/* ---- Rows ------------------------------------------------------------------------------------- */

void Verifier::row(HeapTid tid, const Attributes *attributes) {
    if (!tid.valid())
        return;
    sink_.row(tid, attributes);
    /* Big-endian, so that comparing bytes is comparing TIDs. */
    PackedTid packed;
    const uint64_t key = tid.key();
    for (int i = 0; i < 6; i++)
        packed.bytes[i] = static_cast<uint8_t>(key >> (40 - 8 * i));
    tids_.push_back(packed);
}

void Verifier::rows_of(NodeId id, const RecordHeader &head) {
    const DirectoryEntry entry = read_entry(store_, index_.directory(), id);
    const HeapTid first = head.tid.tid();
    row(first, entry.used() && entry.tid.tid() == first ? &entry.row : nullptr);
    chain_.clear();
    chain_rows_.clear();
    uint32_t chain = head.posting;
    for (uint32_t n = 0; n < kLooks && chain != kNoNode; n++) {
        if (read_postings(index_, id, head.generation, chain, chain_, &chain_rows_))
            break;
        chain = base_.read(id) ? base_.view().head().posting : kNoNode;
        base_.release();
    }
    for (size_t i = 0; i < chain_.size(); i++)
        row(chain_[i].tid(), &chain_rows_[i]);
}

/* Rows found at two places: between the two looks one may have gone and come back elsewhere, so
 * both places are looked at again. */
void Verifier::check_duplicates() {
    auto less = [](const PackedTid &a, const PackedTid &b) {
        return std::memcmp(a.bytes, b.bytes, sizeof(a.bytes)) < 0;
    };
    std::sort(tids_.begin(), tids_.end(), less);
    std::pmr::vector<uint64_t> doubles(context_.memory);
    for (size_t i = 1; i < tids_.size(); i++)
        if (!less(tids_[i - 1], tids_[i])) {
            uint64_t key = 0;
            for (uint8_t byte : tids_[i].bytes)
                key = key << 8 | byte;
            if (doubles.empty() || doubles.back() != key)
                doubles.push_back(key);
        }
    tids_.clear();
    tids_.shrink_to_fit();
    if (doubles.empty())
        return;
    settle(kMetaBlock, [&](Suspicions &out) {
        std::pmr::vector<Place> places(context_.memory);
        find_places(doubles, places);
        std::sort(places.begin(), places.end(),
                  [](const Place &a, const Place &b) { return a.tid < b.tid; });
        for (size_t i = 1; i < places.size(); i++)
            if (places[i].tid == places[i - 1].tid) {
                const HeapTid tid = HeapTid::from_key(places[i].tid);
                suspect(out, Severity::kError, "duplicate_tid", places[i].node,
                        "heap row (%u,%u) is also at node %u", tid.block, tid.offset,
                        places[i - 1].node);
            }
    });
}

/* Where the index holds these rows (keys in ascending order). */
void Verifier::find_places(const std::pmr::vector<uint64_t> &keys,
                           std::pmr::vector<Place> &places) {
    const IndexLayouts &layouts = index_.layouts();
    auto note = [&](HeapTid tid, NodeId node) {
        if (tid.valid() && std::binary_search(keys.begin(), keys.end(), tid.key()))
            places.push_back({tid.key(), node});
    };
    for (BlockNo block = kMetaBlock + 1; block < blocks_; block++) {
        store_.poll();
        {
            PageRef page(store_, block);
            std::memcpy(page_.data(), page.data(), kPageSize);
        }
        const PageKind kind = page_kind(page_.data());
        if (kind == PageKind::kTidList && listed_.contains(block)) {
            const auto *list = reinterpret_cast<const TidListPage *>(payload(page_.data()));
            for (uint32_t i = 0; i < std::min(list->count, TidListPage::kTids); i++)
                note(list->tids[i].tid(), kNoNode);
        }
        if (kind != PageKind::kBase)
            continue;
        const RecordLayout &layout = layouts.at(block);
        for (uint32_t slot = 0; slot < layout.per_page; slot++) {
            const auto &head =
                *reinterpret_cast<const RecordHeader *>(record_in_page(page_.data(), layout, slot));
            if (head.state != RecordState::kLive)
                continue;
            const NodeId id = layouts.id_of(block, slot);
            note(head.tid.tid(), id);
            chain_.clear();
            if (head.posting != kNoNode)
                read_postings(index_, id, head.generation, head.posting, chain_);
            for (const StoredTid &stored : chain_)
                note(stored.tid(), id);
        }
    }
}

/* Live nodes that no path from the entry point reaches: scans find them only at the very end. */
void Verifier::check_reachable() {
    Flood flood(index_, context_, true);
    for (uint32_t n = 0; n < 2; n++) {
        index_.refresh();
        flood.start(blocks_);
        flood.add(index_.meta().entry_base);
        flood.run();
        bool all = true;
        for (NodeId id = live_.next(0); id != kNoNode; id = live_.next(id + 1)) {
            if (flood.reached().contains(id))
                live_.remove(id);
            else
                all = false;
        }
        if (all)
            return;
    }
    for (NodeId id = live_.next(0); id != kNoNode; id = live_.next(id + 1)) {
        if (!base_.read(id) || base_.view().head().state != RecordState::kLive)
            continue;
        base_.release();
        sink_.report({.severity = Severity::kWarning,
                      .code = "unreachable",
                      .block = index_.layouts().block_of(id),
                      .node = id,
                      .detail = "no path from the entry point"});
    }
}

void verify(Index &index, const Context &context, FindingSink &sink) {
    Verifier(index, context, sink).run();
}

}  // namespace hnsw::core

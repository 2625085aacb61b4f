/* The finished graph as pages. */
#include "core/build_write.h"

#include <algorithm>
#include <cstring>

#include "core/build.h"
#include "core/posting.h"
#include "core/prefetch.h"
#include "core/record_io.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kFloatsPerPage = kPayloadBytes / sizeof(float);
constexpr uint32_t kFirstGeneration = 1;
constexpr uint32_t kBlocksPerRun = 64;

constexpr uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

uint32_t outside_pages(const Arena &arena, Arena::Outside which) {
    return ceil_div(arena.outside(which).count, TidListPage::kTids);
}

}  // namespace

GraphWriter::GraphWriter(Arena &arena, const Space &space, const CreateOptions &options,
                         const float *centre, PageSink &out, std::pmr::memory_resource *memory)
    : arena_(arena),
      space_(space),
      options_(options),
      centre_(centre),
      places_(options, centre != nullptr),
      directory_(places_.directory),
      out_(out),
      page_(kPageSize, memory),
      record_(places_.layouts.usual.bytes, memory),
      base_(places_.base(arena.counts().nodes)),
      upper_(places_.upper(arena.counts().nodes, arena.counts().uppers)),
      posting_page_(upper_.first + upper_.pages()) {
    outside_page_[0] = posting_page_ + ceil_div(arena_.counts().chunks, PostingChunk::per_page());
    outside_page_[1] = outside_page_[0] + outside_pages(arena_, Arena::Outside::kNull);
    pages_ = outside_page_[1] + outside_pages(arena_, Arena::Outside::kZero);
}

/* Blocks of an index that ends with the last of so many data pages. */
BlockNo GraphWriter::block_after(uint32_t data_pages) const {
    return data_pages == 0 ? kMetaBlock + 1 : directory_.data_block(data_pages - 1) + 1;
}

uint32_t GraphWriter::chunk_address(uint32_t i) const {
    constexpr uint32_t per_page = PostingChunk::per_page();
    return directory_.data_block(posting_page_ + i / per_page) * per_page + i % per_page;
}

BlockNo GraphWriter::chunk_partial() const {
    const uint32_t chunks = arena_.counts().chunks;
    return chunks % PostingChunk::per_page() != 0 ? chunk_block(chunk_address(chunks)) : kNoBlock;
}

PageList GraphWriter::list(Arena::Outside which) const {
    const uint32_t pages = outside_pages(arena_, which);
    const uint32_t first = outside_page_[static_cast<int>(which)];
    if (pages == 0)
        return {};
    return {directory_.data_block(first), directory_.data_block(first + pages - 1)};
}

NodeId GraphWriter::base_id(ArenaId id) const { return base_.id(arena_.node(id).place); }

NodeId GraphWriter::record_id(ArenaId id, uint32_t layer) const {
    return layer == 0 ? base_id(id) : upper_.id(arena_.node(id).parent + layer - 1);
}

bool GraphWriter::write_some() {
    constexpr BlockNo kFirst = kMetaBlock + 1;
    const Arena::Run run =
        arena_.take_run(Arena::Work::kWrite, kBlocksPerRun, block_after(posting_page_) - kFirst);
    if (run.begin == run.end)
        return false;
    out_.begin_run(kFirst + run.begin, kFirst + run.end);
    for (BlockNo block = kFirst + run.begin; block < kFirst + run.end; block++)
        write_shared(block);
    out_.end_run(kFirst + run.begin, kFirst + run.end);
    return true;
}

void GraphWriter::write_shared(BlockNo block) {
    if (directory_.is_directory(block)) {
        write_directory(block);
    } else {
        const uint32_t page = directory_.data_page(block);
        if (page < base_.first)
            write_centre(page);
        else if (page < upper_.first)
            write_records(base_, PageKind::kBase, page);
        else
            write_records(upper_, PageKind::kUpper, page);
    }
    out_.put(block, page_.data());
}

/* Entries of the base records in the blocks behind the page. */
void GraphWriter::write_directory(BlockNo block) {
    init_page(page_.data(), PageKind::kDirectory);
    for (uint32_t i = base_.from_page(directory_.data_page(block + 1));
         i < base_.count && directory_.page_of_node(base_.id(i)) == block; i++) {
        const ArenaId id = arena_.written(i);
        const ArenaNode &n = arena_.node(id);
        RecordHeader head{};
        head.state = RecordState::kLive;
        head.tid = n.tid;
        head.posting = n.tid_count == 0 ? kNoNode : 0;
        head.up = n.level == 0 ? kNoNode : 0;
        set_entry(page_.data(), directory_, directory_.entry_of(base_.id(i)),
                  entry_of(head, arena_.attributes(id)));
    }
}

void GraphWriter::write_centre(uint32_t page) {
    init_page(page_.data(), PageKind::kCentre);
    const uint32_t done = page * kFloatsPerPage;
    const uint32_t n = std::min(kFloatsPerPage, options_.dim - done);
    std::memcpy(payload(page_.data()), centre_ + done, n * sizeof(float));
    trailer(page_.data()).next =
        page + 1 < base_.first ? directory_.data_block(page + 1) : kNoBlock;
}

void GraphWriter::write_records(const RecordExtent &extent, PageKind kind, uint32_t page) {
    const RecordLayout &layout = extent.layouts->at(directory_.data_block(page));
    const auto encode_number = [&](uint32_t i) {
        if (kind == PageKind::kBase)
            encode_base(i);
        else
            encode_upper(i);
    };
    if (layout.parts > 1) {
        const uint32_t i = (page - extent.first) / layout.parts;
        const uint32_t part = (page - extent.first) % layout.parts;
        const NodeId id = extent.id(i);
        if (encoded_ != id)
            encode_number(i);
        write_part(layout, kind, page, part, id);
        return;
    }
    init_page(page_.data(), kind);
    const uint32_t begin = extent.from_page(page);
    const uint32_t end = std::min(begin + layout.per_page, extent.count);
    for (uint32_t i = begin; i < end; i++) {
        encode_number(i);
        std::memcpy(record_in_page(page_.data(), layout, i - begin), record_.data(), layout.bytes);
    }
    if (directory_.data_block(page) == extent.partial())
        trailer(page_.data()).next = kNoBlock; /* the only page of its free list */
}

/* Part `part` of the record in record_: the head page, or one of those behind it. */
void GraphWriter::write_part(const RecordLayout &layout, PageKind kind, uint32_t page,
                             uint32_t part, NodeId id) {
    const uint32_t in_head = head_capacity(layout.parts);
    if (part == 0) {
        init_page(page_.data(), kind);
        std::memcpy(payload(page_.data()), record_.data(), in_head);
        for (uint32_t i = 1; i < layout.parts; i++) {
            const BlockNo block = directory_.data_block(page + i);
            std::memcpy(payload(page_.data()) + in_head + (i - 1) * sizeof(BlockNo), &block,
                        sizeof(block));
        }
        return;
    }
    init_page(page_.data(), PageKind::kPart);
    const PartHeader header = {
        .owner = id, .generation = kFirstGeneration, .index = part, .unused = 0};
    std::memcpy(payload(page_.data()), &header, sizeof(header));
    const uint32_t from = in_head + (part - 1) * kPartCapacity;
    std::memcpy(payload(page_.data()) + sizeof(header), record_.data() + from,
                std::min(layout.bytes - from, kPartCapacity));
}

void GraphWriter::encode_base(uint32_t i) {
    if (i + 1 < base_.count) {
        const ArenaId soon = arena_.written(i + 1);
        __builtin_prefetch(&arena_.node(soon));
        const LinkList links = arena_.links(soon, 0);
        prefetch_lines(links.ids, links.capacity * sizeof(ArenaId));
    }
    encode(base_.layout(i), arena_.written(i), 0);
}

void GraphWriter::encode_upper(uint32_t i) {
    /* The last node whose first upper record has no higher number. */
    uint32_t place = 0;
    for (uint32_t n = arena_.counts().nodes; n > 1;) {
        const uint32_t half = n / 2;
        if (arena_.node(arena_.written(place + half)).parent <= i)
            place += half;
        n -= half;
    }
    const ArenaId id = arena_.written(place);
    encode(upper_.layout(i), id, i - arena_.node(id).parent + 1);
}

/* record_ = that layer of the node. */
void GraphWriter::encode(const RecordLayout &layout, ArenaId id, uint32_t layer) {
    const ArenaNode &n = arena_.node(id);
    const RecordImage record = {record_.data(), &layout};
    encoded_ = record_id(id, layer);
    std::memset(record.bytes, 0, layout.bytes);
    encode_record(arena_, space_, id, layer, record);
    RecordHeader &head = record.head();
    head.state = RecordState::kLive;
    head.generation = kFirstGeneration;
    head.posting = kNoNode;
    head.up = layer < n.level ? record_id(id, layer + 1) : kNoNode;
    head.down = layer == 0 ? kNoNode : record_id(id, layer - 1);
    if (layer == 0) {
        head.tid = n.tid;
        if (n.tid_count != 0)
            head.posting = chunk_address(n.chunk);
    }
    const LinkList links = arena_.links(id, layer);
    for (uint32_t i = 0; i < layout.slots; i++)
        record.ids()[i] = i < head.count
                              ? record_id(links.ids[i].load(std::memory_order_relaxed), layer)
                              : kNoNode;
}

void GraphWriter::write_rest(const SearchWidths &widths) {
    const BlockNo first = block_after(posting_page_);
    const BlockNo end = block_after(pages_);
    if (first < end) {
        written_ = posting_page_;
        out_.begin_run(first, end);
        /* A directory page in front of the first of them is behind the last of the others. */
        if (directory_.is_directory(first)) {
            write_directory(first);
            out_.put(first, page_.data());
        }
        write_postings();
        write_outside(Arena::Outside::kNull);
        write_outside(Arena::Outside::kZero);
        out_.end_run(first, end);
    }
    out_.begin_run(kMetaBlock, kMetaBlock + 1);
    write_meta(widths);
    out_.put(kMetaBlock, page_.data());
    out_.end_run(kMetaBlock, kMetaBlock + 1);
}

/* page_ is complete: it, and the directory page behind it if there is one. */
void GraphWriter::append() {
    const BlockNo block = directory_.data_block(written_);
    out_.put(block, page_.data());
    used_ = 0;
    if (++written_ < pages_ && directory_.is_directory(block + 1)) {
        write_directory(block + 1);
        out_.put(block + 1, page_.data());
    }
}

void GraphWriter::write_postings() {
    if (arena_.counts().chunks == 0)
        return;
    for (uint32_t i = 0; i < arena_.counts().nodes; i++)
        if (arena_.node(arena_.written(i)).tid_count != 0)
            write_chunks(arena_.written(i));
    if (used_ != 0) {
        trailer(page_.data()).next = kNoBlock; /* the only page of its free list */
        append();
    }
}

void GraphWriter::write_chunks(ArenaId id) {
    const uint32_t columns = options_.attributes;
    const ArenaNode &n = arena_.node(id);
    uint32_t left = n.tid_count;
    uint32_t piece = n.tids;
    while (left > 0) {
        if (used_ == 0) {
            init_page(page_.data(), PageKind::kPosting);
            for (uint32_t i = 0; i < PostingChunk::per_page(); i++)
                chunk(i)->owner = kNoNode;
        }
        PostingChunk *c = chunk(used_);
        c->owner = base_id(id);
        c->owner_generation = kFirstGeneration;
        while (left > 0 && c->count < PostingChunk::capacity(columns))
            std::memcpy(c->row(c->count++, columns), arena_.take_row(&left, &piece, columns),
                        packed_row_bytes(columns));
        chunks_written_++;
        c->next = left > 0 ? chunk_address(chunks_written_) : kNoNode;
        if (++used_ == PostingChunk::per_page())
            append();
    }
}

PostingChunk *GraphWriter::chunk(uint32_t slot) {
    return reinterpret_cast<PostingChunk *>(payload(page_.data())) + slot;
}

void GraphWriter::write_outside(Arena::Outside which) {
    const Arena::TidChain chain = arena_.outside(which);
    uint32_t left = chain.count;
    uint32_t piece = chain.newest;
    while (left > 0) {
        init_page(page_.data(), PageKind::kTidList);
        auto *list = reinterpret_cast<TidListPage *>(payload(page_.data()));
        while (left > 0 && list->count < TidListPage::kTids)
            list->tids[list->count++] = packed_tid(arena_.take_row(&left, &piece, 0));
        trailer(page_.data()).next = left > 0 ? directory_.data_block(written_ + 1) : kNoBlock;
        append();
    }
}

void GraphWriter::write_meta(const SearchWidths &widths) {
    make_empty_meta(page_.data(), options_);
    MetaPage &meta = meta_of(page_.data());
    if (centre_ != nullptr) {
        meta.centre[0] = directory_.data_block(0);
        meta.centre_is_guess = 0;
    }
    widths.store(&meta);
    const Arena::Entry entry = arena_.entry();
    if (!entry.none()) {
        meta.entry_base = base_id(entry.node);
        meta.entry_level = entry.level;
        if (entry.level > 0)
            meta.entry_upper = record_id(entry.node, entry.level);
    }
    meta.free_base = base_.partial();
    meta.free_upper = upper_.partial();
    meta.free_posting = chunk_partial();
    meta.null_rows = list(Arena::Outside::kNull);
    meta.zero_rows = list(Arena::Outside::kZero);
}

void encode_record(const Arena &arena, const Space &space, ArenaId id, uint32_t layer,
                   const RecordImage &record) {
    const ArenaNode &n = arena.node(id);
    RecordHeader &head = record.head();
    head.level = static_cast<uint8_t>(layer == 0 ? n.level : layer);
    head.scale = arena.scalars(id).scale;
    head.norm = n.norm;
    head.error = n.error;
    std::memcpy(head.hash, n.hash, sizeof(head.hash));
    std::memcpy(record.own(), arena.vector(id), record.layout->dim);
    LinkList links = arena.links(id, layer);
    const uint32_t count = links.count->load(std::memory_order_relaxed);
    head.count = static_cast<uint8_t>(std::min(count, record.layout->slots));
    if (!space.has_codes())
        return;
    constexpr uint32_t kAhead = 3;
    for (uint32_t i = 0; i < head.count; i++) {
        if (i + kAhead < head.count) {
            const ArenaId soon = links.ids[i + kAhead].load(std::memory_order_relaxed);
            prefetch_lines(&arena.node(soon), sizeof(ArenaNode) + record.layout->dim);
        }
        space.encode_edge(record, arena.sq8(links.ids[i].load(std::memory_order_relaxed)), i);
    }
}

}  // namespace hnsw::core

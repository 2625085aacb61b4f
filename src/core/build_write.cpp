/*
 * The finished graph as pages, in the order of their blocks: metapage, centre, base records, upper
 * records, posting chunks, rows outside the graph; and pages of the directory where its shape puts
 * them.  Every address follows from counts, so one walk over the nodes (BuildWorker::connect's order)
 * numbers them and the next ones only write.
 *
 * Pages other than the metapage and the directory's are "data pages", counted from 0 here;
 * DirectoryShape::data_block() gives their blocks.
 */
#include <algorithm>
#include <cstring>

#include "core/build.h"
#include "core/posting.h"
#include "core/record_io.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kFloatsPerPage = kPayloadBytes / sizeof(float);
constexpr uint32_t kFirstGeneration = 1;

constexpr uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/* Where records of a class lie: from data page `first` on. */
struct Extent {
    const RecordLayout *layout;
    const DirectoryShape *directory;
    uint32_t first;
    uint32_t count;

    uint32_t pages() const { return ceil_div(count, layout->per_page) * layout->parts; }
    NodeId id(uint32_t i) const {
        const uint32_t page = first + i / layout->per_page * layout->parts;
        return layout->id_of(directory->data_block(page), i % layout->per_page);
    }
    /* The block that has room for more, or kNoBlock. */
    BlockNo partial() const {
        bool room = layout->parts == 1 && count % layout->per_page != 0;
        return room ? directory->data_block(first + count / layout->per_page) : kNoBlock;
    }
};

class GraphWriter {
public:
    GraphWriter(const BuildWorker &worker, const Arena &arena, const Space &space,
                const CreateOptions &options, BulkWriter &out, std::pmr::memory_resource *memory)
        : arena_(arena),
          space_(space),
          options_(options),
          first_(worker.first_placed()),
          layouts_(layouts_of(options)),
          directory_(DirectoryShape::make(options.attributes, layouts_.base.per_page)),
          out_(out),
          page_(kPageSize, memory),
          record_(std::max(layouts_.base.bytes, layouts_.upper.bytes), memory) {}

    void write(const float *centre, float beam_factor) {
        plan(centre != nullptr);
        write_meta(centre != nullptr, beam_factor);
        if (centre != nullptr)
            write_centre_pages(centre);
        for (ArenaId id = first_; id != kNoArenaNode; id = arena_.node(id).next)
            write_record(base_, id, 0);
        finish_page(base_.partial());
        for (ArenaId id = first_; id != kNoArenaNode; id = arena_.node(id).next)
            for (uint32_t layer = 1; layer <= arena_.node(id).level; layer++)
                write_record(upper_, id, layer);
        finish_page(upper_.partial());
        for (ArenaId id = first_; id != kNoArenaNode; id = arena_.node(id).next)
            write_postings(id);
        finish_page(chunk_partial());
        write_outside(Arena::Outside::kNull);
        write_outside(Arena::Outside::kZero);
    }

private:
    uint32_t chunks_of(const ArenaNode &n) const {
        return ceil_div(n.tid_count, PostingChunk::capacity(options_.attributes));
    }
    uint32_t outside_pages(Arena::Outside which) const {
        return ceil_div(arena_.outside(which).count, TidListPage::kTids);
    }
    uint32_t chunk_address(uint32_t i) const {
        constexpr uint32_t per_page = PostingChunk::per_page();
        return directory_.data_block(posting_page_ + i / per_page) * per_page + i % per_page;
    }
    BlockNo chunk_partial() const {
        return chunks_ % PostingChunk::per_page() != 0 ? chunk_block(chunk_address(chunks_))
                                                       : kNoBlock;
    }

    /* Counts everything, and numbers the upper records. */
    void plan(bool has_centre) {
        uint32_t nodes = 0;
        uint32_t uppers = 0;
        for (ArenaId id = first_; id != kNoArenaNode; id = arena_.node(id).next) {
            ArenaNode &n = arena_.node(id);
            nodes++;
            n.parent = uppers;
            uppers += n.level;
            chunks_ += chunks_of(n);
        }
        uint32_t next = has_centre ? ceil_div(options_.dim, kFloatsPerPage) : 0;
        base_ = {&layouts_.base, &directory_, next, nodes};
        next += base_.pages();
        upper_ = {&layouts_.upper, &directory_, next, uppers};
        next += upper_.pages();
        posting_page_ = next;
        next += ceil_div(chunks_, PostingChunk::per_page());
        outside_page_[0] = next;
        outside_page_[1] = next + outside_pages(Arena::Outside::kNull);
        pages_ = outside_page_[1] + outside_pages(Arena::Outside::kZero);
    }

    NodeId base_id(ArenaId id) const { return base_.id(arena_.node(id).place); }
    NodeId upper_id(ArenaId id, uint32_t layer) const {
        return upper_.id(arena_.node(id).parent + layer - 1);
    }
    NodeId record_id(ArenaId id, uint32_t layer) const {
        return layer == 0 ? base_id(id) : upper_id(id, layer);
    }

    PageList list(Arena::Outside which) const {
        uint32_t pages = outside_pages(which);
        uint32_t first = outside_page_[static_cast<int>(which)];
        if (pages == 0)
            return {};
        return {directory_.data_block(first), directory_.data_block(first + pages - 1)};
    }

    void write_meta(bool has_centre, float beam_factor) {
        make_empty_meta(page_.data(), options_);
        MetaPage &meta = meta_of(page_.data());
        if (has_centre) {
            meta.centre[0] = directory_.data_block(0);
            meta.centre_is_guess = 0;
        }
        if (beam_factor != 0)
            meta.beam_factor = beam_factor;
        const Arena::Entry entry = arena_.entry();
        if (!entry.none()) {
            meta.entry_base = base_id(entry.node);
            meta.entry_level = entry.level;
            if (entry.level > 0)
                meta.entry_upper = upper_id(entry.node, entry.level);
        }
        meta.free_base = base_.partial();
        meta.free_upper = upper_.partial();
        meta.free_posting = chunk_partial();
        meta.null_rows = list(Arena::Outside::kNull);
        meta.zero_rows = list(Arena::Outside::kZero);
        out_.append(page_.data());
        if (pages_ != 0)
            write_directory(kMetaBlock + 1);
    }

    /* The block of the data page behind page_, or kNoBlock. */
    BlockNo next_block() const {
        return written_ + 1 < pages_ ? directory_.data_block(written_ + 1) : kNoBlock;
    }

    void append() {
        out_.append(page_.data());
        used_ = 0;
        const BlockNo block = directory_.data_block(written_) + 1;
        if (++written_ < pages_ && directory_.is_directory(block))
            write_directory(block);
    }

    /* The directory page `block`: entries of the base records in the blocks behind it, which are the
     * next ones in the order of writing. */
    void write_directory(BlockNo block) {
        init_page(page_.data(), PageKind::kDirectory);
        for (; entered_ < base_.count && directory_.page_of_node(base_.id(entered_)) == block;
             entered_++) {
            const ArenaId id = entered_ == 0 ? first_ : arena_.node(entered_node_).next;
            const ArenaNode &n = arena_.node(id);
            entered_node_ = id;
            RecordHeader head{};
            head.state = RecordState::kLive;
            head.tid = n.tid;
            head.posting = n.tid_count == 0 ? kNoNode : 0;
            head.up = n.level == 0 ? kNoNode : 0;
            set_entry(page_.data(), directory_, directory_.entry_of(base_.id(entered_)),
                      entry_of(head, arena_.attributes(id)));
        }
        out_.append(page_.data());
    }

    void write_centre_pages(const float *centre) {
        for (uint32_t done = 0; done < options_.dim;) {
            init_page(page_.data(), PageKind::kCentre);
            uint32_t n = std::min(kFloatsPerPage, options_.dim - done);
            std::memcpy(payload(page_.data()), centre + done, n * sizeof(float));
            done += n;
            trailer(page_.data()).next = done < options_.dim ? next_block() : kNoBlock;
            append();
        }
    }

    void write_record(const Extent &extent, ArenaId id, uint32_t layer) {
        const RecordLayout &layout = *extent.layout;
        const ArenaNode &n = arena_.node(id);
        RecordImage record = {record_.data(), &layout};
        std::memset(record.bytes, 0, layout.bytes);
        encode_record(arena_, space_, id, layer, record);
        RecordHeader &head = record.head();
        head.state = RecordState::kLive;
        head.generation = kFirstGeneration;
        head.posting = kNoNode;
        head.up = layer < n.level ? upper_id(id, layer + 1) : kNoNode;
        head.down = layer == 0 ? kNoNode : record_id(id, layer - 1);
        if (layer == 0) {
            head.tid = n.tid;
            if (n.tid_count != 0) {
                head.posting = chunk_address(chunks_named_);
                chunks_named_ += chunks_of(n);
            }
        }
        LinkList links = arena_.links(id, layer);
        for (uint32_t i = 0; i < layout.slots; i++)
            record.ids()[i] = i < head.count
                                  ? record_id(links.ids[i].load(std::memory_order_relaxed), layer)
                                  : kNoNode;
        put_record(layout, layer == 0 ? PageKind::kBase : PageKind::kUpper, record_id(id, layer));
    }

    void put_record(const RecordLayout &layout, PageKind kind, NodeId id) {
        if (layout.parts > 1) {
            put_spanning(layout, kind, id);
            return;
        }
        if (used_ == 0)
            init_page(page_.data(), kind);
        std::memcpy(record_in_page(page_.data(), layout, used_), record_.data(), layout.bytes);
        if (++used_ == layout.per_page)
            append();
    }

    /* A head page and, right behind it, its parts. */
    void put_spanning(const RecordLayout &layout, PageKind kind, NodeId id) {
        const std::byte *from = record_.data();
        uint32_t left = layout.bytes;
        init_page(page_.data(), kind);
        uint32_t n = head_capacity(layout.parts);
        std::memcpy(payload(page_.data()), from, n);
        for (uint32_t part = 1; part < layout.parts; part++) {
            BlockNo block = directory_.data_block(written_ + part);
            std::memcpy(payload(page_.data()) + n + (part - 1) * sizeof(BlockNo), &block,
                        sizeof(block));
        }
        append();
        for (uint32_t part = 1; part < layout.parts; part++) {
            from += n;
            left -= n;
            n = std::min(left, kPartCapacity);
            init_page(page_.data(), PageKind::kPart);
            PartHeader header = {
                .owner = id, .generation = kFirstGeneration, .index = part, .unused = 0};
            std::memcpy(payload(page_.data()), &header, sizeof(header));
            std::memcpy(payload(page_.data()) + sizeof(header), from, n);
            append();
        }
    }

    /* Ends the last page of a kind. `listed` is its block if it has room: then it is the only
     * page of its free list. */
    void finish_page(BlockNo listed) {
        if (used_ == 0)
            return;
        if (listed != kNoBlock)
            trailer(page_.data()).next = kNoBlock;
        append();
    }

    void write_postings(ArenaId id) {
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

    PostingChunk *chunk(uint32_t slot) {
        return reinterpret_cast<PostingChunk *>(payload(page_.data())) + slot;
    }

    void write_outside(Arena::Outside which) {
        Arena::TidChain chain = arena_.outside(which);
        uint32_t left = chain.count;
        uint32_t piece = chain.newest;
        while (left > 0) {
            init_page(page_.data(), PageKind::kTidList);
            auto *list = reinterpret_cast<TidListPage *>(payload(page_.data()));
            while (left > 0 && list->count < TidListPage::kTids)
                list->tids[list->count++] = packed_tid(arena_.take_row(&left, &piece, 0));
            trailer(page_.data()).next = left > 0 ? next_block() : kNoBlock;
            append();
        }
    }

    const Arena &arena_;
    const Space &space_;
    const CreateOptions &options_;
    const ArenaId first_;
    const IndexLayouts layouts_;
    const DirectoryShape directory_;
    BulkWriter &out_;
    std::pmr::vector<std::byte> page_;
    std::pmr::vector<std::byte> record_;
    Extent base_{};
    Extent upper_{};
    uint32_t chunks_ = 0;
    uint32_t posting_page_ = 0; /* data pages */
    uint32_t outside_page_[2] = {};
    uint32_t pages_ = 0;
    uint32_t chunks_named_ = 0; /* by records written */
    uint32_t chunks_written_ = 0;
    uint32_t entered_ = 0; /* base records in directory pages written */
    ArenaId entered_node_ = kNoArenaNode;
    uint32_t written_ = 0; /* data pages; page_ is the next */
    uint32_t used_ = 0;    /* slots of page_ */
};

}  // namespace

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
            const auto *bytes = reinterpret_cast<const std::byte *>(&arena.node(soon));
            for (uint32_t at = 0; at < sizeof(ArenaNode) + record.layout->dim; at += 64)
                __builtin_prefetch(bytes + at);
        }
        space.encode_edge(record, arena.sq8(links.ids[i].load(std::memory_order_relaxed)), i);
    }
}

void write_graph(const BuildWorker &worker, const Arena &arena, const Space &space,
                 const CreateOptions &options, const float *centre, float beam_factor,
                 BulkWriter &writer, std::pmr::memory_resource *memory) {
    GraphWriter(worker, arena, space, options, writer, memory).write(centre, beam_factor);
}

}  // namespace hnsw::core

/* Building region after region. build_regions.h says how they come together. */
#include "core/build_regions.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/build_write.h"
#include "core/insert.h"
#include "core/neighbours.h"
#include "core/posting.h"
#include "core/repair.h"

namespace hnsw::core {

namespace {

/* Share of the arena that an average region fills: room for uneven ones. */
constexpr double kFill = 0.9;

/* Share of the arena that home rows may take: copies, which join the regions, need the rest. */
constexpr double kHomes = 0.85;

/* Copies of a row, on average: the more regions, the more of them its neighbours lie in. At least, and for
 * each doubling of two regions (docs/performance.md has what others cost and give). */
constexpr double kLeastCopied = 0.3;
constexpr double kCopiedPerDoubling = 0.3;

/* Of the rows far from every border one in so many is copied into any other region: where nothing lies
 * near a border, nothing else would lead from one region to the next. */
constexpr uint32_t kBridges = 32;

/* Smaller graphs are not worth merging. */
constexpr double kFewestNodes = 256;

/* What a spool may keep in memory; when all may take this share of the budget, more regions would leave the
 * arena too little. */
constexpr size_t kSpoolBytes = size_t{10} << 10;
constexpr double kMostSpools = 1.0 / 8;

/* Rows of a batch take this share of the budget, and not more than so many bytes: at the end of each the
 * crew waits for the slowest row. */
constexpr size_t kBatchShare = 64;
constexpr size_t kMostBatchBytes = size_t{1} << 20;

constexpr uint32_t kRowsPerPoll = 64;

double spool_bytes(double regions) { return 2 * regions * kSpoolBytes; }

double copies_of_row(double regions, size_t budget) {
    if (spool_bytes(regions) > kMostSpools * static_cast<double>(budget))
        return kLeastCopied;
    return std::max(kLeastCopied, kCopiedPerDoubling * (std::log2(regions) - 1));
}

size_t board_bytes(const CreateOptions &options, size_t budget) {
    return CrewBoard::bytes(options, std::min(budget / kBatchShare, kMostBatchBytes));
}

/* The arena's bytes, of `budget`, when the build has so many rows and regions and such a crew. */
size_t arena_bytes(const CreateOptions &options, size_t budget, double rows, double regions,
                   uint32_t crew) {
    const double other = rows * sizeof(uint32_t) + spool_bytes(regions) +
                         static_cast<double>(board_bytes(options, budget));
    const double left = std::max(0.0, static_cast<double>(budget) - other);
    return arena_bytes_within(options, static_cast<size_t>(left), crew);
}

}  // namespace

RegionPlan plan_regions(const CreateOptions &options, double rows, size_t budget, uint32_t crew) {
    if (options.metric == Metric::kL1)
        return {}; /* without codes lists cannot be merged */
    /* When their spools take half the memory further regions have room for fewer rows in all. */
    const auto all = static_cast<double>(arena_bytes(options, budget, rows, 0, crew));
    const double most = std::floor(all / 2 / spool_bytes(1));
    const auto per_row = static_cast<double>(arena_bytes_per_row(options));
    if (most * all / 2 / per_row < rows / 2)
        return {}; /* most rows would be inserted one by one */
    double regions = 1;
    double copied = 0;
    for (int i = 0; i < 3; i++) {
        copied = copies_of_row(regions, budget);
        const size_t arena = arena_bytes(options, budget, rows, regions, crew);
        const double nodes = static_cast<double>(arena) / per_row;
        if (nodes < kFewestNodes || arena > budget)
            return {};
        regions = std::min(std::ceil(rows * (1 + copied) / (kFill * nodes)), most);
    }
    return {static_cast<uint32_t>(regions), copied};
}

void create_index_with_centre(PageStore &store, const CreateOptions &options, const float *centre,
                              std::pmr::memory_resource *memory) {
    create_empty_index(store, options);
    if (centre == nullptr)
        return;
    const Index index(store, memory);
    const BlockNo block = write_centre(index, centre);
    PageTxn txn(store);
    MetaPage &meta = meta_of(txn.modify(kMetaBlock));
    meta.centre[0] = block;
    meta.centre_is_guess = 0;
    txn.commit();
}

RegionBuild::RegionBuild(Index &index, const Context &context, const CreateOptions &options,
                         const Regions &regions, SpoolSource &spools, Crew &crew, size_t budget,
                         Poll poll)
    : index_(index),
      context_(context),
      options_(options),
      regions_(regions),
      spools_(spools),
      crew_(crew),
      budget_(budget),
      poll_(poll),
      query_(context.memory),
      copy_to_(context.memory),
      packed_(packed_row_bytes(options.attributes)),
      packed_row_(packed_, context.memory),
      region_(regions.count(), context.memory),
      table_(context.memory),
      copy_(index.layouts().usual.bytes, context.memory),
      own_(index.layouts().usual.bytes, context.memory),
      lengths_(context.memory),
      sorted_(context.memory),
      order_(context.memory),
      chosen_(context.memory),
      angles_(index.space().bits(), context.memory),
      edit_(index.store(), index.layouts(), RecordClass::kBase, context.memory) {
    for (Region &region : region_) {
        region.homes = spools_.create();
        region.copies = spools_.create();
    }
    lists_ = spools_.create();
    left_over_ = spools_.create();
}

/* Returns the home of the row in query_; copy_to_ receives the other regions. */
uint32_t RegionBuild::find_place() {
    const uint32_t home = regions_.find(query_.value.data(), &copy_to_);
    uint32_t chance; /* bits of the hash that neither level_of() nor the arena uses */
    std::memcpy(&chance, query_.hash + 12, sizeof(chance));
    const uint32_t others = regions_.count() - 1;
    if (copy_to_.empty() && others != 0 && chance % kBridges == 0)
        copy_to_.push_back((home + 1 + chance / kBridges % others) % regions_.count());
    return home;
}

void RegionBuild::add(const float *value, HeapTid tid, const Attributes &row) {
    if (value == nullptr) {
        add_to_tid_list(index_, false, tid);
        return;
    }
    index_.space().prepare(value, &query_);
    if (query_.zero) {
        add_to_tid_list(index_, true, tid);
        return;
    }
    index_.space().identify(&query_);
    const uint32_t place = find_place();
    Region &home = region_[place];
    const size_t bytes = options_.dim * sizeof(float);
    const CopyHead head = {place, home.rows};
    for (uint32_t to : copy_to_) {
        region_[to].copies->write(&head, sizeof(head));
        region_[to].copies->write(value, bytes);
    }
    pack_row(packed_row_.data(), StoredTid::from(tid), row, options_.attributes);
    home.homes->write(packed_row_.data(), packed_);
    home.homes->write(value, bytes);
    home.rows++;
}

void RegionBuild::finish() {
    uint32_t rows = 0;
    for (Region &region : region_) {
        region.start = rows;
        rows += region.rows;
    }
    table_.assign(rows, kNoNode);
    build_regions();
    set_meta();
    resolve();
    merge_copies();
    add_towers();
    link_unreached_nodes();
    insert_left_over();
}

void RegionBuild::build_regions() {
    const size_t board = board_bytes(options_, budget_);
    const size_t arena = arena_bytes(options_, budget_, static_cast<double>(table_.size()),
                                     static_cast<double>(region_.size()), crew_.most());
    board_ = CrewBoard::format(crew_.gather(board + arena), options_, board);
    {
        CrewMember member(board_, index_.space(), options_, poll_, context_.memory);
        for (Region &region : region_)
            build_region(region, arena, member);
    }
    crew_.dismiss();
    board_ = nullptr;
}

void RegionBuild::build_region(Region &region, size_t arena_bytes, CrewMember &member) {
    if (region.rows != 0) {
        Arena::format(board_->arena(), arena_bytes, arena_shape(options_));
        board_->begin_graph();
        add_homes(region, static_cast<size_t>(kHomes * static_cast<double>(arena_bytes)), member);
        add_copies(region, member);
        run(CrewTask::kTrim, member);
        member.connect();
        const Arena arena(board_->arena());
        if (widths_.beam_factor == 0)
            widths_ = measure_widths(arena, index_.space(), options_, 0, poll_, context_.memory);
        write_region(region, arena);
    }
    spools_.destroy(region.homes);
    spools_.destroy(region.copies);
}

void RegionBuild::run(CrewTask task, CrewMember &member) {
    poll_();
    board_->begin(task);
    crew_.begin_round();
    member.take_part();
    crew_.end_round();
}

void RegionBuild::add_homes(Region &region, size_t most, CrewMember &member) {
    const size_t bytes = options_.dim * sizeof(float);
    region.homes->rewind();
    for (uint32_t row = 0; row < region.rows;) {
        board_->begin_batch(most);
        for (; !board_->full() && row < region.rows; row++) {
            region.homes->read(board_->packed(board_->rows()), packed_);
            region.homes->read(board_->value(board_->rows()), bytes);
            board_->add_row();
        }
        run(CrewTask::kAddHomes, member);
        const uint32_t first = region.start + row - board_->rows();
        for (uint32_t i = 0; i < board_->rows(); i++) {
            table_[first + i] = board_->node(i);
            if (board_->node(i) != kNoArenaNode)
                continue;
            left_over_->write(board_->packed(i), packed_);
            left_over_->write(board_->value(i), bytes);
            left_over_rows_++;
        }
    }
}

/* A copy's node has the number of its row in place of a heap row. Those that find no room are left out. */
void RegionBuild::add_copies(Region &region, CrewMember &member) {
    region.copies->rewind();
    CopyHead head;
    bool more = region.copies->read(&head, sizeof(head));
    while (more) {
        board_->begin_batch(std::numeric_limits<size_t>::max());
        for (; more && !board_->full(); more = region.copies->read(&head, sizeof(head))) {
            const uint32_t i = board_->rows();
            const HeapTid number = {region_[head.home].start + head.row, 1};
            pack_row(board_->packed(i), StoredTid::from(number), {}, options_.attributes);
            region.copies->read(board_->value(i), options_.dim * sizeof(float));
            board_->add_row();
        }
        run(CrewTask::kAddCopies, member);
    }
}

/* Writes the home nodes and lays the lists of the copies aside. */
void RegionBuild::write_region(const Region &region, const Arena &arena) {
    const RecordLayout &layout = index_.layouts().usual;
    const ArenaId nodes = arena.node_count();
    ArenaId homes = 0;
    for (uint32_t row = region.start; row < region.start + region.rows; row++) {
        if (table_[row] == kNoArenaNode)
            continue;
        arena.node(table_[row]).parent = row;
        homes = std::max(homes, table_[row] + 1);
    }
    for (ArenaId id = homes; id < nodes; id++)
        arena.node(id).parent = arena.node(id).tid.tid().block;
    const RecordImage record = {copy_.data(), &layout};
    for (uint32_t place = 0; place < arena.counts().nodes; place++) {
        if (place % kRowsPerPoll == 0)
            poll_();
        const ArenaId id = arena.written(place);
        std::memset(record.bytes, 0, layout.bytes);
        encode_record(arena, index_.space(), id, 0, record);
        const LinkList links = arena.links(id, 0);
        for (uint32_t i = 0; i < layout.slots; i++)
            record.ids()[i] = i < record.head().count
                                  ? arena.node(links.ids[i].load(std::memory_order_relaxed)).parent
                                  : kNoNode;
        if (id < homes) {
            arena.node(id).place = write_home(arena, id, record);
        } else {
            lists_->write(&arena.node(id).parent, sizeof(uint32_t));
            lists_->write(record.bytes, layout.bytes);
        }
    }
    for (uint32_t row = region.start; row < region.start + region.rows; row++)
        if (table_[row] != kNoArenaNode)
            table_[row] = arena.node(table_[row]).place;
}

NodeId RegionBuild::write_home(const Arena &arena, ArenaId id, const RecordImage &record) {
    const ArenaNode &n = arena.node(id);
    NewRecord fresh(index_, RecordClass::kBase, context_.memory);
    fresh.open();
    RecordHeader head = record.head();
    head.state = RecordState::kLive;
    head.generation = fresh.image().head().generation;
    head.tid = n.tid;
    head.posting = kNoNode;
    head.up = kNoNode;
    head.down = kNoNode;
    const RecordImage &image = fresh.image();
    const bool dense = image.layout->slots < record.layout->slots;
    std::memcpy(image.bytes, record.bytes, dense ? record.layout->id_offset : record.layout->bytes);
    image.head() = head;
    if (dense)
        choose_links(record.view(), nullptr, image);
    fresh.commit(arena.attributes(id));
    if (n.tid_count != 0)
        write_further_rows(arena, id, fresh.id());
    if (first_node_ == kNoNode)
        first_node_ = fresh.id();
    return fresh.id();
}

void RegionBuild::write_further_rows(const Arena &arena, ArenaId id, NodeId node) {
    const uint32_t columns = options_.attributes;
    uint32_t left = arena.node(id).tid_count;
    uint32_t piece = arena.node(id).tids;
    while (left > 0) {
        const std::byte *row = arena.take_row(&left, &piece, columns);
        if (edit_.open(node))
            add_posting(index_, edit_, node, packed_tid(row).tid(),
                        packed_attributes(row, columns));
        if (left % kRowsPerPoll == 0)
            poll_();
    }
}

template <class Work>
void RegionBuild::for_each_base(Work &&work) {
    const IndexLayouts &layouts = index_.layouts();
    const BlockNo blocks = index_.store().size();
    for (BlockNo block = kMetaBlock + 1; block < blocks; block++) {
        poll_();
        for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++)
            if (edit_.open(layouts.id_of(block, slot)))
                work(layouts.id_of(block, slot));
    }
}

/* Row numbers in links become node ids; links to rows without a node go. */
void RegionBuild::resolve() {
    for_each_base([&](NodeId) {
        RecordImage record = edit_.image();
        uint32_t kept = 0;
        for (uint32_t i = 0; i < record.view().count(); i++) {
            const NodeId to = table_[record.ids()[i]];
            if (to == kNoNode)
                continue;
            if (kept != i)
                copy_slot(record, kept, record.view(), i);
            record.ids()[kept++] = to;
        }
        std::fill(record.ids() + kept, record.ids() + record.layout->slots, kNoNode);
        record.head().count = static_cast<uint8_t>(kept);
        edit_.commit();
    });
}

void RegionBuild::merge_copies() {
    uint32_t row;
    lists_->rewind();
    for (uint32_t i = 0; lists_->read(&row, sizeof(row)); i++) {
        lists_->read(copy_.data(), copy_.size());
        if (table_[row] != kNoNode)
            merge(table_[row]);
        if (i % kRowsPerPoll == 0)
            poll_();
    }
    spools_.destroy(lists_);
}

/* Chooses the node's links from those it has and those of the copy in copy_. */
void RegionBuild::merge(NodeId node) {
    if (!edit_.open(node))
        return;
    const RecordLayout &layout = *edit_.view().layout;
    std::memcpy(own_.data(), edit_.view().bytes, layout.bytes);
    const RecordView own = {own_.data(), &layout};
    const RecordImage copy = {copy_.data(), &index_.layouts().usual};
    const NodeId *end = own.ids() + own.count();
    for (uint32_t i = 0; i < copy.view().count(); i++) {
        const NodeId to = table_[copy.ids()[i]];
        copy.ids()[i] = std::find(own.ids(), end, to) == end ? to : kNoNode;
    }
    const RecordView other = copy.view();
    choose_links(own, &other, edit_.image());
    edit_.commit();
}

/* Makes the best links of one or two records those of `to`, judged from their codes; links of `copy` to
 * kNoNode do not count. */
void RegionBuild::choose_links(const RecordView &own, const RecordView *copy,
                               const RecordImage &to) {
    const uint32_t first = own.count();
    const uint32_t more = copy != nullptr ? copy->count() : 0;
    lengths_.resize(first + more);
    index_.space().edge_lengths(own, lengths_.data());
    if (copy != nullptr)
        index_.space().edge_lengths(*copy, &lengths_[first]);
    order_.clear();
    for (uint32_t i = 0; i < first + more; i++)
        if (i < first || copy->ids()[i - first] != kNoNode)
            order_.push_back(i);
    std::sort(order_.begin(), order_.end(),
              [&](uint32_t a, uint32_t b) { return lengths_[a] < lengths_[b]; });
    sorted_.clear();
    for (uint32_t at : order_)
        sorted_.push_back(lengths_[at]);
    const auto view_of = [&](uint32_t at) { return at < first ? own : *copy; };
    const auto slot_of = [&](uint32_t at) { return at < first ? at : at - first; };
    const auto code = [&](uint32_t i) { return view_of(order_[i]).code(slot_of(order_[i])); };
    select_neighbours(
        index_.space().metric(), sorted_.data(), static_cast<uint32_t>(sorted_.size()),
        to.layout->slots,
        [&](uint32_t i, uint32_t j) {
            return angles_.between(sorted_[i], code(i), sorted_[j], code(j));
        },
        chosen_);
    uint32_t slot = 0;
    for (uint32_t i : chosen_) {
        const uint32_t at = order_[i];
        copy_slot(to, slot++, view_of(at), slot_of(at));
    }
    to.head().count = static_cast<uint8_t>(slot);
}

void RegionBuild::set_meta() {
    PageTxn txn(index_.store());
    MetaPage &meta = meta_of(txn.modify(kMetaBlock));
    meta.entry_base = first_node_;
    widths_.store(&meta);
    txn.commit();
    index_.refresh();
}

void RegionBuild::add_towers() {
    if (index_.store().size() < 2)
        return;
    const IndexLayouts &layouts = index_.layouts();
    Inserter inserter(index_, context_, options_.ef_construction);
    RecordRef record(index_.store(), layouts, RecordClass::kBase, context_.memory);
    /* In mixed order: were one region's nodes added after the other's, the links between regions would
     * be few. */
    const BlockNo blocks = index_.store().size() - 1;
    uint64_t step = static_cast<uint64_t>(blocks * 0.6180339887498949) + 1;
    while (std::gcd(step, uint64_t{blocks}) != 1)
        step++;
    for (uint64_t i = 0; i < blocks; i++) {
        poll_();
        const auto block = static_cast<BlockNo>(kMetaBlock + 1 + i * step % blocks);
        for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
            const NodeId id = layouts.id_of(block, slot);
            const bool tall = record.read(id) && record.view().head().level > 0;
            record.release();
            if (tall)
                inserter.add_tower(id);
        }
    }
}

void RegionBuild::link_unreached_nodes() {
    index_.refresh();
    const AddressSet unknown(context_.memory);
    link_unreached(index_, context_, unknown, unknown);
}

void RegionBuild::insert_left_over() {
    Inserter inserter(index_, context_, options_.ef_construction);
    std::pmr::vector<float> value(options_.dim, context_.memory);
    left_over_->rewind();
    for (uint64_t i = 0; i < left_over_rows_; i++) {
        left_over_->read(packed_row_.data(), packed_);
        left_over_->read(value.data(), value.size() * sizeof(float));
        inserter.insert(value.data(), packed_tid(packed_row_.data()).tid(),
                        packed_attributes(packed_row_.data(), options_.attributes));
    }
    spools_.destroy(left_over_);
}

}  // namespace hnsw::core

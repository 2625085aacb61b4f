/* The build's block of memory: layout, allocation, the table of hashes, lists of TIDs. */
#include "core/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/round_up.h"

namespace hnsw::core {

namespace {

constexpr size_t kLine = 64;
constexpr size_t kUnit = 16; /* pieces from the back are counted in these */

/* Room beyond the record's slots lets a full list be pruned once per many new links instead of
 * once per link; a quarter more, and what is left of the last cache line. */
uint32_t base_capacity(const ArenaShape &shape) {
    size_t ids = shape.base_slots + shape.base_slots / 4;
    return static_cast<uint32_t>(round_up(ids * sizeof(ArenaId), kLine) / sizeof(ArenaId));
}

/* Units of one upper layer's links: a count and the ids. */
uint32_t upper_units(const ArenaShape &shape) {
    return static_cast<uint32_t>(round_up((1 + shape.upper_slots) * sizeof(ArenaId), kUnit) /
                                 kUnit);
}

/* Null bits and keys of a node's first row, behind its links. */
uint32_t attribute_bytes(const ArenaShape &shape) {
    return shape.attributes == 0
               ? 0
               : static_cast<uint32_t>(round_up(8 + size_t{8} * shape.attributes, kLine));
}

constexpr uint32_t norms_bytes(const ArenaShape &shape) {
    return shape.norms ? sizeof(ArenaNorms) : 0;
}

constexpr uint64_t kNoEntry = UINT64_MAX;

/* A walk touches hundreds of nodes all over the arena: with pages of 4 kB most of them miss the
 * processor's table of pages. Merely a wish. */
void ask_for_huge_pages([[maybe_unused]] void *memory, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
    constexpr uintptr_t kHuge = uintptr_t{2} << 20;
    const uintptr_t begin = round_up(reinterpret_cast<uintptr_t>(memory), kHuge);
    const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / kHuge * kHuge;
    if (begin < end)
        (void)madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

void NodeLock::wait() {
    for (uint32_t tries = 1; lock_.exchange(1, std::memory_order_acquire) != 0; tries++) {
        /* The holder computes for microseconds; if it takes longer it is not running. */
        for (int i = 0; i < 64 && lock_.load(std::memory_order_relaxed) != 0; i++) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        if (tries > 256)
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        else if (tries > 16)
            std::this_thread::yield();
    }
}

uint32_t Arena::node_bytes(const ArenaShape &shape) {
    return static_cast<uint32_t>(sizeof(ArenaNode) + round_up(shape.dim, kLine) +
                                 base_capacity(shape) * sizeof(ArenaId) + attribute_bytes(shape));
}

uint32_t Arena::aside_bytes(const ArenaShape &shape) {
    return static_cast<uint32_t>(sizeof(uint32_t) + sizeof(ArenaScalars)) + norms_bytes(shape);
}

size_t Arena::min_bytes(const ArenaShape &shape) {
    return round_up(sizeof(Head), kLine) + 64 * kLine + 64 * size_t{node_bytes(shape)};
}

void Arena::format(void *memory, size_t bytes, const ArenaShape &shape) {
    ask_for_huge_pages(memory, bytes);
    auto *base = static_cast<std::byte *>(memory);
    Head *head = new (base) Head{};
    head->shape = shape;
    head->bytes = bytes;
    head->buckets_offset = round_up(sizeof(Head), kLine);
    const size_t per_node = node_bytes(shape) + aside_bytes(shape);
    const size_t most = std::min<size_t>((bytes - head->buckets_offset) / per_node, 0x7FFFFFF0u);
    const uint32_t buckets = std::bit_floor(static_cast<uint32_t>(most));
    head->bucket_mask = buckets - 1;
    head->scalars_offset =
        round_up(head->buckets_offset + size_t{buckets} * sizeof(uint32_t), kLine);
    head->norms_offset = head->scalars_offset + most * sizeof(ArenaScalars);
    head->nodes_offset = round_up(head->norms_offset + most * norms_bytes(shape), kLine);
    head->max_nodes =
        static_cast<uint32_t>(std::min(most, (bytes - head->nodes_offset) / node_bytes(shape)));
    head->entry.store(kNoEntry, std::memory_order_relaxed);
    auto *bucket = reinterpret_cast<std::atomic<uint32_t> *>(base + head->buckets_offset);
    for (uint32_t i = 0; i < buckets; i++)
        new (&bucket[i]) std::atomic<uint32_t>(kNoArenaNode);
}

Arena::Arena(void *memory) : base_(static_cast<std::byte *>(memory)) {
    const Head &h = head();
    nodes_ = base_ + h.nodes_offset;
    scalars_ = reinterpret_cast<ArenaScalars *>(base_ + h.scalars_offset);
    norms_ = reinterpret_cast<ArenaNorms *>(base_ + h.norms_offset);
    node_bytes_ = node_bytes(h.shape);
    ids_offset_ = static_cast<uint32_t>(sizeof(ArenaNode) + round_up(h.shape.dim, kLine));
    base_capacity_ = base_capacity(h.shape);
    attributes_offset_ = node_bytes_ - attribute_bytes(h.shape);
    upper_units_ = upper_units(h.shape);
}

size_t Arena::used_bytes() const {
    uint64_t cursor = head().cursor.load(std::memory_order_relaxed);
    return head().nodes_offset + (cursor & 0xFFFFFFFFu) * node_bytes_ + (cursor >> 32) * kUnit;
}

size_t Arena::free_bytes() const {
    const size_t used = used_bytes();
    return head().bytes > used ? head().bytes - used : 0;
}

std::byte *Arena::piece_at(uint32_t piece) const {
    return base_ + head().bytes / kUnit * kUnit - size_t{piece} * kUnit;
}

bool Arena::take(uint32_t nodes, uint32_t units, ArenaId *first, uint32_t *piece) {
    Head &h = head();
    uint64_t old = h.cursor.load(std::memory_order_relaxed);
    for (;;) {
        uint64_t new_nodes = (old & 0xFFFFFFFFu) + nodes;
        uint64_t new_units = (old >> 32) + units;
        if (new_nodes > h.max_nodes || new_units > UINT32_MAX ||
            h.nodes_offset + new_nodes * node_bytes_ + (new_units + 1) * kUnit > h.bytes) {
            set_full();
            return false;
        }
        if (h.cursor.compare_exchange_weak(old, new_units << 32 | new_nodes,
                                           std::memory_order_acq_rel)) {
            *first = static_cast<ArenaId>(old);
            *piece = static_cast<uint32_t>(new_units);
            return true;
        }
    }
}

ArenaId Arena::new_node(uint32_t level) {
    ArenaId id;
    uint32_t piece;
    if (!take(1, level * upper_units_, &id, &piece))
        return kNoArenaNode;
    ArenaNode *n = new (&node(id)) ArenaNode{};
    n->level = static_cast<uint8_t>(level);
    n->upper = piece;
    n->parent = kNoArenaNode;
    for (uint32_t layer = 0; layer <= level; layer++) {
        if (layer > 0) {
            std::byte *at = piece_at(piece) + size_t{layer - 1} * upper_units_ * kUnit;
            new (at) std::atomic<uint16_t>(0);
        }
        LinkList list = links(id, layer);
        for (uint32_t i = 0; i < list.capacity; i++)
            new (&list.ids[i]) std::atomic<ArenaId>(kNoArenaNode);
    }
    return id;
}

LinkList Arena::links(ArenaId id, uint32_t layer) const {
    ArenaNode &n = node(id);
    if (layer == 0)
        return {&n.count,
                reinterpret_cast<std::atomic<ArenaId> *>(reinterpret_cast<std::byte *>(&n) +
                                                         ids_offset_),
                base_capacity_};
    std::byte *at = piece_at(n.upper) + size_t{layer - 1} * upper_units_ * kUnit;
    return {reinterpret_cast<std::atomic<uint16_t> *>(at),
            reinterpret_cast<std::atomic<ArenaId> *>(at + sizeof(ArenaId)),
            head().shape.upper_slots};
}

std::atomic<uint32_t> &Arena::bucket(const uint8_t hash[16]) const {
    uint32_t word;
    std::memcpy(&word, hash + 8, sizeof(word));
    auto *buckets = reinterpret_cast<std::atomic<uint32_t> *>(base_ + head().buckets_offset);
    return buckets[word & head().bucket_mask];
}

ArenaId Arena::find(const uint8_t hash[16]) const {
    ArenaId id = bucket(hash).load(std::memory_order_acquire);
    while (id != kNoArenaNode && std::memcmp(node(id).hash, hash, 16) != 0)
        id = node(id).next;
    return id;
}

ArenaId Arena::publish(ArenaId id) {
    ArenaNode &n = node(id);
    std::atomic<uint32_t> &slot = bucket(n.hash);
    uint32_t first = slot.load(std::memory_order_acquire);
    do {
        for (ArenaId twin = first; twin != kNoArenaNode; twin = node(twin).next)
            if (std::memcmp(node(twin).hash, n.hash, 16) == 0)
                return twin;
        n.next = first;
    } while (!slot.compare_exchange_weak(first, id, std::memory_order_acq_rel,
                                         std::memory_order_acquire));
    return id;
}

Attributes Arena::attributes(ArenaId id) const {
    Attributes row;
    if (shape().attributes == 0)
        return row;
    const std::byte *at = nodes_ + size_t{id} * node_bytes_ + attributes_offset_;
    std::memcpy(&row.nulls, at, sizeof(row.nulls));
    std::memcpy(row.key, at + 8, size_t{8} * shape().attributes);
    return row;
}

void Arena::set_attributes(ArenaId id, const Attributes &row) {
    if (shape().attributes == 0)
        return;
    std::byte *at = nodes_ + size_t{id} * node_bytes_ + attributes_offset_;
    std::memcpy(at, &row.nulls, sizeof(row.nulls));
    std::memcpy(at + 8, row.key, size_t{8} * shape().attributes);
}

bool Arena::append_row(uint32_t *count, uint32_t *newest, HeapTid tid, const Attributes &row,
                       uint32_t attributes) {
    const uint32_t in_piece = *count % RowPiece::rows(attributes);
    if (in_piece == 0) {
        ArenaId unused;
        uint32_t piece;
        const auto units =
            static_cast<uint32_t>(round_up(RowPiece::bytes(attributes), kUnit) / kUnit);
        if (!take(0, units, &unused, &piece))
            return false;
        new (piece_at(piece)) RowPiece{*newest};
        *newest = piece;
    }
    auto *piece = reinterpret_cast<RowPiece *>(piece_at(*newest));
    pack_row(piece->row(in_piece, attributes), StoredTid::from(tid), row, attributes);
    ++*count;
    return true;
}

bool Arena::add_tid(ArenaId id, HeapTid tid, const Attributes &row) {
    ArenaNode &n = node(id);
    NodeLock lock(n.lock);
    return append_row(&n.tid_count, &n.tids, tid, row, shape().attributes);
}

bool Arena::add_outside(Outside which, HeapTid tid) {
    TidList &list = head().outside[static_cast<int>(which)];
    NodeLock lock(list.lock);
    return append_row(&list.count, &list.newest, tid, {}, 0);
}

Arena::TidChain Arena::outside(Outside which) const {
    const TidList &list = head().outside[static_cast<int>(which)];
    return {list.count, list.newest};
}

Arena::Entry Arena::entry() const {
    uint64_t packed = head().entry.load(std::memory_order_acquire);
    if (packed == kNoEntry)
        return {};
    return {static_cast<ArenaId>(packed), static_cast<uint32_t>(packed >> 32)};
}

bool Arena::start_entry(Entry first) {
    uint64_t packed = uint64_t{first.level} << 32 | first.node;
    uint64_t none = kNoEntry;
    return head().entry.compare_exchange_strong(none, packed, std::memory_order_acq_rel);
}

void Arena::offer_entry(Entry candidate) {
    uint64_t packed = uint64_t{candidate.level} << 32 | candidate.node;
    uint64_t old = head().entry.load(std::memory_order_acquire);
    while (old >> 32 < candidate.level)
        if (head().entry.compare_exchange_weak(old, packed, std::memory_order_acq_rel))
            return;
}

Arena::Run Arena::take_run(Work work, uint32_t most, uint32_t end) {
    std::atomic<uint32_t> &next = head().taken[static_cast<int>(work)];
    uint32_t begin = next.load(std::memory_order_relaxed);
    do {
        if (begin >= end)
            return {end, end};
    } while (!next.compare_exchange_weak(begin, begin + std::min(most, end - begin),
                                         std::memory_order_relaxed));
    return {begin, begin + std::min(most, end - begin)};
}

}  // namespace hnsw::core

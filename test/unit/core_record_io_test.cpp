/* Records in pages: slots, lists of pages with free slots, records that span pages. */
#include <cstring>

#include "core/index_stats.h"
#include "core/record_io.h"
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

class RecordIo : public ::testing::TestWithParam<uint32_t> {
protected:
    RecordIo()
        : index_({.dim = GetParam()}),
          layouts_(index_.index->layouts()),
          edit_(index_.store, layouts_, RecordClass::kBase, &index_.memory),
          ref_(index_.store, layouts_, RecordClass::kBase, &index_.memory) {}

    /* A record whose bytes all follow from `seed`. */
    void fill(const RecordImage &image, uint8_t seed) {
        image.head().scale = seed;
        const RecordLayout &layout = *image.layout;
        std::memset(image.bytes + layout.own_offset, seed, layout.bytes - layout.own_offset);
    }
    bool holds(const RecordView &view, uint8_t seed) {
        for (size_t i = view.layout->own_offset; i < view.layout->bytes; i++)
            if (view.bytes[i] != static_cast<std::byte>(seed))
                return false;
        return view.head().scale == seed;
    }
    NodeId add(uint8_t seed) {
        NewRecord record(*index_.index, RecordClass::kBase, &index_.memory);
        record.open();
        EXPECT_EQ(record.image().head().state, RecordState::kLive);
        EXPECT_EQ(record.image().ids()[0], kNoNode);
        fill(record.image(), seed);
        record.commit();
        return record.id();
    }
    /* What VACUUM does to a slot, with this stamp. */
    void set_free(NodeId id, uint64_t freed_at, bool listed) {
        PageTxn txn(index_.store);
        const BlockNo block = layouts_.block_of(id);
        std::byte *page = txn.modify(block);
        auto &head = *reinterpret_cast<RecordHeader *>(
            record_in_page(page, layouts_.at(block), layouts_.slot_of(id)));
        head.state = RecordState::kFree;
        head.freed_at = freed_at;
        if (listed)
            put_on_free_list(txn, block, page);
        txn.commit();
    }

    TestIndex index_;
    const IndexLayouts &layouts_;
    RecordEdit edit_;
    RecordRef ref_;
};

TEST_P(RecordIo, ReadsWhatWasWritten) {
    const NodeId a = add(1);
    const NodeId b = add(2);
    ASSERT_NE(a, b);
    ASSERT_TRUE(ref_.read(a));
    EXPECT_TRUE(holds(ref_.view(), 1));
    ASSERT_TRUE(ref_.read(b));
    EXPECT_TRUE(holds(ref_.view(), 2));
    ref_.release();
    ASSERT_TRUE(edit_.open(a));
    fill(edit_.image(), 3);
    const uint64_t commits = index_.store.commits.load();
    edit_.commit();
    EXPECT_EQ(index_.store.commits.load() - commits, 1u) << "an edit is one unit";
    ASSERT_TRUE(ref_.read(a));
    EXPECT_TRUE(holds(ref_.view(), 3));
    ref_.release();
    ASSERT_TRUE(edit_.open(a));
    fill(edit_.image(), 4);
    edit_.close();
    ASSERT_TRUE(ref_.read(a));
    EXPECT_TRUE(holds(ref_.view(), 3)) << "closed without commit";
}

TEST_P(RecordIo, NoRecordThere) {
    const NodeId a = add(1);
    EXPECT_FALSE(ref_.read(kNoNode));
    EXPECT_FALSE(ref_.read(layouts_.id_of(kMetaBlock, 0)));
    EXPECT_FALSE(ref_.read(layouts_.id_of(index_.store.size(), 0)));
    EXPECT_FALSE(edit_.open(kNoNode));
    RecordRef upper(index_.store, layouts_, RecordClass::kUpper, &index_.memory);
    EXPECT_FALSE(upper.read(a));
    set_free(a, 0, false);
    EXPECT_FALSE(ref_.read(a));
    EXPECT_FALSE(edit_.open(a));
}

/* Numbers that a page has no record for, whatever its bytes say. */
TEST(RecordIo, NoRecordBeyondThePage) {
    TestIndex index({.dim = 384});
    const IndexLayouts &layouts = index.index->layouts();
    ASSERT_TRUE(layouts.has_dense());
    index.insert(clustered(100, 384, 4, 1));
    RecordRef ref(index.store, layouts, RecordClass::kBase, &index.memory);
    RecordEdit edit(index.store, layouts, RecordClass::kBase, &index.memory);
    uint32_t most = 0;
    uint64_t room = 0;
    for (BlockNo block = 1; block < index.store.size(); block++) {
        if (page_kind(index.store.raw(block)) != PageKind::kBase)
            continue;
        const uint32_t per_page = layouts.at(block).per_page;
        most = std::max(most, per_page);
        ref.read(layouts.id_of(block, 0));
        for (uint32_t slot = 0; slot < layouts.stride(); slot++) {
            const NodeId id = layouts.id_of(block, slot);
            if (ref.read_on(id))
                room += layouts.at(block).slots;
            EXPECT_TRUE(slot < per_page || !ref.read_on(id));
            EXPECT_TRUE(slot < per_page || !ref.read(id));
            EXPECT_TRUE(slot < per_page || !edit.open(id));
        }
        ref.release();
    }
    EXPECT_EQ(most, layouts.stride());
    const IndexStats stats = collect_stats(*index.index, index.context);
    EXPECT_EQ(stats.levels[0].slots, room);
    EXPECT_EQ(stats.levels[0].degree_histogram.size(), layouts.usual.slots + 1);
    EXPECT_LT(room, 100u * layouts.usual.slots);
}

TEST_P(RecordIo, FillsOnlyClearedSlots) {
    std::vector<NodeId> ids;
    for (uint8_t i = 0; i < 3; i++)
        ids.push_back(add(i));
    ASSERT_TRUE(ref_.read(ids[1]));
    const uint32_t generation = ref_.view().head().generation;
    ref_.release();
    /* Reusable by its stamp, but a link may still name it. */
    index_.store.advance_transactions();
    set_free(ids[1], 1, true);
    ASSERT_TRUE(index_.store.reusable(1));
    for (uint8_t i = 10; i < 40; i++)
        EXPECT_NE(add(i), ids[1]);
    set_free(ids[1], 0, true);
    bool filled = false;
    for (uint8_t i = 40; i < 80 && !filled; i++)
        filled = add(i) == ids[1];
    ASSERT_TRUE(filled);
    ASSERT_TRUE(ref_.read(ids[1]));
    EXPECT_EQ(ref_.view().head().generation, generation + 1);
}

/* A crash between the commits of adding a record: it is there whole or not at all. */
TEST_P(RecordIo, AddingIsAllOrNothing) {
    for (uint64_t n = 0;; n++) {
        const uint64_t from = index_.store.commits.load();
        index_.store.on_commit = [&](uint64_t ordinal) {
            if (ordinal == from + n)
                throw std::runtime_error("crash");
        };
        const BlockNo size = index_.store.size();
        NodeId id = kNoNode;
        try {
            id = add(7);
        } catch (const std::runtime_error &) {
        }
        index_.store.on_commit = nullptr;
        if (id != kNoNode) {
            ASSERT_TRUE(ref_.read(id));
            EXPECT_TRUE(holds(ref_.view(), 7));
            EXPECT_EQ(n, layouts_.usual.parts);
            break;
        }
        for (BlockNo block = size; block < index_.store.size(); block++)
            for (uint32_t slot = 0; slot < layouts_.stride(); slot++)
                EXPECT_FALSE(ref_.read(layouts_.id_of(block, slot)));
    }
}

INSTANTIATE_TEST_SUITE_P(Dimensions, RecordIo, ::testing::Values(3, 128, 384, 2000, 7000, 16000));

TEST(FreeList, IsAStackOfPages) {
    TestIndex index({.dim = 8});
    BlockNo blocks[3];
    for (BlockNo &block : blocks) {
        PageTxn txn(index.store);
        std::byte *page = txn.extend(index.index->directory(), PageKind::kPosting, &block);
        put_on_free_list(txn, block, page);
        put_on_free_list(txn, block, page); /* twice is once */
        txn.commit();
    }
    EXPECT_EQ(meta_of(index.store.raw(kMetaBlock)).free_posting, blocks[2]);
    for (int i = 2; i >= 0; i--) {
        PageTxn txn(index.store);
        if (i > 0) {
            EXPECT_FALSE(take_off_free_list(txn, blocks[0])) << "not in front";
            txn.release();
        }
        EXPECT_TRUE(take_off_free_list(txn, blocks[i]));
        txn.commit();
        EXPECT_EQ(trailer(index.store.raw(blocks[i])).next, kNotListed);
    }
    EXPECT_EQ(meta_of(index.store.raw(kMetaBlock)).free_posting, kNoBlock);
}

}  // namespace
}  // namespace hnsw::core::testing

/* The directory: where entries lie, how pages come to be, what equal vectors with different attributes
 * take. That entries and records agree is looked at by every test that ends in expect_sound(). */
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

class Shapes : public ::testing::TestWithParam<std::pair<uint32_t, uint32_t>> {};

TEST_P(Shapes, EveryNodeHasAnEntryOfItsOwn) {
    const auto [attributes, per_page] = GetParam();
    const DirectoryShape shape = DirectoryShape::make(attributes, per_page, false);
    ASSERT_GE(shape.blocks, 2u);
    EXPECT_EQ(shape.entries % 8, 0u);
    EXPECT_LE(shape.entries * (8 * attributes + 8), kPayloadBytes);
    EXPECT_GE((shape.entries + 8) * (8 * attributes + 8), kPayloadBytes) << "room left over";
    EXPECT_FALSE(shape.is_directory(kMetaBlock));
    EXPECT_TRUE(shape.is_directory(1));
    uint32_t data = 0;
    BlockNo page = 0;
    std::set<uint32_t> taken;
    for (BlockNo block = 1; block < 3 * shape.blocks + 2; block++) {
        if (shape.is_directory(block)) {
            page = block;
            taken.clear();
            continue;
        }
        EXPECT_EQ(shape.data_block(data++), block);
        EXPECT_EQ(shape.page_of(block), page);
        for (uint32_t slot = 0; slot < per_page; slot++) {
            const NodeId id = block * per_page + slot;
            const uint32_t entry = shape.entry_of(id);
            EXPECT_EQ(shape.page_of_node(id), page);
            EXPECT_LT(entry, shape.entries);
            EXPECT_TRUE(taken.insert(entry).second);
            EXPECT_EQ(shape.node_of(page, entry), id);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, Shapes,
                         ::testing::Values(std::pair{0u, 1u}, std::pair{0u, 5u}, std::pair{0u, 56u},
                                           std::pair{1u, 1u}, std::pair{1u, 22u},
                                           std::pair{3u, 17u}, std::pair{8u, 1u}, std::pair{8u, 5u},
                                           std::pair{8u, 56u}));

TEST(Directory, ColumnsDoNotOverlap) {
    for (uint32_t attributes = 0; attributes <= kMaxAttributes; attributes++) {
        const DirectoryShape shape = DirectoryShape::make(attributes, 7, false);
        std::vector<std::byte> page(kPageSize);
        init_page(page.data(), PageKind::kDirectory);
        auto entry = [&](uint32_t n) {
            DirectoryEntry e;
            e.tid = StoredTid::from({n * 77 + 1, static_cast<uint16_t>(n % 200 + 1)});
            e.row = attributes_of(e.tid.tid(), attributes);
            e.flags = static_cast<uint16_t>(kEntryUsed | e.row.nulls);
            return e;
        };
        for (uint32_t n = 0; n < shape.entries; n++)
            set_entry(page.data(), shape, n, entry(n));
        const DirectoryView view{payload(page.data()), &shape};
        for (uint32_t n = 0; n < shape.entries; n++) {
            EXPECT_EQ(view.entry(n).tid.tid(), entry(n).tid.tid());
            EXPECT_EQ(view.entry(n).flags, entry(n).flags);
            EXPECT_EQ(view.entry(n).row, entry(n).row);
        }
        EXPECT_EQ(page_kind(page.data()), PageKind::kDirectory);
    }
}

/* The block in front of the covered ones is never handed out, whatever fails where. */
TEST(Directory, PagesComeAtTheirBlocks) {
    for (uint64_t n = 0; n < 3; n++) {
        TestIndex index({.dim = 8, .attributes = 8});
        const DirectoryShape &shape = index.index->directory();
        auto extend = [&] {
            PageTxn txn(index.store);
            BlockNo block = kNoBlock;
            txn.extend(shape, PageKind::kPosting, &block);
            txn.commit();
            return block;
        };
        index.store.on_commit = [&, from = index.store.commits.load()](uint64_t ordinal) {
            if (ordinal == from + n)
                throw std::runtime_error("crash");
        };
        for (int i = 0; i < 2; i++)
            try {
                EXPECT_FALSE(shape.is_directory(extend()));
            } catch (const std::runtime_error &) {
            }
        index.store.on_commit = nullptr;
        for (BlockNo block = index.store.size(); block <= 2 * shape.blocks; block = extend() + 1)
            EXPECT_NE(extend(), shape.blocks + 1);
        for (BlockNo block = 0; block < index.store.size(); block++) {
            const PageKind kind = page_kind(index.store.raw(block));
            EXPECT_TRUE(!shape.is_directory(block) || kind == PageKind::kDirectory ||
                        kind == PageKind::kUnused);
            EXPECT_TRUE(shape.is_directory(block) || kind != PageKind::kDirectory);
        }
        /* A page of zeros in its place takes entries. */
        Vectors rows = clustered(900, 8, 3, 1);
        index.insert(rows);
        std::set<uint64_t> all;
        for (uint64_t row = 0; row < rows.size(); row++)
            all.insert(row);
        expect_sound(index, all, rows[0], true);
    }
}

/* A zero page is no directory page that lost its entries: garbage there is not written over. */
TEST(Directory, GarbageIsAnError) {
    TestIndex index({.dim = 8});
    index.insert(clustered(20, 8, 3, 1));
    trailer(index.store.raw(1)).kind = PageKind::kUpper;
    const Vectors more = clustered(1, 8, 3, 2);
    EXPECT_THROW(index.insert_row(more[0].data(), 100), std::runtime_error);
}

/* Equal vectors stay one node, whatever their attributes. */
TEST(Directory, EqualVectorsWithManyAttributes) {
    TestIndex index({.dim = 8, .attributes = 2});
    Vectors rows = clustered(200, 8, 3, 5);
    index.insert(rows);
    const BlockNo before = index.store.size();
    const Vectors copies(5000, rows[17]);
    Inserter inserter(*index.index, index.context, index.ef_construction);
    std::map<uint64_t, Attributes> given;
    for (uint64_t i = 0; i < copies.size(); i++) {
        const Attributes row = {.key = {i % 500, i * 3}, .nulls = 0};
        inserter.insert(copies[i].data(), tid_of(1000 + i), row);
        given[1000 + i] = row;
    }
    EXPECT_LE(index.store.size() - before, 5000u / 6 / PostingChunk::per_page() + 2);
    EXPECT_EQ(all_rows(index, rows[17]).size(), 5200u);

    const IndexLayouts &layouts = index.index->layouts();
    RecordRef record(index.store, layouts, RecordClass::kBase, &index.memory);
    size_t seen = 0;
    std::set<uint64_t> categories;
    for (NodeId id = 0; id < layouts.addresses(index.store.size()); id++) {
        if (!record.read(id) || record.view().head().posting == kNoNode)
            continue;
        const RecordHeader head = record.view().head();
        record.release();
        EXPECT_TRUE(read_entry(index.store, index.index->directory(), id).many());
        std::pmr::vector<StoredTid> tids;
        std::pmr::vector<Attributes> attributes;
        ASSERT_TRUE(
            read_postings(*index.index, id, head.generation, head.posting, tids, &attributes));
        for (size_t i = 0; i < tids.size(); i++) {
            EXPECT_EQ(attributes[i], given.at(row_of(tids[i].tid())));
            categories.insert(attributes[i].key[0]);
        }
        seen += tids.size();
    }
    record.release();
    EXPECT_EQ(seen, 5000u);
    EXPECT_EQ(categories.size(), 500u);
    EXPECT_EQ(check(index).errors, 0);

    /* All but one category go: what is left keeps its attributes. */
    DeadSet dead;
    for (const auto &[row, of_row] : given)
        if (of_row.key[0] != 3)
            dead.rows.insert(row);
    EXPECT_EQ(vacuum(index, dead).rows_left, 210u);
    EXPECT_EQ(check(index).errors, 0);
    EXPECT_EQ(all_rows(index, rows[17]).size(), 210u);
}

/* An update of an attribute alone adds a row to the node and changes no link. */
TEST(Directory, AnAttributeUpdateChangesNoLinks) {
    TestIndex index({.dim = 8, .attributes = 1});
    Vectors rows = clustered(300, 8, 3, 6);
    index.insert(rows);
    const uint64_t commits = index.store.commits.load();
    index.insert_row(rows[10].data(), 1000); /* a chunk, then the node and its entry */
    EXPECT_LE(index.store.commits.load() - commits, 2u);
    const uint64_t again = index.store.commits.load();
    index.insert_row(rows[10].data(), 1001);
    EXPECT_EQ(index.store.commits.load() - again, 1u);
    DeadSet dead;
    dead.rows = {10, 1000};
    vacuum(index, dead);
    std::set<uint64_t> left;
    for (uint64_t row = 0; row < rows.size(); row++)
        if (row != 10)
            left.insert(row);
    left.insert(1001);
    expect_sound(index, left, rows[0]);
    /* The gap in front is filled; the entry gets the new row's attributes. */
    index.insert_row(rows[10].data(), 1002);
    left.insert(1002);
    expect_sound(index, left, rows[0], true);
    /* The chain's last row goes: the entry can decide again. */
    dead.rows = {1001};
    vacuum(index, dead);
    left.erase(1001);
    expect_sound(index, left, rows[0]);
    EXPECT_EQ(expect_attributes(index), left.size());
}

}  // namespace
}  // namespace hnsw::core::testing

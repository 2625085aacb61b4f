/* Where records lie: how many share a page, dense pages, places of a built index. */
#include <set>

#include "core/build_places.h"
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

/* Slots, records per page, slots of dense records, of which there are one more in a page or none. */
struct Expected {
    uint32_t dim, slots, per_page, dense_slots;
};

TEST(Layouts, OfUsualDimensions) {
    for (const Expected &e :
         {Expected{64, 26, 15, 0}, Expected{128, 26, 10, 0}, Expected{256, 26, 6, 21},
          Expected{384, 28, 4, 21}, Expected{512, 29, 3, 20}, Expected{768, 26, 3, 0},
          Expected{1024, 32, 2, 22}, Expected{1536, 32, 2, 0}, Expected{2000, 27, 2, 0},
          Expected{3072, 32, 1, 0}, Expected{6016, 29, 1, 0}}) {
        SCOPED_TRACE(e.dim);
        const IndexLayouts layouts = IndexLayouts::choose(e.dim, 16, true);
        EXPECT_EQ(layouts.usual.slots, e.slots);
        EXPECT_EQ(layouts.usual.per_page, e.per_page);
        EXPECT_EQ(layouts.has_dense(), e.dense_slots != 0);
        EXPECT_EQ(layouts.dense.slots, e.dense_slots != 0 ? e.dense_slots : e.slots);
        EXPECT_EQ(layouts.dense.per_page, e.per_page + (e.dense_slots != 0));
    }
    EXPECT_EQ(IndexLayouts::choose(6016, 16, true).usual.parts, 1u);
    EXPECT_EQ(IndexLayouts::choose(128, 3, true).usual.slots, 6u) << "one of six for little";
    EXPECT_FALSE(IndexLayouts::choose(384, 16, false).has_dense()) << "without codes";
}

TEST(Layouts, KeepTheirPromises) {
    for (uint32_t dim = 1; dim <= kMaxDimensions; dim += dim < 2000 ? 31 : 997) {
        for (uint32_t m : {2u, 5u, 16u, 31u, 100u}) {
            SCOPED_TRACE(::testing::Message() << dim << " dimensions, m " << m);
            const IndexLayouts layouts = IndexLayouts::choose(dim, m, true);
            for (const RecordLayout &layout : {layouts.usual, layouts.dense}) {
                EXPECT_LE(layout.slots, 2 * m);
                EXPECT_TRUE(layout.parts > 1 || layout.bytes * layout.per_page <= kPayloadBytes);
                EXPECT_LE(layout.own_offset + padded_dim(dim), layout.id_offset);
            }
            EXPECT_GE(layouts.usual.slots * 100, 2 * m * 80);
            const RecordLayout full =
                RecordLayout::make(padded_dim(dim), 2 * m, layouts.usual.bits);
            EXPECT_GE(layouts.usual.slots * layouts.usual.per_page * full.parts * 100,
                      full.slots * full.per_page * layouts.usual.parts * 95);
            EXPECT_GE(layouts.usual.per_page * full.parts, full.per_page * layouts.usual.parts);
            EXPECT_GE(layouts.dense.slots * 100, 2 * m * 60);
            EXPECT_GE(layouts.dense.per_page, layouts.usual.per_page);
            const IndexLayouts again =
                IndexLayouts::make(padded_dim(dim), layouts.usual.slots, layouts.usual.bits,
                                   layouts.has_dense() ? layouts.dense.slots : 0);
            EXPECT_EQ(again.stride(), layouts.stride());
            EXPECT_EQ(again.has_dense(), layouts.has_dense());
            /* A page of the directory is never a dense one. */
            for (uint32_t attributes : {0u, 3u, kMaxAttributes}) {
                const DirectoryShape shape = DirectoryShape::make(attributes, layouts);
                EXPECT_LE(shape.blocks * shape.stride, shape.entries);
                for (BlockNo block = 0; block < 40 && layouts.has_dense(); block++) {
                    const BlockNo page = 1 + block * shape.blocks;
                    EXPECT_EQ(layouts.at(page).per_page, layouts.usual.per_page);
                    EXPECT_EQ(IndexLayouts::dense_blocks(page + 8),
                              IndexLayouts::dense_blocks(page) + 1);
                }
            }
        }
    }
}

/* Whatever a damaged metapage says of dense pages: an index that opens can be read. */
TEST(Layouts, OfADamagedMetapage) {
    alignas(8) std::byte page[kPageSize];
    for (const CreateOptions &create :
         {CreateOptions{.dim = 8, .attributes = 8}, CreateOptions{.dim = 200, .attributes = 8},
          CreateOptions{.dim = 384}, CreateOptions{.dim = 7000, .m = 40}}) {
        make_empty_meta(page, create);
        const uint32_t chosen = meta_of(page).dense_slots;
        EXPECT_EQ(check_meta(page), MetaStatus::kOk);
        uint32_t opened = 0;
        for (uint32_t slots : {1u, 5u, 10u, 20u, 21u, 22u, 24u, 27u, 28u, 100000u}) {
            meta_of(page).dense_slots = slots;
            if (check_meta(page) != MetaStatus::kOk)
                continue;
            opened++;
            const MetaPage &meta = meta_of(page);
            const IndexLayouts layouts =
                IndexLayouts::make(padded_dim(meta.dim), meta.slots, meta.code_bits, slots);
            EXPECT_GE(DirectoryShape::make(create.attributes, layouts).blocks, kDensePeriod);
            EXPECT_LE(layouts.dense.bytes * layouts.dense.per_page, kPayloadBytes);
            EXPECT_EQ(layouts.usual.parts, 1u);
        }
        EXPECT_EQ(opened > 0, chosen != 0);
    }
}

/* Numbers follow the pages' order, none is left out, and no page has more than fit. */
TEST(BuildPlaces, FillPagesInOrder) {
    for (const CreateOptions &create :
         {CreateOptions{.dim = 384}, CreateOptions{.dim = 384, .attributes = 8},
          CreateOptions{.dim = 128}, CreateOptions{.dim = 512, .attributes = 2},
          CreateOptions{.dim = 7000, .m = 40}}) {
        for (bool has_centre : {false, true}) {
            const BuildPlaces places(create, has_centre);
            const IndexLayouts &layouts = places.layouts;
            for (uint32_t nodes : {0u, 1u, 4u, 5u, 29u, 33u, 4000u}) {
                const RecordExtent base = places.base(nodes);
                const RecordExtent upper = places.upper(nodes, nodes / 7);
                EXPECT_EQ(base.first, has_centre ? (create.dim + 2039) / 2040 : 0u);
                EXPECT_EQ(upper.first, base.first + base.pages());
                for (const RecordExtent &extent : {base, upper}) {
                    BlockNo block = 0;
                    uint32_t slot = 0;
                    uint32_t pages = 0;
                    for (uint32_t i = 0; i < extent.count; i++) {
                        const NodeId id = extent.id(i);
                        if (i == 0 || slot + 1 == layouts.at(block).per_page) {
                            EXPECT_EQ(extent.from_page(extent.first + pages), i);
                            block = places.directory.data_block(extent.first + pages);
                            pages += layouts.usual.parts;
                            slot = 0;
                        } else {
                            slot++;
                        }
                        ASSERT_EQ(layouts.block_of(id), block) << i;
                        ASSERT_EQ(layouts.slot_of(id), slot) << i;
                        EXPECT_EQ(extent.layout(i).slots, layouts.at(block).slots);
                    }
                    EXPECT_EQ(extent.pages(), pages);
                    const bool room = extent.count != 0 && slot + 1 < layouts.at(block).per_page;
                    EXPECT_EQ(extent.partial(), room ? block : kNoBlock);
                }
            }
        }
    }
}

}  // namespace
}  // namespace hnsw::core::testing

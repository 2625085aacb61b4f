/* Whether an index in memory has for every row the attributes that the fixture gave it. */
#pragma once

#include <gtest/gtest.h>

#include "core/posting.h"
#include "core/record_io.h"
#include "core_fixture.h"

namespace hnsw::core::testing {

/* Every row of a node has the attributes that attributes_of() gives it: the first in the directory,
 * the others in their chunks. Returns the number of rows. */
inline size_t expect_attributes(TestIndex &test) {
    const Index &index = *test.index;
    const DirectoryShape &shape = index.directory();
    const IndexLayouts &layouts = index.layouts();
    RecordRef record(test.store, layouts, RecordClass::kBase, &test.memory);
    size_t rows = 0;
    for (BlockNo block = 1; block < test.store.size(); block++) {
        for (uint32_t slot = 0; slot < layouts.stride(); slot++) {
            const NodeId id = layouts.id_of(block, slot);
            if (!record.read(id) || record.view().head().state != RecordState::kLive) {
                record.release();
                EXPECT_FALSE(read_entry(test.store, shape, id).used());
                continue;
            }
            const RecordHeader head = record.view().head();
            record.release();
            const DirectoryEntry entry = read_entry(test.store, shape, id);
            EXPECT_TRUE(entry.used());
            EXPECT_EQ(entry.many(), head.posting != kNoNode);
            EXPECT_EQ(entry.tid.tid().valid(), head.tid.tid().valid());
            std::pmr::vector<StoredTid> tids;
            std::pmr::vector<Attributes> attributes;
            if (head.tid.tid().valid()) {
                EXPECT_EQ(entry.tid.tid(), head.tid.tid());
                tids.push_back(head.tid);
                attributes.push_back(entry.row);
            }
            EXPECT_TRUE(read_postings(index, id, head.generation, head.posting, tids, &attributes));
            EXPECT_EQ(tids.size(), attributes.size());
            for (size_t i = 0; i < tids.size(); i++)
                EXPECT_EQ(attributes[i], attributes_of(tids[i].tid(), shape.attributes))
                    << "node " << id << " row " << row_of(tids[i].tid());
            rows += tids.size();
        }
    }
    return rows;
}

}  // namespace hnsw::core::testing

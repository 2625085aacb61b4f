/*
 * Where the records of a built index lie.  CREATE INDEX writes centre, base records and upper records
 * one after the other into the pages that are not the directory's; so the place of every record
 * follows from its number, before any page is written.
 *
 * Used by build_finish.cpp, which cuts the lists of those that get a dense page, and by build_write.h.
 */
#pragma once

#include "core/build.h"
#include "core/directory.h"
#include "core/record.h"

namespace hnsw::core {

/* Records of a class, numbered, from data page `first` on (DirectoryShape::data_block()). */
struct RecordExtent {
    const IndexLayouts *layouts = nullptr;
    const DirectoryShape *directory = nullptr;
    uint32_t first = 0;
    uint32_t count = 0;

    uint32_t pages() const;
    /* Number of the first record at or behind data page `page`. */
    uint32_t from_page(uint32_t page) const;
    NodeId id(uint32_t i) const;
    const RecordLayout &layout(uint32_t i) const { return layouts->at(layouts->block_of(id(i))); }
    /* The block that has room for more, or kNoBlock. */
    BlockNo partial() const;

private:
    uint32_t page_of(uint32_t i) const;
};

/* Outlives the extents it gives. */
struct BuildPlaces {
    /* has_centre: the index is not centred around the origin. */
    BuildPlaces(const CreateOptions &options, bool has_centre);

    RecordExtent base(uint32_t nodes) const { return {&layouts, &directory, centre_pages, nodes}; }
    RecordExtent upper(uint32_t nodes, uint32_t uppers) const {
        return {&layouts, &directory, centre_pages + base(nodes).pages(), uppers};
    }

    IndexLayouts layouts;
    DirectoryShape directory;
    uint32_t centre_pages;
};

}  // namespace hnsw::core

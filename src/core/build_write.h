/*
 * The finished graph as pages, in the order of their blocks: metapage, centre, base records, upper
 * records, posting chunks, rows outside the graph; and pages of the directory where its shape puts
 * them.  Every address follows from what BuildWorker::connect() has counted, so pages can be made in
 * any order: those up to the last upper record by any number of processes, the rest by one.
 *
 * Called by the server's build, the build in regions and the beam's measurement (encode_record()).
 */
#pragma once

#include <memory_resource>
#include <vector>

#include "core/arena.h"
#include "core/build_measure.h"
#include "core/build_places.h"
#include "core/directory.h"
#include "core/index.h"

namespace hnsw::core {

/* Where the pages of a new index go. One object per process or thread. */
class PageSink {
public:
    virtual ~PageSink() = default;
    /* put() follows for blocks first..end-1, once each and in that order, then end_run(). May poll for
     * interrupts. */
    virtual void begin_run(BlockNo first, BlockNo end) = 0;
    /* page: kPageSize bytes, copied. */
    virtual void put(BlockNo block, const std::byte *page) = 0;
    virtual void end_run(BlockNo first, BlockNo end) = 0;
};

/* Writes layer `layer` of a node into `record`, all zero: own vector, hash, level, and per link
 * the code of its edge. The caller sets ids and what else the header says. */
void encode_record(const Arena &arena, const Space &space, ArenaId id, uint32_t layer,
                   const RecordImage &record);

/* One process' or thread's part in writing a connected graph as a complete index. Abandonable. */
class GraphWriter {
public:
    /* All outlive the object. `centre`: dim floats, or null for the origin. */
    GraphWriter(Arena &arena, const Space &space, const CreateOptions &options, const float *centre,
                PageSink &out, std::pmr::memory_resource *memory);

    /* Writes a run of pages. All share the work. False: none were left to take. */
    bool write_some();
    /* Writes all other pages. By one, once. */
    void write_rest(const SearchWidths &widths);

private:
    BlockNo block_after(uint32_t data_pages) const;
    uint32_t chunk_address(uint32_t i) const;
    BlockNo chunk_partial() const;
    PageList list(Arena::Outside which) const;
    NodeId base_id(ArenaId id) const;
    NodeId record_id(ArenaId id, uint32_t layer) const;

    void write_shared(BlockNo block);
    void write_directory(BlockNo block);
    void write_centre(uint32_t page);
    void write_records(const RecordExtent &extent, PageKind kind, uint32_t page);
    void write_part(const RecordLayout &layout, PageKind kind, uint32_t page, uint32_t part,
                    NodeId id);
    void encode_base(uint32_t i);
    void encode_upper(uint32_t i);
    void encode(const RecordLayout &layout, ArenaId id, uint32_t layer);

    void append();
    void write_postings();
    void write_chunks(ArenaId id);
    PostingChunk *chunk(uint32_t slot);
    void write_outside(Arena::Outside which);
    void write_meta(const SearchWidths &widths);

    Arena &arena_;
    const Space &space_;
    const CreateOptions &options_;
    const float *centre_;
    const BuildPlaces places_;
    const DirectoryShape &directory_;
    PageSink &out_;
    std::pmr::vector<std::byte> page_;
    std::pmr::vector<std::byte> record_;
    NodeId encoded_ = kNoNode; /* the record in record_ */
    const RecordExtent base_;
    const RecordExtent upper_;
    /* Data pages: */
    const uint32_t posting_page_;
    uint32_t outside_page_[2] = {};
    uint32_t pages_ = 0; /* all of them */
    /* write_rest(): */
    uint32_t written_ = 0; /* data pages; page_ is the next */
    uint32_t used_ = 0;    /* chunks of page_ */
    uint32_t chunks_written_ = 0;
};

}  // namespace hnsw::core

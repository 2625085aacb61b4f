/*
 * CREATE INDEX with less memory than the graph needs.  Rows are first laid aside by region
 * (regions.h), those near borders more than once; then region after region is built in the arena as a whole
 * index would be.  A node's record is written with its home; the list that a copy has in another
 * region is laid aside and in the end merged into the record, chosen from both lists' codes.  Upper
 * layers come last, by the way inserts take.
 *
 * Only the arena, a batch of rows and four bytes per row are held in memory.  A home row that finds no room in the
 * arena (the regions came out too uneven) is inserted at the end; a copy that finds none is left out.
 *
 * Rows are added to the arena by a crew (build_crew.h); everything else is the work of one process.
 *
 * While regions are being built, a record's links name rows, by number; resolve() makes them node
 * ids.  Nobody else may look at the index before finish() has returned.
 */
#pragma once

#include "core/build_crew.h"
#include "core/build_measure.h"
#include "core/context.h"
#include "core/record_io.h"
#include "core/regions.h"

namespace hnsw::core {

/* A sequence of bytes outside memory: written, then read from the beginning. */
class Spool {
public:
    virtual ~Spool() = default;
    virtual void write(const void *bytes, size_t n) = 0;
    /* Everything is written; read() begins at the first byte. */
    virtual void rewind() = 0;
    /* Reads n bytes. False at the end. */
    virtual bool read(void *bytes, size_t n) = 0;
};

class SpoolSource {
public:
    virtual ~SpoolSource() = default;
    virtual Spool *create() = 0;
    /* Frees what the spool takes. */
    virtual void destroy(Spool *spool) = 0;
};

/* What the build needs to know before the first row. */
struct RegionPlan {
    uint32_t regions = 0; /* 0: the graph cannot be built in regions: insert row by row */
    double copied = 0;    /* copies of a row, on average */
};

/* A plan for about `rows` rows within `budget` bytes, for a crew of so many at most. */
RegionPlan plan_regions(const CreateOptions &options, double rows, size_t budget, uint32_t crew);

/* Makes an empty relation an empty index with that centre (dim floats; null = the origin). */
void create_index_with_centre(PageStore &store, const CreateOptions &options, const float *centre,
                              std::pmr::memory_resource *memory);

/* One build. Abandonable. */
class RegionBuild {
public:
    /* All outlive the object. `index` is as create_index_with_centre() left it; `regions` fitted. */
    RegionBuild(Index &index, const Context &context, const CreateOptions &options,
                const Regions &regions, SpoolSource &spools, Crew &crew, size_t budget, Poll poll);
    RegionBuild(const RegionBuild &) = delete;
    RegionBuild &operator=(const RegionBuild &) = delete;

    /* As BuildWorker::add(). */
    void add(const float *value, HeapTid tid, const Attributes &row);
    /* Builds everything. */
    void finish();

    /* Rows that were inserted one by one, after finish(). */
    uint64_t inserted_singly() const { return left_over_rows_; }

private:
    struct Region {
        Spool *homes = nullptr;
        Spool *copies = nullptr;
        uint32_t rows = 0;  /* in homes */
        uint32_t start = 0; /* number of the first of them among all rows */
    };
    /* In front of the floats of a copy. */
    struct CopyHead {
        uint32_t home;
        uint32_t row; /* of its home */
    };

    uint32_t find_place();
    void build_regions();
    void build_region(Region &region, size_t arena_bytes, CrewMember &member);
    void run(CrewTask task, CrewMember &member);
    void add_homes(Region &region, size_t most, CrewMember &member);
    void add_copies(Region &region, CrewMember &member);
    void write_region(const Region &region, const Arena &arena);
    NodeId write_home(const Arena &arena, ArenaId id, const RecordImage &record);
    void write_further_rows(const Arena &arena, ArenaId id, NodeId node);
    void resolve();
    void merge_copies();
    void merge(NodeId node);
    void choose_links(const RecordView &own, const RecordView *copy, const RecordImage &to);
    void add_towers();
    void link_unreached_nodes();
    void insert_left_over();
    void set_meta();
    /* Calls work(id, edit) with each base record held open; work commits or closes. */
    template <class Work>
    void for_each_base(Work &&work);

    Index &index_;
    Context context_;
    const CreateOptions &options_;
    const Regions &regions_;
    SpoolSource &spools_;
    Crew &crew_;
    size_t budget_;
    Poll poll_;
    Query query_;
    std::pmr::vector<uint32_t> copy_to_; /* find_place() */
    uint32_t packed_;                    /* bytes of a packed row */
    std::pmr::vector<std::byte> packed_row_;
    CrewBoard *board_ = nullptr; /* while regions are built */
    std::pmr::vector<Region> region_;
    std::pmr::vector<uint32_t>
        table_;              /* by row: its node; while its region is built, in the arena */
    Spool *lists_ = nullptr; /* lists of copies: a row's number and a record */
    Spool *left_over_ = nullptr;
    uint64_t left_over_rows_ = 0;
    SearchWidths widths_;
    NodeId first_node_ = kNoNode;

    /* merge(): the copy's record, a usual one, and the node's as it was. */
    std::pmr::vector<std::byte> copy_;
    std::pmr::vector<std::byte> own_;
    /* choose_links(): edges. */
    std::pmr::vector<float> lengths_;
    std::pmr::vector<float> sorted_;
    std::pmr::vector<uint32_t> order_;
    std::pmr::vector<uint32_t> chosen_;
    EdgeAngles angles_;
    RecordEdit edit_;
};

}  // namespace hnsw::core

// CREATE INDEX in the server: what the processes that build one index together share, and what each
// of them does.  am_build.cpp is the leader's course, am_build_part.cpp the part every process
// plays, am_build_parallel.cpp how workers come to be.
//
// A build goes through stages.  kMemory: rows go into the arena.  When it is full (kFull) every
// process waits with the row in its hands; the last one to arrive writes the graph out (kWriting)
// and from then on (kPages) rows are inserted into the pages, and the leader logs all of them at the
// end.  Most builds end in kMemory: when all rows are in, all processes trim the lists, the last one
// to be done connects the graph, and all of them write pages and log them; the leader measures
// the widths of searches meanwhile, and writes the metapage when the workers are done.
//
// A graph that the sample says will not fit into the memory allowed is built in regions instead, by one
// process (am_build_regions.cpp); the stages then serve tables that turn out larger than expected.
#pragma once

#include <optional>

#include "core/build_regions.h"
#include "core/build_write.h"
#include "core/insert.h"
#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/parallel.h"

namespace hnsw::pg {

// Values of pg_stat_progress_create_index.phase after "building index: ".
enum BuildPhase : int64 {
    kPhaseInitializing = PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE,
    kPhaseLoading,
    kPhaseFinishing,
    kPhaseWriting,
    kPhaseRegions,
};

// The core's Poll.
inline void check_for_interrupts() { CHECK_FOR_INTERRUPTS(); }

// What a sample takes of one block at most: a block of TOASTed vectors holds many rows.
inline constexpr int kSampleRowsPerBlock = 16;

// Shows `callback` the rows of `wanted` blocks of the table (or all), evenly spread, with `sample` as
// its last argument; *in_block is 0 before each block. Returns how many blocks they were.
BlockNumber sample_blocks(Relation heap, Relation index, IndexInfo *info, BlockNumber wanted,
                          IndexBuildCallback callback, void *sample, int *in_block);

// What the space of a build is made from, in memory that each process may have elsewhere.
struct BuildTerms {
    core::CreateOptions create;
    ptrdiff_t centre_at;  // from the object; 0: there is no centre

    // centre: dim floats, or null; they are copied to `floats`, which is mapped along with the object.
    void set_terms(const core::CreateOptions &options, const float *centre, void *floats);
    const float *centre() const {
        return centre_at == 0 ? nullptr
                              : reinterpret_cast<const float *>(
                                    reinterpret_cast<const std::byte *>(this) + centre_at);
    }
};

// The space that a build computes in. The terms outlive it.
core::Space build_space(const BuildTerms &terms, std::pmr::memory_resource *memory);

enum class BuildStage : int { kMemory, kFull, kWriting, kPages };

// In shared memory for a parallel build; dim floats of the centre follow it.
struct BuildShared : BuildTerms {
    Oid heap;
    Oid index;
    bool concurrent;
    dsm_handle arena_handle;

    slock_t mutex;  // protects what follows
    BuildStage stage;
    int adding;        // processes that still add rows to the arena
    int processes;     // that take part; 0 while workers are being started
    int scanned;       // of them, those whose rows are all in the arena
    int trimmed;       // of them, those that found no list to trim any more
    bool connected;    // the graph is ready to be written
    int workers_done;  // workers that have scanned their share
    double heap_rows;  // of the processes that are done
    bool broken_hot_chain;
    ConditionVariable changed;  // of what is waited for

    std::atomic<uint64_t> rows;  // indexed so far

    static size_t bytes(uint32_t dim) { return sizeof(BuildShared) + dim * sizeof(float); }
    // Whether all rows have found room in the arena; once everybody is done.
    bool in_memory() const { return stage == BuildStage::kMemory; }
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// Fills *shared. `centre` may be null.
void init_build_shared(BuildShared *shared, Relation heap, Relation index, bool concurrent,
                       const core::CreateOptions &create, const float *centre);

// One process' part. Lives in a memory context and is abandoned with it.
class BuildPart {
public:
    // `arena` is formatted and, like `shared`, outlives the object.
    BuildPart(MemoryContext context, BuildShared *shared, void *arena, Relation heap,
              Relation index);

    // Takes part in the stages; before scan().
    void enter();
    // Scans the table, or with `scan` this process' share of it, and adds its rows. Leaves the
    // stages at the end, and if all rows are in memory helps to finish and write the graph. Reports
    // progress if `leader`.
    void scan(IndexInfo *info, TableScanDesc scan, bool leader);
    // The leader, when everyone has left: writes what is still missing of the index.
    void finish();

private:
    static void add_row_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
                                 bool alive, void *part);
    static void add_row(Relation, ItemPointer tid, Datum *values, bool *isnull, bool, void *part);

    void add(const float *value, core::HeapTid tid, const core::Attributes &row);
    BuildStage stage();
    // No longer adds rows to the arena; `full`: because it is full.
    void leave(bool full);
    void wait_for_pages();
    void finish_together();
    void trim();
    void connect();
    void measure();
    void write_pages(bool logged, std::optional<core::SearchWidths> widths = {});
    void write_alone();

    BuildShared *shared_;
    Relation heap_;
    Relation index_;
    MemoryContext context_;
    MemoryContext row_;
    AttributeColumns attributes_;
    McxtResource memory_;
    core::Arena arena_;
    core::Space space_;
    core::BuildWorker worker_;
    core::Inserter *inserter_ = nullptr;  // from kPages on
    std::optional<core::SearchWidths> widths_;
    bool leader_ = false;
};

// What am_build_parallel.cpp gives the leader. All null or 0 if the build is serial.
struct ParallelBuild {
    Workforce workforce;
    BuildShared *shared = nullptr;
    ParallelTableScanDesc scan = nullptr;
    Snapshot snapshot = nullptr;  // registered, or SnapshotAny
};

// Starts up to `workers` workers that share an arena of `arena_bytes`. False, and nothing started,
// if shared memory or workers cannot be had: then the build is serial.
bool begin_parallel_build(ParallelBuild *build, Relation heap, Relation index, IndexInfo *info,
                          const core::CreateOptions &create, const float *centre, int workers,
                          size_t arena_bytes);
// Waits until all workers have scanned their share; raises the error of one that failed.
void wait_for_workers(ParallelBuild *build);
// Ends the workers and frees the shared memory.
void end_parallel_build(ParallelBuild *build);

// Builds the index within `budget` bytes by regions (core/build_regions.h), with up to so many workers.
// `centre`: dim floats, or null; rows: how many the table probably has.
IndexBuildResult build_in_regions(MemoryContext context, Relation heap, Relation index,
                                  IndexInfo *info, const core::CreateOptions &create,
                                  const float *centre, const core::RegionPlan &plan, double rows,
                                  size_t budget, int workers);

}  // namespace hnsw::pg

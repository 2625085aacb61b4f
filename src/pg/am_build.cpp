// CREATE INDEX: the leader's course, from the sample to the log record; and empty indexes.
#include "pg/am_build.h"

namespace hnsw::pg {

namespace {

// The sample that the centre is the mean of: rows of so many blocks.
constexpr BlockNumber kSampleBlocks = 128;

struct Sample {
    core::Space *space;
    double *sum;  // dim coordinates
    uint32_t dim;
    uint64_t summed = 0;  // rows in it
    uint64_t rows = 0;    // rows seen
    int in_block = 0;
    BlockNumber blocks = 0;
    MemoryContext row;
};

void sample_row(Relation, ItemPointer, Datum *values, bool *isnull, bool, void *arg) {
    auto *sample = static_cast<Sample *>(arg);
    sample->rows++;
    if (isnull[0] || sample->in_block++ >= kSampleRowsPerBlock)
        return;
    MemoryContext caller = MemoryContextSwitchTo(sample->row);
    void *copy;
    const float *value = read_vector(values[0], sample->dim, &copy);
    sample->summed += sample->space->accumulate(value, sample->sum) ? 1 : 0;
    MemoryContextSwitchTo(caller);
    MemoryContextReset(sample->row);
}

void sample_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive,
                     void *arg) {
    entry<sample_row>(index, tid, values, isnull, alive, arg);
}

Sample take_sample(MemoryContext context, Relation heap, Relation index, IndexInfo *info,
                   const core::CreateOptions &create) {
    auto *memory = create_in_context<McxtResource>(context, context);
    Sample sample{};
    sample.space = create_in_context<core::Space>(context, create.metric, create.dim, 0u,
                                                  uint64_t{0}, core::Space::Centres{}, memory);
    sample.sum =
        static_cast<double *>(MemoryContextAllocZero(context, create.dim * sizeof(double)));
    sample.dim = create.dim;
    sample.row = AllocSetContextCreate(context, "hnsw sample row", ALLOCSET_DEFAULT_SIZES);
    sample.blocks =
        sample_blocks(heap, index, info, kSampleBlocks, sample_callback, &sample, &sample.in_block);
    return sample;
}

// How many rows the table has, going by the sample.
double expected_rows(const Sample &sample, BlockNumber blocks) {
    return sample.blocks == 0 ? 0 : static_cast<double>(sample.rows) * blocks / sample.blocks;
}

// Bytes of the arena: as many as `budget` allows, but no more than the rows can need.
size_t arena_bytes(const core::CreateOptions &create, const Sample &sample, BlockNumber blocks,
                   size_t budget, uint32_t processes, bool shared) {
    size_t allowed = core::arena_bytes_within(create, budget, processes);
    // Private memory that is not touched costs nothing; a segment is allocated whole.
    double rows = shared ? 1.2 * expected_rows(sample, blocks)
                         : static_cast<double>(blocks) * MaxHeapTuplesPerPage;
    double needed = (rows + 4096) * static_cast<double>(core::arena_bytes_per_row(create));
    return needed < static_cast<double>(allowed) ? std::max(core::arena_bytes_within(create, 0, 1),
                                                            static_cast<size_t>(needed) / 64 * 64)
                                                 : allowed;
}

// The plan of a build in regions; of none if the graph fits into the memory. processes: that share it.
core::RegionPlan plan_for(const core::CreateOptions &create, double rows, size_t budget,
                          uint32_t processes) {
    const double needed = rows * static_cast<double>(core::arena_bytes_per_row(create));
    if (needed <= static_cast<double>(core::arena_bytes_within(create, budget, processes)))
        return {};
    return core::plan_regions(create, rows, budget, processes);
}

// How many workers to ask for. The server goes by the blocks of the table; here it goes by those that the
// vectors would take in it, if those are more: vectors may lie in TOAST, and it is adding one to the graph
// that takes time. (That from 17 on the server has set ii_ParallelWorkers does not matter.)
int planned_workers(Relation heap, Relation index, double rows, uint32_t dim) {
    constexpr const char *kSetting = "min_parallel_table_scan_size";
    const double heap_blocks = RelationGetNumberOfBlocks(heap);
    const double vector_blocks = rows * dim * sizeof(float) / BLCKSZ;
    const int nest = NewGUCNestLevel();
    if (vector_blocks > heap_blocks) {
        const auto threshold =
            static_cast<int>(min_parallel_table_scan_size * heap_blocks / vector_blocks);
        set_config_option(kSetting, psprintf("%d", threshold), PGC_USERSET, PGC_S_SESSION,
                          GUC_ACTION_SAVE, true, 0, false);
    }
    const int workers = plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(index));
    AtEOXact_GUC(true, nest);
    return workers;
}

void build_serially(MemoryContext context, Relation heap, Relation index, IndexInfo *info,
                    BuildShared *shared, size_t bytes) {
    McxtResource memory(context);
    void *arena = memory.allocate(bytes, 64);
    core::Arena::format(arena, bytes, core::arena_shape(shared->create));
    auto *part = create_in_context<BuildPart>(context, context, shared, arena, heap, index);
    part->enter();
    part->scan(info, nullptr, true);
    part->finish();
}

void build_in_parallel(MemoryContext context, Relation heap, Relation index, IndexInfo *info,
                       ParallelBuild *build) {
    auto *part = create_in_context<BuildPart>(context, context, build->shared,
                                              build->workforce.memory(), heap, index);
    if (parallel_leader_participation) {
        part->enter();
        part->scan(info, table_beginscan_parallel(heap, build->scan), true);
    }
    wait_for_workers(build);
    part->finish();
}

IndexBuildResult *make_result(IndexInfo *info, BuildShared *shared) {
    auto *result = static_cast<IndexBuildResult *>(palloc(sizeof(IndexBuildResult)));
    result->heap_tuples = shared->heap_rows;
    result->index_tuples = static_cast<double>(shared->rows.load());
    info->ii_BrokenHotChain |= shared->broken_hot_chain;
    return result;
}

}  // namespace

BlockNumber sample_blocks(Relation heap, Relation index, IndexInfo *info, BlockNumber wanted,
                          IndexBuildCallback callback, void *sample, int *in_block) {
    const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
    const BlockNumber count = std::min(blocks, wanted);
    for (BlockNumber i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        *in_block = 0;
        auto block = static_cast<BlockNumber>(uint64_t{i} * blocks / count);
        table_index_build_range_scan(heap, index, info, false, false, false, block, 1, callback,
                                     sample, nullptr);
    }
    return count;
}

IndexBuildResult *am_build(Relation heap, Relation index, IndexInfo *info) {
    if (RelationGetNumberOfBlocks(index) != 0)
        elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
    const core::CreateOptions create = create_options(index);
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, kPhaseInitializing);

    Sample sample = take_sample(context, heap, index, info, create);
    float *centre = nullptr;
    // An inner product has no use for a centre: it is not the same for all vectors shifted alike.
    if (create.metric != core::Metric::kInnerProduct && sample.summed > 0) {
        centre = static_cast<float *>(MemoryContextAlloc(context, create.dim * sizeof(float)));
        for (uint32_t i = 0; i < create.dim; i++)
            centre[i] = static_cast<float>(sample.sum[i] / static_cast<double>(sample.summed));
    }

    const size_t budget = size_t{1024} * static_cast<size_t>(maintenance_work_mem);
    const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
    const double rows = expected_rows(sample, blocks);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, static_cast<int64>(rows));
    const int workers = planned_workers(heap, index, rows, create.dim);
    const core::RegionPlan plan =
        plan_for(create, rows, budget, static_cast<uint32_t>(workers) + 1);
    ParallelBuild build;
    IndexBuildResult *result;
    bool logged = false;
    if (plan.regions > 1) {
        result = static_cast<IndexBuildResult *>(palloc(sizeof(IndexBuildResult)));
        *result = build_in_regions(context, heap, index, info, create, centre, plan, rows, budget,
                                   workers);
    } else if (workers > 0 &&
               begin_parallel_build(&build, heap, index, info, create, centre, workers,
                                    arena_bytes(create, sample, blocks, budget,
                                                static_cast<uint32_t>(workers) + 1, true))) {
        build_in_parallel(context, heap, index, info, &build);
        result = make_result(info, build.shared);
        logged = build.shared->in_memory();
        end_parallel_build(&build);
    } else {
        auto *shared =
            static_cast<BuildShared *>(MemoryContextAlloc(context, BuildShared::bytes(create.dim)));
        init_build_shared(shared, heap, index, info->ii_Concurrent, create, centre);
        build_serially(context, heap, index, info, shared,
                       arena_bytes(create, sample, blocks, budget, 1, false));
        result = make_result(info, shared);
        logged = shared->in_memory();
    }
    if (!logged && RelationNeedsWAL(index))
        log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
    MemoryContextDelete(context);
    return result;
}

void am_build_empty(Relation index) {
    core::CreateOptions options = create_options(index);
    BufferStore store(index, nullptr, BufferStore::Purpose::kBulk, nullptr, INIT_FORKNUM);
    core::create_empty_index(store, options);
    log_newpage_range(index, INIT_FORKNUM, 0, RelationGetNumberOfBlocksInFork(index, INIT_FORKNUM),
                      true);
}

char *am_build_phase_name(int64 phase) {
    switch (phase) {
        case kPhaseInitializing:
            return pstrdup("initializing");
        case kPhaseLoading:
            return pstrdup("loading tuples");
        case kPhaseFinishing:
            return pstrdup("finishing the graph");
        case kPhaseWriting:
            return pstrdup("writing pages");
        case kPhaseRegions:
            return pstrdup("building regions");
        default:
            return nullptr;
    }
}

}  // namespace hnsw::pg

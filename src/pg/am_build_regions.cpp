// CREATE INDEX when the graph does not fit into maintenance_work_mem: rows laid aside in temporary
// files by region, then core::RegionBuild.
#include "core/build_regions.h"

#include "pg/am_build_crew.h"

namespace hnsw::pg {

namespace {

// The sample that regions are fitted to: so many rows per region where the table has them, from so
// many blocks at least.
constexpr double kSampleRowsPerRegion = 96;
constexpr double kMinSampleRows = 1024;
constexpr BlockNumber kMinSampleBlocks = 128;

// A temporary file; the resource owner closes it if the build fails.
class FileSpool final : public core::Spool {
public:
    static constexpr bool kAbandonable = true;

    FileSpool() : file_(BufFileCreateTemp(false)) {}
    void write(const void *bytes, size_t n) override {
        BufFileWrite(file_, const_cast<void *>(bytes), n);
    }
    void rewind() override {
        if (BufFileSeek(file_, 0, 0, SEEK_SET) != 0)
            elog(ERROR, "could not rewind a temporary file of an index build");
    }
    bool read(void *bytes, size_t n) override {
        size_t got = BufFileRead(file_, bytes, n);
        if (got != 0 && got != n)
            elog(ERROR, "a temporary file of an index build ends early");
        return got != 0;
    }
    void close() { BufFileClose(file_); }

private:
    BufFile *file_;
};

class FileSpools final : public core::SpoolSource {
public:
    static constexpr bool kAbandonable = true;

    explicit FileSpools(MemoryContext context) : context_(context) { PrepareTempTablespaces(); }
    core::Spool *create() override {
        MemoryContext caller = MemoryContextSwitchTo(context_);
        auto *spool = create_in_context<FileSpool>(context_);
        MemoryContextSwitchTo(caller);
        return spool;
    }
    void destroy(core::Spool *spool) override { static_cast<FileSpool *>(spool)->close(); }

private:
    MemoryContext context_;
};

struct RegionSample {
    static constexpr bool kAbandonable = true;

    core::Space *space;
    core::Query *query;
    std::pmr::vector<float> *values;
    uint32_t dim;
    size_t most;  // floats
    int in_block;
    MemoryContext row;
};

void sample_row(Relation, ItemPointer, Datum *values, bool *isnull, bool, void *arg) {
    auto *sample = static_cast<RegionSample *>(arg);
    if (isnull[0] || sample->in_block++ >= kSampleRowsPerBlock ||
        sample->values->size() >= sample->most)
        return;
    MemoryContext caller = MemoryContextSwitchTo(sample->row);
    void *copy;
    sample->space->prepare(read_vector(values[0], sample->dim, &copy), sample->query);
    if (!sample->query->zero)
        sample->values->insert(sample->values->end(), sample->query->value.begin(),
                               sample->query->value.end());
    MemoryContextSwitchTo(caller);
    MemoryContextReset(sample->row);
}

void sample_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive,
                     void *arg) {
    entry<sample_row>(index, tid, values, isnull, alive, arg);
}

void fit_regions(MemoryContext context, Relation heap, Relation index, IndexInfo *info,
                 const core::CreateOptions &create, const core::RegionPlan &plan, double rows,
                 size_t budget, core::Regions *regions) {
    McxtResource memory(context);
    core::Space space(create.metric, create.dim, 0, 0, {}, &memory);
    core::Query query(&memory);
    std::pmr::vector<float> values(&memory);
    const double fits = static_cast<double>(budget / 2) / (create.dim * sizeof(float));
    const double wanted =
        std::min({rows, fits, std::max(kMinSampleRows, kSampleRowsPerRegion * plan.regions)});
    values.reserve(static_cast<size_t>(wanted + 1) * create.dim);
    RegionSample sample = {
        &space,
        &query,
        &values,
        create.dim,
        static_cast<size_t>(wanted) * create.dim,
        0,
        AllocSetContextCreate(context, "hnsw sample row", ALLOCSET_DEFAULT_SIZES)};
    const BlockNumber blocks = RelationGetNumberOfBlocks(heap);
    const double per_block = std::min<double>(kSampleRowsPerBlock, std::max(1.0, rows / blocks));
    const auto looked_at = static_cast<BlockNumber>(
        std::min<double>(blocks, std::max<double>(kMinSampleBlocks, wanted / per_block)));
    sample_blocks(heap, index, info, looked_at, sample_callback, &sample, &sample.in_block);
    regions->fit(values, plan.regions, plan.copied, check_for_interrupts);
}

struct Loading {
    static constexpr bool kAbandonable = true;

    core::RegionBuild *build;
    AttributeColumns *attributes;
    uint32_t dim;
    uint64_t rows;
    MemoryContext row;
};

void lay_aside(Relation, ItemPointer tid, Datum *values, bool *isnull, bool, void *arg) {
    auto *loading = static_cast<Loading *>(arg);
    MemoryContext caller = MemoryContextSwitchTo(loading->row);
    void *copy;
    const float *value = isnull[0] ? nullptr : read_vector(values[0], loading->dim, &copy);
    loading->build->add(
        value, {.block = ItemPointerGetBlockNumber(tid), .offset = ItemPointerGetOffsetNumber(tid)},
        loading->attributes->keys_of(values, isnull));
    MemoryContextSwitchTo(caller);
    MemoryContextReset(loading->row);
    loading->rows++;
    pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(loading->rows));
}

void lay_aside_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive,
                        void *arg) {
    entry<lay_aside>(index, tid, values, isnull, alive, arg);
}

}  // namespace

IndexBuildResult build_in_regions(MemoryContext context, Relation heap, Relation index,
                                  IndexInfo *info, const core::CreateOptions &create,
                                  const float *centre, const core::RegionPlan &plan, double rows,
                                  size_t budget, int workers) {
    auto *memory = create_in_context<McxtResource>(context, context);
    auto *regions = create_in_context<core::Regions>(context, create.dim, memory);
    MemoryContext sampling =
        AllocSetContextCreate(context, "hnsw build sample", ALLOCSET_DEFAULT_SIZES);
    fit_regions(sampling, heap, index, info, create, plan, rows, budget, regions);
    MemoryContextDelete(sampling);

    BufferStore store(index, heap, BufferStore::Purpose::kBulk, nullptr);
    core::create_index_with_centre(store, create, centre, memory);
    auto *opened = OpenIndex::open(context, index, heap, BufferStore::Purpose::kBulk);
    FileSpools spools(context);
    ParallelCrew crew(memory, create, centre, workers);
    auto *build =
        create_in_context<core::RegionBuild>(context, opened->index, opened->core_context(), create,
                                             *regions, spools, crew, budget, check_for_interrupts);
    AttributeColumns attributes(index);
    Loading loading = {build, &attributes, create.dim, 0,
                       AllocSetContextCreate(context, "hnsw build row", ALLOCSET_DEFAULT_SIZES)};
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, kPhaseLoading);
    IndexBuildResult result;
    result.heap_tuples = table_index_build_scan(heap, index, info, true, true, lay_aside_callback,
                                                &loading, nullptr);
    result.index_tuples = static_cast<double>(loading.rows);
    pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, kPhaseRegions);
    build->finish();
    ereport(DEBUG1,
            (errmsg_internal("hnsw build: %u regions, %d workers, %llu rows inserted one by one",
                             regions->count(), crew.launched(),
                             static_cast<unsigned long long>(build->inserted_singly()))));
    return result;
}

}  // namespace hnsw::pg

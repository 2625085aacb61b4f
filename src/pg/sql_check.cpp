// hnsw_check(): the structural checker of core/verify.h and a comparison with the heap, as a
// set-returning function.  hnsw_stats(): one row of figures about an index.
#include "core/index_stats.h"
#include "core/verify.h"
#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/locked_index.h"

namespace hnsw::pg {

namespace {

// ---- hnsw_check -------------------------------------------------------------------------------

constexpr int kCheckColumns = 5;

constexpr uint64_t kNoDigest = 0;

// A heap row as the index has it.
struct IndexRow {
    uint64_t key;     // HeapTid::key()
    uint64_t digest;  // of its attributes; kNoDigest: the index says nothing of them
};

// Findings become rows of the result; heap rows named by the index are gathered.
class CheckSink final : public core::FindingSink {
public:
    // `result` null: findings are dropped (a second look at the rows).
    // `attributes`: how many the index has.
    CheckSink(ReturnSetInfo *result, uint32_t attributes, std::pmr::memory_resource *memory)
        : result_(result), attributes_(attributes), rows_(memory) {}

    void report(const core::Finding &finding) override {
        if (result_ != nullptr)
            put(finding.severity, finding.code, finding.block, finding.node, finding.detail);
    }
    void row(core::HeapTid tid, const core::Attributes *attributes) override {
        rows_.push_back({tid.key(), attributes != nullptr ? digest(*attributes) : kNoDigest});
    }

    void put(core::Severity severity, const char *code, core::BlockNo block, core::NodeId node,
             const char *detail) {
        static constexpr const char *kNames[] = {"error", "warning", "note"};
        Datum values[kCheckColumns] = {CStringGetTextDatum(kNames[static_cast<int>(severity)]),
                                       CStringGetTextDatum(code), Int64GetDatum(block),
                                       Int64GetDatum(node), CStringGetTextDatum(detail)};
        bool nulls[kCheckColumns] = {false, false, block == core::kNoBlock, node == core::kNoNode,
                                     false};
        tuplestore_putvalues(result_->setResult, result_->setDesc, values, nulls);
    }

    // What stands for a row's attributes.
    uint64_t digest(const core::Attributes &row) const {
        if (attributes_ == 0)
            return kNoDigest;
        auto *keys = reinterpret_cast<const unsigned char *>(row.key);
        uint64_t hash =
            hash_bytes_extended(keys, static_cast<int>(attributes_ * sizeof(uint64_t)), row.nulls);
        return hash == kNoDigest ? 1 : hash;
    }

    void sort_rows() {
        std::sort(rows_.begin(), rows_.end(),
                  [](const IndexRow &a, const IndexRow &b) { return a.key < b.key; });
    }
    const std::pmr::vector<IndexRow> &rows() const { return rows_; }
    // Where the index names a row. After sort_rows().
    std::span<const IndexRow> places(uint64_t key) const {
        auto less = [](const auto &a, const auto &b) { return key_of(a) < key_of(b); };
        auto range = std::equal_range(rows_.begin(), rows_.end(), key, less);
        return {range.first, range.second};
    }
    // Whether the index says something else of the row's attributes.
    bool contradicts(uint64_t key, uint64_t heap_digest) const {
        for (const IndexRow &row : places(key))
            if (row.digest != kNoDigest && row.digest != heap_digest)
                return true;
        return false;
    }

private:
    static uint64_t key_of(uint64_t key) { return key; }
    static uint64_t key_of(const IndexRow &row) { return row.key; }

    ReturnSetInfo *result_;
    uint32_t attributes_;
    std::pmr::vector<IndexRow> rows_;
};

// A heap row that looks wrong at first sight; writers may have been at work, so the index is walked
// again before anything is said.
struct Suspect {
    uint64_t key;
    const char *code;
    uint64_t heap_digest = kNoDigest;  // of heap_row_attributes
};

struct HeapComparison {
    const CheckSink *index_rows;
    const AttributeColumns *attributes;
    MemoryContext row;  // emptied after each
    std::pmr::vector<Suspect> *suspects;
};

// The server shows each row of the table as an index build would see it: `tid` is the root of its
// HOT chain, what the index holds.
void compare_row(Relation, ItemPointer tid, Datum *values, bool *isnull, bool, void *arg) {
    auto *comparison = static_cast<HeapComparison *>(arg);
    core::HeapTid row{.block = ItemPointerGetBlockNumber(tid),
                      .offset = ItemPointerGetOffsetNumber(tid)};
    if (comparison->index_rows->places(row.key()).empty()) {
        comparison->suspects->push_back({row.key(), "heap_row_missing"});
        return;
    }
    MemoryContext caller = MemoryContextSwitchTo(comparison->row);
    uint64_t digest =
        comparison->index_rows->digest(comparison->attributes->keys_of(values, isnull));
    MemoryContextSwitchTo(caller);
    MemoryContextReset(comparison->row);
    if (comparison->index_rows->contradicts(row.key(), digest))
        comparison->suspects->push_back({row.key(), "heap_row_attributes", digest});
}

void compare_row_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive,
                          void *arg) {
    entry<compare_row>(index, tid, values, isnull, alive, arg);
}

// Rows that `snapshot` sees, which was taken before the index was walked, must be in the index.
void find_missing(const LockedIndex &locked, Snapshot snapshot, const CheckSink &sink,
                  std::pmr::vector<Suspect> *suspects) {
    const AttributeColumns attributes(locked.index);
    HeapComparison comparison{.index_rows = &sink,
                              .attributes = &attributes,
                              .row = AllocSetContextCreate(CurrentMemoryContext, "hnsw check row",
                                                           ALLOCSET_DEFAULT_SIZES),
                              .suspects = suspects};
    IndexInfo *info = BuildIndexInfo(locked.index);
    info->ii_Concurrent = true;  // the snapshot decides, as in CREATE INDEX CONCURRENTLY
    TableScanDesc scan = table_beginscan_strat(locked.heap, snapshot, 0, nullptr, true, true);
    table_index_build_scan(locked.heap, locked.index, info, true, false, compare_row_callback,
                           &comparison, scan);
}

void find_wrong_rows(const LockedIndex &locked, const CheckSink &sink,
                     std::pmr::vector<Suspect> *suspects) {
    BlockNumber heap_blocks = RelationGetNumberOfBlocks(locked.heap);
    const auto &rows = sink.rows();
    for (size_t i = 0; i < rows.size(); i++) {
        const uint64_t key = rows[i].key;
        if (core::HeapTid::from_key(key).block >= heap_blocks)
            suspects->push_back({key, "row_beyond_heap"});
        if (i > 0 && key == rows[i - 1].key && (i == 1 || key != rows[i - 2].key))
            suspects->push_back({key, "duplicate_row"});
    }
}

void report_confirmed(CheckSink &sink, const CheckSink &second,
                      const std::pmr::vector<Suspect> &suspects) {
    for (const Suspect &suspect : suspects) {
        size_t times = second.places(suspect.key).size();
        const char *what;
        if (strcmp(suspect.code, "heap_row_missing") == 0)
            what = times == 0 ? "heap row (%u,%u) is not in the index" : nullptr;
        else if (strcmp(suspect.code, "duplicate_row") == 0)
            what = times > 1 ? "heap row (%u,%u) is in the index more than once" : nullptr;
        else if (strcmp(suspect.code, "heap_row_attributes") == 0)
            what = second.contradicts(suspect.key, suspect.heap_digest)
                       ? "heap row (%u,%u) has other attributes than the index says"
                       : nullptr;
        else
            what = times > 0 ? "row (%u,%u) is beyond the end of the table" : nullptr;
        if (what == nullptr)
            continue;
        core::HeapTid tid = core::HeapTid::from_key(suspect.key);
        sink.put(core::Severity::kError, suspect.code, core::kNoBlock, core::kNoNode,
                 psprintf(what, tid.block, static_cast<unsigned>(tid.offset)));
    }
}

void check_index(const LockedIndex &locked, bool with_heap, ReturnSetInfo *result) {
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw check", ALLOCSET_DEFAULT_SIZES);
    Snapshot snapshot = RegisterSnapshot(GetTransactionSnapshot());
    OpenIndex *opened =
        OpenIndex::open(context, locked.index, locked.heap, BufferStore::Purpose::kRead);
    const uint32_t attributes = opened->index.meta().attributes;
    CheckSink sink(result, attributes, &opened->memory);
    core::verify(opened->index, opened->core_context(), sink);
    sink.sort_rows();

    std::pmr::vector<Suspect> suspects(&opened->memory);
    find_wrong_rows(locked, sink, &suspects);
    if (with_heap && locked.index->rd_index->indisvalid)
        find_missing(locked, snapshot, sink, &suspects);
    else if (with_heap)
        sink.put(core::Severity::kNote, "heap_not_compared", core::kNoBlock, core::kNoNode,
                 "the index is not valid (yet)");
    if (!suspects.empty()) {
        CheckSink second(nullptr, attributes, &opened->memory);
        core::verify(opened->index, opened->core_context(), second);
        second.sort_rows();
        report_confirmed(sink, second, suspects);
    }
    UnregisterSnapshot(snapshot);
}

Datum check(FunctionCallInfo fcinfo) {
    LockedIndex locked = open_locked(PG_GETARG_OID(0));
    InitMaterializedSRF(fcinfo, 0);
    // The index's expressions and predicate are the table owner's code: run them as that user.
    Oid user;
    int security;
    GetUserIdAndSecContext(&user, &security);
    SetUserIdAndSecContext(locked.heap->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
    int nest_level = NewGUCNestLevel();
    restrict_search_path();
    check_index(locked, PG_GETARG_BOOL(1), reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    AtEOXact_GUC(false, nest_level);
    SetUserIdAndSecContext(user, security);
    locked.close();
    return Datum{0};
}

// ---- hnsw_stats -------------------------------------------------------------------------------

// One result row, filled from the left.
class RowBuilder {
public:
    void add(Datum value) {
        Assert(count_ < kMaxColumns);
        values_[count_++] = value;
    }
    void add_count(uint64_t value) { add(Int64GetDatum(static_cast<int64>(value))); }
    void add_int(uint32_t value) { add(Int32GetDatum(static_cast<int32>(value))); }
    Datum form(TupleDesc desc) {
        if (desc->natts != count_)
            elog(ERROR, "hnsw_stats was declared with %d columns, not %d", desc->natts, count_);
        return HeapTupleGetDatum(heap_form_tuple(desc, values_, nulls_));
    }

private:
    static constexpr int kMaxColumns = 40;
    Datum values_[kMaxColumns];
    bool nulls_[kMaxColumns] = {};
    int count_ = 0;
};

const char *metric_name(core::Metric metric) {
    switch (metric) {
        case core::Metric::kL2:
            return "l2";
        case core::Metric::kCosine:
            return "cosine";
        case core::Metric::kInnerProduct:
            return "inner product";
        case core::Metric::kL1:
            return "l1";
    }
    return "unknown";
}

// A two-dimensional bigint[]: a row per level, a column per degree from 0 up.
Datum histogram_array(const core::IndexStats &stats) {
    size_t width = 0;
    for (const core::LevelStats &level : stats.levels)
        width = std::max(width, level.degree_histogram.size());
    size_t height = stats.levels.size();
    if (width == 0 || height == 0)
        return PointerGetDatum(construct_empty_array(INT8OID));
    auto *values = static_cast<Datum *>(palloc0(width * height * sizeof(Datum)));
    for (size_t y = 0; y < height; y++) {
        const auto &histogram = stats.levels[y].degree_histogram;
        for (size_t x = 0; x < width; x++)
            values[y * width + x] =
                Int64GetDatum(x < histogram.size() ? static_cast<int64>(histogram[x]) : 0);
    }
    int sizes[2] = {static_cast<int>(height), static_cast<int>(width)};
    int lower[2] = {1, 1};
    return PointerGetDatum(construct_md_array(values, nullptr, 2, sizes, lower, INT8OID, 8,
                                              FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

template <typename Member>
Datum level_array(const core::IndexStats &stats, Member member) {
    auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * (stats.levels.size() + 1)));
    for (size_t i = 0; i < stats.levels.size(); i++)
        values[i] = Int64GetDatum(static_cast<int64>(stats.levels[i].*member));
    return PointerGetDatum(construct_array(values, static_cast<int>(stats.levels.size()), INT8OID,
                                           8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void add_parameters(RowBuilder &row, const core::MetaPage &meta) {
    row.add(CStringGetTextDatum(metric_name(meta.metric)));
    row.add_int(meta.dim);
    row.add_int(meta.attributes);
    row.add_int(meta.m);
    row.add_int(meta.ef_construction);
    row.add(Float4GetDatum(meta.beam_factor));
    row.add(Float4GetDatum(meta.reach));
    row.add_int(meta.descent_width);
    row.add_int(meta.code_bits);
    row.add_int(meta.centre_count);
}

void add_contents(RowBuilder &row, const core::IndexStats &stats) {
    row.add_count(stats.rows);
    row.add_count(stats.null_rows);
    row.add_count(stats.zero_rows);
    row.add_count(stats.duplicate_rows);
    row.add(level_array(stats, &core::LevelStats::nodes));
    row.add(level_array(stats, &core::LevelStats::links));
    row.add(histogram_array(stats));
    uint64_t reserved = 0, used = 0;
    for (size_t level = 0; level < stats.levels.size(); level++) {
        reserved += stats.levels[level].slots;
        used += stats.levels[level].links;
    }
    row.add_count(reserved);
    row.add_count(used);
    row.add_count(stats.deleted_nodes);
    row.add_count(stats.unreachable_nodes);
    row.add_count(stats.free_slots);
    row.add_count(stats.unused_slots);
}

void add_pages(RowBuilder &row, const core::IndexStats &stats) {
    using Kind = core::PageKind;
    uint64_t total = 0;
    for (Kind kind : {Kind::kMeta, Kind::kBase, Kind::kUpper, Kind::kPart, Kind::kPosting,
                      Kind::kTidList, Kind::kCentre, Kind::kDirectory, Kind::kUnused}) {
        uint64_t bytes = stats.pages_by_kind[static_cast<int>(kind)] * core::kPageSize;
        row.add_count(bytes);
        total += bytes;
    }
    row.add_count(total);
}

Datum stats(FunctionCallInfo fcinfo) {
    LockedIndex locked = open_locked(PG_GETARG_OID(0));
    require_right_to_figures(locked);
    TupleDesc desc;
    if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "hnsw_stats must return a row");
    OpenIndex *opened = OpenIndex::open(CurrentMemoryContext, locked.index, locked.heap,
                                        BufferStore::Purpose::kRead);
    core::IndexStats found = core::collect_stats(opened->index, opened->core_context());
    RowBuilder row;
    add_parameters(row, opened->index.meta());
    add_contents(row, found);
    add_pages(row, found);
    Datum result = row.form(BlessTupleDesc(desc));
    locked.close();
    return result;
}

}  // namespace

}  // namespace hnsw::pg

HNSW_FUNCTION(hnsw_check, hnsw::pg::check);
HNSW_FUNCTION(hnsw_stats, hnsw::pg::stats);

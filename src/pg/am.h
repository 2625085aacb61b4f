// The access method: its callbacks, one family per am_*.cpp, and what they share: the opened index.
#pragma once

#include "core/context.h"
#include "core/index.h"
#include "core/scan.h"
#include "pg/buffer_store.h"
#include "pg/memory.h"

namespace hnsw::pg {

// ---- callbacks (the server's index AM chapter says when each is called) ---------------------

IndexBuildResult *am_build(Relation heap, Relation index, IndexInfo *info);
void am_build_empty(Relation index);
char *am_build_phase_name(int64 phase);

bool am_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
               IndexUniqueCheck unique, bool unchanged, IndexInfo *info);
void am_insert_cleanup(Relation index, IndexInfo *info);

IndexScanDesc am_begin_scan(Relation index, int nkeys, int norderbys);
void am_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
bool am_get_tuple(IndexScanDesc scan, ScanDirection direction);
void am_end_scan(IndexScanDesc scan);

IndexBulkDeleteResult *am_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
                                      IndexBulkDeleteCallback callback, void *state);
IndexBulkDeleteResult *am_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

void am_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup,
                      Cost *total, Selectivity *selectivity, double *correlation, double *pages);

bool am_validate(Oid opclass);
bool am_property(Oid index, int attno, IndexAMProperty property, const char *name, bool *result,
                 bool *isnull);

// ---- what they share ------------------------------------------------------------------------

// Whether a relation is an index of this access method, with storage of its own.
bool is_hnsw_index(Relation relation);
bool is_hnsw_index(const IndexOptInfo *index);
// The same of an access method (pg_am), by its handler.
bool is_hnsw_method(Oid method);

// What whoever drives a scan knows beside its keys. In force from the next amrescan on.
struct ScanRequest {
    const core::TidSet *rows = nullptr;  // only these are wanted; outlives the scan
    uint32_t wanted = 0;                 // rows that will be asked for; 0 = not known
    core::Strategy strategy = core::Strategy::kAuto;
    double tried = 0;        // rows near the query that were tested already,
    double passed = 0;       // and of them those that the filter keeps
    bool same_rows = false;  // `rows` and its content are those of the scan before this amrescan
};
void set_scan_request(IndexScanDesc scan, const ScanRequest &request);

// Places of rows near the query, nearest first, found at a fraction of a search's cost: at most
// out.size(). Returns their number. Between index_rescan() and the first row of a scan without filter
// or conditions, which returns what it would have returned.
size_t peek_scan(IndexScanDesc scan, std::span<core::HeapTid> out);

// Places of all rows that meet the scan's conditions, in order of the heap, into `out`, if the session has
// them at hand and they are `most` or less. Between index_rescan() and the first row. False: it has not.
bool known_rows(IndexScanDesc scan, size_t most, std::pmr::vector<core::HeapTid> *out);

// The row last returned does not pass: rows to come are searched for the wider the more of them fail.
void fail_last_row(IndexScanDesc scan);

// Fetches the row version at `row`, which the scan has led to before, into `slot`, if that can be done
// faster than by table_tuple_fetch_row_version(). False: it can not.
bool fetch_returned_row(IndexScanDesc scan, const core::HeapTid &row, TupleTableSlot *slot);

// What a scan has done since it began (counters) and since its last amrescan (report). Null before
// its first row was asked for.
struct ScanFacts {
    const core::ScanReport *report = nullptr;
    const core::Stats *stats = nullptr;
};
ScanFacts scan_facts(IndexScanDesc scan);

// An ordered scan in the planner's currency.
struct ScanCost {
    double first = 0;       // records of the first beam and the descent
    double per_record = 0;  // cost of reading one
};
ScanCost scan_cost(PlannerInfo *root, const IndexPath *path, double loop_count, double records);

// The parameters CREATE INDEX fixes, from the index's catalog entries. Errors: a column without
// dimensions, an operator class that is not ours, columns that cannot be attributes.
core::CreateOptions create_options(Relation index);

// Copies the metapage after checking that this library can work with it and that it agrees with
// the index's column. Errors (HINT: REINDEX): not an hnsw index, unknown format version, damaged,
// other dimensions or distance than the column's.
core::MetaPage read_meta(BufferStore &store, Relation index);

// An index opened for one scan, statement or vacuum. Lives in one memory context and is abandoned
// with it: no destructor runs, so that none touches a buffer after an abort released it.
struct OpenIndex {
    static OpenIndex *open(MemoryContext context, Relation index, Relation heap,
                           BufferStore::Purpose purpose, BufferAccessStrategy strategy = nullptr);

    // `context` is where the members allocate.
    OpenIndex(MemoryContext context, Relation index, Relation heap, BufferStore::Purpose purpose,
              BufferAccessStrategy strategy);

    core::Context core_context() { return {.memory = &memory, .stats = &stats}; }

    McxtResource memory;
    BufferStore store;
    core::Stats stats;
    core::Index index;
};

// The coordinates of a column value or query: points into the detoasted datum. Error, with the
// words of the distance operators, if it has not `dim` dimensions.  `copy` receives what the caller
// may pfree (null if nothing was copied).
const float *read_vector(Datum value, uint32_t dim, void **copy);

}  // namespace hnsw::pg

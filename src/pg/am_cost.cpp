// Cost of an ordered scan, for the planner's choice between this index, another index with a sort,
// and a sequential scan with a sort.
//
// The model: a search reads one record, usually one page, per step; the first beam (ef records and
// a few per upper layer) comes before the first row, then about one record per row.  Rows a WHERE
// clause throws away cost a record each as well: the planner sees that because it divides the run
// cost over the rows it expects.  The constants are estimates; sql/hnsw_planner.sql has the plans
// they must lead to.
#include "core/record.h"
#include "pg/am.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

constexpr double kRecordsPerUpperLayer = 4;        // greedy descent
constexpr uint32_t kHypotheticalDimensions = 384;  // of an index that only a planner hook knows
constexpr double kBytesPerOperator = 512;  // of vectors and codes, at vector instruction speed

// What the planner does not know about the graph.
struct Graph {
    double beam;        // records of the first beam
    double upper;       // records of the descent
    double parts;       // pages per record
    double cpu;         // per record
    double value_size;  // bytes of a heap value
};

Graph describe(const core::MetaPage &meta) {
    core::RecordLayout layout =
        core::IndexLayouts::make(core::padded_dim(meta.dim), meta.base_slots, meta.upper_slots,
                                 meta.code_bits)
            .base;
    // Without codes the neighbours' own vectors are read instead.
    double bytes = layout.bits != 0 ? layout.bytes : double{1} * layout.dim * layout.slots;
    return {.beam = ef_search() * static_cast<double>(meta.beam_factor),
            .upper = kRecordsPerUpperLayer * meta.entry_level,
            .parts = static_cast<double>(layout.parts),
            .cpu = cpu_index_tuple_cost + cpu_operator_cost * (1 + bytes / kBytesPerOperator),
            .value_size = 4.0 * meta.dim + 8};
}

Graph describe(const IndexPath *path) {
    if (path->indexinfo->hypothetical) {
        alignas(8) std::byte page[core::kPageSize];
        core::make_empty_meta(page, {.dim = kHypotheticalDimensions});
        return describe(core::meta_of(page));
    }
    Relation index = index_open(path->indexinfo->indexoid, NoLock);
    BufferStore store(index, nullptr, BufferStore::Purpose::kRead);
    core::MetaPage meta = read_meta(store, index);
    index_close(index, NoLock);
    return describe(meta);
}

// The planner charges a sequential scan or a sort nothing for fetching vectors out of line.  What
// this scan is compared with is therefore too cheap by this factor (<= 1), and so must it be.
double planner_currency(const RelOptInfo *rel, double value_size) {
    double rows = std::max(1.0, rel->tuples);
    double inline_bytes = rel->pages * double{BLCKSZ} / rows;
    double hidden_pages = std::max(0.0, value_size - inline_bytes) / BLCKSZ;
    double visible = rel->pages / rows * seq_page_cost + cpu_tuple_cost + cpu_operator_cost;
    return visible / (visible + hidden_pages * seq_page_cost);
}

// Rows the scan will be asked for, as far as the planner knows.
double rows_wanted(const PlannerInfo *root, const RelOptInfo *rel, double rows) {
    if (root->limit_tuples <= 0)
        return rows;
    double passing = rel->tuples > 0 ? rel->rows / rel->tuples : 1;
    return std::min(rows, root->limit_tuples / std::clamp(passing, 1e-9, 1.0));
}

Selectivity predicate_selectivity(PlannerInfo *root, const IndexPath *path) {
    List *quals = add_predicate_to_index_quals(path->indexinfo, NIL);
    return clauselist_selectivity(root, quals, static_cast<int>(path->indexinfo->rel->relid),
                                  JOIN_INNER, nullptr);
}

}  // namespace

ScanCost scan_cost(PlannerInfo *root, const IndexPath *path, double loop_count, double records) {
    Graph graph = describe(path);
    double rows = std::max(1.0, path->indexinfo->tuples);
    double first = std::min(rows, graph.beam) + graph.upper;
    records = std::max(first, records);
    double random_page;
    get_tablespace_page_costs(path->indexinfo->reltablespace, &random_page, nullptr);
    double fetched = index_pages_fetched(records * graph.parts * loop_count, path->indexinfo->pages,
                                         path->indexinfo->pages, root) /
                     loop_count;
    double currency = planner_currency(path->indexinfo->rel, graph.value_size);
    return {.first = first, .per_record = fetched / records * random_page * currency + graph.cpu};
}

void am_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup,
                      Cost *total, Selectivity *selectivity, double *correlation, double *pages) {
    *selectivity = predicate_selectivity(root, path);
    *correlation = 0;
    *pages = path->indexinfo->pages;
    if (path->indexorderbys == NIL) {
        *startup = *total = get_float8_infinity();
        disable_path(path);
        return;
    }
    double rows = std::max(1.0, path->indexinfo->tuples);
    double wanted = rows_wanted(root, path->indexinfo->rel, rows);
    ScanCost cost = scan_cost(root, path, loop_count, wanted);
    *startup = cost.first * cost.per_record;
    *total = *startup + rows * cost.per_record;
}

}  // namespace hnsw::pg

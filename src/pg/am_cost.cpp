// Cost of an ordered scan, for the planner's choice between this index, another index with a sort,
// and a sequential scan with a sort.
//
// The model: a search reads one record, usually one page, per step; the first beam (ef records and
// a few per upper layer) comes before the first row, then about one record per row.  Rows a WHERE
// clause throws away cost a record each as well: the planner sees that because it divides the run
// cost over the rows it expects.  Rows that an index condition excludes cost less: a walk reads about
// 1 / sqrt(share of rows that meet it) records per one that does, and never more than an exact search
// would, which reads those rows and the directory.  The constants are estimates;
// sql/hnsw_planner.sql and sql/attribute_use.sql have the plans they must lead to.
#include "core/record.h"
#include "pg/am.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

constexpr double kRecordsPerUpperLayer = 2;        // and as many as the beam is wide
constexpr uint32_t kHypotheticalDimensions = 384;  // of an index that only a planner hook knows
constexpr double kDirectoryKeysPerPage = core::kPayloadBytes / sizeof(uint64_t);
// Of a scan without an order. Not infinity, of which the planner would make NaN.
constexpr Cost kNever = 1e100;
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
        core::RecordLayout::make(core::padded_dim(meta.dim), meta.slots, meta.code_bits);
    // Without codes the neighbours' own vectors are read instead.
    double bytes = layout.bits != 0 ? layout.bytes : double{1} * layout.dim * layout.slots;
    return {.beam = ef_search() * static_cast<double>(meta.beam_factor),
            .upper = (kRecordsPerUpperLayer + meta.descent_width) * meta.entry_level,
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

// Rows that meet the index conditions the scan will be asked for, of `matching`, as far as the
// planner knows.
double rows_wanted(const PlannerInfo *root, const RelOptInfo *rel, double matching) {
    if (root->limit_tuples <= 0)
        return matching;
    double passing = rel->rows / std::max(1.0, matching);
    return std::min(matching, root->limit_tuples / std::clamp(passing, 1e-9, 1.0));
}

Selectivity selectivity_of(PlannerInfo *root, const IndexPath *path, List *quals) {
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
    List *conditions = get_quals_from_indexclauses(path->indexclauses);
    List *all = add_predicate_to_index_quals(path->indexinfo, conditions);
    *selectivity = selectivity_of(root, path, all);
    *correlation = 0;
    *pages = path->indexinfo->pages;
    if (path->indexorderbys == NIL) {
        *startup = *total = kNever;
        disable_path(path);
        return;
    }
    double rows = std::max(1.0, path->indexinfo->tuples);
    double share = std::max(selectivity_of(root, path, conditions), 1e-9);
    double matching = std::max(1.0, rows * share);
    double exact = matching + rows * (path->indexinfo->ncolumns + 1) / kDirectoryKeysPerPage;
    double detour = 1 / std::sqrt(share);
    double wanted = rows_wanted(root, path->indexinfo->rel, matching) * detour;
    ScanCost cost = scan_cost(root, path, loop_count, std::min(wanted, exact));
    *startup = std::min(cost.first * detour, std::max(cost.first, exact)) * cost.per_record;
    *total = *startup + matching * cost.per_record;
}

}  // namespace hnsw::pg

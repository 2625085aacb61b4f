// Conditions on a distance. filter_bounds.h says what for.
#include "pg/filter_bounds.h"

#include "core/distance_sample.h"
#include "pg/am.h"
#include "pg/type_common.h"

namespace hnsw::pg {

namespace {

constexpr Oid kFloatBtreeFamily = 1970;  // float_ops: has no name in the server's headers

// left < right, in any of its forms.
struct Comparison {
    OpExpr *clause;
    bool less;  // the first argument is the lesser
    bool inclusive;

    Node *lesser() const { return argument(less ? 0 : 1); }
    Node *greater() const { return argument(less ? 1 : 0); }

private:
    Node *argument(int n) const { return static_cast<Node *>(list_nth(clause->args, n)); }
};

std::optional<Comparison> match_comparison(Node *clause) {
    if (!IsA(clause, OpExpr) || list_length(castNode(OpExpr, clause)->args) != 2)
        return std::nullopt;
    auto *op = castNode(OpExpr, clause);
    int strategy = get_op_opfamily_strategy(op->opno, kFloatBtreeFamily);
    bool less = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
    bool greater = strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber;
    if (!less && !greater)
        return std::nullopt;
    return Comparison{.clause = op,
                      .less = less,
                      .inclusive = strategy == BTLessEqualStrategyNumber ||
                                   strategy == BTGreaterEqualStrategyNumber};
}

bool same_distance(const Node *a, const Node *b) {
    if (equal(a, b))
        return true;
    if (!IsA(a, OpExpr) || !IsA(b, OpExpr))
        return false;
    const auto *x = castNode(OpExpr, const_cast<Node *>(a));
    const auto *y = castNode(OpExpr, const_cast<Node *>(b));
    return list_length(x->args) == 2 && list_length(y->args) == 2 &&
           get_commutator(x->opno) == y->opno && equal(linitial(x->args), lsecond(y->args)) &&
           equal(lsecond(x->args), linitial(y->args));
}

// Whether `clause` is distance < limit, in any of its forms.
std::optional<DistanceBound> match_bound(Node *clause, const Node *distance) {
    std::optional<Comparison> found = match_comparison(clause);
    if (!found)
        return std::nullopt;
    Node *limit = found->greater();
    if (!same_distance(found->lesser(), distance) || contain_var_clause(limit) ||
        contain_volatile_functions(limit) || contain_subplans(limit))
        return std::nullopt;
    return DistanceBound{.qual = 0,
                         .limit_side = found->less ? 1 : 0,
                         .inclusive = found->inclusive,
                         .single = exprType(limit) == FLOAT4OID,
                         .only_there = false};
}

// ---- how many rows ---------------------------------------------------------------------------

// A distance from the rows of a table to a constant, and an index that can be sampled for it.
struct Measurable {
    const IndexOptInfo *index;
    const Const *query;
};

std::optional<Measurable> match_distance(Node *expr, const RelOptInfo *rel) {
    if (!IsA(expr, OpExpr) || list_length(castNode(OpExpr, expr)->args) != 2)
        return std::nullopt;
    auto *op = castNode(OpExpr, expr);
    auto *column = static_cast<Node *>(linitial(op->args));
    auto *query = static_cast<Node *>(lsecond(op->args));
    if (IsA(column, Const))
        std::swap(column, query);
    if (!IsA(query, Const) || castNode(Const, query)->constisnull)
        return std::nullopt;
    ListCell *cell;
    foreach (cell, rel->indexlist) {
        auto *index = lfirst_node(IndexOptInfo, cell);
        if (is_hnsw_index(index) && !index->hypothetical && index->indpred == NIL &&
            match_index_to_operand(column, 0, index) &&
            get_op_opfamily_sortfamily(op->opno, index->opfamily[0]) != InvalidOid)
            return Measurable{.index = index, .query = castNode(Const, query)};
    }
    return std::nullopt;
}

std::optional<double> constant(Node *expr) {
    if (!IsA(expr, Const) || castNode(Const, expr)->constisnull)
        return std::nullopt;
    auto *value = castNode(Const, expr);
    if (value->consttype == FLOAT4OID)
        return DatumGetFloat4(value->constvalue);
    if (value->consttype == FLOAT8OID)
        return DatumGetFloat8(value->constvalue);
    return std::nullopt;
}

// Null if it has other dimensions.
const float *vector_of(Datum value, uint32_t dim) {
    auto view = view_of<vec::F32>(PG_DETOAST_DATUM(value));
    return view && view->dim == dim ? view->data : nullptr;
}

// The share of the rows of the index within `bound` of the query; none if it is empty, or the query
// one that the operator will not take.
std::optional<double> sample(const Measurable &distance, double bound) {
    std::optional<double> share;
    Relation relation = index_open(distance.index->indexoid, NoLock);
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw sample", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    OpenIndex *opened = OpenIndex::open(context, relation, nullptr, BufferStore::Purpose::kRead);
    // A query of other dimensions is an error, but only when it is run.
    if (const float *query = vector_of(distance.query->constvalue, opened->index.meta().dim)) {
        core::DistanceSample found(&opened->memory);
        found.take(opened->index, opened->core_context(), query);
        if (found.tells())
            share = found.share_within(bound);
    }
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(context);
    index_close(relation, NoLock);
    return share;
}

// What the server would ask the comparison operator for.
std::optional<double> selectivity_of(Node *clause, const RelOptInfo *rel) {
    std::optional<Comparison> found = match_comparison(clause);
    if (!found)
        return std::nullopt;
    bool upper = !IsA(found->lesser(), Const);
    std::optional<double> limit = constant(upper ? found->greater() : found->lesser());
    if (!limit || std::isnan(*limit))
        return std::nullopt;
    std::optional<Measurable> distance =
        match_distance(upper ? found->lesser() : found->greater(), rel);
    if (!distance)
        return std::nullopt;
    std::optional<double> within = sample(*distance, *limit);
    if (!within)
        return std::nullopt;
    return std::clamp(upper ? *within : 1 - *within, 0.0, 1.0);
}

// For a table with partitions or children: the sum, if any of theirs was corrected.
void add_up_children(PlannerInfo *root, RelOptInfo *rel) {
    double rows = 0;
    ListCell *cell;
    foreach (cell, root->append_rel_list) {
        auto *child = lfirst_node(AppendRelInfo, cell);
        if (child->parent_relid != rel->relid)
            continue;
        const RelOptInfo *other = root->simple_rel_array[child->child_relid];
        if (other != nullptr && !is_dummy_rel(const_cast<RelOptInfo *>(other)))
            rows += other->rows;
    }
    if (rows > 0 && rel->tuples == rel->rows)
        rel->tuples = rows;
    if (rows > 0)
        rel->rows = rows;
}

void scale_rows(RelOptInfo *rel, double factor) {
    ListCell *cell;
    foreach (cell, rel->ppilist)
        lfirst_node(ParamPathInfo, cell)->ppi_rows =
            clamp_row_est(lfirst_node(ParamPathInfo, cell)->ppi_rows * factor);
    for (List *paths : {rel->pathlist, rel->partial_pathlist})
        foreach (cell, paths) {
            auto *path = static_cast<Path *>(lfirst(cell));
            path->rows = clamp_row_est(path->rows * factor);
        }
}

}  // namespace

bool is_distance_bound(Node *clause, const Node *distance) {
    return match_bound(clause, distance).has_value();
}

// A bound may be tested after all other quals if none of them is of a higher security level, which
// would let it see rows that the bound was to hide.
List *find_bounds(List *clauses, const Node *distance) {
    List *bounds = NIL;
    Index highest = 0;
    ListCell *cell;
    foreach (cell, clauses)
        highest = std::max(highest, lfirst_node(RestrictInfo, cell)->security_level);
    int place = 0;
    foreach (cell, clauses) {
        auto *info = lfirst_node(RestrictInfo, cell);
        if (info->pseudoconstant)
            continue;
        if (auto bound = match_bound(reinterpret_cast<Node *>(info->clause), distance)) {
            auto *kept = static_cast<DistanceBound *>(palloc(sizeof(DistanceBound)));
            *kept = *bound;
            kept->qual = place;
            kept->only_there = info->security_level == highest;
            bounds = lappend(bounds, kept);
        }
        place++;
    }
    return bounds;
}

void estimate_distance_bounds(PlannerInfo *root, RelOptInfo *rel, const RangeTblEntry *rte) {
    if (rte->rtekind != RTE_RELATION || rel->baserestrictinfo == NIL || IS_DUMMY_REL(rel))
        return;
    if (rte->inh) {
        add_up_children(root, rel);
        return;
    }
    bool changed = false;
    ListCell *cell;
    foreach (cell, rel->baserestrictinfo) {
        auto *info = lfirst_node(RestrictInfo, cell);
        if (info->pseudoconstant)
            continue;
        // The server keeps a condition's selectivity there and asks no more.
        if (auto share = selectivity_of(reinterpret_cast<Node *>(info->clause), rel)) {
            info->norm_selec = *share;
            changed = true;
        }
    }
    if (!changed)
        return;
    double before = rel->rows;
    rel->rows = clamp_row_est(
        rel->tuples * clauselist_selectivity(root, rel->baserestrictinfo, 0, JOIN_INNER, nullptr));
    scale_rows(rel, rel->rows / before);
}

}  // namespace hnsw::pg

// From the chosen path to the plan node.
#include "pg/filter_plan.h"

#include <bit>

#include "pg/am.h"
#include "pg/filter_bounds.h"

namespace hnsw::pg {

namespace {

// Places in custom_exprs.
enum Exprs { kConditions, kOrderBy, kConditionsOriginal, kOrderByOriginal, kLimit, kOffset };

List *one_or_none(Expr *expr) { return expr != nullptr ? list_make1(expr) : NIL; }
Expr *first_or_null(const List *list) {
    return list != NIL ? static_cast<Expr *>(linitial(list)) : nullptr;
}

// A number in a list of integers: a Float node is text, which every execution would have to parse.
List *append_number(List *list, double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    return lappend_int(lappend_int(list, static_cast<int>(bits >> 32)), static_cast<int>(bits));
}
double number_at(const List *list, int place) {
    const auto half = [&](int at) {
        return uint64_t{static_cast<uint32_t>(list_nth_int(list, at))};
    };
    return std::bit_cast<double>(half(2 * place) << 32 | half(2 * place + 1));
}

// A copy of an index clause with the column replaced by what scan keys are built from.
Node *with_index_column(Node *clause, int column) {
    auto *copy = static_cast<Node *>(copyObjectImpl(clause));
    auto replace = [column](Node *operand) {
        return makeVar(INDEX_VAR, static_cast<AttrNumber>(column + 1), exprType(operand), -1,
                       exprCollation(operand), 0);
    };
    if (IsA(copy, OpExpr)) {
        ListCell *first = list_head(castNode(OpExpr, copy)->args);
        lfirst(first) = replace(static_cast<Node *>(lfirst(first)));
    } else if (IsA(copy, ScalarArrayOpExpr)) {
        ListCell *first = list_head(castNode(ScalarArrayOpExpr, copy)->args);
        lfirst(first) = replace(static_cast<Node *>(lfirst(first)));
    } else if (IsA(copy, NullTest)) {
        auto *test = castNode(NullTest, copy);
        test->arg = reinterpret_cast<Expr *>(replace(reinterpret_cast<Node *>(test->arg)));
    } else {
        elog(ERROR, "unsupported index clause type: %d", static_cast<int>(nodeTag(copy)));
    }
    return copy;
}

void put_index_clauses(FilterPlan &facts, const IndexPath *path) {
    ListCell *cell;
    foreach (cell, path->indexclauses) {
        auto *index_clause = lfirst_node(IndexClause, cell);
        ListCell *qual;
        foreach (qual, index_clause->indexquals) {
            auto *clause = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, qual)->clause);
            facts.conditions_original = lappend(facts.conditions_original, copyObjectImpl(clause));
            facts.conditions =
                lappend(facts.conditions, with_index_column(clause, index_clause->indexcol));
        }
    }
    auto *order = static_cast<Node *>(linitial(path->indexorderbys));
    facts.order_by_original = list_make1(copyObjectImpl(order));
    facts.order_by = list_make1(with_index_column(order, linitial_int(path->indexorderbycols)));
}

// Whether LIMIT and OFFSET of the query are limits on the rows of this table: nothing between them
// and the scan adds, drops or merges rows. (The planner keeps limit_tuples by the same rule.)
bool limit_applies(const PlannerInfo *root) {
    const Query *parse = root->parse;
    return parse->limitCount != nullptr && parse->groupClause == NIL &&
           parse->groupingSets == NIL && parse->distinctClause == NIL && !parse->hasAggs &&
           !parse->hasWindowFuncs && !parse->hasTargetSRFs && !root->hasHavingQual &&
           bms_membership(root->all_baserels) == BMS_SINGLETON;
}

bool can_be_evaluated_twice(Node *expr) {
    return expr == nullptr || (!contain_volatile_functions(expr) && !contain_subplans(expr));
}

void put_limit(FilterPlan &facts, const PlannerInfo *root) {
    const Query *parse = root->parse;
    if (!limit_applies(root) || !can_be_evaluated_twice(parse->limitCount) ||
        !can_be_evaluated_twice(parse->limitOffset))
        return;
    facts.limit = static_cast<Expr *>(copyObjectImpl(parse->limitCount));
    if (parse->limitOffset != nullptr)
        facts.offset = static_cast<Expr *>(copyObjectImpl(parse->limitOffset));
    // An incremental sort reads one row further to see that a group of equal distances is over.
    facts.extra_rows = list_length(root->query_pathkeys) > 1 ? 1 : 0;
}

}  // namespace

FilterShares filter_shares(PlannerInfo *root, RelOptInfo *rel, const IndexPath *ordered) {
    auto relid = static_cast<int>(rel->relid);
    auto *distance = static_cast<Node *>(linitial(ordered->indexorderbys));
    FilterShares shares{.passing = rel->rows / std::max(1.0, rel->tuples), .conditions = 1};
    ListCell *cell;
    foreach (cell, rel->baserestrictinfo) {
        auto *info = lfirst_node(RestrictInfo, cell);
        if (is_distance_bound(reinterpret_cast<Node *>(info->clause), distance))
            shares.passing /=
                std::max(1e-9, clause_selectivity(root, reinterpret_cast<Node *>(info), relid,
                                                  JOIN_INNER, nullptr));
    }
    List *conditions = NIL;
    foreach (cell, ordered->indexclauses)
        conditions = lappend(conditions, lfirst_node(IndexClause, cell)->rinfo);
    if (conditions != NIL)
        shares.conditions = clauselist_selectivity(root, conditions, relid, JOIN_INNER, nullptr);
    shares.passing = std::clamp(shares.passing, 1e-9, 1.0);
    shares.conditions = std::clamp(shares.conditions, 1e-9, 1.0);
    return shares;
}

void put_filter_plan(CustomScan *scan, const FilterPlan &facts) {
    List *bounds = NIL;
    ListCell *cell;
    foreach (cell, facts.bounds) {
        auto *bound = static_cast<DistanceBound *>(lfirst(cell));
        bounds = lappend_int(bounds, bound->qual);
        bounds = lappend_int(bounds, bound->limit_side);
        bounds = lappend_int(bounds, bound->inclusive);
        bounds = lappend_int(bounds, bound->single);
        bounds = lappend_int(bounds, bound->only_there);
    }
    List *numbers = NIL;
    for (const double number : {facts.tuples, facts.matching, facts.passing,
                                facts.condition_matching, facts.bitmap_matching})
        numbers = append_number(numbers, number);
    scan->custom_private =
        list_make4(list_make1_oid(facts.index), numbers,
                   list_make2_int(static_cast<int>(facts.extra_rows), facts.all_rows), bounds);
    List *exprs = list_make4(facts.conditions, facts.order_by, facts.conditions_original,
                             facts.order_by_original);
    exprs = lappend(exprs, one_or_none(facts.limit));
    scan->custom_exprs = lappend(exprs, one_or_none(facts.offset));
}

FilterPlan get_filter_plan(const CustomScan *scan) {
    FilterPlan facts;
    facts.index = linitial_oid(static_cast<List *>(linitial(scan->custom_private)));
    auto *numbers = static_cast<List *>(lsecond(scan->custom_private));
    facts.tuples = number_at(numbers, 0);
    facts.matching = number_at(numbers, 1);
    facts.passing = number_at(numbers, 2);
    facts.condition_matching = number_at(numbers, 3);
    facts.bitmap_matching = number_at(numbers, 4);
    auto *flags = static_cast<List *>(lthird(scan->custom_private));
    facts.extra_rows = static_cast<uint32_t>(linitial_int(flags));
    facts.all_rows = lsecond_int(flags) != 0;
    auto *bounds = static_cast<List *>(lfourth(scan->custom_private));
    for (int i = 0; i < list_length(bounds); i += 5) {
        auto *bound = static_cast<DistanceBound *>(palloc(sizeof(DistanceBound)));
        *bound = {.qual = list_nth_int(bounds, i),
                  .limit_side = list_nth_int(bounds, i + 1),
                  .inclusive = list_nth_int(bounds, i + 2) != 0,
                  .single = list_nth_int(bounds, i + 3) != 0,
                  .only_there = list_nth_int(bounds, i + 4) != 0};
        facts.bounds = lappend(facts.bounds, bound);
    }
    auto exprs = [scan](Exprs place) {
        return static_cast<List *>(list_nth(scan->custom_exprs, place));
    };
    facts.conditions = exprs(kConditions);
    facts.order_by = exprs(kOrderBy);
    facts.conditions_original = exprs(kConditionsOriginal);
    facts.order_by_original = exprs(kOrderByOriginal);
    facts.limit = first_or_null(exprs(kLimit));
    facts.offset = first_or_null(exprs(kOffset));
    return facts;
}

Plan *make_filter_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *target_list,
                       List *clauses, List *children) {
    auto *ordered = castNode(IndexPath, linitial(path->custom_private));
    auto *scan = makeNode(CustomScan);
    scan->scan.plan.targetlist = target_list;
    scan->scan.plan.qual = extract_actual_clauses(clauses, false);
    scan->scan.scanrelid = rel->relid;
    scan->flags = path->flags;
    scan->methods = &kFilterScanMethods;

    FilterPlan facts;
    facts.index = ordered->indexinfo->indexoid;
    facts.tuples = std::max(1.0, rel->tuples);
    facts.matching = rel->rows;
    FilterShares shares = filter_shares(root, rel, ordered);
    facts.passing = shares.passing * facts.tuples;
    facts.condition_matching = shares.conditions * facts.tuples;
    facts.all_rows = root->tuple_fraction <= 0;
    put_index_clauses(facts, ordered);
    facts.bounds = find_bounds(clauses, static_cast<Node *>(linitial(facts.order_by_original)));
    put_limit(facts, root);
    if (children != NIL) {
        auto *child = static_cast<Plan *>(linitial(children));
        while (!IsA(child, BitmapHeapScan))  // constant quals put a Result on top
            child = outerPlan(child);
        auto *heap_path = castNode(BitmapHeapPath, linitial(path->custom_paths));
        Cost cost;
        Selectivity selectivity;
        cost_bitmap_tree_node(heap_path->bitmapqual, &cost, &selectivity);
        facts.bitmap_matching = selectivity * facts.tuples;
        scan->custom_plans = list_make1(outerPlan(child));
    }
    put_filter_plan(scan, facts);
    return &scan->scan.plan;
}

}  // namespace hnsw::pg

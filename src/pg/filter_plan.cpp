// From the chosen path to the plan node.
#include "pg/filter_plan.h"

#include "pg/am.h"

namespace hnsw::pg {

namespace {

constexpr Oid kFloatBtreeFamily = 1970;  // float_ops: has no name in the server's headers

// Places in custom_exprs.
enum Exprs { kConditions, kOrderBy, kConditionsOriginal, kOrderByOriginal, kLimit, kOffset };

List *one_or_none(Expr *expr) { return expr != nullptr ? list_make1(expr) : NIL; }
Expr *first_or_null(const List *list) {
    return list != NIL ? static_cast<Expr *>(linitial(list)) : nullptr;
}

Float *float_node(double value) { return makeFloat(psprintf("%.17g", value)); }

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
    if (!IsA(clause, OpExpr) || list_length(castNode(OpExpr, clause)->args) != 2)
        return std::nullopt;
    auto *op = castNode(OpExpr, clause);
    int strategy = get_op_opfamily_strategy(op->opno, kFloatBtreeFamily);
    bool upper = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
    bool lower = strategy == BTGreaterStrategyNumber || strategy == BTGreaterEqualStrategyNumber;
    if (!upper && !lower)
        return std::nullopt;
    auto *value = static_cast<Node *>(list_nth(op->args, upper ? 0 : 1));
    auto *limit = static_cast<Node *>(list_nth(op->args, upper ? 1 : 0));
    if (!same_distance(value, distance) || contain_var_clause(limit) ||
        contain_volatile_functions(limit) || contain_subplans(limit))
        return std::nullopt;
    return DistanceBound{.qual = 0,
                         .limit_side = upper ? 1 : 0,
                         .inclusive = strategy == BTLessEqualStrategyNumber ||
                                      strategy == BTGreaterEqualStrategyNumber,
                         .single = exprType(limit) == FLOAT4OID,
                         .only_there = false};
}

// The bounds among `clauses` (RestrictInfos in the order of the plan's qual). A bound may be tested
// after all other quals if none of them is of a higher security level, which would let it see rows
// that the bound was to hide.
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

// Whether every qual the bitmap stands for is an index condition as well.
bool covered(const List *quals, const IndexPath *ordered) {
    ListCell *cell;
    foreach (cell, quals) {
        bool found = false;
        ListCell *other;
        foreach (other, ordered->indexclauses)
            found |= equal(lfirst_node(IndexClause, other)->rinfo->clause, lfirst(cell));
        if (!found)
            return false;
    }
    return true;
}

}  // namespace

bool is_distance_bound(Node *clause, const Node *distance) {
    return match_bound(clause, distance).has_value();
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
    scan->custom_private = list_make4(
        list_make1_oid(facts.index),
        list_make3(float_node(facts.tuples), float_node(facts.matching),
                   float_node(facts.bitmap_matching)),
        list_make3_int(facts.bitmap_adds, static_cast<int>(facts.extra_rows), facts.all_rows),
        bounds);
    List *exprs = list_make4(facts.conditions, facts.order_by, facts.conditions_original,
                             facts.order_by_original);
    exprs = lappend(exprs, one_or_none(facts.limit));
    scan->custom_exprs = lappend(exprs, one_or_none(facts.offset));
}

FilterPlan get_filter_plan(const CustomScan *scan) {
    FilterPlan facts;
    facts.index = linitial_oid(static_cast<List *>(linitial(scan->custom_private)));
    auto *numbers = static_cast<List *>(lsecond(scan->custom_private));
    facts.tuples = floatVal(linitial(numbers));
    facts.matching = floatVal(lsecond(numbers));
    facts.bitmap_matching = floatVal(lthird(numbers));
    auto *flags = static_cast<List *>(lthird(scan->custom_private));
    facts.bitmap_adds = linitial_int(flags) != 0;
    facts.extra_rows = static_cast<uint32_t>(lsecond_int(flags));
    facts.all_rows = lthird_int(flags) != 0;
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
        facts.bitmap_adds = !covered(castNode(BitmapHeapScan, child)->bitmapqualorig, ordered);
        scan->custom_plans = list_make1(outerPlan(child));
    }
    put_filter_plan(scan, facts);
    return &scan->scan.plan;
}

}  // namespace hnsw::pg

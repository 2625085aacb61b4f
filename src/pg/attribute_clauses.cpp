// Index matching for attributes, after the server's own (optimizer/path/indxpath.c) and by its rules.
#include "pg/attribute_clauses.h"

namespace hnsw::pg {

namespace {

bool is_column(Node *operand, const IndexOptInfo *index, int column) {
    return match_index_to_operand(operand, column, const_cast<IndexOptInfo *>(index));
}

// column op ANY (array)
bool matches_any(Node *clause, const IndexOptInfo *index, int column) {
    if (!IsA(clause, ScalarArrayOpExpr))
        return false;
    auto *any = castNode(ScalarArrayOpExpr, clause);
    auto *array = static_cast<Node *>(lsecond(any->args));
    const Oid collation = index->indexcollations[column];
    return any->useOr && is_column(static_cast<Node *>(linitial(any->args)), index, column) &&
           op_in_opfamily(any->opno, index->opfamily[column]) &&
           (!OidIsValid(collation) || collation == any->inputcollid) &&
           !contain_var_clause(array) && !contain_volatile_functions(array);
}

// A boolean column as a condition: as column = constant; null if it is something else.
Expr *match_boolean(Node *clause, const IndexOptInfo *index, int column) {
    if (!op_in_opfamily(BooleanEqualOperator, index->opfamily[column]))
        return nullptr;
    Node *operand = clause;
    bool value = true;
    if (is_notclause(clause)) {
        operand = reinterpret_cast<Node *>(get_notclausearg(clause));
        value = false;
    } else if (IsA(clause, BooleanTest)) {
        auto *test = castNode(BooleanTest, clause);
        if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
            return nullptr;
        operand = reinterpret_cast<Node *>(test->arg);
        value = test->booltesttype == IS_TRUE;
    }
    if (!is_column(operand, index, column))
        return nullptr;
    return make_opclause(BooleanEqualOperator, BOOLOID, false, reinterpret_cast<Expr *>(operand),
                         reinterpret_cast<Expr *>(makeBoolConst(value, false)), InvalidOid,
                         InvalidOid);
}

IndexClause *match_clause(PlannerInfo *root, RestrictInfo *restriction, const IndexOptInfo *index,
                          int column) {
    auto *clause = reinterpret_cast<Node *>(restriction->clause);
    RestrictInfo *qual = nullptr;
    if (matches_any(clause, index, column))
        qual = restriction;
    else if (Expr *equal = match_boolean(clause, index, column))
        qual = make_simple_restrictinfo(root, equal);
    if (qual == nullptr)
        return nullptr;
    auto *found = makeNode(IndexClause);
    found->rinfo = restriction;
    found->indexquals = list_make1(qual);
    found->indexcol = static_cast<AttrNumber>(column);
    return found;
}

bool is_among(const List *clauses, const RestrictInfo *restriction) {
    ListCell *cell;
    foreach (cell, clauses)
        if (lfirst_node(IndexClause, cell)->rinfo == restriction)
            return true;
    return false;
}

}  // namespace

void add_attribute_clauses(PlannerInfo *root, IndexPath *path) {
    const IndexOptInfo *index = path->indexinfo;
    ListCell *cell;
    foreach (cell, index->rel->baserestrictinfo) {
        auto *restriction = lfirst_node(RestrictInfo, cell);
        if (restriction->pseudoconstant || is_among(path->indexclauses, restriction) ||
            !restriction_is_securely_promotable(restriction, index->rel))
            continue;
        for (int column = 1; column < index->nkeycolumns; column++)
            if (IndexClause *found = match_clause(root, restriction, index, column)) {
                path->indexclauses = lappend(list_copy(path->indexclauses), found);
                break;
            }
    }
}

}  // namespace hnsw::pg

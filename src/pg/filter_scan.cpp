// The custom scan's life cycle: what the server calls when.
#include "pg/filter_scan.h"

#include "pg/options.h"

namespace hnsw::pg {

namespace {

FilterScanState *state_of(CustomScanState *node) {
    return reinterpret_cast<FilterScanState *>(node);
}

// The server sets a custom scan up for slots of its own making; this one returns heap rows as a
// plain scan does.
void use_heap_slot(FilterScanState *state, EState *estate) {
    ScanState *ss = &state->css.ss;
    ExecInitScanTupleSlot(estate, ss, RelationGetDescr(ss->ss_currentRelation),
                          table_slot_callbacks(ss->ss_currentRelation));
    ExecAssignScanProjectionInfo(ss);
    ss->ps.qual = ExecInitQual(ss->ps.plan->qual, &ss->ps);
}

void init_keys(FilterScanState *state) {
    PlanState *ps = &state->css.ss.ps;
    ExecIndexBuildScanKeys(ps, state->index, state->plan.conditions, false, &state->conditions,
                           &state->condition_count, &state->runtime_keys, &state->runtime_key_count,
                           nullptr, nullptr);
    ExecIndexBuildScanKeys(ps, state->index, state->plan.order_by, true, &state->order_by,
                           &state->order_by_count, &state->runtime_keys, &state->runtime_key_count,
                           nullptr, nullptr);
    state->key_context = CreateExprContext(ps->state);
}

// The quals without the distance bounds that can be tested on the distance itself.
void init_quals(FilterScanState *state) {
    PlanState *ps = &state->css.ss.ps;
    List *quals = list_copy(ps->plan->qual);
    state->bounds =
        static_cast<BoundTest *>(palloc0(sizeof(BoundTest) * list_length(state->plan.bounds)));
    ListCell *cell;
    foreach (cell, state->plan.bounds) {
        auto *bound = static_cast<DistanceBound *>(lfirst(cell));
        auto *clause = castNode(OpExpr, list_nth(ps->plan->qual, bound->qual));
        auto *limit = static_cast<Expr *>(list_nth(clause->args, bound->limit_side));
        state->bounds[state->bound_count++] = {.limit = ExecInitExpr(limit, ps),
                                               .inclusive = bound->inclusive,
                                               .single = bound->single,
                                               .value = {}};
        if (bound->only_there)
            quals = list_delete_ptr(quals, clause);
    }
    state->quals = state->bound_count == 0 ? ps->qual : ExecInitQual(quals, ps);
}

void begin(CustomScanState *node, EState *estate, int eflags) {
    FilterScanState *state = state_of(node);
    auto *plan = castNode(CustomScan, node->ss.ps.plan);
    state->plan = get_filter_plan(plan);
    use_heap_slot(state, estate);
    if (plan->custom_plans != NIL)
        node->custom_ps = list_make1(
            ExecInitNode(static_cast<Plan *>(linitial(plan->custom_plans)), estate, eflags));
    if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
        return;
    state->index =
        index_open(state->plan.index, exec_rt_fetch(plan->scan.scanrelid, estate)->rellockmode);
    init_keys(state);
    init_quals(state);
    PlanState *ps = &node->ss.ps;
    state->distance =
        ExecInitExpr(static_cast<Expr *>(linitial(state->plan.order_by_original)), ps);
    state->limit = state->plan.limit != nullptr ? ExecInitExpr(state->plan.limit, ps) : nullptr;
    state->offset = state->plan.offset != nullptr ? ExecInitExpr(state->plan.offset, ps) : nullptr;
    MemoryContext context =
        AllocSetContextCreate(estate->es_query_cxt, "hnsw filtered scan", ALLOCSET_DEFAULT_SIZES);
    state->work = create_in_context<FilterWork>(context, context);
    reset_filtered_scan(state, false);
}

// EvalPlanQual brings its own row, which ExecScan tests against the plan's qual.
TupleTableSlot *next_for_recheck(ScanState *node) {
    TupleTableSlot *slot = next_filtered_row(reinterpret_cast<FilterScanState *>(node));
    return slot != nullptr ? slot : ExecClearTuple(node->ss_ScanTupleSlot);
}
bool recheck(ScanState *, TupleTableSlot *) { return true; }

TupleTableSlot *execute(CustomScanState *node) {
    ScanState *ss = &node->ss;
    if (ss->ps.state->es_epq_active != nullptr)
        return ExecScan(
            ss, [](ScanState *scan) { return entry<next_for_recheck>(scan); }, recheck);
    TupleTableSlot *slot = next_filtered_row(state_of(node));
    ProjectionInfo *projection = ss->ps.ps_ProjInfo;
    if (slot == nullptr)
        return projection != nullptr ? ExecClearTuple(projection->pi_state.resultslot)
                                     : ExecClearTuple(ss->ss_ScanTupleSlot);
    if (projection == nullptr)
        return slot;
    ResetExprContext(ss->ps.ps_ExprContext);
    ss->ps.ps_ExprContext->ecxt_scantuple = slot;
    return ExecProject(projection);
}

void rescan(CustomScanState *node) {
    FilterScanState *state = state_of(node);
    PlanState *child = child_of(state);
    if (child != nullptr && node->ss.ps.chgParam != nullptr)
        UpdateChangedParamSet(child, node->ss.ps.chgParam);
    bool keep_bitmap = child == nullptr || child->chgParam == nullptr;
    reset_filtered_scan(state, keep_bitmap);
    if (!keep_bitmap)
        ExecReScan(child);
    ExecScanReScan(&node->ss);
}

void end(CustomScanState *node) {
    FilterScanState *state = state_of(node);
    if (state->work != nullptr)
        end_filtered_scan(state);
    if (state->index != nullptr)
        index_close(state->index, NoLock);
    ListCell *cell;
    foreach (cell, node->custom_ps)
        ExecEndNode(static_cast<PlanState *>(lfirst(cell)));
}

const CustomExecMethods exec_methods = {
    .CustomName = "hnsw",
    .BeginCustomScan = [](CustomScanState *node, EState *estate,
                          int eflags) { entry<begin>(node, estate, eflags); },
    .ExecCustomScan = [](CustomScanState *node) { return entry<execute>(node); },
    .EndCustomScan = [](CustomScanState *node) { entry<end>(node); },
    .ReScanCustomScan = [](CustomScanState *node) { entry<rescan>(node); },
    .MarkPosCustomScan = nullptr,
    .RestrPosCustomScan = nullptr,
    .EstimateDSMCustomScan = nullptr,
    .InitializeDSMCustomScan = nullptr,
    .ReInitializeDSMCustomScan = nullptr,
    .InitializeWorkerCustomScan = nullptr,
    .ShutdownCustomScan = nullptr,
    .ExplainCustomScan = [](CustomScanState *node, List *ancestors,
                            ExplainState *es) { entry<explain_filter_scan>(node, ancestors, es); },
};

Node *create_state(CustomScan *) {
    auto *state = static_cast<FilterScanState *>(palloc0(sizeof(FilterScanState)));
    state->css.ss.ps.type = T_CustomScanState;
    state->css.methods = &exec_methods;
    state->counters.counted = -1;
    return reinterpret_cast<Node *>(state);
}

}  // namespace

const CustomScanMethods kFilterScanMethods = {
    .CustomName = "hnsw",
    .CreateCustomScanState = [](CustomScan *scan) { return entry<create_state>(scan); },
};

}  // namespace hnsw::pg

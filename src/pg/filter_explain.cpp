// EXPLAIN of the custom scan.
#include "pg/filter_scan.h"

namespace hnsw::pg {

namespace {

const char *strategy_name(core::Strategy strategy) {
    switch (strategy) {
        case core::Strategy::kExact:
            return "exact";
        case core::Strategy::kFilterFirst:
            return "filter_first";
        case core::Strategy::kPenalised:
            return "penalised";
        case core::Strategy::kPreFilter:
            return "pre_filter";
        case core::Strategy::kPostFilter:
            return "post_filter";
        case core::Strategy::kAuto:
            break;
    }
    return "auto";
}

void show_quals(const char *label, List *quals, List *deparse_context, bool with_prefix,
                ExplainState *es) {
    if (quals == NIL)
        return;
    Node *expr = reinterpret_cast<Node *>(make_ands_explicit(quals));
    ExplainPropertyText(label, deparse_expression(expr, deparse_context, with_prefix, false), es);
}

void show_bounds(const FilterScanState *state, List *deparse_context, bool with_prefix,
                 ExplainState *es) {
    const Plan *plan = state->css.ss.ps.plan;
    List *quals = NIL;
    ListCell *cell;
    foreach (cell, state->plan.bounds)
        quals =
            lappend(quals, list_nth(plan->qual, static_cast<DistanceBound *>(lfirst(cell))->qual));
    show_quals("Distance Bound", quals, deparse_context, with_prefix, es);
}

void show_count(const char *label, double count, ExplainState *es) {
    ExplainPropertyFloat(label, nullptr, count, 0, es);
}

// What the scan did; the index search has its own report when it kept to a filter.
void show_run(const FilterScanState *state, ExplainState *es) {
    const FilterCounters &counters = state->counters;
    ScanFacts facts;
    if (state->scan != nullptr)
        facts = scan_facts(state->scan);
    core::Strategy strategy = counters.strategy;
    const char *reason = counters.reason;
    double changes = static_cast<double>(counters.changes_of_mind);
    if (strategy != core::Strategy::kExact && facts.report != nullptr &&
        facts.report->choice.reason[0] != '\0') {
        strategy = facts.report->choice.strategy;
        reason = facts.report->choice.reason;
        changes += facts.report->changes_of_mind;
    }
    ExplainPropertyText("Strategy", strategy_name(strategy), es);
    ExplainPropertyText("Reason", reason, es);
    show_count("Estimated Matches", state->plan.matching, es);
    if (counters.counted >= 0)
        show_count("Bitmap Matches", counters.counted, es);
    if (facts.stats != nullptr)
        show_count("Records Read",
                   static_cast<double>(facts.stats->records_read + facts.stats->exact_pass_records),
                   es);
    show_count("Rows Fetched", static_cast<double>(counters.fetched), es);
    show_count("Distances", static_cast<double>(counters.distances), es);
    show_count("Changes of Mind", changes, es);
}

}  // namespace

void explain_filter_scan(CustomScanState *node, List *ancestors, ExplainState *es) {
    auto *state = reinterpret_cast<FilterScanState *>(node);
    List *context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
    bool with_prefix = list_length(es->rtable) > 1 || es->verbose;
    ExplainPropertyText("Index", get_rel_name(state->plan.index), es);
    show_quals("Index Cond", state->plan.conditions_original, context, with_prefix, es);
    show_quals("Order By", state->plan.order_by_original, context, with_prefix, es);
    show_bounds(state, context, with_prefix, es);
    if (es->analyze)
        explain_scan_counts(state->scan_counts, es);
    if (es->analyze && state->counters.loops > 0)
        show_run(state, es);
}

}  // namespace hnsw::pg

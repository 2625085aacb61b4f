// Costs of filtered scans. filter_cost.h says in what unit; docs/filtering-measured.md has the measurements.
#include "pg/filter_cost.h"

#include "core/directory.h"
#include "pg/filter_bitmap.h"
#include "pg/filter_memo.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

constexpr double kHeapRow = 0.25;          // testing a row and computing its distance,
constexpr double kHeapDimension = 0.0012;  // and more for each dimension,
constexpr double kHeapPage = 1;            // coming to a page of the table;
constexpr double kInHeapOrder = 0.37;  // of both, for rows in order of the heap, asked for ahead
constexpr double kToastedVector = 2;   // fetching a vector stored out of line
constexpr int kToastedDim = 500;       // which it is if it has more
constexpr double kKnownRows = 35;      // rows fetched in the time in which a search gets going,
constexpr double kKnownPerWanted = 3;  // and more for each row that it is to find,
constexpr double kToastedKnown = 0.6;  // so many times as many if their vectors are out of line
constexpr double kBitmapStart = 6;     // descending the other index
constexpr double kPlainRow = 0.03;     // a row's way from another index into the set,
constexpr double kBitmapRow = 0.2;     // and through a bitmap
constexpr double kDescent = 8;         // to the bottom layer of the graph
constexpr double kProbeReads = 1.5;    // for a row of a probe
constexpr double kReadsPerRow = 1.75;  // records read for a row that a long search returns
constexpr double kFirstReads = 1.2;  // records a first beam reads, per ef_search, if all rows pass
constexpr double kBeamFactor = 1.6;  // its width; the index has its own, this will do for a choice
constexpr double kUnknownWanted = 100;  // rows thought to be wanted when LIMIT is not known
constexpr double kPriorRows = 8;        // tested rows that the expected rate weighs as much as,
constexpr double kDoubt = 1.3;          // and standard deviations that a rate is off by chance
constexpr double kUsualShare = 0.5;  // of the expected rate: fewer pass where others lie elsewhere

double first_beam(double rate) { return core::filtered_width(ef_search() * kFirstReads, rate); }

int dimensions(const FilterScanState *state) {
    return std::max(TupleDescAttr(RelationGetDescr(state->index), 0)->atttypmod, 0);
}

bool is_toasted(const FilterScanState *state) { return dimensions(state) > kToastedDim; }

double row_cost(const FilterScanState *state) {
    return kHeapRow + kHeapDimension * dimensions(state) + (is_toasted(state) ? kToastedVector : 0);
}

core::FilterFacts facts_of(const FilterScanState *state, double matching, double rows) {
    int columns = IndexRelationGetNumberOfAttributes(state->index);
    auto shape = core::DirectoryShape::make(static_cast<uint32_t>(columns) - 1, 1, false);
    core::FilterFacts facts;
    facts.nodes = state->plan.tuples;
    facts.matching = std::min(matching, facts.nodes);
    facts.counted = true;
    facts.k = static_cast<uint32_t>(std::clamp(rows, 1.0, facts.nodes));
    facts.ef_search = static_cast<uint32_t>(ef_search());
    facts.ef = static_cast<uint32_t>(ef_search() * kBeamFactor);
    facts.index = *filter_experience(state->index);
    facts.dim = static_cast<uint32_t>(dimensions(state));
    facts.directory_pages = static_cast<uint32_t>(state->plan.tuples / shape.entries) + 1;
    return facts;
}

// Of the table, those that have some of `matching` rows.
double pages_of(const FilterScanState *state, double matching) {
    return state->heap_pages * (1 - std::exp(-matching / state->heap_pages));
}

// A row that another index names, put into the set.
double row_in_set_cost(const FilterScanState *state) {
    return takes_rows_one_by_one(child_of(state)) ? kPlainRow : kBitmapRow;
}

bool has_bits(const FilterScanState *state, double matching) {
    if (state->has_bitmap)
        return state->work->rows.has_bits();
    return core::TidSet::likely_bits(pages_of(state, matching), state->heap_pages,
                                     state->plan.tuples / state->heap_pages);
}

}  // namespace

double wanted_rows(const FilterScanState *state) {
    double wanted = state->wanted != 0 ? state->wanted : kUnknownWanted;
    // A scan that comes to its bound before that has no more to look for.
    return state->bound_count > 0 ? std::min(wanted, state->plan.matching + 1) : wanted;
}

double PassRate::near(double expected) const {
    // A bitmap costs more than to go on for a while: what speaks for that is believed.
    const double weighed = (passed + kPriorRows * expected) / (tried + kPriorRows);
    return std::max(weighed, core::share_after(expected, tried, passed, kDoubt));
}

double PassRate::later(double expected) const {
    double rate = near(expected);
    return rate * std::min(1.0, rate / std::max(kUsualShare * expected, 1e-9));
}

double post_filter_cost(const FilterScanState *state, double rows, double rate, double tried) {
    double more = std::min(rows / std::max(rate, 1e-9), state->plan.tuples);
    auto reads = [rate](double tested) {
        return std::max(first_beam(rate), tested * kReadsPerRow);
    };
    double search = reads(tried + more) - (tried > 0 ? reads(tried) : 0);
    return search + more * (row_cost(state) + kHeapPage);
}

double probe_cost(const FilterScanState *state) {
    return kDescent + kProbeRows * (kProbeReads + row_cost(state) + kHeapPage);
}

double conditions_cost(const FilterScanState *state) {
    double rest = state->plan.passing / std::max(1.0, state->plan.condition_matching);
    double rows = wanted_rows(state) / std::clamp(rest, 1e-9, 1.0);
    double tried = std::min(rows, state->plan.condition_matching);
    return core::choose(facts_of(state, state->plan.condition_matching, tried)).expected_cost +
           tried * (row_cost(state) + kHeapPage);
}

double heap_cost(const FilterScanState *state, double matching) {
    return kInHeapOrder * (matching * row_cost(state) + pages_of(state, matching) * kHeapPage);
}

size_t most_known_rows(const FilterScanState *state) {
    const double rows = kKnownRows + kKnownPerWanted * wanted_rows(state);
    return static_cast<size_t>(is_toasted(state) ? kToastedKnown * rows : rows);
}

core::Choice index_choice(const FilterScanState *state, double matching, double rows,
                          const PassRate &rate) {
    core::FilterFacts facts = facts_of(state, matching, rows);
    facts.rows = has_bits(state, matching) ? core::RowTest::kKernel : core::RowTest::kSearch;
    facts.seen = rate.tried;
    facts.matched = rate.passed;
    return core::choose(facts);
}

double bitmap_cost(const FilterScanState *state, double matching, double rows,
                   const PassRate &rate) {
    return kBitmapStart + matching * row_in_set_cost(state) +
           std::min(heap_cost(state, matching),
                    index_choice(state, matching, rows, rate).expected_cost);
}

}  // namespace hnsw::pg

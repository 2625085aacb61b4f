// What the ways of a filtered scan cost: the numbers behind the choices of filter_run.cpp.
//
// The unit is a record read by a search of the index, with the estimates of its neighbours: 1 to 1.3 µs,
// in memory. What the index can do is the core's chooser's to say. No function reads a page.
#pragma once

#include "pg/filter_scan.h"

namespace hnsw::pg {

// Rows near the query that are tested before a bitmap is built where it is dear.
inline constexpr int kProbeRows = 8;

// LIMIT + OFFSET, or what stands for it where that is not known.
double wanted_rows(const FilterScanState *state);

// What is found out about a filter by testing rows, nearest first.
struct PassRate {
    double tried = 0;
    double passed = 0;

    // The share of rows near the query that pass, when `expected` of all rows do.
    double near(double expected) const;
    // The same of the rows after them: where far fewer pass than everywhere, those that do lie
    // elsewhere, and it will be long before there are more.
    double later(double expected) const;
};

// The nearest rows tested one by one until `rows` pass of which `rate` do; `tried` have been before.
double post_filter_cost(const FilterScanState *state, double rows, double rate, double tried = 0);

// A look at the kProbeRows rows nearest to the query.
double probe_cost(const FilterScanState *state);

// The search that tests the conditions on columns of the index itself, and the other quals on its rows.
double conditions_cost(const FilterScanState *state);

// `matching` rows, whose places are known, fetched, tested and sorted.
double heap_cost(const FilterScanState *state, double matching);

// The number of rows whose places are known up to which it is best to fetch them all, rather than find out
// from the index which are the nearest.
size_t most_known_rows(const FilterScanState *state);

// How the index searches for `rows` of `matching` rows of a bitmap, after those of `rate` were tested.
core::Choice index_choice(const FilterScanState *state, double matching, double rows,
                          const PassRate &rate);

// A bitmap of `matching` rows and the best of what it allows.
double bitmap_cost(const FilterScanState *state, double matching, double rows,
                   const PassRate &rate = {});

}  // namespace hnsw::pg

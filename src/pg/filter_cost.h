// What the ways of a filtered scan cost: the numbers behind the choices of filter_run.cpp.
//
// The unit is a record read by a search of the index, with the estimates of its neighbours: 2.5 µs at
// 128 dimensions, 5 µs at 384, in memory. All functions are pure but for walk_cost(), which asks the
// core's chooser; none reads a page.
#pragma once

#include "pg/filter_scan.h"

namespace hnsw::pg {

// Rows near the query that are tested before a bitmap is built where it is dear.
inline constexpr int kProbeRows = 16;

// LIMIT + OFFSET, or what stands for it where that is not known.
double wanted_rows(const FilterScanState *state);

// What is found out about a filter by testing rows, nearest first.
struct PassRate {
    double tried = 0;
    double passed = 0;

    // The share of rows near the query that pass, when `expected` of all rows do.
    double near(double expected) const;
    // Whether far fewer pass near the query than everywhere: those that pass lie elsewhere.
    bool are_far(double expected) const;
};

// The nearest rows tested one by one until `rows` pass of which `rate` do; `tried` have been before.
double post_filter_cost(const FilterScanState *state, double rows, double rate, double tried = 0);

// A look at the kProbeRows rows nearest to the query.
double probe_cost(const FilterScanState *state);

// The search that tests the conditions on columns of the index itself, and the other quals on its rows.
double conditions_cost(const FilterScanState *state);

// `matching` rows, whose places are known, fetched, tested and sorted.
double heap_cost(const FilterScanState *state, double matching);

// The same rows by their distances in the index: every node's place is looked up in the bitmap.
double index_exact_cost(const FilterScanState *state, double matching);

// A search that keeps to `matching` rows of a bitmap, for `rows` of them; far: they are not where the
// query is.
double walk_cost(const FilterScanState *state, double matching, double rows, bool far);

// A bitmap of `matching` rows and the best of what it allows.
double bitmap_cost(const FilterScanState *state, double matching, double rows, bool far = false);

}  // namespace hnsw::pg

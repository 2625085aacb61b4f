/* What the tests of filtered scans share: sets of rows, and an index whose rows have an attribute each. */
#pragma once

#include <gtest/gtest.h>

#include "core_fixture.h"

namespace hnsw::core::testing {

using Rows = std::set<uint64_t>;

/* Row i's attribute is i * 7919 modulo the number of rows. */
struct FilteredIndex {
    explicit FilteredIndex(Metric metric, uint32_t dim = 24, uint32_t clusters = 12)
        : index({.metric = metric, .dim = dim, .attributes = 1}),
          vectors(clustered(2500, dim, clusters, 1)),
          queries(clustered(12, dim, clusters, 2)) {
        Inserter inserter(*index.index, index.context, 64);
        for (size_t i = 0; i < vectors.size(); i++)
            inserter.insert(vectors[i].data(), tid_of(i), {.key = {i * 7919 % vectors.size()}});
    }
    /* The rows whose attribute is at most `high`. */
    Rows rows_up_to(uint64_t high) const {
        Rows rows;
        for (uint64_t i = 0; i < vectors.size(); i++)
            if (i * 7919 % vectors.size() <= high)
                rows.insert(i);
        return rows;
    }

    TestIndex index;
    Vectors vectors;
    Vectors queries;
};

}  // namespace hnsw::core::testing

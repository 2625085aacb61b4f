/* VACUUM over pages in memory: nothing lost, graph as good as new, space comes back, crashes. */
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "core/index_stats.h"
#include "core/record_io.h"
#include "core/vacuum.h"
#include "core_fixture.h"

namespace hnsw::core::testing {
namespace {

class DeadSet final : public DeadRows {
public:
    bool is_dead(HeapTid tid) override { return rows.count(row_of(tid)) != 0; }
    std::set<uint64_t> rows;
};

constexpr size_t kMemory = size_t{64} << 20;

/* All rows a scan returns, each once. */
std::set<uint64_t> all_rows(TestIndex &index, const std::vector<float> &query) {
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(query.data(), {.ef = 20});
    std::set<uint64_t> found;
    ScanRow row;
    while (scan.next(&row))
        EXPECT_TRUE(found.insert(row_of(row.tid)).second) << "row twice";
    return found;
}

TEST(Vacuum, NineTenthsGone) {
    TestIndex index({.dim = 32});
    Vectors rows = clustered(5000, 32, 20, 1);
    index.insert(rows);
    DeadSet dead;
    Vectors left;
    std::set<uint64_t> expected;
    for (uint64_t i = 0; i < rows.size(); i++)
        if (i % 10 != 3) {
            dead.rows.insert(i);
        } else {
            left.push_back(rows[i]);
            expected.insert(i);
        }
    VacuumResult result = remove_dead(*index.index, index.context, kMemory, dead);
    EXPECT_EQ(result.rows_left, 500u);
    EXPECT_EQ(result.rows_removed, 4500u);
    EXPECT_EQ(result.nodes_freed, 4500u);
    EXPECT_EQ(all_rows(index, rows[0]), expected);
}

}  // namespace
}  // namespace hnsw::core::testing

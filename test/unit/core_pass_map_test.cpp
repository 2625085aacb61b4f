/* What nodes pass a filter, by the directory: conditions and sets of rows against brute force. */
#include <gtest/gtest.h>

#include "core/pass_map.h"
#include "core_filter_fixture.h"

namespace hnsw::core::testing {
namespace {

TEST(PassMap, AgreesWithConditionsRowByRow) {
    constexpr uint32_t kRows = 2500;
    TestIndex index({.dim = 4, .attributes = 3});
    Vectors vectors = clustered(kRows, 4, 9, 5);
    std::mt19937_64 rng(2);
    std::vector<Attributes> rows(kRows);
    Inserter inserter(*index.index, index.context, 16);
    for (uint32_t i = 0; i < kRows; i++) {
        rows[i].key[0] = rng() % 50;
        rows[i].key[1] = rng() & rng();
        rows[i].key[2] = rng();
        for (uint32_t a = 0; a < 3; a++)
            if (rng() % 7 == 0) {
                rows[i].nulls |= static_cast<uint8_t>(1u << a);
                rows[i].key[a] = 0;
            }
        inserter.insert(vectors[i].data(), tid_of(i), rows[i]);
    }
    using Kind = Condition::Kind;
    const std::vector<uint64_t> few = {3, 9, 49};
    const std::vector<uint64_t> many = {0, 1, 2, 5, 8, 13, 21, 34, 60};
    const std::vector<uint64_t> bits = {1, 6, 1u << 20};
    const std::vector<Condition> conditions = {
        {.kind = Kind::kRange, .attribute = 0, .low = 10, .high = 19},
        {.kind = Kind::kRange, .attribute = 0, .low = 20, .high = 19},
        {.kind = Kind::kRange, .attribute = 2, .low = 0, .high = ~uint64_t{0}},
        {.kind = Kind::kRange, .attribute = 2, .low = uint64_t{1} << 63},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = few},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = many},
        {.kind = Kind::kAnyOf, .attribute = 0, .keys = {}},
        {.kind = Kind::kAllBits, .attribute = 1, .low = 5},
        {.kind = Kind::kAnyBits, .attribute = 1, .keys = bits},
        {.kind = Kind::kIsNull, .attribute = 1},
        {.kind = Kind::kIsNotNull, .attribute = 2},
    };
    TidSet tids(&index.memory);
    for (uint32_t i = 0; i < kRows; i += 3) {
        const uint16_t offset = tid_of(i).offset;
        tids.add(tid_of(i).block, {&offset, 1});
    }
    PassMap map(index.store, index.context);
    for (size_t first = 0; first < conditions.size(); first++)
        for (size_t second = first; second < conditions.size(); second++)
            for (bool with_tids : {false, true})
                for (size_t budget : {size_t{0}, size_t{1} << 20}) {
                    const Condition both[] = {conditions[first], conditions[second]};
                    const Filter filter{both, with_tids ? &tids : nullptr};
                    Rows expected;
                    for (uint32_t i = 0; i < kRows; i++)
                        if (filter.met_by(tid_of(i), rows[i]))
                            expected.insert(i);
                    Rows by_page, by_lookup, alone;
                    map.begin(index.index->directory(), filter, budget);
                    std::pmr::vector<NodeId> ids;
                    const NodeId end = index.index->layouts().id_of(index.store.size(), 0) + 100;
                    auto row_at = [&](NodeId id) {
                        return row_of(
                            read_entry(index.store, index.index->directory(), id).tid.tid());
                    };
                    for (NodeId id = 0; id < end; id++)
                        if (map.passes_alone(id))
                            alone.insert(row_at(id));
                    map.begin(index.index->directory(), filter, budget, index.store.size());
                    for (NodeId id = 0; id < end; id++) {
                        /* Whatever is tested alone agrees with its page, tested before or after. */
                        const bool first_alone = id % 5 == 0 && map.passes_alone(id);
                        if (map.passes(id))
                            by_lookup.insert(row_at(id));
                        if (id % 5 == 0) {
                            EXPECT_EQ(map.passes(id), first_alone);
                        }
                    }
                    for (uint32_t page = 0; page < map.pages(); page++)
                        map.matching_of(page, 0, ids);
                    for (NodeId id : ids)
                        by_page.insert(row_at(id));
                    EXPECT_EQ(alone, expected) << first << " " << second << " " << with_tids;
                    EXPECT_EQ(by_page, expected) << first << " " << second << " " << with_tids;
                    EXPECT_EQ(by_lookup, expected) << first << " " << second << " " << with_tids;
                    const PassMap::Estimate estimate = map.sample(map.pages());
                    EXPECT_EQ(estimate.nodes, kRows);
                    /* A set of rows counts as independent of the conditions. */
                    EXPECT_EQ(estimate.counted, !with_tids);
                    const Filter without{both, nullptr};
                    double meeting = 0;
                    for (uint32_t i = 0; i < kRows; i++)
                        meeting += without.met_by(tid_of(i), rows[i]);
                    EXPECT_DOUBLE_EQ(estimate.matching,
                                     meeting * (with_tids ? tids.size(0) / kRows : 1));
                    EXPECT_DOUBLE_EQ(map.of_nodes(kRows).matching,
                                     with_tids ? tids.size(0) : kRows);
                }
}

}  // namespace
}  // namespace hnsw::core::testing

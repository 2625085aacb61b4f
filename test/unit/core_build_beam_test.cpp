/* What a build's search has found (core/build_beam.h), and the sorting of a few (core/rank_sort.h). */
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "core/build_beam.h"
#include "core/rank_sort.h"

namespace hnsw::core::testing {
namespace {

/* `values`: how many different distances there are. */
std::vector<Candidate> random_candidates(size_t n, uint32_t values, uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<uint32_t> value(0, values - 1);
    std::vector<Candidate> out(n);
    for (ArenaId id = 0; id < n; id++)
        out[id] = {static_cast<float>(value(random)) / 7, id};
    return out;
}

TEST(RankSort, IsStableAndSortsAnyNumber) {
    for (size_t n : {0, 1, 2, 7, 8, 9, 63, 150, 255, 256, 257, 1000}) {
        for (uint32_t values : {1U, 3U, 1000000U}) {
            std::vector<Candidate> list = random_candidates(n, values, static_cast<uint32_t>(n));
            /* Numbered in their order, so that this is a stable order. */
            std::vector<Candidate> sorted = list;
            std::sort(sorted.begin(), sorted.end());
            rank_sort(list.data(), n);
            for (size_t i = 0; i < n; i++) {
                ASSERT_EQ(list[i].distance, sorted[i].distance) << n << " " << values << " " << i;
                ASSERT_EQ(list[i].node, sorted[i].node) << n << " " << values << " " << i;
            }
        }
    }
}

/* Keeps all that was offered, sorted. */
class PlainBeam {
public:
    explicit PlainBeam(SearchWidth width) : width_(width) {}
    void offer(const Candidate &c) {
        all_.insert(std::upper_bound(all_.begin(), all_.end(), c,
                                     [](const Candidate &a, const Candidate &b) {
                                         return a.distance < b.distance;
                                     }),
                    c);
    }
    ArenaId next() const {
        for (size_t i = 0; i < std::min<size_t>(width_.expanded, all_.size()); i++)
            if (!expanded_.contains(all_[i].node))
                return all_[i].node;
        return kNoArenaNode;
    }
    void expand(ArenaId id) { expanded_.insert(id); }
    std::vector<float> candidates() const {
        std::vector<float> out;
        for (size_t i = 0; i < std::min<size_t>(width_.candidates, all_.size()); i++)
            out.push_back(all_[i].distance);
        return out;
    }

private:
    SearchWidth width_;
    std::vector<Candidate> all_;
    std::set<ArenaId> expanded_;
};

/* Offers nodes in hops until the beam has none to expand, beside the plain beam. */
void compare_with_plain(SearchWidth width, size_t nodes, uint32_t values, uint32_t seed) {
    constexpr uint32_t kHop = 40;
    const std::vector<Candidate> list = random_candidates(nodes, values, seed);
    BuildBeam beam(std::pmr::get_default_resource());
    beam.reset(width, kHop);
    PlainBeam plain(width);
    size_t offered = 0;
    for (ArenaId id = kNoArenaNode;;) {
        std::vector<float> distances;
        std::vector<ArenaId> ids;
        for (; offered < nodes && ids.size() < 1 + offered % kHop; offered++) {
            distances.push_back(list[offered].distance);
            ids.push_back(list[offered].node);
            plain.offer(list[offered]);
        }
        beam.offer(distances.data(), ids.data(), static_cast<uint32_t>(ids.size()));
        ASSERT_EQ(beam.next(), plain.next());
        id = beam.pop();
        if (id == kNoArenaNode)
            break;
        ASSERT_EQ(id, plain.next());
        plain.expand(id);
    }
    std::vector<float> found;
    std::set<ArenaId> different;
    for (const Candidate &c : beam.candidates()) {
        found.push_back(c.distance);
        different.insert(c.node);
        ASSERT_LT(c.node, nodes);
        ASSERT_EQ(c.distance, list[c.node].distance);
    }
    EXPECT_EQ(found, plain.candidates());
    EXPECT_EQ(different.size(), found.size());
}

TEST(BuildBeam, FindsWhatASortedListWould) {
    for (SearchWidth width :
         {SearchWidth{1, 1}, SearchWidth{8, 8}, SearchWidth{8, 9}, SearchWidth{64, 64},
          SearchWidth{56, 144}, SearchWidth{28, 72}, SearchWidth{875, 2250}})
        for (size_t nodes : {1, 5, 60, 150, 700, 9000})
            for (uint32_t values : {1U, 2U, 50U, 1000000U})
                compare_with_plain(width, nodes, values, static_cast<uint32_t>(nodes) + values);
}

TEST(BuildBeam, IsEmptyAfterReset) {
    BuildBeam beam(std::pmr::get_default_resource());
    for (uint32_t width : {4U, 2U}) {
        beam.reset({width, 2 * width}, 3);
        EXPECT_EQ(beam.next(), kNoArenaNode);
        EXPECT_EQ(beam.pop(), kNoArenaNode);
        const float distance[] = {3, 0, 2};
        const ArenaId node[] = {3, 0, 2};
        beam.offer(distance, node, 3);
        EXPECT_EQ(beam.pop(), 0U);
        EXPECT_EQ(beam.next(), 2U);
        EXPECT_EQ(beam.candidates().size(), 3U);
    }
}

}  // namespace
}  // namespace hnsw::core::testing

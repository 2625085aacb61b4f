/* What a record's codes say of its neighbours, against the distances that their vectors have. */
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/codes.h"
#include "core/record.h"

namespace hnsw::core {
namespace {

struct Value {
    Sq8 own;
    std::vector<int8_t> x;
    std::vector<float> value;
};

/* Squared distance of two values, in units of the first one's scale, from their floats. */
double squared_distance(const Value &a, const Value &b) {
    double sum = 0;
    for (size_t i = 0; i < a.value.size(); i++)
        sum += std::pow((double{a.value[i]} - b.value[i]) / a.own.scale, 2);
    return sum;
}

/* An edge's squared length, which its factors and code give back for a query that is the node itself, is that of
 * all coordinates, however many of them are coded: from the distance that quantising leaves up to neighbours
 * on the other side of the origin, of one centre and of two. */
TEST(Codes, LengthsOfEdges) {
    constexpr float kAway[] = {0, 1e-2f, 0.05f, 0.2f, 0.5f, 1, 2};
    constexpr uint32_t kEdges = std::size(kAway);
    std::pmr::unsynchronized_pool_resource memory;
    std::mt19937_64 rng(11);
    std::normal_distribution<float> normal;
    for (uint32_t dim : {64u, 100u, 384u, 600u, 1000u, 1536u, 3000u}) {
        for (uint32_t bits : {64u, 384u, 512u}) {
            for (uint32_t other_centre : {0u, 1u}) {
                if (bits > padded_dim(dim))
                    continue;
                std::vector<float> centre(dim, 0.3f);
                Space::Centres centres = {.count = 2, .coordinates = {nullptr, centre.data()}};
                Space space(Metric::kL2, dim, bits, rng(), centres, &memory);
                Query query(&memory);
                auto encode = [&](std::vector<float> value, uint32_t of) {
                    Value v;
                    v.value = std::move(value);
                    v.x.resize(space.padded());
                    space.prepare(v.value.data(), &query);
                    v.own = space.encode(query, static_cast<uint8_t>(of), v.x.data());
                    return v;
                };
                std::vector<float> near(dim);
                for (float &x : near)
                    x = normal(rng);
                const Value node = encode(near, 0);
                const RecordLayout layout = RecordLayout::make(space.padded(), kEdges, bits);
                std::vector<std::byte> bytes(layout.bytes);
                const RecordImage record = {bytes.data(), &layout};
                std::copy(node.x.begin(), node.x.end(), record.own());
                record.head().scale = node.own.scale;
                record.head().norm = node.own.norm;
                record.head().count = kEdges;
                std::vector<Value> neighbours;
                for (uint32_t i = 0; i < kEdges; i++) {
                    std::vector<float> value = near;
                    for (float &x : value)
                        x = kAway[i] == 2 ? -x : x + kAway[i] * normal(rng);
                    neighbours.push_back(encode(value, other_centre));
                    space.encode_edge(record, neighbours.back().own, i);
                }
                float lengths[kEdges];
                space.edge_lengths(record.view(), lengths);
                for (uint32_t i = 0; i < kEdges; i++) {
                    const Value &v = neighbours[i];
                    const double want = squared_distance(node, v);
                    /* Quantising moves both ends; factors are rounded to eight bits. */
                    const double moved = (node.own.error + v.own.error) / node.own.scale;
                    const double slack = moved * (2 * std::sqrt(want) + moved);
                    const double norm = node.own.norm / node.own.scale;
                    const double factors = 0x1p-7 * std::sqrt(want) * norm;
                    EXPECT_NEAR(lengths[i], want, slack + 0.01 * want + factors)
                        << dim << " dimensions, " << bits << " bits, edge " << i << ", centre "
                        << other_centre;
                }
            }
        }
    }
}

}  // namespace
}  // namespace hnsw::core

/*
 * The bound a scan hands out is never above what the SQL operator returns (decision 6): a million
 * pairs over dimensions 1 to 16,000, every metric, magnitudes from 1e-30 to 1e30, near and far
 * pairs, centred and not, and the operator computed by every instruction set this machine has.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/codes.h"
#include "simd/kernels.h"

namespace hnsw::core {
namespace {

constexpr simd::Isa kIsas[] = {simd::Isa::kScalar, simd::Isa::kAvx2, simd::Isa::kAvx512,
                               simd::Isa::kAvx512Vnni, simd::Isa::kNeon};

/* What the SQL operator returns on a machine whose best instruction set is `isa`. */
double sql_operator(Metric metric, simd::Isa isa, const float *a, const float *b, uint32_t n) {
    const simd::Kernels &k = simd::kernels_for(isa);
    switch (metric) {
        case Metric::kL2:
            return std::sqrt(static_cast<double>(k.l2_squared(a, b, n)));
        case Metric::kInnerProduct:
            return -static_cast<double>(k.inner_product(a, b, n));
        case Metric::kL1:
            return k.l1(a, b, n);
        case Metric::kCosine:
            break;
    }
    simd::CosineSums sums = k.cosine(a, b, n);
    double similarity = static_cast<double>(sums.dot) /
                        std::sqrt(static_cast<double>(sums.aa) * static_cast<double>(sums.bb));
    return 1 - std::clamp(similarity, -1.0, 1.0);
}

class Bound : public ::testing::TestWithParam<Metric> {};

TEST_P(Bound, IsNeverAboveTheOperator) {
    const Metric metric = GetParam();
    std::mt19937_64 rng(7);
    std::normal_distribution<float> normal;
    std::pmr::unsynchronized_pool_resource memory;
    uint64_t pairs = 0;
    uint64_t useful = 0;
    /* Per dimension as many rows and queries as keep the work in hand; together a quarter of a
     * million pairs a metric. */
    for (uint32_t dim :
         {1u, 2u, 3u, 7u, 16u, 63u, 64u, 65u, 100u, 384u, 1000u, 1536u, 4096u, 16000u}) {
        const uint32_t rows = dim > 5000 ? 16 : dim > 500 ? 60 : 150;
        const uint32_t queries = dim > 5000 ? 8 : dim > 500 ? 30 : 100;
        for (float scale : {1e-30f, 1e-12f, 1.0f, 300.0f, 1e15f, 1e30f}) {
            for (float offset : {0.0f, 100.0f}) {
                std::vector<float> centre(dim, offset * scale);
                Space::Centres centres;
                if (offset != 0 && metric != Metric::kInnerProduct && metric != Metric::kCosine)
                    centres.coordinates[0] = centre.data();
                const uint32_t bits = metric == Metric::kL1 ? 0 : 64;
                Space space(metric, dim, bits, rng(), centres, &memory);
                Query query(&memory);
                std::vector<std::vector<float>> values(rows, std::vector<float>(dim));
                std::vector<std::vector<int8_t>> codes(rows, std::vector<int8_t>(space.padded()));
                std::vector<Sq8> encoded(rows);
                for (uint32_t r = 0; r < rows; r++) {
                    for (float &x : values[r])
                        x = (normal(rng) + offset) * scale;
                    space.prepare(values[r].data(), &query);
                    encoded[r] = space.encode(query, 0, codes[r].data());
                }
                for (uint32_t i = 0; i < queries; i++) {
                    std::vector<float> q(dim);
                    /* A row itself, a row nearby, or anything. */
                    float away = i % 3 == 0 ? 0 : i % 3 == 1 ? 1e-3f : 1;
                    const std::vector<float> &near = values[rng() % rows];
                    for (uint32_t d = 0; d < dim; d++)
                        q[d] = away == 1 ? (normal(rng) + offset) * scale
                                         : near[d] + away * normal(rng) * scale;
                    space.prepare(q.data(), &query);
                    for (uint32_t r = 0; r < rows; r++) {
                        double bound =
                            space.lower_bound(query, encoded[r], space.distance(query, encoded[r]));
                        ASSERT_FALSE(std::isnan(bound));
                        pairs++;
                        for (simd::Isa isa : kIsas) {
                            if (!simd::isa_available(isa))
                                continue;
                            double exact =
                                sql_operator(metric, isa, q.data(), values[r].data(), dim);
                            if (std::isnan(exact))
                                continue; /* sorts behind every number */
                            ASSERT_LE(bound, exact)
                                << "dim " << dim << " scale " << scale << " offset " << offset
                                << " isa " << simd::isa_name(isa) << " query " << i;
                            if (isa == simd::Isa::kScalar && bound > 0.9 * exact - 1e-3)
                                useful++;
                        }
                    }
                }
            }
        }
    }
    EXPECT_GE(pairs, 250000u);
    /* A bound of minus infinity would pass the above: most are close, too. */
    EXPECT_GT(useful, pairs / 3);
}

INSTANTIATE_TEST_SUITE_P(Metrics, Bound,
                         ::testing::Values(Metric::kL2, Metric::kCosine, Metric::kInnerProduct,
                                           Metric::kL1));

}  // namespace
}  // namespace hnsw::core

// Views over payload bytes and what the SQL functions of the dense types compute.
#include "vec/dense.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace hnsw::vec;

View<F32> view(const std::vector<float> &v) { return {v.data(), static_cast<uint32_t>(v.size())}; }

std::vector<float> payload(int16_t dim, size_t floats) {
    std::vector<float> bytes(floats + 1);
    int16_t header[2] = {dim, 0};
    memcpy(bytes.data(), header, sizeof(header));
    return bytes;
}

TEST(VecViews, OnlyWholeVectors) {
    auto check = [](int16_t dim, size_t floats, size_t bytes) {
        std::vector<float> p = payload(dim, floats);
        return view_payload<F32>(std::as_bytes(std::span(p)).first(bytes));
    };
    EXPECT_EQ(check(3, 3, 16)->dim, 3u);
    EXPECT_TRUE(check(16000, 16000, 64004));
    EXPECT_FALSE(check(3, 3, 15));
    EXPECT_FALSE(check(3, 4, 17));
    EXPECT_FALSE(check(3, 4, 20));
    EXPECT_FALSE(check(0, 0, 4));
    EXPECT_FALSE(check(-1, 3, 16));
    EXPECT_FALSE(check(16001, 16001, 64008));
    EXPECT_FALSE(check(1, 1, 3));
    EXPECT_FALSE(view_payload<F32>({}));
}

TEST(VecDense, Distances) {
    std::vector<float> a{1, 2, 3}, b{4, 6, 3}, zero{0, 0, 0};
    EXPECT_EQ(l2_squared_distance(view(a), view(b)), 25);
    EXPECT_EQ(l2_distance(view(a), view(b)), 5);
    EXPECT_EQ(inner_product(view(a), view(b)), 25);
    EXPECT_EQ(l1_distance(view(a), view(b)), 7);
    EXPECT_EQ(cosine_distance(view(a), view(a)), 0);
    EXPECT_TRUE(std::isnan(cosine_distance(view(a), view(zero))));
    std::vector<float> x{1, 0}, y{0, 1}, minus_x{-1, 0};
    EXPECT_EQ(cosine_distance(view(x), view(minus_x)), 2);
    EXPECT_EQ(spherical_distance(view(x), view(y)), 0.5);
    EXPECT_EQ(spherical_distance(view(x), view(minus_x)), 1);
}

// Rounding must not push a cosine outside 0..2, whatever the vector.
TEST(VecDense, CosineStaysInRange) {
    std::vector<float> a, b;
    for (int i = 0; i < 300; i++) {
        a.push_back(0.1f * static_cast<float>(i) + 0.7f);
        b.push_back(-3 * a.back());
        EXPECT_GE(cosine_distance(view(a), view(a)), 0);
        EXPECT_LT(cosine_distance(view(a), view(a)), 1e-6);
        EXPECT_LE(cosine_distance(view(a), view(b)), 2);
    }
}

TEST(VecDense, NormUsesDouble) {
    std::vector<float> big{3e38f, 3e38f}, tiny{1e-40f, 0};
    EXPECT_NEAR(norm(view(big)) / 4.2426406871192851e38, 1, 1e-6);
    EXPECT_GT(norm(view(tiny)), 0);
}

TEST(VecDense, Normalize) {
    std::vector<float> out(2);
    EXPECT_EQ(normalize(view({3, 4}), out.data()), Range::kOk);
    EXPECT_EQ(out, (std::vector<float>{0.6f, 0.8f}));
    EXPECT_EQ(normalize(view({0, 0}), out.data()), Range::kOk);
    EXPECT_EQ(out, (std::vector<float>{0, 0}));
    EXPECT_EQ(normalize(view({3e38f, 0}), out.data()), Range::kOk);
    EXPECT_EQ(out, (std::vector<float>{1, 0}));
}

TEST(VecDense, ArithmeticRanges) {
    std::vector<float> out(2);
    EXPECT_EQ(add(view({1, 2}), view({3, 4}), out.data()), Range::kOk);
    EXPECT_EQ(out, (std::vector<float>{4, 6}));
    EXPECT_EQ(add(view({1, 3e38f}), view({1, 3e38f}), out.data()), Range::kOverflow);
    EXPECT_EQ(subtract(view({1, 3e38f}), view({1, -3e38f}), out.data()), Range::kOverflow);
    EXPECT_EQ(multiply(view({1, 1e20f}), view({1, 1e20f}), out.data()), Range::kOverflow);
    EXPECT_EQ(multiply(view({1, 1e-30f}), view({1, 1e-30f}), out.data()), Range::kUnderflow);
    EXPECT_EQ(multiply(view({1e-30f, 1e30f}), view({1e-30f, 1e30f}), out.data()),
              Range::kUnderflow);
    EXPECT_EQ(multiply(view({0, 5}), view({1, 0}), out.data()), Range::kOk);
}

TEST(VecDense, BinaryQuantize) {
    uint8_t bits[2] = {0xff, 0xff};
    binary_quantize(view({1, 0, -1, 1, 0, 0, 0, 1, 2, -2}), bits);
    EXPECT_EQ(bits[0], 0b10010001);
    EXPECT_EQ(bits[1], 0b10000000);
}

TEST(VecDense, CompareAsArrays) {
    EXPECT_EQ(compare(view({1, 2}), view({1, 2})), 0);
    EXPECT_EQ(compare(view({1, 2}), view({1, 3})), -1);
    EXPECT_EQ(compare(view({2}), view({1, 3})), 1);
    EXPECT_EQ(compare(view({1}), view({1, 3})), -1);
    EXPECT_EQ(compare(view({1, 3}), view({1})), 1);
    EXPECT_EQ(compare(view({0.0f}), view({-0.0f})), 0);
}

}  // namespace

// Every table of float kernels this machine can run against exact sums, within the bound that
// simd/kernels.h states.
#include "simd/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using hnsw::simd::CosineSums;
using hnsw::simd::Isa;
using hnsw::simd::Kernels;

// Elements sit in a buffer whose start is off any vector alignment and which ends exactly with the
// last element, so that sanitizers see a read beyond it.
struct Unaligned {
    explicit Unaligned(size_t n, size_t shift = 1) : shift(shift), data(n + shift) {}
    float *begin() { return data.data() + shift; }
    const float *begin() const { return data.data() + shift; }
    size_t size() const { return data.size() - shift; }
    float &operator[](size_t i) { return begin()[i]; }
    float operator[](size_t i) const { return begin()[i]; }
    size_t shift;
    std::vector<float> data;
};

Unaligned random_vector(size_t n, std::mt19937 &rng, float scale) {
    Unaligned v(n, 1 + rng() % 15);
    std::normal_distribution<float> normal(0, scale);
    for (size_t i = 0; i < n; i++)
        v[i] = normal(rng);
    return v;
}

struct Sum {
    long double value = 0;
    long double magnitude = 0;
    void add(long double term) {
        value += term;
        magnitude += std::fabs(term);
    }
};

void expect_near_sum(double got, const Sum &want, size_t n, const char *what) {
    long double bound = (n / 4 + 16) * 0x1p-23L * want.magnitude + n * 0x1p-149L;
    EXPECT_LE(std::fabs(got - want.value), bound) << what << " n=" << n << " got " << got;
}

void check_all(const Kernels &k, const Unaligned &a, const Unaligned &b) {
    auto n = static_cast<uint32_t>(a.size());
    Sum l2, ip, l1, aa, bb;
    for (size_t i = 0; i < n; i++) {
        long double x = a[i], y = b[i];
        // The kernels subtract in float, which is what the operators are defined to do.
        long double d = a[i] - b[i];
        l2.add(d * d);
        ip.add(x * y);
        l1.add(std::fabs(d));
        aa.add(x * x);
        bb.add(y * y);
    }
    expect_near_sum(k.l2_squared(a.begin(), b.begin(), n), l2, n, "l2_squared");
    expect_near_sum(k.inner_product(a.begin(), b.begin(), n), ip, n, "inner_product");
    expect_near_sum(k.l1(a.begin(), b.begin(), n), l1, n, "l1");
    CosineSums c = k.cosine(a.begin(), b.begin(), n);
    expect_near_sum(c.dot, ip, n, "cosine.dot");
    expect_near_sum(c.aa, aa, n, "cosine.aa");
    expect_near_sum(c.bb, bb, n, "cosine.bb");
    EXPECT_LE(std::fabs(k.norm_squared(a.begin(), n) - aa.value),
              (n / 4 + 16) * 0x1p-52L * aa.value);
}

class SimdKernels : public testing::TestWithParam<Isa> {
protected:
    void SetUp() override {
        if (!hnsw::simd::isa_available(GetParam()))
            GTEST_SKIP() << "this machine has no " << hnsw::simd::isa_name(GetParam());
    }
    const Kernels &kernels() const { return hnsw::simd::kernels_for(GetParam()); }
};

TEST_P(SimdKernels, EveryLengthWithinBound) {
    std::mt19937 rng(1);
    for (size_t n = 1; n <= 130; n++) {
        for (int round = 0; round < 20; round++)
            check_all(kernels(), random_vector(n, rng, 1), random_vector(n, rng, 1));
    }
}

TEST_P(SimdKernels, LargeLengthsWithinBound) {
    std::mt19937 rng(2);
    for (size_t n : {384, 768, 1000, 1536, 4096, 15999, 16000}) {
        check_all(kernels(), random_vector(n, rng, 1), random_vector(n, rng, 1));
        check_all(kernels(), random_vector(n, rng, 1e15f), random_vector(n, rng, 1e-15f));
    }
}

TEST_P(SimdKernels, DenormalsAreNotFlushed) {
    std::mt19937 rng(3);
    for (size_t n : {1, 7, 16, 33, 130})
        check_all(kernels(), random_vector(n, rng, 1e-40f), random_vector(n, rng, 1e-40f));
    float tiny[3] = {1e-44f, 1e-44f, 1e-44f}, zero[3] = {};
    EXPECT_EQ(kernels().l1(tiny, zero, 1), tiny[0]);
}

TEST_P(SimdKernels, EmptyIsZero) {
    EXPECT_EQ(kernels().l2_squared(nullptr, nullptr, 0), 0);
    EXPECT_EQ(kernels().inner_product(nullptr, nullptr, 0), 0);
    EXPECT_EQ(kernels().l1(nullptr, nullptr, 0), 0);
    EXPECT_EQ(kernels().cosine(nullptr, nullptr, 0).dot, 0);
    EXPECT_EQ(kernels().norm_squared(nullptr, 0), 0);
}

TEST_P(SimdKernels, BytesAreReversed) {
    std::mt19937 rng(8);
    for (size_t n = 0; n <= 130; n++) {
        std::vector<unsigned char> in(n * 4 + n % 3); /* off any alignment */
        for (unsigned char &byte : in)
            byte = static_cast<unsigned char>(rng());
        Unaligned out(n);
        kernels().reversed_bytes(in.data() + n % 3, out.begin(), static_cast<uint32_t>(n));
        for (size_t i = 0; i < n * 4; i++) {
            unsigned char bytes[4];
            std::memcpy(bytes, &out[i / 4], 4); /* any bits, NaN among them */
            ASSERT_EQ(bytes[3 - i % 4], in[n % 3 + i]) << n << " byte " << i;
        }
    }
}

// Small integers make every intermediate exact, so all tables must agree to the last bit.
TEST_P(SimdKernels, IntegersAreExact) {
    for (uint32_t n = 1; n <= 130; n++) {
        Unaligned a(n), b(n);
        float l2 = 0, ip = 0, l1 = 0;
        for (uint32_t i = 0; i < n; i++) {
            a[i] = static_cast<float>(i % 11);
            b[i] = static_cast<float>(i % 7) - 3;
            l2 += (a[i] - b[i]) * (a[i] - b[i]);
            ip += a[i] * b[i];
            l1 += std::fabs(a[i] - b[i]);
        }
        EXPECT_EQ(kernels().l2_squared(a.begin(), b.begin(), n), l2);
        EXPECT_EQ(kernels().inner_product(a.begin(), b.begin(), n), ip);
        EXPECT_EQ(kernels().l1(a.begin(), b.begin(), n), l1);
        EXPECT_EQ(kernels().cosine(a.begin(), b.begin(), n).dot, ip);
    }
}

TEST_P(SimdKernels, NanAndInfinityAtEveryPosition) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    for (uint32_t n : {1u, 5u, 8u, 16u, 31u, 64u, 130u}) {
        for (uint32_t at = 0; at < n; at++) {
            Unaligned a(n), b(n);
            for (uint32_t i = 0; i < n; i++)
                a[i] = b[i] = 1;
            a[at] = kInf;
            EXPECT_EQ(kernels().l2_squared(a.begin(), b.begin(), n), kInf);
            EXPECT_EQ(kernels().inner_product(a.begin(), b.begin(), n), kInf);
            EXPECT_EQ(kernels().l1(a.begin(), b.begin(), n), kInf);
            EXPECT_EQ(kernels().norm_squared(a.begin(), n), kInf);
            a[at] = kNan;
            EXPECT_TRUE(std::isnan(kernels().l2_squared(a.begin(), b.begin(), n)));
            EXPECT_TRUE(std::isnan(kernels().inner_product(a.begin(), b.begin(), n)));
            EXPECT_TRUE(std::isnan(kernels().l1(a.begin(), b.begin(), n)));
            EXPECT_TRUE(std::isnan(kernels().cosine(a.begin(), b.begin(), n).dot));
            EXPECT_TRUE(std::isnan(kernels().norm_squared(a.begin(), n)));
        }
    }
}

TEST_P(SimdKernels, OverflowIsInfinite) {
    constexpr float kMax = std::numeric_limits<float>::max();
    for (uint32_t n : {1u, 3u, 17u, 40u}) {
        Unaligned a(n), b(n);
        for (uint32_t i = 0; i < n; i++) {
            a[i] = kMax;
            b[i] = -kMax;
        }
        constexpr float kInf = std::numeric_limits<float>::infinity();
        EXPECT_EQ(kernels().l2_squared(a.begin(), b.begin(), n), kInf);
        EXPECT_EQ(kernels().inner_product(a.begin(), b.begin(), n), -kInf);
        EXPECT_EQ(kernels().l1(a.begin(), b.begin(), n), kInf);
        EXPECT_TRUE(std::isfinite(kernels().norm_squared(a.begin(), n)));
    }
}

INSTANTIATE_TEST_SUITE_P(AllIsas, SimdKernels, testing::ValuesIn(hnsw::simd::kAllIsas),
                         [](const auto &info) {
                             return std::string(hnsw::simd::isa_name(info.param));
                         });

TEST(SimdDispatch, IntelsProcessorsPrefetchRows) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    EXPECT_EQ(hnsw::simd::prefetches_rows(), __builtin_cpu_is("intel") != 0);
#else
    EXPECT_FALSE(hnsw::simd::prefetches_rows());
#endif
}

TEST(SimdDispatch, BestIsaIsAvailableAndHonoursTheEnvironment) {
    Isa best = hnsw::simd::best_isa();
    EXPECT_TRUE(hnsw::simd::isa_available(best));
    if (const char *wanted = std::getenv("HNSW_ISA")) {
        for (Isa isa : hnsw::simd::kAllIsas) {
            bool named = std::string(wanted) == hnsw::simd::isa_name(isa);
            if (named && hnsw::simd::isa_available(isa)) {
                EXPECT_EQ(best, isa);
            }
        }
    }
    EXPECT_EQ(&hnsw::simd::kernels(), &hnsw::simd::kernels_for(best));
}

}  // namespace

// Every table of code kernels this machine can run against plain formulas: integers exactly, floats
// within the bound that simd/code_kernels.h states.
#include "simd/code_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using hnsw::simd::CodeKernels;
using hnsw::simd::EdgeSums;
using hnsw::simd::EstimateArgs;
using hnsw::simd::Isa;

constexpr uint32_t kDims[] = {64,  128, 192, 256,  320,  384,  448,  512,  576,
                              640, 768, 832, 1024, 1536, 2048, 2112, 16000};
constexpr float kScales[] = {1.0f, 0.0078125f, 3.7e-3f, 1e-30f, 1e30f};

// Elements start off any vector alignment, and the buffer ends exactly with the last one, so that
// sanitizers see a read beyond it.
template <typename T>
struct Unaligned {
    explicit Unaligned(size_t n, size_t shift = 1) : shift(shift), data(n + shift) {}
    T *begin() { return data.data() + shift; }
    const T *begin() const { return data.data() + shift; }
    T *end() { return data.data() + data.size(); }
    const T *end() const { return data.data() + data.size(); }
    T &operator[](size_t i) { return data[i + shift]; }
    T operator[](size_t i) const { return data[i + shift]; }
    size_t shift;
    std::vector<T> data;
};

Unaligned<float> random_floats(size_t n, std::mt19937 &rng, float scale) {
    Unaligned<float> v(n, 1 + rng() % 15);
    std::normal_distribution<float> normal;
    for (float &x : v)
        x = normal(rng) * scale;
    return v;
}

enum class Fill { kRandom, kHighest, kLowest };

Unaligned<int8_t> random_i8(size_t n, std::mt19937 &rng, Fill fill = Fill::kRandom) {
    Unaligned<int8_t> v(n, 1 + rng() % 63);
    std::uniform_int_distribution<int> any(-127, 127);
    for (int8_t &x : v)
        x = static_cast<int8_t>(fill == Fill::kRandom    ? any(rng)
                                : fill == Fill::kHighest ? 127
                                                         : -127);
    return v;
}

Unaligned<uint8_t> random_bytes(size_t n, std::mt19937 &rng, Fill fill = Fill::kRandom) {
    Unaligned<uint8_t> v(n, 1 + rng() % 63);
    for (uint8_t &x : v)
        x = static_cast<uint8_t>(fill == Fill::kRandom ? rng() : fill == Fill::kHighest ? 255 : 0);
    return v;
}

float from_bf16(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }
uint16_t to_bf16(float x) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16); }

// A sum of `terms` terms and the sum of the magnitudes its bound is relative to.
struct Sum {
    long double value = 0;
    long double magnitude = 0;
    uint32_t terms = 0;
    void add(long double term, long double size) {
        value += term;
        magnitude += size;
        terms++;
    }
};

void expect_near(float got, const Sum &want, const std::string &what) {
    long double bound = (want.terms / 16 + 64) * 0x1p-23L * want.magnitude + want.terms * 0x1p-148L;
    if (want.value + bound > std::numeric_limits<float>::max()) {
        EXPECT_GT(got, std::numeric_limits<float>::max() / 2) << what;
        return;
    }
    EXPECT_LE(std::fabs(got - want.value), bound) << what << " got " << got;
}

class CodeKernelsTest : public testing::TestWithParam<Isa> {
protected:
    const CodeKernels &k() const { return hnsw::simd::code_kernels_for(GetParam()); }
    std::mt19937 rng{20240229};
};

TEST_P(CodeKernelsTest, FloatAgainstSq8) {
    for (uint32_t dim : kDims) {
        for (float scale : kScales) {
            Unaligned<float> q = random_floats(dim, rng, scale * 60);
            Unaligned<int8_t> x = random_i8(dim, rng);
            Sum l2, ip, l1;
            for (uint32_t i = 0; i < dim; i++) {
                long double a = q[i], b = static_cast<long double>(scale) * x[i];
                long double size = std::fabs(a) + std::fabs(b);
                l2.add((a - b) * (a - b), size * size);
                l1.add(std::fabs(a - b), size);
                ip.add(a * x[i], std::fabs(a * x[i]));
            }
            std::string what = "dim " + std::to_string(dim) + " scale " + std::to_string(scale);
            expect_near(k().sq8_l2(q.begin(), x.begin(), scale, dim), l2, "l2 " + what);
            expect_near(k().sq8_ip(q.begin(), x.begin(), dim), ip, "ip " + what);
            expect_near(k().sq8_l1(q.begin(), x.begin(), scale, dim), l1, "l1 " + what);
        }
    }
}

TEST_P(CodeKernelsTest, IntegerProducts) {
    for (uint32_t dim : kDims) {
        for (Fill fill_a : {Fill::kRandom, Fill::kHighest, Fill::kLowest}) {
            for (Fill fill_b : {Fill::kRandom, Fill::kHighest, Fill::kLowest}) {
                Unaligned<int8_t> a = random_i8(dim, rng, fill_a), b = random_i8(dim, rng, fill_b);
                int64_t want = 0;
                for (uint32_t i = 0; i < dim; i++)
                    want += a[i] * b[i];
                EXPECT_EQ(k().i8_dot(a.begin(), b.begin(), dim), want) << dim;
            }
        }
    }
    Unaligned<int8_t> a = random_i8(65536, rng, Fill::kHighest);
    Unaligned<int8_t> b = random_i8(65536, rng, Fill::kLowest);
    EXPECT_EQ(k().i8_dot(a.begin(), b.begin(), 65536), -65536 * 127 * 127);
}

TEST_P(CodeKernelsTest, IntegerProductsWithManyRows) {
    for (uint32_t dim : {64u, 128u, 192u, 384u, 1536u}) {
        Unaligned<int8_t> a = random_i8(dim, rng);
        std::vector<Unaligned<int8_t>> rows;
        std::vector<const int8_t *> pointers;
        std::vector<int32_t> want;
        for (uint32_t n = 0; n <= 70; n++) {
            std::vector<int32_t> got(n);
            k().i8_dot_many(a.begin(), pointers.data(), n, dim, got.data());
            EXPECT_EQ(got, want) << "dim " << dim << " n " << n;
            rows.push_back(random_i8(dim, rng));
            int32_t product = 0;
            for (uint32_t i = 0; i < dim; i++)
                product += a[i] * rows.back()[i];
            want.push_back(product);
            pointers.clear();
            for (const auto &row : rows)
                pointers.push_back(row.begin());
        }
    }
}

TEST_P(CodeKernelsTest, L1OfSq8) {
    for (uint32_t dim : kDims) {
        for (float scale : kScales) {
            Unaligned<int8_t> a = random_i8(dim, rng), b = random_i8(dim, rng);
            float other = scale * 1.37f;
            Sum want;
            for (uint32_t i = 0; i < dim; i++) {
                long double x = static_cast<long double>(scale) * a[i];
                long double y = static_cast<long double>(other) * b[i];
                want.add(std::fabs(x - y), std::fabs(x) + std::fabs(y));
            }
            expect_near(k().i8_l1(a.begin(), scale, b.begin(), other, dim), want,
                        "dim " + std::to_string(dim));
        }
    }
}

struct Neighbours {
    Neighbours(uint32_t n, uint32_t bits, std::mt19937 &rng, float scale, Fill fill)
        : codes(random_bytes(n * (bits / 8), rng, fill)),
          a(n),
          b(n),
          query(random_i8(bits, rng, fill)) {
        std::normal_distribution<float> normal;
        for (uint32_t i = 0; i < n; i++) {
            a[i] = to_bf16(normal(rng) * scale);
            b[i] = to_bf16(normal(rng) * scale);
        }
        args.codes = codes.begin();
        args.factor_a = a.begin();
        args.factor_b = b.begin();
        args.n = n;
        args.bits = bits;
        args.query = query.begin();
        args.query_sum = 0;
        for (uint32_t i = 0; i < bits; i++)
            args.query_sum += query[i];
        args.base = std::fabs(normal(rng)) * scale;
        args.mul_a = 1.25f;
        args.mul_b = -0.3f;
    }
    Unaligned<uint8_t> codes;
    Unaligned<uint16_t> a, b;
    Unaligned<int8_t> query;
    EstimateArgs args;
};

// With base = mul_a = 0, mul_b = 1 and factor 1 the estimate is the integer itself.
void check_estimates(const CodeKernels &k, Neighbours &in) {
    EstimateArgs &args = in.args;
    Unaligned<float> got(args.n);
    k.estimate(args, got.begin());
    Unaligned<uint16_t> ones(args.n);
    for (uint16_t &x : ones)
        x = to_bf16(1.0f);
    EstimateArgs plain = args;
    plain.factor_b = ones.begin();
    plain.base = plain.mul_a = 0;
    plain.mul_b = 1;
    Unaligned<float> integers(args.n);
    k.estimate(plain, integers.begin());
    for (uint32_t j = 0; j < args.n; j++) {
        int32_t dot = 0;
        for (uint32_t i = 0; i < args.bits; i++)
            dot += (in.codes[j * (args.bits / 8) + i / 8] >> (i % 8) & 1) * in.query[i];
        int32_t centred = 2 * dot - args.query_sum;
        ASSERT_EQ(integers[j], static_cast<float>(centred))
            << "bits " << args.bits << " n " << args.n << " neighbour " << j;
        long double constant = static_cast<long double>(args.mul_a) * from_bf16(in.a[j]);
        long double slope = static_cast<long double>(args.mul_b) * from_bf16(in.b[j]);
        long double want = args.base + constant + slope * centred;
        long double size = args.base + std::fabs(constant) + std::fabs(slope * centred);
        ASSERT_LE(std::fabs(got[j] - want), 4 * 0x1p-23L * size)
            << "bits " << args.bits << " n " << args.n << " neighbour " << j;
    }
}

TEST_P(CodeKernelsTest, EstimatesOfAnyNumberOfNeighbours) {
    for (uint32_t bits : {64u, 128u, 192u, 384u}) {
        for (uint32_t n = 0; n <= 200; n++) {
            Neighbours in(n, bits, rng, 1, Fill::kRandom);
            check_estimates(k(), in);
        }
    }
}

TEST_P(CodeKernelsTest, EstimatesOfAnyLength) {
    for (uint32_t bits = 64; bits <= 2560; bits += 64) {
        for (uint32_t n : {1u, 7u, 32u, 65u}) {
            Neighbours in(n, bits, rng, 1, Fill::kRandom);
            check_estimates(k(), in);
        }
    }
    for (uint32_t bits : {4096u, 4160u, 16000u, 65536u}) {
        for (Fill fill : {Fill::kRandom, Fill::kHighest, Fill::kLowest}) {
            Neighbours in(33, bits, rng, 1, fill);
            check_estimates(k(), in);
        }
    }
}

TEST_P(CodeKernelsTest, EstimatesAtExtremeScales) {
    for (float scale : {1e-30f, 1e30f}) {
        for (Fill fill : {Fill::kRandom, Fill::kHighest}) {
            Neighbours in(29, 512, rng, scale, fill);
            check_estimates(k(), in);
        }
    }
}

TEST_P(CodeKernelsTest, Hamming) {
    for (uint32_t bits = 64; bits <= 4160; bits += 64) {
        Unaligned<uint8_t> a = random_bytes(bits / 8, rng), b = random_bytes(bits / 8, rng);
        uint32_t want = 0;
        for (uint32_t i = 0; i < bits / 8; i++)
            want += static_cast<uint32_t>(std::popcount(static_cast<uint8_t>(a[i] ^ b[i])));
        EXPECT_EQ(k().hamming(a.begin(), b.begin(), bits), want) << bits;
        const uint8_t *codes[] = {b.begin(), a.begin(), b.begin()};
        uint32_t many[] = {7, 7, 7, 7};
        k().hamming_many(a.begin(), codes, 3, bits, many);
        EXPECT_EQ((std::vector<uint32_t>(many, many + 4)),
                  (std::vector<uint32_t>{want, 0, want, 7}));
    }
    Unaligned<uint8_t> none = random_bytes(8192, rng, Fill::kLowest);
    Unaligned<uint8_t> all = random_bytes(8192, rng, Fill::kHighest);
    EXPECT_EQ(k().hamming(none.begin(), all.begin(), 65536), 65536u);
}

// Sums of an edge computed plainly, and its code by the same float operations, one at a time.
struct Edge {
    Sum r2, abs_sum, dot_u;
    std::vector<uint8_t> code;
};

Edge plain_edge(const Unaligned<int8_t> &u, float scale_u, const Unaligned<int8_t> &v,
                float scale_v, const float *shift, uint32_t dim, uint32_t bits) {
    Edge edge;
    edge.code.resize(bits / 8);
    for (uint32_t i = 0; i < dim; i++) {
        volatile float from = scale_u * u[i], to = scale_v * v[i], r = to - from;
        long double size = std::fabs(static_cast<long double>(from)) + std::fabs(to);
        if (shift != nullptr) {
            r = r + shift[i];
            size += std::fabs(shift[i]);
        }
        long double exact = r;
        edge.r2.add(exact * exact, size * size);
        if (i >= bits)
            continue;
        edge.abs_sum.add(std::fabs(exact), size);
        edge.dot_u.add(r >= 0 ? from : -from, std::fabs(from));
        if (r >= 0)
            edge.code[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
    }
    return edge;
}

TEST_P(CodeKernelsTest, CodesOfEdges) {
    for (uint32_t dim : kDims) {
        for (uint32_t bits : {64u, dim / 128 * 64, dim - 64, dim}) {
            if (bits == 0)
                continue;
            for (float scale : kScales) {
                Unaligned<int8_t> u = random_i8(dim, rng), v = random_i8(dim, rng);
                for (uint32_t i = 0; i < dim; i += 5)
                    v[i] = u[i]; /* with equal scales r is 0, and the bit must be set */
                float scale_v = rng() % 2 == 0 ? scale : scale * 0.77f;
                Unaligned<float> shift = random_floats(dim, rng, scale * 10);
                for (const float *offset : {static_cast<const float *>(nullptr),
                                            static_cast<const float *>(shift.begin())}) {
                    Edge want = plain_edge(u, scale, v, scale_v, offset, dim, bits);
                    std::vector<uint8_t> code(bits / 8, 0xaa);
                    EdgeSums got = k().edge_code(u.begin(), scale, v.begin(), scale_v, offset, dim,
                                                 bits, code.data());
                    std::string what = std::to_string(dim) + "/" + std::to_string(bits);
                    ASSERT_EQ(code, want.code) << what;
                    expect_near(got.r2, want.r2, "r2 " + what);
                    expect_near(got.abs_sum, want.abs_sum, "abs_sum " + what);
                    expect_near(got.dot_u, want.dot_u, "dot_u " + what);
                }
            }
        }
    }
}

TEST_P(CodeKernelsTest, Hadamard) {
    for (uint32_t n = 2; n <= 65536; n *= 2) {
        Unaligned<float> x = random_floats(n, rng, 1);
        /* Small integers are transformed exactly, so the definition must hold to the last bit. */
        for (float &value : x)
            value = std::round(value * 16);
        Unaligned<float> y = x;
        k().hadamard(y.begin(), 1, n);
        for (uint32_t t = 0; t < 64; t++) {
            uint32_t i = n <= 64 ? t % n : static_cast<uint32_t>(rng()) % n;
            double want = 0;
            for (uint32_t j = 0; j < n; j++)
                want += std::popcount(i & j) % 2 == 0 ? x[j] : -x[j];
            ASSERT_EQ(y[i], want) << "n " << n << " element " << i;
        }
        /* On any input every instruction set adds the same pairs in the same order. */
        Unaligned<float> z = random_floats(n, rng, 1e30f), reference = z;
        k().hadamard(z.begin(), 0.3f, n);
        hnsw::simd::code_kernels_for(Isa::kScalar).hadamard(reference.begin(), 0.3f, n);
        ASSERT_EQ(z.data, reference.data) << n;
    }
}

// What precedes the transform is the same to the last bit on every machine: rows of one value are
// known by their bits.
TEST_P(CodeKernelsTest, ScaledAndCentred) {
    const CodeKernels &reference = hnsw::simd::code_kernels_for(Isa::kScalar);
    for (uint32_t n = 0; n <= 200; n++) {
        for (float scale : kScales) {
            Unaligned<float> x = random_floats(n, rng, scale), y = random_floats(n, rng, scale);
            if (n > 1)
                x[n / 2] = -0.0f;
            const double by = 0.7071067811865476 / scale;

            long double squares = 0;
            for (float value : x)
                squares += static_cast<long double>(value) * value;
            const double sum = k().sum_squares(x.begin(), n);
            ASSERT_EQ(sum, reference.sum_squares(x.begin(), n)) << n;
            ASSERT_LE(std::fabs(sum - squares), n * 0x1p-52L * squares) << n;

            Unaligned<float> scaled(n), centred(n);
            k().scaled(x.begin(), by, scaled.begin(), n);
            k().scaled_difference(x.begin(), y.begin(), by, centred.begin(), n);
            for (uint32_t i = 0; i < n; i++) {
                const double product = x[i] * by, difference = (double{x[i]} - y[i]) * by;
                ASSERT_EQ(scaled[i], static_cast<float>(product)) << n << " element " << i;
                ASSERT_FALSE(x[i] == 0 && std::signbit(scaled[i])) << n << " element " << i;
                ASSERT_EQ(centred[i], static_cast<float>(difference)) << n << " element " << i;
            }
        }
    }
}

TEST_P(CodeKernelsTest, Negation) {
    for (uint32_t dim : kDims) {
        Unaligned<float> x = random_floats(dim, rng, 1);
        x[dim / 2] = 0;
        Unaligned<float> y = x;
        std::vector<uint64_t> signs(dim / 64);
        for (uint64_t &word : signs)
            word = (uint64_t{rng()} << 32) | rng();
        k().negate(y.begin(), signs.data(), dim);
        for (uint32_t i = 0; i < dim; i++) {
            const float want = signs[i / 64] >> (i % 64) & 1 ? -x[i] : x[i];
            ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(want))
                << dim << " element " << i;
        }
    }
}

TEST_P(CodeKernelsTest, MaxAbs) {
    for (uint32_t n = 0; n <= 200; n++) {
        for (float scale : kScales) {
            Unaligned<float> x = random_floats(n, rng, scale);
            float want = 0;
            for (float value : x)
                want = std::max(want, std::fabs(value));
            EXPECT_EQ(k().max_abs(x.begin(), n), want) << n;
        }
    }
}

TEST_P(CodeKernelsTest, Encoding) {
    for (uint32_t n = 0; n <= 200; n++) {
        for (float scale : kScales) {
            Unaligned<float> x = random_floats(n, rng, scale * 60); /* some beyond 127 */
            for (uint32_t i = 0; i < n; i += 3)
                x[i] = (static_cast<float>(rng() % 300) - 150.5f) * scale; /* ties */
            float inverse = 1 / scale;
            Unaligned<int8_t> got(n);
            float error = k().sq8_encode(x.begin(), inverse, scale, got.begin(), n);
            Sum want;
            for (uint32_t i = 0; i < n; i++) {
                volatile float scaled = x[i] * inverse;
                float rounded = std::nearbyint(std::min(127.0f, std::max(-127.0f, +scaled)));
                ASSERT_EQ(got[i], rounded) << n << " element " << i << " of " << scaled;
                long double value = x[i], decoded = static_cast<long double>(scale) * rounded;
                long double size = std::fabs(value) + std::fabs(decoded);
                want.add((value - decoded) * (value - decoded), size * size);
            }
            expect_near(error, want, "error of " + std::to_string(n));
        }
    }
}

std::vector<Isa> available_isas() {
    std::vector<Isa> isas;
    for (Isa isa : hnsw::simd::kAllIsas) {
        if (isa_available(isa))
            isas.push_back(isa);
    }
    return isas;
}

INSTANTIATE_TEST_SUITE_P(Isas, CodeKernelsTest, testing::ValuesIn(available_isas()),
                         [](const auto &info) { return std::string(isa_name(info.param)); });

}  // namespace

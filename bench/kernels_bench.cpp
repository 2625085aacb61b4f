// Nanoseconds per call of every code kernel, for each instruction set this machine has, on the
// shapes an index uses. Inputs stay in the first-level cache, except where rows are named.
//
//   kernels_bench [--benchmark_filter=estimate]
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "simd/code_kernels.h"

namespace {

using hnsw::simd::CodeKernels;
using hnsw::simd::EstimateArgs;
using hnsw::simd::Isa;

std::vector<int8_t> random_i8(size_t n) {
    static std::mt19937 rng(1);
    std::uniform_int_distribution<int> any(-127, 127);
    std::vector<int8_t> v(n);
    for (int8_t &x : v)
        x = static_cast<int8_t>(any(rng));
    return v;
}

std::vector<float> random_floats(size_t n) {
    static std::mt19937 rng(2);
    std::normal_distribution<float> normal;
    std::vector<float> v(n);
    for (float &x : v)
        x = normal(rng);
    return v;
}

void estimate(benchmark::State &state, const CodeKernels &k, uint32_t n, uint32_t bits) {
    std::vector<int8_t> query = random_i8(bits), bytes = random_i8(size_t{n} * bits / 8);
    std::vector<uint16_t> factors(n, 0x3f80);
    std::vector<float> out(n);
    EstimateArgs args{};
    args.codes = reinterpret_cast<const uint8_t *>(bytes.data());
    args.factor_a = args.factor_b = factors.data();
    args.n = n;
    args.bits = bits;
    args.query = query.data();
    args.base = args.mul_a = args.mul_b = 1;
    for (auto _ : state) {
        k.estimate(args, out.data());
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
}

void float_against_sq8(benchmark::State &state, const CodeKernels &k, uint32_t dim, char metric) {
    std::vector<float> q = random_floats(dim);
    std::vector<int8_t> x = random_i8(dim);
    for (auto _ : state) {
        float d = metric == '2'   ? k.sq8_l2(q.data(), x.data(), 0.01f, dim)
                  : metric == 'i' ? k.sq8_ip(q.data(), x.data(), dim)
                                  : k.sq8_l1(q.data(), x.data(), 0.01f, dim);
        benchmark::DoNotOptimize(d);
    }
}

void i8_dot(benchmark::State &state, const CodeKernels &k, uint32_t dim) {
    std::vector<int8_t> a = random_i8(dim), b = random_i8(dim);
    for (auto _ : state)
        benchmark::DoNotOptimize(k.i8_dot(a.data(), b.data(), dim));
}

void i8_l1(benchmark::State &state, const CodeKernels &k, uint32_t dim) {
    std::vector<int8_t> a = random_i8(dim), b = random_i8(dim);
    for (auto _ : state)
        benchmark::DoNotOptimize(k.i8_l1(a.data(), 0.01f, b.data(), 0.02f, dim));
}

// Against `total` rows in all, 32 random ones a call: few stay in cache, many do not.
void i8_dot_many(benchmark::State &state, const CodeKernels &k, uint32_t dim, uint32_t total) {
    constexpr uint32_t kRows = 32;
    std::vector<int8_t> a = random_i8(dim), rows = random_i8(size_t{total} * dim);
    std::vector<const int8_t *> pointers(1 << 16);
    std::mt19937 rng(3);
    for (const int8_t *&p : pointers)
        p = rows.data() + size_t{rng() % total} * dim;
    int32_t out[kRows];
    size_t at = 0;
    for (auto _ : state) {
        k.i8_dot_many(a.data(), pointers.data() + at, kRows, dim, out);
        benchmark::DoNotOptimize(&out);
        benchmark::ClobberMemory();
        at = (at + kRows) % pointers.size();
    }
}

void hamming(benchmark::State &state, const CodeKernels &k, uint32_t bits) {
    std::vector<int8_t> a = random_i8(bits / 8), b = random_i8(bits / 8);
    for (auto _ : state) {
        benchmark::DoNotOptimize(k.hamming(reinterpret_cast<const uint8_t *>(a.data()),
                                           reinterpret_cast<const uint8_t *>(b.data()), bits));
    }
}

void edge_code(benchmark::State &state, const CodeKernels &k, uint32_t dim) {
    std::vector<int8_t> u = random_i8(dim), v = random_i8(dim);
    std::vector<uint8_t> code(dim / 8);
    for (auto _ : state) {
        auto sums = k.edge_code(u.data(), 1.0f, v.data(), 0.9f, nullptr, dim, dim, code.data());
        benchmark::DoNotOptimize(sums);
        benchmark::ClobberMemory();
    }
}

void hadamard(benchmark::State &state, const CodeKernels &k, uint32_t n) {
    std::vector<float> x(n);
    for (auto _ : state) {
        k.hadamard(x.data(), 1, n);
        benchmark::ClobberMemory();
    }
}

/* What a query goes through before its rotation. */
void centre(benchmark::State &state, const CodeKernels &k, uint32_t n) {
    std::vector<float> x = random_floats(n), y = random_floats(n), value(n), out(n);
    for (auto _ : state) {
        const double norm = std::sqrt(k.sum_squares(x.data(), n));
        k.scaled(x.data(), 1 / norm, value.data(), n);
        k.scaled_difference(value.data(), y.data(), 2, out.data(), n);
        benchmark::ClobberMemory();
    }
}

void negate(benchmark::State &state, const CodeKernels &k, uint32_t n) {
    std::vector<float> x = random_floats(n);
    std::vector<uint64_t> signs(n / 64, 0xB6D93A5F01C4E78Bu);
    for (auto _ : state) {
        k.negate(x.data(), signs.data(), n);
        benchmark::ClobberMemory();
    }
}

void sq8_encode(benchmark::State &state, const CodeKernels &k, uint32_t n) {
    std::vector<float> x = random_floats(n);
    std::vector<int8_t> out(n);
    for (auto _ : state) {
        float scale = k.max_abs(x.data(), n) / 127;
        benchmark::DoNotOptimize(k.sq8_encode(x.data(), 1 / scale, scale, out.data(), n));
        benchmark::ClobberMemory();
    }
}

template <typename Run, typename... Args>
void add(const CodeKernels &k, const std::string &name, Run run, Args... args) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=, &k](benchmark::State &state) { run(state, k, args...); });
}

void add_all(Isa isa) {
    const CodeKernels &k = hnsw::simd::code_kernels_for(isa);
    const std::string end = std::string("/") + isa_name(isa);
    for (uint32_t bits : {128u, 256u, 384u, 512u, 768u, 1536u}) {
        for (uint32_t n : {16u, 28u, 32u}) {
            add(k, "estimate/" + std::to_string(n) + "x" + std::to_string(bits) + end, estimate, n,
                bits);
        }
    }
    for (uint32_t dim : {128u, 384u, 768u, 1536u}) {
        const std::string tail = "/" + std::to_string(dim) + end;
        add(k, "sq8_l2" + tail, float_against_sq8, dim, '2');
        add(k, "sq8_ip" + tail, float_against_sq8, dim, 'i');
        add(k, "sq8_l1" + tail, float_against_sq8, dim, '1');
        add(k, "i8_dot" + tail, i8_dot, dim);
        add(k, "i8_l1" + tail, i8_l1, dim);
        add(k, "i8_dot_many/32_of_32" + tail, i8_dot_many, dim, 32u);
        add(k, "i8_dot_many/32_of_100000" + tail, i8_dot_many, dim, 100000u);
        add(k, "edge_code" + tail, edge_code, dim);
        add(k, "hamming" + tail, hamming, dim);
        add(k, "norm_scaled_and_centred" + tail, centre, dim);
        add(k, "negate" + tail, negate, dim);
        add(k, "max_abs_and_sq8_encode" + tail, sq8_encode, dim);
    }
    for (uint32_t n : {128u, 256u, 512u, 1024u, 2048u, 16384u})
        add(k, "hadamard/" + std::to_string(n) + end, hadamard, n);
}

}  // namespace

int main(int argc, char **argv) {
    for (Isa isa : hnsw::simd::kAllIsas) {
        if (isa_available(isa))
            add_all(isa);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}

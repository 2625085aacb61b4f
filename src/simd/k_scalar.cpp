// Float kernels in portable C++: the reference for every other table.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/kernel_tables.h"

namespace hnsw::simd {
namespace {

struct V {
    using F = float;
    static constexpr size_t kLanes = 1;
    static F zero() { return 0; }
    static F load(const float *p) { return *p; }
    static F load_tail(const float *, size_t) { return 0; }  // a lone lane leaves no tail
    static F add(F a, F b) { return a + b; }
    static F sub(F a, F b) { return a - b; }
    static F abs(F a) { return std::fabs(a); }
    // Not std::fma: without the instruction that is a slow library call.
    static F fma(F a, F b, F c) { return a * b + c; }
    static float reduce(F a) { return a; }
    static void store_reversed(const std::byte *in, float *out) {
        uint32_t bits;
        std::memcpy(&bits, in, sizeof(bits));
        bits = __builtin_bswap32(bits);
        std::memcpy(out, &bits, sizeof(bits));
    }

    using D = double;
    static constexpr size_t kDoubleLanes = 1;
    static D zero_d() { return 0; }
    static D load_d(const float *p) { return *p; }
    static D load_tail_d(const float *, size_t) { return 0; }
    static D add_d(D a, D b) { return a + b; }
    static D fma_d(D a, D b, D c) { return a * b + c; }
    static double reduce_d(D a) { return a; }
};

#include "simd/skeleton.inc"

}  // namespace

const Kernels kScalarKernels = kTable;

}  // namespace hnsw::simd

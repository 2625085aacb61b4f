/*
 * The instruction sets the kernels are written for, and which of them this machine has.
 *
 * Each set is a bundle: a machine either has all of its extensions (and an operating system that
 * saves the registers) or the set is not available.  Called by the dispatch of every kernel
 * table; nothing else in the project asks the processor what it is.
 */
#pragma once

namespace hnsw::simd {

enum class Isa {
    kScalar,     /* portable C++; the reference for all others */
    kAvx2,       /* AVX2, FMA, F16C, POPCNT */
    kAvx512,     /* kAvx2 and AVX-512 F, BW, DQ, VL */
    kAvx512Vnni, /* kAvx512 and AVX-512 VNNI, VPOPCNTDQ, GFNI */
    kNeon,       /* AArch64 Advanced SIMD */
};

/* Every Isa, slowest first, for tests and benchmarks that visit them all. */
inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni,
                                   Isa::kNeon};

/* Whether this machine can run kernels of `isa`.  kScalar always can.  Ignores HNSW_ISA. */
bool isa_available(Isa isa);

/*
 * The set to use: the best available one, unless the environment variable HNSW_ISA (read at the
 * first call) names another available one by its isa_name.  A name that is unknown or not
 * available is ignored.  The answer never changes within a process.
 */
Isa best_isa();

/* Whether this processor's own prefetching brings the rest of a row of some hundred bytes, once its first line is
 * asked for, faster than asking for every line: Intel's, of which ten or so requests wait at a time
 * (docs/performance.md, "Prefetches"). */
bool prefetches_rows();

/* "scalar", "avx2", "avx512", "avx512vnni" or "neon"; a static string. */
const char *isa_name(Isa isa);

}  // namespace hnsw::simd

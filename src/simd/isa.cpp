/*
 * Finds the machine's instruction sets: CPUID for what the processor knows, XGETBV for which
 * registers the operating system saves.  Asked once per process.
 */
#include "simd/isa.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hnsw::simd {
namespace {

struct Available {
    bool avx2 = false;
    bool avx512 = false;
    bool avx512vnni = false;
    bool neon = false;
    bool prefetches_rows = false;
};

#if defined(__x86_64__)

bool has_all(uint32_t reg, uint32_t bits) { return (reg & bits) == bits; }

/* Extended control register 0; only valid where CPUID reports OSXSAVE. */
uint32_t xcr0() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

Available detect() {
    constexpr uint32_t kXmmYmm = 0x06;              /* XCR0: SSE and AVX state */
    constexpr uint32_t kOpmaskZmm = 0xe0 | kXmmYmm; /* and the three AVX-512 states */
    constexpr uint32_t kFma = 1u << 12, kPopcnt = 1u << 23, kOsxsave = 1u << 27, kAvx = 1u << 28,
                       kF16c = 1u << 29; /* leaf 1, ECX */
    constexpr uint32_t kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30,
                       kVl = 1u << 31;                                           /* leaf 7, EBX */
    constexpr uint32_t kGfni = 1u << 8, kVnni = 1u << 11, kVpopcntdq = 1u << 14; /* leaf 7, ECX */

    Available have;
    uint32_t a, b, c, d;
    have.prefetches_rows = __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx &&
                           c == signature_INTEL_ecx && d == signature_INTEL_edx;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, kFma | kPopcnt | kOsxsave | kAvx | kF16c)) {
        return have;
    }
    uint32_t saved = xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return have;
    }
    have.avx2 = has_all(saved, kXmmYmm) && has_all(b, kAvx2);
    have.avx512 = have.avx2 && has_all(saved, kOpmaskZmm) && has_all(b, kF | kDq | kBw | kVl);
    have.avx512vnni = have.avx512 && has_all(c, kGfni | kVnni | kVpopcntdq);
    return have;
}

#elif defined(__aarch64__)

Available detect() {
    Available have;
    have.neon = true; /* part of the base architecture */
    return have;
}

#else

Available detect() { return {}; }

#endif

const Available &available() {
    static const Available have = detect();
    return have;
}

Isa choose() {
    Isa best = Isa::kScalar;
    for (Isa isa : kAllIsas) {
        if (isa_available(isa)) {
            best = isa;
        }
    }
    if (const char *wanted = std::getenv("HNSW_ISA")) {
        for (Isa isa : kAllIsas) {
            if (std::strcmp(wanted, isa_name(isa)) == 0 && isa_available(isa)) {
                return isa;
            }
        }
    }
    return best;
}

}  // namespace

bool isa_available(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return true;
        case Isa::kAvx2:
            return available().avx2;
        case Isa::kAvx512:
            return available().avx512;
        case Isa::kAvx512Vnni:
            return available().avx512vnni;
        case Isa::kNeon:
            return available().neon;
    }
    return false;
}

Isa best_isa() {
    static const Isa best = choose();
    return best;
}

bool prefetches_rows() { return available().prefetches_rows; }

const char *isa_name(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return "scalar";
        case Isa::kAvx2:
            return "avx2";
        case Isa::kAvx512:
            return "avx512";
        case Isa::kAvx512Vnni:
            return "avx512vnni";
        case Isa::kNeon:
            return "neon";
    }
    return "unknown";
}

}  // namespace hnsw::simd

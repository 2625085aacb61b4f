/*
 * Kernels that test conditions on columns of 64-bit keys, 16-bit flags and 6-byte places, as the index's
 * directory keeps them (core/directory.h).  Numbers in, bits out; nothing here knows pages or rows.
 *
 * Conventions: entry i has bit i % 64 of bits[i / 64].  A kernel clears the bits of entries that fail
 * and leaves those that hold as they were; a word of zeros may be passed over.  n is a multiple of 8;
 * of the last word the bits from n on are cleared.  Pointers need no alignment.  No kernel reads
 * outside its inputs, allocates or fails.  Results are identical for every instruction set; the
 * scalar table is the reference.
 */
#pragma once

#include <cstdint>

#include "simd/isa.h"

namespace hnsw::simd {

/* A set of places (block, offset): bit offset % 64 of words[block * stride + offset / 64]. */
struct RowBits {
    const uint64_t *words = nullptr;
    uint32_t blocks = 0; /* blocks * stride <= 2^30 */
    uint32_t stride = 1; /* at least 1 */
};

struct KeyKernels {
    /* low <= keys[i] <= low + width, without overflow: keys[i] - low <= width, modulo 2^64 */
    void (*keep_range)(const uint64_t *keys, uint32_t n, uint64_t low, uint64_t width,
                       uint64_t *bits);
    /* keys[i] is one of list[0..count); costs grow with count */
    void (*keep_any_of)(const uint64_t *keys, uint32_t n, const uint64_t *list, uint32_t count,
                        uint64_t *bits);
    /* keys[i] has every bit of at least one of list[0..count) */
    void (*keep_any_bits)(const uint64_t *keys, uint32_t n, const uint64_t *list, uint32_t count,
                          uint64_t *bits);
    /* (flags[i] & mask) == value */
    void (*keep_flags)(const uint16_t *flags, uint32_t n, uint16_t mask, uint16_t value,
                       uint64_t *bits);
    /* The place at places + 6 * i is in the set: its block, 4 bytes, and its offset, 2 bytes, of which
     * the top bit does not count. A place beyond the set's blocks or words is not. */
    void (*keep_rows)(const uint8_t *places, uint32_t n, const RowBits &set, uint64_t *bits);
};

/* The table for an instruction set this machine has; the scalar one for any other. */
const KeyKernels &key_kernels_for(Isa isa);

/* The table for best_isa(). */
const KeyKernels &key_kernels();

}  // namespace hnsw::simd

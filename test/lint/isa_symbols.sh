#!/bin/sh
# An object compiled for one instruction set defines nothing that other objects could link to but
# its table: an inline function of a header, compiled for AVX-512 and picked by the linker for all
# callers, would be an illegal instruction on older processors.
status=0
for o in $(ls src/simd/*_avx*.o src/simd/*_neon.o 2>/dev/null); do
    bad=$(nm -C --defined-only --extern-only "$o" | grep -v 'Kernels$')
    [ -z "$bad" ] || { printf '%s defines:\n%s\n' "$o" "$bad"; status=1; }
done
exit $status

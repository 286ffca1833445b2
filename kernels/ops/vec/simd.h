/* simd.h: what a kernel written once for every vector ISA includes. build.sh compiles each file of this folder once per ISA,
 * with that ISA's flags and UFFB_TARGET set to its name. */
#ifndef UFFB_SIMD_H
#define UFFB_SIMD_H

#include "../ops.h"

#define UFFB_JOIN3(a, b, c) a##b##c
#define UFFB_NAME(op, target) UFFB_JOIN3(uffb_##op, _, target)
/* The name that table.inc lists: KERNEL(gemm) is uffb_gemm_avx512 where the target is avx512. */
#define KERNEL(op) UFFB_NAME(op, UFFB_TARGET)

#if defined(__AVX512F__)
#include "avx512.h"
#elif defined(__AVX2__)
#include "avx2.h"
#elif defined(__aarch64__)
#include "neon.h"
#endif

#define UFFB_INLINE static inline __attribute__((always_inline))

#endif

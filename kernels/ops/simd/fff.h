/* What the two halves of the fast feedforward network share. What limits both is fetching rows, not arithmetic. */
#ifndef UFFB_SIMD_FFF_H
#define UFFB_SIMD_FFF_H

#include "simd.h"

/* Asks memory for n floats, into L2: requests into L1 compete with loads for its few outstanding misses. */
UFFB_INLINE void prefetch(const float *row, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 0, 2);
}

#endif

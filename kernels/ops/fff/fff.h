/* What the two halves of the fast feedforward network share. What limits both is fetching rows, not arithmetic. */
#ifndef UFFB_SIMD_FFF_H
#define UFFB_SIMD_FFF_H

#include "../vec/simd.h"

#include <string.h>

/* Every function below and beside is inlined with a constant `dtype`, so that none of them decides anything per row. */

UFFB_INLINE int64_t row_bytes(int32_t dtype, int64_t n) { return n * (dtype == UFFB_BF16 ? 2 : 4); }

UFFB_INLINE const void *node_row(int32_t dtype, const void *rows, int64_t node, int64_t hidden) {
    return (const char *)rows + node * row_bytes(dtype, hidden);
}

UFFB_INLINE vec row_load(int32_t dtype, const void *row, int64_t i) {
    return dtype == UFFB_BF16 ? vec_load_bf16((const uint16_t *)row + i) : vec_load((const float *)row + i);
}

UFFB_INLINE vec row_load_some(int32_t dtype, const void *row, int64_t i, int64_t n) {
    if (dtype != UFFB_BF16) return vec_load_some((const float *)row + i, n);
    uint16_t rest[VEC_LANES] = {0};
    memcpy(rest, (const uint16_t *)row + i, (size_t)n * sizeof *rest);
    return vec_load_bf16(rest);
}

/* Asks memory for some bytes, into L2: requests into L1 compete with loads for its few outstanding misses. */
UFFB_INLINE void prefetch(const void *from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)from + i, 0, 2);
}

#endif

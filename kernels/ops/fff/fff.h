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

/* row . x[g] for each of `tokens` tokens; a token's sum is the same chain whatever their number. */
UFFB_INLINE void dot(int32_t dtype, int tokens, int64_t n, const void *row, const float *const *x, float *logits) {
    vec sum[VEC_FFF_TOKENS][4];
#pragma GCC unroll 4
    for (int g = 0; g < tokens; g++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) sum[g][v] = vec_zero();
    }
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            const vec w = row_load(dtype, row, i + v * VEC_LANES);
#pragma GCC unroll 4
            for (int g = 0; g < tokens; g++) sum[g][v] = vec_fma(vec_load(x[g] + i + v * VEC_LANES), w, sum[g][v]);
        }
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        const vec w = row_load(dtype, row, i);
#pragma GCC unroll 4
        for (int g = 0; g < tokens; g++) sum[g][0] = vec_fma(vec_load(x[g] + i), w, sum[g][0]);
    }
    if (i < n) {
        const vec w = row_load_some(dtype, row, i, n - i);
#pragma GCC unroll 4
        for (int g = 0; g < tokens; g++) sum[g][1] = vec_fma(vec_load_some(x[g] + i, n - i), w, sum[g][1]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < tokens; g++) {
        logits[g] = vec_sum(vec_add(vec_add(sum[g][0], sum[g][1]), vec_add(sum[g][2], sum[g][3])));
    }
}

#endif

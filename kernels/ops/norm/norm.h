/* What LayerNorm and its gradient share: the statistics of a row that stays in L1. */
#ifndef UFFB_SIMD_NORM_H
#define UFFB_SIMD_NORM_H

#include "../vec/simd.h"

#include <math.h>

/* Sums side by side, since one chain of additions would wait for each. */
#define CHAINS 4

UFFB_INLINE float total(const vec *sums) { return vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3]))); }

UFFB_INLINE vec add_square(vec d, vec sum) { return vec_fma(d, d, sum); }

/* The mean of a row of `cols` elements, and 1 / sqrt(variance + eps). */
UFFB_INLINE void row_statistics(int64_t cols, const float *x, float eps, vec *centre_out, vec *scale_out) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    vec sums[CHAINS] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    int64_t i = 0;
    for (; i + CHAINS * VEC_LANES <= cols; i += CHAINS * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < CHAINS; v++) sums[v] = vec_add(sums[v], vec_load(x + i + v * VEC_LANES));
    }
    for (; i < whole; i += VEC_LANES) sums[0] = vec_add(sums[0], vec_load(x + i));
    if (rest) sums[1] = vec_add(sums[1], vec_load_some(x + whole, rest));
    const float mean = total(sums) / (float)cols;

    const vec centre = vec_set(mean);
    vec squares[CHAINS] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    for (i = 0; i + CHAINS * VEC_LANES <= cols; i += CHAINS * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < CHAINS; v++) squares[v] = add_square(vec_sub(vec_load(x + i + v * VEC_LANES), centre), squares[v]);
    }
    for (; i < whole; i += VEC_LANES) squares[0] = add_square(vec_sub(vec_load(x + i), centre), squares[0]);
    if (rest) {
        const vec d = vec_first(rest, vec_sub(vec_load_some(x + whole, rest), centre), vec_zero());
        squares[1] = add_square(d, squares[1]);
    }
    const float variance = total(squares) / (float)cols;
    *centre_out = centre;
    *scale_out = vec_set(uffb_norm_scale(variance, eps));
}

#endif

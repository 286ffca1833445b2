/* LayerNorm in three passes over a row that stays in L1: sum, squares about the mean, scale. */
#include "../vec/simd.h"

#include <math.h>

/* Sums side by side, since one chain of additions would wait for each. */
#define CHAINS 4

UFFB_INLINE float total(const vec *sums) { return vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3]))); }

UFFB_INLINE vec add_square(vec d, vec sum) { return vec_fma(d, d, sum); }

void KERNEL(norm)(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias, float eps,
                  float *y, int64_t ldy) {
    int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
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
            for (int v = 0; v < CHAINS; v++)
                squares[v] = add_square(vec_sub(vec_load(x + i + v * VEC_LANES), centre), squares[v]);
        }
        for (; i < whole; i += VEC_LANES) squares[0] = add_square(vec_sub(vec_load(x + i), centre), squares[0]);
        if (rest) {
            const vec d = vec_first(rest, vec_sub(vec_load_some(x + whole, rest), centre), vec_zero());
            squares[1] = add_square(d, squares[1]);
        }
        const float variance = total(squares) / (float)cols;

        vec scale = vec_set(1.0f / sqrtf(variance + eps));
        for (i = 0; i < whole; i += VEC_LANES) {
            vec z = vec_mul(vec_sub(vec_load(x + i), centre), scale);
            vec_store(y + i, vec_fma(z, vec_load(weight + i), bias ? vec_load(bias + i) : vec_zero()));
        }
        if (rest) {
            vec z = vec_mul(vec_sub(vec_load_some(x + whole, rest), centre), scale);
            vec shift = bias ? vec_load_some(bias + whole, rest) : vec_zero();
            vec_store_some(y + whole, vec_fma(z, vec_load_some(weight + whole, rest), shift), rest);
        }
    }
}

/* LayerNorm in three passes over a row that stays in L1: sum, squares about the mean, scale. */
#include "simd.h"

#include <math.h>

void KERNEL(norm)(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias, float eps,
                  float *y, int64_t ldy) {
    int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        vec sums[2] = {vec_zero(), vec_zero()};
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            sums[i / VEC_LANES & 1] = vec_add(sums[i / VEC_LANES & 1], vec_load(x + i));
        }
        if (rest) sums[0] = vec_add(sums[0], vec_load_some(x + whole, rest));
        float mean = vec_sum(vec_add(sums[0], sums[1])) / (float)cols;

        vec centre = vec_set(mean), squares = vec_zero();
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            vec d = vec_sub(vec_load(x + i), centre);
            squares = vec_fma(d, d, squares);
        }
        float variance = vec_sum(squares);
        for (int64_t i = whole; i < cols; i++) variance += (x[i] - mean) * (x[i] - mean);

        vec scale = vec_set(1.0f / sqrtf(variance / (float)cols + eps));
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
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

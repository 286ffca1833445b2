/* LayerNorm in three passes over a row that stays in L1: sum, squares about the mean, scale. */
#include "norm.h"

void KERNEL(norm)(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias, float eps,
                  float *y, int64_t ldy) {
    int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        vec centre, scale;
        row_statistics(cols, x, eps, &centre, &scale);
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

#include "math.h"

#include <math.h>

void KERNEL(softmax)(int64_t rows, int64_t cols, float scale, float *x, int64_t ldx) {
    int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        float top = -INFINITY;
        vec tops = vec_set(-INFINITY);
        for (int64_t i = 0; i < whole; i += VEC_LANES) tops = vec_max(tops, vec_mul(vec_load(x + i), vec_set(scale)));
        if (whole) top = vec_top(tops);
        for (int64_t i = whole; i < cols; i++) top = x[i] * scale > top ? x[i] * scale : top;

        vec sums = vec_zero(), shift = vec_set(-top);
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            vec e = vec_exp(vec_fma(vec_load(x + i), vec_set(scale), shift));
            vec_store(x + i, e);
            sums = vec_add(sums, e);
        }
        float sum = vec_sum(sums);
        if (rest) {
            vec_store_some(x + whole, vec_exp(vec_fma(vec_load_some(x + whole, rest), vec_set(scale), shift)), rest);
            for (int64_t i = whole; i < cols; i++) sum += x[i];
        }

        vec share = vec_set(1.0f / sum);
        for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, vec_mul(vec_load(x + i), share));
        if (rest) vec_store_some(x + whole, vec_mul(vec_load_some(x + whole, rest), share), rest);
    }
}

#include "../vec/math.h"

#include <math.h>

void KERNEL(softmax)(int64_t rows, int64_t cols, float scale, float *x, int64_t ldx) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        vec tops = vec_set(-INFINITY);
        for (int64_t i = 0; i < whole; i += VEC_LANES) tops = vec_max(tops, vec_mul(vec_load(x + i), vec_set(scale)));
        if (rest) {
            const vec scores = vec_mul(vec_load_some(x + whole, rest), vec_set(scale));
            tops = vec_max(tops, vec_first(rest, scores, vec_set(-INFINITY)));
        }

        const float top = vec_top(tops);
        const vec shift = vec_set(fabsf(top) < INFINITY ? -top : NAN); /* beside an infinite score, others have no share */
        vec sums = vec_zero();
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            const vec e = vec_exp(vec_fma(vec_load(x + i), vec_set(scale), shift));
            vec_store(x + i, e);
            sums = vec_add(sums, e);
        }
        if (rest) {
            const vec e = vec_exp(vec_fma(vec_load_some(x + whole, rest), vec_set(scale), shift));
            vec_store_some(x + whole, e, rest);
            sums = vec_add(sums, vec_first(rest, e, vec_zero()));
        }

        const vec share = vec_set(1.0f / vec_sum(sums));
        for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, vec_mul(vec_load(x + i), share));
        if (rest) vec_store_some(x + whole, vec_mul(vec_load_some(x + whole, rest), share), rest);
    }
}

#include "../vec/simd.h"

void KERNEL(softmax_back)(int64_t rows, int64_t cols, float scale, const float *p, int64_t ldp, float *d, int64_t ldd) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    const vec factor = vec_set(scale);
    for (int64_t r = 0; r < rows; r++, p += ldp, d += ldd) {
        vec sums = vec_zero();
        for (int64_t i = 0; i < whole; i += VEC_LANES) sums = vec_fma(vec_load(p + i), vec_load(d + i), sums);
        if (rest) sums = vec_fma(vec_load_some(p + whole, rest), vec_load_some(d + whole, rest), sums);
        const vec dot = vec_set(vec_sum(sums));
        for (int64_t i = 0; i < whole; i += VEC_LANES)
            vec_store(d + i, vec_mul(vec_mul(vec_load(p + i), factor), vec_sub(vec_load(d + i), dot)));
        if (rest) {
            const vec share = vec_mul(vec_load_some(p + whole, rest), factor);
            vec_store_some(d + whole, vec_mul(share, vec_sub(vec_load_some(d + whole, rest), dot)), rest);
        }
    }
}

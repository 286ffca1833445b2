/* A dot product in four sums, so that multiply-adds need not wait for each other. */
#include "../vec/simd.h"

float KERNEL(dot)(int64_t n, const float *x, const float *y) {
    vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            const int64_t at = i + v * VEC_LANES;
            sum[v] = vec_fma(vec_load(x + at), vec_load(y + at), sum[v]);
        }
    }
    for (; i < n; i += VEC_LANES) {
        const int64_t lanes = n - i < VEC_LANES ? n - i : VEC_LANES;
        sum[0] = vec_fma(vec_load_some(x + i, lanes), vec_load_some(y + i, lanes), sum[0]);
    }
    return vec_sum(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
}

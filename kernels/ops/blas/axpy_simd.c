#include "../vec/simd.h"

void KERNEL(axpy)(int64_t n, float a, const float *x, float *y) {
    const vec s = vec_set(a);
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            const int64_t at = i + v * VEC_LANES;
            vec_store(y + at, vec_fma(s, vec_load(x + at), vec_load(y + at)));
        }
    }
    for (; i < n; i += VEC_LANES) {
        const int64_t lanes = n - i < VEC_LANES ? n - i : VEC_LANES;
        vec_store_some(y + i, vec_fma(s, vec_load_some(x + i, lanes), vec_load_some(y + i, lanes)), lanes);
    }
}

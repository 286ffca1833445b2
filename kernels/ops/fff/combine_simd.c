/* A weighted sum of rows, picked by number: the gradient of a node's row, or of an embedding's. */
#include "../vec/simd.h"

void KERNEL(combine)(int64_t count, const int32_t *order, const float *scale, int64_t lds, const float *x, int64_t ldx,
                     int64_t cols, float *y, int32_t accumulate) {
    int64_t c = 0;
    for (; c + 4 * VEC_LANES <= cols; c += 4 * VEC_LANES) {
        vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
        for (int64_t i = 0; i < count; i++) {
            const float *row = x + order[i] * ldx + c;
            const vec s = vec_set(scale[order[i] * lds]);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) sum[v] = vec_fma(s, vec_load(row + v * VEC_LANES), sum[v]);
        }
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            float *at = y + c + v * VEC_LANES;
            vec_store(at, accumulate ? vec_add(vec_load(at), sum[v]) : sum[v]);
        }
    }
    for (; c < cols; c += VEC_LANES) {
        const int64_t lanes = cols - c < VEC_LANES ? cols - c : VEC_LANES;
        vec sum = vec_zero();
        for (int64_t i = 0; i < count; i++)
            sum = vec_fma(vec_set(scale[order[i] * lds]), vec_load_some(x + order[i] * ldx + c, lanes), sum);
        vec_store_some(y + c, accumulate ? vec_add(vec_load_some(y + c, lanes), sum) : sum, lanes);
    }
}

/* A sum of squares: in vectors of f32 over blocks short enough to lose nothing that matters, blocks in double precision. */
#include "../vec/simd.h"

#define BLOCK (16 * 4 * VEC_LANES)

double KERNEL(squares)(int64_t n, const float *x) {
    double total = 0;
    int64_t i = 0;
    while (i + 4 * VEC_LANES <= n) {
        vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
        const int64_t end = i + BLOCK < n ? i + BLOCK : n;
        for (; i + 4 * VEC_LANES <= end; i += 4 * VEC_LANES) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                const vec y = vec_load(x + i + v * VEC_LANES);
                sum[v] = vec_fma(y, y, sum[v]);
            }
        }
        total += (double)vec_sum(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
    }
    for (; i < n; i++) total += (double)x[i] * (double)x[i];
    return total;
}

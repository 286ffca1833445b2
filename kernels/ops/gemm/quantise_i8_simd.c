/* Activations in 8 bits, with the very bits of gemm_i8_generic.c. */
#include "../vec/simd.h"

#include <math.h>

void KERNEL(quantise_i8)(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES;
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        vec mosts = vec_zero();
        for (int64_t i = 0; i < whole; i += VEC_LANES) mosts = vec_max(mosts, vec_abs(vec_load(x + i)));
        float most = vec_top(mosts);
        for (int64_t i = whole; i < cols; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;

        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        scale[r] = most / 127.0f;
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            vec_store_u8(q + i, vec_mul(vec_load(x + i), vec_set(inverse)));
        }
        for (int64_t i = whole; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * inverse));
        for (int64_t i = cols; i < (cols + 3) / 4 * 4; i++) q[i] = 128;
    }
}

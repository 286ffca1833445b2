/* Activations in 8 bits, with the very bits of gemm_i8_generic.c. */
#include "../vec/simd.h"
#include "quantise.h"

#define STEP (4 * VEC_LANES)

UFFB_INLINE void quantise_step(const float *x, float factor, uint8_t *q) {
    vec scaled[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) scaled[i] = vec_mul(vec_load(x + i * VEC_LANES), vec_set(factor));
    vec_store_u8(q, scaled);
}

void KERNEL(quantise_i8)(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const float factor = uffb_quantise_factor(uffb_largest(cols, x), 127.0f, &scale[r]);
        if (factor == 0) {
            memset(q, 128, (size_t)((cols + 3) / 4 * 4));
            continue;
        }
        int64_t i = 0;
        for (; i + STEP <= cols; i += STEP) quantise_step(x + i, factor, q + i);
        if (i < cols && cols >= STEP) {
            quantise_step(x + cols - STEP, factor, q + cols - STEP); /* some once more */
            i = cols;
        }
        for (; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * factor));
        for (; i < (cols + 3) / 4 * 4; i++) q[i] = 128;
    }
}

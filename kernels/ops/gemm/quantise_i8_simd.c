/* Activations in 8 bits, with the very bits of gemm_i8_generic.c. */
#include "../vec/simd.h"
#include "quantise.h"

void KERNEL(quantise_i8)(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES;
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const float factor = uffb_quantise_factor(uffb_largest(cols, x), 127.0f, &scale[r]);
        if (factor == 0) {
            memset(q, 128, (size_t)((cols + 3) / 4 * 4));
            continue;
        }
        for (int64_t i = 0; i < whole; i += VEC_LANES) {
            vec_store_u8(q + i, vec_mul(vec_load(x + i), vec_set(factor)));
        }
        for (int64_t i = whole; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * factor));
        for (int64_t i = cols; i < (cols + 3) / 4 * 4; i++) q[i] = 128;
    }
}

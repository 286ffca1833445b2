/* Activations in 8 bits, on the base AArch64 instructions. */
#include "../ops.h"

#include <arm_neon.h>
#include <math.h>

void uffb_quantise_neon(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    const int64_t whole = cols / 4 * 4;
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        float32x4_t mosts = vdupq_n_f32(0);
        for (int64_t i = 0; i < whole; i += 4) mosts = vmaxq_f32(mosts, vabsq_f32(vld1q_f32(x + i)));
        float most = vmaxvq_f32(mosts);
        for (int64_t i = whole; i < cols; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;

        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        scale[r] = most / 127.0f;
        for (int64_t i = 0; i < whole; i += 4) {
            int32_t lanes[4];
            vst1q_s32(lanes, vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse)));
            for (int j = 0; j < 4; j++) q[i + j] = (uint8_t)(128 + lanes[j]);
        }
        for (int64_t i = whole; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * inverse));
        for (int64_t i = cols; i < (cols + 3) / 4 * 4; i++) q[i] = 128;
    }
}

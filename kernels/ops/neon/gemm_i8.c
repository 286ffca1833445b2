/* 8-bit integers on the base AArch64 instructions: products of bytes in 16 bits, added up pairwise in 32. */
#include "../ops.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

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

/* Registers hold 2 rows of a panel: 16 of 32 accumulate. */
#define TILE_ROWS 2

static inline __attribute__((always_inline)) void tile(int rows, int64_t col, int64_t n, int64_t quads, const uint8_t *a,
                                                       int64_t lda, const float *a_scale, const uffb_weights_i8 *w,
                                                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int8_t *panel = w->panels + col * quads * 4;
    int32x4_t sum[TILE_ROWS][4][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) sum[r][v][0] = sum[r][v][1] = vdupq_n_s32(0);
    }
    for (int64_t l = 0; l < quads; l++, panel += 64) {
        int8x16_t x[TILE_ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            uint32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            x[r] = vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u)); /* 128 + q, as bytes, to q */
        }
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) {
            const int8x16_t b = vld1q_s8(panel + 16 * v);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                sum[r][v][0] = vpadalq_s16(sum[r][v][0], vmull_s8(vget_low_s8(x[r]), vget_low_s8(b)));
                sum[r][v][1] = vpadalq_s16(sum[r][v][1], vmull_high_s8(x[r], b));
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        int32_t sums[UFFB_PANEL];
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) vst1q_s32(sums + 4 * v, vpaddq_s32(sum[r][v][0], sum[r][v][1]));
        for (int64_t i = 0; i < UFFB_PANEL && col + i < n; i++) {
            float *out = c + r * ldc + col + i;
            float value = (float)sums[i] * (a_scale[r] * w->scale[col + i]) + (bias ? bias[col + i] : 0.0f);
            *out = accumulate ? *out + value : value;
        }
    }
}

void uffb_gemm_i8_neon(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                       const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t quads = (k + 3) / 4;
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        for (int64_t row = 0; row < m; row += TILE_ROWS) {
            const uint8_t *x = a + row * lda;
            if (m - row >= TILE_ROWS) {
                tile(2, col, n, quads, x, lda, a_scale + row, w, bias, c + row * ldc, ldc, accumulate);
            } else {
                tile(1, col, n, quads, x, lda, a_scale + row, w, bias, c + row * ldc, ldc, accumulate);
            }
        }
    }
}

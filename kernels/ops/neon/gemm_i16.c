/* 16-bit integers on the base AArch64 instructions: products in 32 bits, added up pairwise at the end. */
#include "../ops.h"

#include <arm_neon.h>
#include <string.h>

/* Registers hold 3 rows of a panel: 24 of 32 accumulate. */
#define TILE_ROWS 3

static inline __attribute__((always_inline)) void tile(int rows, int64_t col, int64_t n, int64_t pairs, const int16_t *a,
                                                       int64_t lda, const float *a_scale, const uffb_weights_i16 *w,
                                                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int16_t *panel = w->panels + col * pairs * 2;
    int32x4_t sum[TILE_ROWS][4][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) sum[r][v][0] = sum[r][v][1] = vdupq_n_s32(0);
    }
    for (int64_t l = 0; l < pairs; l++, panel += 2 * UFFB_PANEL) {
        int16x8_t x[TILE_ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t two;
            memcpy(&two, a + r * lda + l * 2, 4);
            x[r] = vreinterpretq_s16_s32(vdupq_n_s32(two));
        }
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) {
            const int16x8_t b = vld1q_s16(panel + 8 * v);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                sum[r][v][0] = vmlal_s16(sum[r][v][0], vget_low_s16(x[r]), vget_low_s16(b));
                sum[r][v][1] = vmlal_high_s16(sum[r][v][1], x[r], b);
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

void uffb_gemm_i16_neon(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                        const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t pairs = (k + 1) / 2;
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        for (int64_t row = 0; row < m; row += TILE_ROWS) {
            const int16_t *x = a + row * lda;
            float *y = c + row * ldc;
            switch (m - row) {
            case 1: tile(1, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            case 2: tile(2, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            default: tile(3, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            }
        }
    }
}

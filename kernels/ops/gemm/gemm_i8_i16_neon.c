/* Integers on the base AArch64 instructions. Products of bytes, in 16 bits, are added up pairwise in 32; those of 16 bits are
 * 32 bits wide as they are. Sums of pairs are added up at the end. */
#include "integers.h"

#include <arm_neon.h>
#include <string.h>

/* Registers hold 2 or 3 rows of a panel: 16 or 24 of 32 accumulate, and 8 bits need some for their products. */
#define TILE_ROWS_8 2
#define TILE_ROWS_16 3

UFFB_ALWAYS_INLINE void add_products(int wide, int32x4_t sum[2], int8x16_t x, int8x16_t b) {
    if (wide) {
        const int16x8_t x16 = vreinterpretq_s16_s8(x), b16 = vreinterpretq_s16_s8(b);
        sum[0] = vmlal_s16(sum[0], vget_low_s16(x16), vget_low_s16(b16));
        sum[1] = vmlal_high_s16(sum[1], x16, b16);
    } else {
        sum[0] = vpadalq_s16(sum[0], vmull_s8(vget_low_s8(x), vget_low_s8(b)));
        sum[1] = vpadalq_s16(sum[1], vmull_high_s8(x, b));
    }
}

UFFB_ALWAYS_INLINE void tile(int wide, int rows, int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel,
                             int32_t (*sums)[UFFB_PANEL]) {
    int32x4_t sum[TILE_ROWS_16][4][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) sum[r][v][0] = sum[r][v][1] = vdupq_n_s32(0);
    }
    for (int64_t l = 0; l < steps; l++, panel += 64) {
        int8x16_t x[TILE_ROWS_16];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            uint32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            x[r] = vreinterpretq_s8_u32(vdupq_n_u32(wide ? four : four ^ 0x80808080u)); /* 128 + q, as bytes, to q */
        }
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) {
            const int8x16_t b = vreinterpretq_s8_u8(vld1q_u8(panel + 16 * v));
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) add_products(wide, sum[r][v], x[r], b);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < 4; v++) vst1q_s32(sums[r] + 4 * v, vpaddq_s32(sum[r][v][0], sum[r][v][1]));
    }
}

UFFB_INT_TILE(tile_8x1, tile, 0, 1)
UFFB_INT_TILE(tile_8x2, tile, 0, 2)
UFFB_INT_TILE(tile_16x1, tile, 1, 1)
UFFB_INT_TILE(tile_16x2, tile, 1, 2)
UFFB_INT_TILE(tile_16x3, tile, 1, 3)

static uffb_int_tile *const tiles_8[TILE_ROWS_8] = {tile_8x1, tile_8x2};
static uffb_int_tile *const tiles_16[TILE_ROWS_16] = {tile_16x1, tile_16x2, tile_16x3};

void uffb_gemm_i8_neon(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                       const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    uffb_gemm_int(tiles_8, TILE_ROWS_8, m, n, (k + 3) / 4, a, lda, a_scale, weights, bias, c, ldc, accumulate);
}

void uffb_gemm_i16_neon(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                        const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    uffb_gemm_int(tiles_16, TILE_ROWS_16, m, n, (k + 1) / 2, a, 2 * lda, a_scale, weights, bias, c, ldc, accumulate);
}

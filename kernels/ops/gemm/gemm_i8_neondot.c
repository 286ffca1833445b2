/* 8-bit integers on the dot products of ARMv8.2: one instruction adds four products to each of 4 columns, and takes the four
 * activations from any part of a register, which holds those of 4 steps. */
#include "integers.h"

#include <arm_neon.h>
#include <string.h>

/* Registers hold 6 rows of a panel: 24 of 32. */
#define TILE_ROWS 6
#define STEPS 4

/* 128 + q, as bytes, to q. */
UFFB_ALWAYS_INLINE int8x16_t signed_of(uint8x16_t bytes) { return vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))); }

/* Adds the products of step `step` of those in x, a constant. */
UFFB_ALWAYS_INLINE void add_step(int rows, int step, const uint8_t *line, const int8x16_t *x, int32x4_t (*sum)[4]) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
        const int8x16_t b = vreinterpretq_s8_u8(vld1q_u8(line + 16 * v));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            switch (step) {
            case 0: sum[r][v] = vdotq_laneq_s32(sum[r][v], b, x[r], 0); break;
            case 1: sum[r][v] = vdotq_laneq_s32(sum[r][v], b, x[r], 1); break;
            case 2: sum[r][v] = vdotq_laneq_s32(sum[r][v], b, x[r], 2); break;
            default: sum[r][v] = vdotq_laneq_s32(sum[r][v], b, x[r], 3);
            }
        }
    }
}

UFFB_ALWAYS_INLINE void tile(int rows, int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel,
                             int32_t (*sums)[UFFB_PANEL]) {
    int32x4_t sum[TILE_ROWS][4];
    int8x16_t x[TILE_ROWS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) sum[r][v] = vdupq_n_s32(0);
    }
    int64_t l = 0;
    for (; l + STEPS <= steps; l += STEPS, panel += STEPS * UFFB_INT_LINE) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) x[r] = signed_of(vld1q_u8(a + r * lda + l * 4));
        add_step(rows, 0, panel, x, sum);
        add_step(rows, 1, panel + UFFB_INT_LINE, x, sum);
        add_step(rows, 2, panel + 2 * UFFB_INT_LINE, x, sum);
        add_step(rows, 3, panel + 3 * UFFB_INT_LINE, x, sum);
    }
    for (; l < steps; l++, panel += UFFB_INT_LINE) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            uint32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            x[r] = signed_of(vreinterpretq_u8_u32(vdupq_n_u32(four)));
        }
        add_step(rows, 0, panel, x, sum);
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) vst1q_s32(sums[r] + 4 * v, sum[r][v]);
    }
}

/* clang-format off */
UFFB_INT_TILE(tile_1, tile, 1) UFFB_INT_TILE(tile_2, tile, 2) UFFB_INT_TILE(tile_3, tile, 3)
UFFB_INT_TILE(tile_4, tile, 4) UFFB_INT_TILE(tile_5, tile, 5) UFFB_INT_TILE(tile_6, tile, 6)
    /* clang-format on */

    static uffb_int_tile *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

void KERNEL(gemm_i8)(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                     const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    uffb_gemm_int(tiles, TILE_ROWS, m, n, (k + 3) / 4, a, lda, a_scale, weights, bias, c, ldc, accumulate);
}

/* 8-bit integers on the matrix products of ARMv8.6: one instruction adds the products of 2 rows, without signs, and 2 columns,
 * with signs, over 8 places. */
#include "integers.h"

#include <arm_neon.h>
#include <string.h>

/* Registers hold 3 pairs of rows of a panel: 24 of 32. */
#define TILE_ROWS 6
#define TILE_PAIRS 3
/* Of an instruction. */
#define STEPS 2

/* Two steps of a pair of rows: places 0 to 7 of the one, then of the other. A last row alone is a pair with itself, and a step
 * that is not there is 0. */
UFFB_ALWAYS_INLINE uint8x16_t load_pair(int rows, int pair, const uint8_t *a, int64_t lda, int steps) {
    const uint8_t *first = a + 2 * pair * lda, *second = 2 * pair + 1 < rows ? first + lda : first;
    if (steps == STEPS) return vcombine_u8(vld1_u8(first), vld1_u8(second));
    uint32_t fours[4] = {0};
    memcpy(fours, first, 4);
    memcpy(fours + 2, second, 4);
    return vreinterpretq_u8_u32(vld1q_u32(fours));
}

/* Adds the products of two steps, or one: `steps`, a constant. */
UFFB_ALWAYS_INLINE void add_steps(int pairs, int steps, const uint8_t *line, const uint8x16_t *x, int32x4_t (*sum)[8]) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) { /* 4 columns */
        const int32x4_t early = vreinterpretq_s32_u8(vld1q_u8(line + 16 * v));
        const int32x4_t late = steps == STEPS ? vreinterpretq_s32_u8(vld1q_u8(line + UFFB_INT_LINE + 16 * v)) : vdupq_n_s32(0);
        const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(early, late)),
                        high = vreinterpretq_s8_s32(vzip2q_s32(early, late));
#pragma GCC unroll 3
        for (int p = 0; p < pairs; p++) {
            sum[p][2 * v] = vusmmlaq_s32(sum[p][2 * v], x[p], low);
            sum[p][2 * v + 1] = vusmmlaq_s32(sum[p][2 * v + 1], x[p], high);
        }
    }
}

UFFB_ALWAYS_INLINE void tile(int rows, int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel,
                             int32_t (*sums)[UFFB_PANEL]) {
    const int pairs = (rows + 1) / 2;
    int32x4_t sum[TILE_PAIRS][8];
    uint8x16_t x[TILE_PAIRS];
#pragma GCC unroll 3
    for (int p = 0; p < pairs; p++) {
#pragma GCC unroll 8
        for (int v = 0; v < 8; v++) sum[p][v] = vdupq_n_s32(0);
    }
    int64_t l = 0;
    for (; l + STEPS <= steps; l += STEPS, panel += STEPS * UFFB_INT_LINE) {
#pragma GCC unroll 3
        for (int p = 0; p < pairs; p++) x[p] = load_pair(rows, p, a + l * 4, lda, STEPS);
        add_steps(pairs, STEPS, panel, x, sum);
    }
    if (l < steps) {
#pragma GCC unroll 3
        for (int p = 0; p < pairs; p++) x[p] = load_pair(rows, p, a + l * 4, lda, 1);
        add_steps(pairs, 1, panel, x, sum);
    }
#pragma GCC unroll 3
    for (int p = 0; p < pairs; p++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            const int64x2_t low = vreinterpretq_s64_s32(sum[p][2 * v]), high = vreinterpretq_s64_s32(sum[p][2 * v + 1]);
            vst1q_s32(sums[2 * p] + 4 * v, vreinterpretq_s32_s64(vzip1q_s64(low, high)));
            if (2 * p + 1 < rows) vst1q_s32(sums[2 * p + 1] + 4 * v, vreinterpretq_s32_s64(vzip2q_s64(low, high)));
        }
    }
}

/* clang-format off */
UFFB_INT_TILE(tile_1, tile, 1) UFFB_INT_TILE(tile_2, tile, 2) UFFB_INT_TILE(tile_3, tile, 3)
UFFB_INT_TILE(tile_4, tile, 4) UFFB_INT_TILE(tile_5, tile, 5) UFFB_INT_TILE(tile_6, tile, 6)
    /* clang-format on */

    static uffb_int_tile *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

void KERNEL(gemm_i8)(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                     const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, w->sum};
    uffb_gemm_int(tiles, TILE_ROWS, m, n, (k + 3) / 4, a, lda, a_scale, weights, bias, c, ldc, accumulate);
}

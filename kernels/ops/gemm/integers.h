/* integers.h: what kernels on integers of either width do around their tiles. A tile sums products of integers; a step of it
 * takes 4 bytes of a row and of each of the 16 columns of a panel: four integers of 8 bits, or two of 16. */
#ifndef UFFB_INT_H
#define UFFB_INT_H

#include "../ops.h"

/* Rows of the highest tile. */
#define UFFB_INT_ROWS 4

/* A weight matrix of either width. */
typedef struct uffb_weights_int {
    const void *panels;
    const float *scale;
    const int32_t *sum; /* of the integers of a row, where the tiles take activations with their offset of 128; else NULL */
} uffb_weights_int;

/* The sums of some rows of a, which lie lda bytes apart, with one panel. */
typedef void uffb_int_tile(int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel, int32_t (*sums)[UFFB_PANEL]);

/* A tile whose first arguments, the rows last of them, are constants. */
#define UFFB_INT_TILE(name, tile, ...)                                                                                         \
    static void name(int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel, int32_t(*sums)[UFFB_PANEL]) {         \
        tile(__VA_ARGS__, steps, a, lda, panel, sums);                                                                         \
    }

/* gemm_i8 or gemm_i16; tiles[r - 1] is for r rows, lda in bytes. */
static void uffb_gemm_int(uffb_int_tile *const *tiles, int64_t tile_rows, int64_t m, int64_t n, int64_t steps, const void *a,
                          int64_t lda, const float *a_scale, uffb_weights_int w, const float *bias, float *c, int64_t ldc,
                          int32_t accumulate) {
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        const int64_t cols = n - col < UFFB_PANEL ? n - col : UFFB_PANEL;
        for (int64_t row = 0; row < m; row += tile_rows) {
            const int64_t rows = m - row < tile_rows ? m - row : tile_rows;
            int32_t sums[UFFB_INT_ROWS][UFFB_PANEL];
            tiles[rows - 1](steps, (const uint8_t *)a + row * lda, lda, (const uint8_t *)w.panels + col * steps * 4, sums);
            for (int64_t r = 0; r < rows; r++) {
                float *out = c + (row + r) * ldc + col;
                for (int64_t i = 0; i < cols; i++) {
                    const int32_t sum = sums[r][i] - (w.sum ? 128 * w.sum[col + i] : 0);
                    const float value = (float)sum * (a_scale[row + r] * w.scale[col + i]) + (bias ? bias[col + i] : 0.0f);
                    out[i] = accumulate ? out[i] + value : value;
                }
            }
        }
    }
}

#endif

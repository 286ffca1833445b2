/* integers.h: what kernels on integers of either width do around their tiles. A tile sums products of integers; a step of it
 * takes 4 bytes of a row and of each of the 16 columns of a panel: four integers of 8 bits, or two of 16. */
#ifndef UFFB_INT_H
#define UFFB_INT_H

#include <stddef.h>
#include "../ops.h"

#define UFFB_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Rows of the highest tile. */
#define UFFB_INT_ROWS 6

/* Bytes of a panel that one step takes. */
#define UFFB_INT_LINE (4 * UFFB_PANEL)

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

/* Vectors of this instruction set; GCC and clang have such types for all of them. */
#define UFFB_INT_LANES (__BIGGEST_ALIGNMENT__ / 4)
#define UFFB_INT_VECTORS (UFFB_PANEL / UFFB_INT_LANES)
typedef float uffb_floats __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));
typedef int32_t uffb_ints __attribute__((vector_size(__BIGGEST_ALIGNMENT__), aligned(4), may_alias));

/* c [rows, 16] = sums as numbers, with the steps in floating point that every ISA takes. */
UFFB_ALWAYS_INLINE void uffb_store_panel(int64_t rows, const int32_t (*sums)[UFFB_PANEL], const float *a_scale,
                                         const float *scale, const int32_t *offset, const float *bias, float *c, int64_t ldc,
                                         int32_t accumulate) {
    uffb_floats scales[UFFB_INT_VECTORS], biases[UFFB_INT_VECTORS] = {{0}};
    uffb_ints offsets[UFFB_INT_VECTORS] = {{0}};
    for (int v = 0; v < UFFB_INT_VECTORS; v++) {
        scales[v] = ((const uffb_floats *)scale)[v];
        if (bias) biases[v] = ((const uffb_floats *)bias)[v];
        if (offset) offsets[v] = ((const uffb_ints *)offset)[v] * 128;
    }
    for (int64_t r = 0; r < rows; r++, c += ldc) {
        for (int v = 0; v < UFFB_INT_VECTORS; v++) {
            const uffb_ints sum = ((const uffb_ints *)sums[r])[v] - offsets[v];
            uffb_floats value = __builtin_convertvector(sum, uffb_floats) * (a_scale[r] * scales[v]) + biases[v];
            if (accumulate) value += ((const uffb_floats *)c)[v];
            ((uffb_floats *)c)[v] = value;
        }
    }
}

/* The same of the columns from `col` on, of which there may be fewer. */
UFFB_ALWAYS_INLINE void uffb_store_sums(int64_t rows, int64_t col, int64_t cols, int32_t (*sums)[UFFB_PANEL],
                                        const float *a_scale, uffb_weights_int w, const float *bias, float *c, int64_t ldc,
                                        int32_t accumulate) {
    const float *scale = w.scale + col;
    const int32_t *offset = w.sum ? w.sum + col : NULL;
    if (bias) bias += col;
    c += col;
    if (cols >= UFFB_PANEL) {
        uffb_store_panel(rows, (const int32_t(*)[UFFB_PANEL])sums, a_scale, scale, offset, bias, c, ldc, accumulate);
        return;
    }
    for (int64_t r = 0; r < rows; r++, c += ldc) {
        for (int64_t i = 0; i < cols; i++) {
            const int32_t sum = sums[r][i] - (offset ? 128 * offset[i] : 0);
            const float value = (float)sum * (a_scale[r] * scale[i]) + (bias ? bias[i] : 0.0f);
            c[i] = accumulate ? c[i] + value : value;
        }
    }
}

/* gemm_i8 or gemm_i16; tiles[r - 1] is for r rows, lda in bytes. Rows are spread evenly over the tiles. */
UFFB_ALWAYS_INLINE void uffb_gemm_int(uffb_int_tile *const *tiles, int64_t tile_rows, int64_t m, int64_t n, int64_t steps,
                                      const void *a, int64_t lda, const float *a_scale, uffb_weights_int w, const float *bias,
                                      float *c, int64_t ldc, int32_t accumulate) {
    const int64_t row_tiles = (m + tile_rows - 1) / tile_rows;
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        const uint8_t *panel = (const uint8_t *)w.panels + col * steps * 4;
        for (int64_t t = 0, row = 0; t < row_tiles; t++) {
            const int64_t rows = m / row_tiles + (t < m % row_tiles);
            int32_t sums[UFFB_INT_ROWS][UFFB_PANEL];
            tiles[rows - 1](steps, (const uint8_t *)a + row * lda, lda, panel, sums);
            uffb_store_sums(rows, col, n - col, sums, a_scale + row, w, bias, c + row * ldc, ldc, accumulate);
            row += rows;
        }
    }
}

#endif

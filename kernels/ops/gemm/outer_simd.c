/* GEMM on an operand whose rows are columns in memory: the gradient of a weight matrix, over tokens; and rows in panels. */
#define TILE_TRANSPOSED 1
#include "packed.h"
#include "tile.h"

#include <stddef.h>

void KERNEL(outer)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, float *c, int64_t ldc,
                   int32_t accumulate) {
    gemm_tiles(m, n, k, a, lda, 0, b, NULL, c, ldc, accumulate, NULL);
}

void KERNEL(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias,
                         float *c, int64_t ldc, int32_t accumulate, float *scratch) {
    const int64_t tiles_needed = (m + VEC_TILE_ROWS - 1) / VEC_TILE_ROWS;
    for (int64_t t = 0, row = 0; t < tiles_needed; t++) {
        const int64_t rows = m / tiles_needed + (t < m % tiles_needed);
        KERNEL(pack)(rows, k, a + row * lda, lda, 0, scratch + t * UFFB_PANEL * k);
        row += rows;
    }
    /* The next rows of `a`, which lie behind these in one piece: callers mostly go on with them. */
    gemm_tiles(m, n, k, scratch, UFFB_PANEL, UFFB_PANEL * k, w, bias, c, ldc, accumulate, lda == k ? a + m * lda : NULL);
}

/* GEMM over weight panels. */
#define TILE_TRANSPOSED 0
#include "packed.h"
#include "tile.h"

#include <stddef.h>

/* Packing pays from so many rows and columns: fewer rows make short tiles, which load more often for an FMA. */
#define PACKED_ROWS 64
#define PACKED_COLS 192

void KERNEL(gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias, float *c,
                  int64_t ldc, int32_t accumulate, float *scratch) {
    const int64_t most = k ? UFFB_GEMM_SCRATCH / (UFFB_PANEL * k) * VEC_TILE_ROWS : 0;
    if (!VEC_PACKS_ROWS || !scratch || n < PACKED_COLS || m < PACKED_ROWS || !most) {
        gemm_tiles(m, n, k, a, lda, 0, w, bias, c, ldc, accumulate, NULL);
        return;
    }
    const int64_t blocks = (m + most - 1) / most;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t row = m * b / blocks, end = m * (b + 1) / blocks;
        KERNEL(gemm_packed)(end - row, n, k, a + row * lda, lda, w, bias, c + row * ldc, ldc, accumulate, scratch);
    }
}

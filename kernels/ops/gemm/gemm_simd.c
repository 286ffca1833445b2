/* GEMM over weight panels. */
#define TILE_TRANSPOSED 0
#include "tile.h"

void KERNEL(gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias, float *c,
                  int64_t ldc, int32_t accumulate) {
    gemm_tiles(m, n, k, a, lda, w, bias, c, ldc, accumulate);
}

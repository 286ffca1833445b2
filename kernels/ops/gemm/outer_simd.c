/* The gradient of a weight matrix: GEMM over tokens. */
#define TILE_TRANSPOSED 1
#include "tile.h"

#include <stddef.h>

void KERNEL(outer)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, float *c, int64_t ldc,
                   int32_t accumulate) {
    gemm_tiles(m, n, k, a, lda, b, NULL, c, ldc, accumulate);
}

/* 16-bit integers on AVX2: one instruction multiplies pairs and adds them up, for each of 8 columns. */
#include "integers.h"

#include <immintrin.h>
#include <string.h>

/* Registers hold 4 rows of a panel: 8 of 16, and one more for each product. */
#define TILE_ROWS 4

UFFB_ALWAYS_INLINE void tile(int rows, int64_t pairs, const uint8_t *a, int64_t lda, const uint8_t *panel,
                             int32_t (*sums)[UFFB_PANEL]) {
    __m256i sum[TILE_ROWS][2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (int64_t l = 0; l < pairs; l++, panel += 64) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)panel), high = _mm256_loadu_si256((const __m256i *)panel + 1);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            int32_t two;
            memcpy(&two, a + r * lda + l * 4, 4);
            const __m256i x = _mm256_set1_epi32(two);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, low));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, high));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], sum[r][0]);
        _mm256_storeu_si256((__m256i *)sums[r] + 1, sum[r][1]);
    }
}

UFFB_INT_TILE(tile_1, tile, 1)
UFFB_INT_TILE(tile_2, tile, 2)
UFFB_INT_TILE(tile_3, tile, 3)
UFFB_INT_TILE(tile_4, tile, 4)

static uffb_int_tile *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4};

void uffb_gemm_i16_avx2(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                        const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    uffb_gemm_int(tiles, TILE_ROWS, m, n, (k + 1) / 2, a, 2 * lda, a_scale, weights, bias, c, ldc, accumulate);
}

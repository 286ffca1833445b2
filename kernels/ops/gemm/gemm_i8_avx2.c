/* 8-bit integers on AVX2. Bytes are widened to 16 bits before they are multiplied: the instruction that multiplies bytes
 * saturates. */
#include "integers.h"

#include <immintrin.h>
#include <string.h>

/* Registers hold 3 rows of a panel: 12 of 16. */
#define TILE_ROWS 3

/* Sums of pairs of k to sums of 8 columns. */
static inline __m256i join(__m256i low, __m256i high) { return _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8); }

static inline __attribute__((always_inline)) void tile(int rows, int64_t quads, const uint8_t *a, int64_t lda,
                                                       const uint8_t *panel, int32_t (*sums)[UFFB_PANEL]) {
    __m256i sum[TILE_ROWS][4];
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) sum[r][v] = _mm256_setzero_si256();
    }
    for (int64_t l = 0; l < quads; l++, panel += 64) {
        __m256i x[TILE_ROWS];
#pragma GCC unroll 3
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            x[r] = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
        }
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(panel + 16 * v)));
#pragma GCC unroll 3
            for (int r = 0; r < rows; r++) sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(x[r], b));
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], join(sum[r][0], sum[r][1]));
        _mm256_storeu_si256((__m256i *)sums[r] + 1, join(sum[r][2], sum[r][3]));
    }
}

UFFB_INT_TILE(tile_1, tile, 1)
UFFB_INT_TILE(tile_2, tile, 2)
UFFB_INT_TILE(tile_3, tile, 3)

static uffb_int_tile *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3};

void uffb_gemm_i8_avx2(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                       const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, w->sum};
    uffb_gemm_int(tiles, TILE_ROWS, m, n, (k + 3) / 4, a, lda, a_scale, weights, bias, c, ldc, accumulate);
}

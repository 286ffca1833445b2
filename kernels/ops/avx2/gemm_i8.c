/* 8-bit integers on AVX2. Bytes are widened to 16 bits before they are multiplied: the instruction that multiplies bytes
 * saturates. */
#include "../int.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

void uffb_quantise_avx2(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    const int64_t whole = cols / 8 * 8;
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        __m256 mosts = _mm256_setzero_ps();
        for (int64_t i = 0; i < whole; i += 8) {
            mosts = _mm256_max_ps(mosts, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(x + i)));
        }
        float lanes[8], most = 0;
        _mm256_storeu_ps(lanes, mosts);
        for (int i = 0; i < 8; i++) most = lanes[i] > most ? lanes[i] : most;
        for (int64_t i = whole; i < cols; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;

        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        scale[r] = most / 127.0f;
        for (int64_t i = 0; i < whole; i += 8) {
            __m256i wide = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse)));
            wide = _mm256_add_epi32(wide, _mm256_set1_epi32(128));
            __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
            _mm_storel_epi64((__m128i *)(q + i), _mm_packus_epi16(words, words));
        }
        for (int64_t i = whole; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * inverse));
        for (int64_t i = cols; i < (cols + 3) / 4 * 4; i++) q[i] = 128;
    }
}

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

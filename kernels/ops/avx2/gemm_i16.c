/* 16-bit integers on AVX2: one instruction multiplies pairs and adds them up, for each of 8 columns. */
#include "../ops.h"

#include <immintrin.h>
#include <string.h>

/* Registers hold 4 rows of a panel: 8 of 16, and one more for each product. */
#define TILE_ROWS 4

static inline __attribute__((always_inline)) void tile(int rows, int64_t col, int64_t n, int64_t pairs, const int16_t *a,
                                                       int64_t lda, const float *a_scale, const uffb_weights_i16 *w,
                                                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int16_t *panel = w->panels + col * pairs * 2;
    __m256i sum[TILE_ROWS][2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (int64_t l = 0; l < pairs; l++, panel += 2 * UFFB_PANEL) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)panel), high = _mm256_loadu_si256((const __m256i *)panel + 1);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            int32_t two;
            memcpy(&two, a + r * lda + l * 2, 4);
            const __m256i x = _mm256_set1_epi32(two);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, low));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, high));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        int32_t sums[UFFB_PANEL];
        _mm256_storeu_si256((__m256i *)sums, sum[r][0]);
        _mm256_storeu_si256((__m256i *)sums + 1, sum[r][1]);
        for (int64_t i = 0; i < UFFB_PANEL && col + i < n; i++) {
            float *out = c + r * ldc + col + i;
            float value = (float)sums[i] * (a_scale[r] * w->scale[col + i]) + (bias ? bias[col + i] : 0.0f);
            *out = accumulate ? *out + value : value;
        }
    }
}

void uffb_gemm_i16_avx2(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                        const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t pairs = (k + 1) / 2;
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        for (int64_t row = 0; row < m; row += TILE_ROWS) {
            const int16_t *x = a + row * lda;
            float *y = c + row * ldc;
            switch (m - row) {
            case 1: tile(1, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            case 2: tile(2, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            case 3: tile(3, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            default: tile(4, col, n, pairs, x, lda, a_scale + row, w, bias, y, ldc, accumulate); break;
            }
        }
    }
}

/* Integers on AVX-VNNI: the instructions of AVX-512 VNNI for CPUs that have 256 bits. One adds four products of 8 bits, or two
 * of 16, to each of 8 columns. */
#include "integers.h"

#include <immintrin.h>
#include <string.h>

/* Registers hold 6 rows of a panel: 12 of 16. */
#define TILE_ROWS 6

/* The encoding, which decides what a CPU must have; tests may ask for that of AVX-512 VL. */
#ifndef ENCODING
#define ENCODING "%{vex%} "
#endif

/* In assembly, because GCC copies accumulators around the intrinsic, and compilers name it in two ways. */
UFFB_ALWAYS_INLINE __m256i multiply_add(int wide, __m256i sum, __m256i x, __m256i b) {
    if (wide) {
        __asm__(ENCODING "vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(b));
    } else {
        __asm__(ENCODING "vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(b));
    }
    return sum;
}

UFFB_ALWAYS_INLINE void tile(int wide, int rows, int64_t steps, const uint8_t *a, int64_t lda, const uint8_t *panel,
                             int32_t (*sums)[UFFB_PANEL]) {
    __m256i sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (int64_t l = 0; l < steps; l++, panel += UFFB_INT_LINE) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)panel), high = _mm256_loadu_si256((const __m256i *)panel + 1);
        _mm_prefetch((const char *)panel + steps * UFFB_INT_LINE, _MM_HINT_T1); /* for the tile to the right */
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            const __m256i x = _mm256_set1_epi32(four);
            sum[r][0] = multiply_add(wide, sum[r][0], x, low);
            sum[r][1] = multiply_add(wide, sum[r][1], x, high);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], sum[r][0]);
        _mm256_storeu_si256((__m256i *)sums[r] + 1, sum[r][1]);
    }
}

#define TILES(rows) UFFB_INT_TILE(tile_8x##rows, tile, 0, rows) UFFB_INT_TILE(tile_16x##rows, tile, 1, rows)
/* clang-format off */
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
    /* clang-format on */

    static uffb_int_tile *const tiles_8[TILE_ROWS] = {tile_8x1, tile_8x2, tile_8x3, tile_8x4, tile_8x5, tile_8x6};
static uffb_int_tile *const tiles_16[TILE_ROWS] = {tile_16x1, tile_16x2, tile_16x3, tile_16x4, tile_16x5, tile_16x6};

void KERNEL(gemm_i8)(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                     const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, w->sum};
    uffb_gemm_int(tiles_8, TILE_ROWS, m, n, (k + 3) / 4, a, lda, a_scale, weights, bias, c, ldc, accumulate);
}

void KERNEL(gemm_i16)(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                      const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    uffb_gemm_int(tiles_16, TILE_ROWS, m, n, (k + 1) / 2, a, 2 * lda, a_scale, weights, bias, c, ldc, accumulate);
}

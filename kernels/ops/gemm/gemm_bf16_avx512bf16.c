/* GEMM of bf16 on AVX-512: one instruction adds two products to each of 16 columns. */
#include "../ops.h"

#include <immintrin.h>
#include <string.h>

/* As many sums as keep every multiplier busy. */
#define TILE_ROWS 8
#define TILE_PANELS 2
#define BLOCK (UFFB_BLOCK_ROWS * UFFB_BLOCK_COLS)
#define PAIRS (UFFB_BLOCK_COLS / 2)

/* In assembly, because GCC copies accumulators around the intrinsic, and stores those that find no register then. */
static inline __attribute__((always_inline)) __m512 multiply_add(__m512 sum, __m512i x, __m512i b) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(b));
    return sum;
}

/* 8 rows of a row of blocks times `panels` rows of blocks of b, which lie ldb apart; the first `rows` and `cols` are wanted. */
static inline __attribute__((always_inline)) void tile(int panels, int64_t rows, int64_t cols, int64_t blocks,
                                                       const uint16_t *a, const uint16_t *b, int64_t ldb, const float *bias,
                                                       float *c, int64_t ldc, int32_t accumulate) {
    __m512 sum[TILE_ROWS][TILE_PANELS];
#pragma GCC unroll 8
    for (int r = 0; r < TILE_ROWS; r++) {
        for (int p = 0; p < panels; p++) sum[r][p] = _mm512_setzero_ps();
    }
    for (int64_t l = 0; l < blocks; l++, a += BLOCK, b += BLOCK) {
        for (int pair = 0; pair < PAIRS; pair++) {
            __m512i w[TILE_PANELS];
            for (int p = 0; p < panels; p++) w[p] = _mm512_loadu_si512(b + p * ldb + pair * 2 * UFFB_BLOCK_ROWS);
#pragma GCC unroll 8
            for (int r = 0; r < TILE_ROWS; r++) {
                int32_t two;
                memcpy(&two, a + r * UFFB_BLOCK_COLS + 2 * pair, sizeof two);
                const __m512i x = _mm512_set1_epi32(two);
                for (int p = 0; p < panels; p++) sum[r][p] = multiply_add(sum[r][p], x, w[p]);
            }
        }
    }
    for (int p = 0; p < panels; p++) {
        const int64_t at = p * UFFB_BLOCK_ROWS, left = cols - at;
        const __mmask16 mask = left >= UFFB_BLOCK_ROWS ? 0xffff : (__mmask16)((1u << left) - 1);
        const __m512 shift = bias ? _mm512_maskz_loadu_ps(mask, bias + at) : _mm512_setzero_ps();
#pragma GCC unroll 8
        for (int r = 0; r < TILE_ROWS; r++) {
            if (r >= rows) break;
            float *out = c + r * ldc + at;
            __m512 value = _mm512_add_ps(sum[r][p], shift);
            if (accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
            _mm512_mask_storeu_ps(out, mask, value);
        }
    }
}

void uffb_gemm_bf16_avx512bf16(int64_t m, int64_t n, int64_t k, const uint16_t *a, const uint16_t *b, const float *bias,
                               float *c, int64_t ldc, int32_t accumulate) {
    const int64_t ld = uffb_block_row(k), blocks = ld / BLOCK;
    for (int64_t col = 0; col < n; col += TILE_PANELS * UFFB_BLOCK_ROWS) {
        const uint16_t *right = b + col / UFFB_BLOCK_ROWS * ld;
        const float *shift = bias ? bias + col : NULL;
        for (int64_t row = 0; row < m; row += TILE_ROWS) {
            const uint16_t *left = a + row / UFFB_BLOCK_ROWS * ld + row % UFFB_BLOCK_ROWS * UFFB_BLOCK_COLS;
            float *out = c + row * ldc + col;
            if (n - col > UFFB_BLOCK_ROWS) {
                tile(2, m - row, n - col, blocks, left, right, ld, shift, out, ldc, accumulate);
            } else {
                tile(1, m - row, n - col, blocks, left, right, ld, shift, out, ldc, accumulate);
            }
        }
    }
}

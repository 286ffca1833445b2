/* Integers on AVX-512 VNNI: one instruction adds four products of 8 bits, or two of 16, to each of 16 columns: four bytes of a
 * row and 64 of a panel are a step of either. Tiles as in gemm_simd.c. */
#include "../ops.h"

#include <immintrin.h>
#include <string.h>

/* 16 chains keep every multiplier busy, and rows of a and c out of each other's way in L1. */
#define TILE_ROWS 8

typedef struct {
    const uint8_t *panels;
    const float *scale;
    const int32_t *sum; /* NULL for 16 bits, whose activations have no offset */
} weights;

/* In assembly, because GCC copies accumulators around the intrinsic, and stores those that find no register then. */
static inline __attribute__((always_inline)) __m512i multiply_add(int wide, __m512i sum, __m512i x, __m512i b) {
    if (wide) {
        __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(b));
    } else {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(b));
    }
    return sum;
}

/* c [rows, cols] of one tile: 16 columns a panel, `panels` of them; cols <= panels * 16. lda in bytes. */
static inline __attribute__((always_inline)) void tile(int wide, int rows, int panels, int64_t col, int64_t cols, int64_t steps,
                                                       const uint8_t *a, int64_t lda, const float *a_scale, const weights *w,
                                                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uint8_t *panel = w->panels + col * steps * 4;
    __m512i sum[TILE_ROWS][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++) sum[r][p] = _mm512_setzero_si512();
    }
    for (int64_t l = 0; l < steps; l++) {
        __m512i b[2];
#pragma GCC unroll 8
        for (int p = 0; p < panels; p++) {
            const uint8_t *line = panel + (p * steps + l) * 64;
            b[p] = _mm512_loadu_si512(line);
            _mm_prefetch((const char *)line + panels * steps * 64, _MM_HINT_T1); /* for the tile to the right */
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 8
            for (int p = 0; p < panels; p++) {
                sum[r][p] = multiply_add(wide, sum[r][p], x, b[p]);
            }
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < panels; p++) {
        const int64_t at = col + p * UFFB_PANEL, left = cols - p * UFFB_PANEL;
        const __mmask16 mask = left >= UFFB_PANEL ? 0xffff : (__mmask16)((1u << left) - 1);
        const __m512i offset =
            wide ? _mm512_setzero_si512() : _mm512_slli_epi32(_mm512_maskz_loadu_epi32(mask, w->sum + at), 7);
        const __m512 scale = _mm512_maskz_loadu_ps(mask, w->scale + at);
        const __m512 shift = bias ? _mm512_maskz_loadu_ps(mask, bias + at) : _mm512_setzero_ps();
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            float *out = c + r * ldc + at;
            __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[r][p], offset));
            value = _mm512_add_ps(_mm512_mul_ps(value, _mm512_mul_ps(_mm512_set1_ps(a_scale[r]), scale)), shift);
            if (accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
            _mm512_mask_storeu_ps(out, mask, value);
        }
    }
}

typedef void tile_fn(int64_t col, int64_t cols, int64_t steps, const uint8_t *a, int64_t lda, const float *a_scale,
                     const weights *w, const float *bias, float *c, int64_t ldc, int32_t accumulate);

#define TILE(bits, wide, rows, panels)                                                                                         \
    static void tile_##bits##_##rows##x##panels(int64_t col, int64_t cols, int64_t steps, const uint8_t *a, int64_t lda,       \
                                                const float *a_scale, const weights *w, const float *bias, float *c,           \
                                                int64_t ldc, int32_t accumulate) {                                             \
        tile(wide, rows, panels, col, cols, steps, a, lda, a_scale, w, bias, c, ldc, accumulate);                              \
    }
#define TILES(rows) TILE(8, 0, rows, 1) TILE(8, 0, rows, 2) TILE(16, 1, rows, 1) TILE(16, 1, rows, 2)
#define NAMES(bits, rows) {tile_##bits##_##rows##x1, tile_##bits##_##rows##x2},

/* clang-format off */
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) TILES(7) TILES(8)

static tile_fn *const tiles_8[TILE_ROWS][2] = {
    NAMES(8, 1) NAMES(8, 2) NAMES(8, 3) NAMES(8, 4) NAMES(8, 5) NAMES(8, 6) NAMES(8, 7) NAMES(8, 8)
};
static tile_fn *const tiles_16[TILE_ROWS][2] = {
    NAMES(16, 1) NAMES(16, 2) NAMES(16, 3) NAMES(16, 4) NAMES(16, 5) NAMES(16, 6) NAMES(16, 7) NAMES(16, 8)
};
/* clang-format on */

static void gemm(tile_fn *const tiles[][2], int64_t m, int64_t n, int64_t steps, const uint8_t *a, int64_t lda,
                 const float *a_scale, const weights *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t row_tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t col = 0; col < n; col += 2 * UFFB_PANEL) {
        const int64_t cols = n - col < 2 * UFFB_PANEL ? n - col : 2 * UFFB_PANEL;
        for (int64_t t = 0, row = 0; t < row_tiles; t++) {
            const int64_t rows = m / row_tiles + (t < m % row_tiles);
            tiles[rows - 1][cols > UFFB_PANEL](col, cols, steps, a + row * lda, lda, a_scale + row, w, bias, c + row * ldc, ldc,
                                               accumulate);
            row += rows;
        }
    }
}

void uffb_gemm_i8_avx512vnni(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                             const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const weights both = {(const uint8_t *)w->panels, w->scale, w->sum};
    gemm(tiles_8, m, n, (k + 3) / 4, a, lda, a_scale, &both, bias, c, ldc, accumulate);
}

void uffb_gemm_i16_avx512vnni(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                              const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const weights both = {(const uint8_t *)w->panels, w->scale, NULL};
    gemm(tiles_16, m, n, (k + 1) / 2, (const uint8_t *)a, 2 * lda, a_scale, &both, bias, c, ldc, accumulate);
}

/* 8-bit integers on AVX2. One instruction multiplies bytes without a sign by bytes with one and adds up neighbours, but its
 * sums stop at 16 bits. So weights get an offset that makes them 0 to 255, and activations are cut: two neighbours add up to
 * 128 at most, and at least to -128, which fits with any such weights. What is cut off is multiplied on its own. Of activations
 * with a normal distribution 4 steps in 100 have something to cut off; of uniform ones, 43. */
#include "integers.h"

#include <immintrin.h>
#include <string.h>

uffb_gemm_i8_fn uffb_gemm_i8_generic;

/* Registers hold 6 rows of a panel: 12 of 16. */
#define TILE_ROWS 6

/* Rows are cut in blocks, once for all panels. A block takes 56 KB of the stack, and callers from JavaScript have 128 there. */
#define BLOCK_ROWS 48
#define BLOCK_BYTES 24576
#define BLOCK_EXCESSES 4096

/* What was cut off the activations of a step. */
typedef struct {
    uint32_t place; /* step * UFFB_INT_LINE + row of the block */
    int32_t bytes;  /* four of them */
} excess;

_Static_assert(BLOCK_ROWS <= UFFB_INT_LINE, "a row must fit into a place");

/* Activations that were cut. Weights at odd places are taken as 127 - w, at even ones as 128 + w, and activations have their
 * signs turned where weights have: neighbours that are both large, as after GELU or ReLU, then subtract. */
typedef struct {
    int64_t steps, lda;
    int32_t offset[BLOCK_ROWS];     /* what the offsets of the weights add to the sums of a row */
    int32_t excess[BLOCK_ROWS + 1]; /* where a row's begin */
    int8_t a[BLOCK_BYTES];          /* [rows, lda] */
    excess excesses[BLOCK_EXCESSES];
} block;

static const uint16_t weight_offsets[16] __attribute__((aligned(32))) = {
    0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80,
    0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80, 0x7f80,
};
static const int16_t ones[16] __attribute__((aligned(32))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* --- cutting ------------------------------------------------------------------------------------------ */

/* Adds a row, `q` as `quantise_i8` gives it, to the block. */
static void cut_row(block *b, int64_t row, const uint8_t *q) {
    const __m256i signs = _mm256_set1_epi16((int16_t)0xff01), most = _mm256_set1_epi16(128), least = _mm256_set1_epi16(-128);
    const int64_t bytes = b->steps * 4;
    int32_t count = b->excess[row];
    __m256i offset = _mm256_setzero_si256();
    for (int64_t i = 0; i < bytes; i += 32) {
        uint8_t rest[32]; /* a part of a vector at the end */
        const uint8_t *from = q + i;
        if (bytes - i < 32) {
            memset(rest, 128, sizeof rest);
            from = memcpy(rest, q + i, (size_t)(bytes - i));
        }
        const __m256i plain = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)from), _mm256_set1_epi8(-128));
        const __m256i a = _mm256_sign_epi8(plain, signs);
        const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8), odd = _mm256_srai_epi16(a, 8);
        offset = _mm256_add_epi32(offset, _mm256_madd_epi16(even, most));
        offset = _mm256_add_epi32(offset, _mm256_madd_epi16(odd, _mm256_set1_epi16(127)));

        const __m256i sum = _mm256_add_epi16(even, odd);
        const __m256i fits = _mm256_max_epi16(least, _mm256_min_epi16(most, sum));
        const __m256i over = _mm256_slli_epi16(_mm256_sub_epi16(sum, fits), 8); /* off the odd one */
        _mm256_storeu_si256((__m256i *)(b->a + row * b->lda + i), _mm256_sub_epi8(a, over));

        const __m256i none = _mm256_cmpeq_epi32(over, _mm256_setzero_si256());
        int32_t fours[8];
        int left = ~_mm256_movemask_ps(_mm256_castsi256_ps(none)) & 0xff;
        if (left) _mm256_storeu_si256((__m256i *)fours, over);
        for (; left; left &= left - 1) {
            const int four = __builtin_ctz((unsigned)left);
            b->excesses[count++] = (excess){(uint32_t)((i / 4 + four) * UFFB_INT_LINE + row), fours[four]};
        }
    }
    int32_t parts[8];
    _mm256_storeu_si256((__m256i *)parts, offset);
    b->offset[row] = 0;
    for (int i = 0; i < 8; i++) b->offset[row] += parts[i];
    b->excess[row + 1] = count;
}

/* --- multiplying -------------------------------------------------------------------------------------- */

/* Here and below in assembly, because GCC keeps the constants in registers and sums on the stack. */
UFFB_ALWAYS_INLINE __m256i weights_at(const uint8_t *panel) {
    __m256i w = _mm256_loadu_si256((const __m256i *)panel);
    __asm__("vpxor %1, %0, %0" : "+x"(w) : "m"(*(const __m256i *)weight_offsets));
    return w;
}

UFFB_ALWAYS_INLINE __m256i add_products(__m256i sum, __m256i w, __m256i a) {
    __m256i products;
    __asm__("vpmaddubsw %2, %3, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(sum), "=&x"(products)
            : "x"(a), "x"(w), "m"(*(const __m256i *)ones));
    return sum;
}

/* What was cut off the rows of a tile, and the offset. One loop over all rows: each that ends is a branch guessed wrong. */
static void start_sums(const block *b, int64_t row, int64_t rows, const uint8_t *panel, int32_t (*sums)[UFFB_PANEL]) {
    for (int64_t r = 0; r < rows; r++) {
        const __m256i offset = _mm256_set1_epi32(-b->offset[row + r]);
        _mm256_storeu_si256((__m256i *)sums[r], offset);
        _mm256_storeu_si256((__m256i *)sums[r] + 1, offset);
    }
    const excess *e = b->excesses + b->excess[row], *end = b->excesses + b->excess[row + rows];
    for (; e < end; e++) {
        const int64_t place_row = e->place % UFFB_INT_LINE;
        const uint8_t *line = panel + (e->place - place_row);
        __m256i *sum = (__m256i *)sums[place_row - row];
        const __m256i x = _mm256_set1_epi32(e->bytes);
        _mm256_storeu_si256(sum, add_products(_mm256_loadu_si256(sum), weights_at(line), x));
        _mm256_storeu_si256(sum + 1, add_products(_mm256_loadu_si256(sum + 1), weights_at(line + 32), x));
    }
}

/* Adds the products of some rows with a panel to their sums. */
UFFB_ALWAYS_INLINE void tile(int rows, const block *b, int64_t row, const uint8_t *panel, int64_t col, int64_t cols,
                             const float *a_scale, const uffb_weights_int *w, const float *bias, float *c, int64_t ldc,
                             int32_t accumulate) {
    const int8_t *a = b->a + row * b->lda;
    const int64_t lda = b->lda, steps = b->steps;
    int32_t sums[TILE_ROWS][UFFB_PANEL];
    start_sums(b, row, rows, panel, sums);
    __m256i sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        sum[r][0] = _mm256_loadu_si256((const __m256i *)sums[r]);
        sum[r][1] = _mm256_loadu_si256((const __m256i *)sums[r] + 1);
    }
    for (int64_t l = 0; l < steps; l++) {
        const uint8_t *line = panel + l * UFFB_INT_LINE;
        const __m256i low = weights_at(line), high = weights_at(line + 32);
        _mm_prefetch((const char *)line + steps * UFFB_INT_LINE, _MM_HINT_T1); /* for the tile to the right */
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * lda + l * 4, 4);
            const __m256i x = _mm256_set1_epi32(four);
            sum[r][0] = add_products(sum[r][0], low, x);
            sum[r][1] = add_products(sum[r][1], high, x);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], sum[r][0]);
        _mm256_storeu_si256((__m256i *)sums[r] + 1, sum[r][1]);
    }
    uffb_store_sums(rows, col, cols, sums, a_scale, *w, bias, c, ldc, accumulate);
}

typedef void tile_fn(const block *b, int64_t row, const uint8_t *panel, int64_t col, int64_t cols, const float *a_scale,
                     const uffb_weights_int *w, const float *bias, float *c, int64_t ldc, int32_t accumulate);

#define TILE(rows)                                                                                                             \
    static void tile_##rows(const block *b, int64_t row, const uint8_t *panel, int64_t col, int64_t cols,                      \
                            const float *a_scale, const uffb_weights_int *w, const float *bias, float *c, int64_t ldc,         \
                            int32_t accumulate) {                                                                              \
        tile(rows, b, row, panel, col, cols, a_scale, w, bias, c, ldc, accumulate);                                            \
    }
/* clang-format off */
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
    /* clang-format on */

    static tile_fn *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* The rows of a tile, spread evenly over `tiles`. */
static int64_t tile_start(int64_t m, int64_t tiles, int64_t tile) { return m * tile / tiles; }

static void gemm_block(const block *b, int64_t rows, int64_t n, const float *a_scale, const uffb_weights_int *w,
                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t row_tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        const uint8_t *panel = (const uint8_t *)w->panels + col * b->steps * 4;
        for (int64_t t = 0; t < row_tiles; t++) {
            const int64_t row = tile_start(rows, row_tiles, t), high = tile_start(rows, row_tiles, t + 1) - row;
            tiles[high - 1](b, row, panel, col, n - col, a_scale + row, w, bias, c + row * ldc, ldc, accumulate);
        }
    }
}

void uffb_gemm_i8_avx2(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                       const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    block b;
    b.steps = (k + 3) / 4;
    b.lda = (b.steps * 4 + 31) / 32 * 32;
    if (b.lda % 1024 == 0) b.lda += 32; /* rows that lie a power of 2 apart share a set of L1 */
    if (b.lda > BLOCK_BYTES ||
        b.steps > BLOCK_EXCESSES) { /* longer rows than models have, but for some of many shallow trees */
        uffb_gemm_i8_generic(m, n, k, a, lda, a_scale, w, bias, c, ldc, accumulate);
        return;
    }
    int64_t fit = BLOCK_BYTES / b.lda;
    if (fit > BLOCK_ROWS) fit = BLOCK_ROWS;
    if (fit > TILE_ROWS) fit -= fit % TILE_ROWS;
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    for (int64_t first = 0, rows; first < m; first += rows) {
        b.excess[0] = 0;
        for (rows = 0; rows < fit && first + rows < m && b.excess[rows] + b.steps <= BLOCK_EXCESSES; rows++) {
            cut_row(&b, rows, a + (first + rows) * lda);
        }
        gemm_block(&b, rows, n, a_scale + first, &weights, bias, c + first * ldc, ldc, accumulate);
    }
}

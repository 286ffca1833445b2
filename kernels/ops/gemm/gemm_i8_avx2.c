/* 8-bit integers on AVX2. One instruction multiplies bytes without a sign by bytes with one and adds up neighbours, but its
 * sums stop at 16 bits. So weights get an offset that makes them 0 to 255, and then two neighbours among activations may add up
 * to 128 at most, and at least to -128. Where they are more, both the second weight and the second activation are turned into
 * their opposites: then neighbours subtract. The rows of a tile share its weights, so that is decided for a pair of columns and
 * all rows of a tile; where they want both, what is too much of some rows is cut off, and multiplied in a step of its own. Of
 * activations with a normal distribution 4 steps in 100 have such another one behind them, of uniform ones 9 in 10. */
#include "integers.h"

#include <immintrin.h>
#include <string.h>

uffb_gemm_i8_fn uffb_gemm_i8_generic;

/* Registers hold 6 rows of a panel: 12 of 16. */
#define TILE_ROWS 6

/* Rows are prepared in blocks, once for all panels. A block takes 60 KB of the stack, and callers from JavaScript have 128
 * there. */
#define BLOCK_TILES 8
#define BLOCK_WORDS 15360

/* What a tile of so many rows takes in a step, in words of 4 bytes: what turns bytes of the panel into weights with an offset;
 * four activations of each row; and where the line of the panel begins. */
#define STEP_WORDS(rows) ((rows) + 2)

/* Steps that are prepared at once: 8 words are a register. */
#define GROUP 8

/* Rows as tiles take them. */
typedef struct {
    int64_t tiles;
    int64_t row[BLOCK_TILES + 1];           /* the first of a tile */
    int64_t start[BLOCK_TILES + 1];         /* of a tile's words */
    int32_t offset[BLOCK_TILES][TILE_ROWS]; /* minus what the offsets of the weights add to the sums of a row */
    int32_t words[BLOCK_WORDS];
} block;

/* --- preparing rows ----------------------------------------------------------------------------------- */

/* 32 activations; zeros for those that are not there. */
UFFB_ALWAYS_INLINE __m256i load_activations(const uint8_t *q, int64_t count) {
    uint8_t rest[32];
    if (count < 32) {
        memset(rest, 128, sizeof rest);
        q = memcpy(rest, q, (size_t)count);
    }
    return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)q), _mm256_set1_epi8(-128));
}

UFFB_ALWAYS_INLINE __m256i add_neighbours(__m256i a) { return _mm256_maddubs_epi16(_mm256_set1_epi8(1), a); }

UFFB_ALWAYS_INLINE __m256i larger(__m256i most, __m256i a) { return _mm256_max_epi16(most, _mm256_abs_epi16(a)); }

/* 8 x 8 words. */
UFFB_ALWAYS_INLINE void transpose(__m256i v[8]) {
    __m256i two[8], four[8];
    for (int i = 0; i < 8; i += 2) {
        two[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        two[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        four[i] = _mm256_unpacklo_epi64(two[i], two[i + 2]);
        four[i + 1] = _mm256_unpackhi_epi64(two[i], two[i + 2]);
        four[i + 2] = _mm256_unpacklo_epi64(two[i + 1], two[i + 3]);
        four[i + 3] = _mm256_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x20);
        v[i + 4] = _mm256_permute2x128_si256(four[i], four[i + 4], 0x31);
    }
}

/* Moves what does not fit into neighbours from the steps v to steps of their own, of which it gives those of a bit set in
 * `which`, one behind the other. */
UFFB_ALWAYS_INLINE void cut(int rows, __m256i v[8], int which, int32_t *words) {
    __m256i over[8];
    memcpy(over, v, sizeof over);
    for (int r = 1; r <= rows; r++) {
        const __m256i sum = add_neighbours(v[r]);
        const __m256i fits = _mm256_max_epi16(_mm256_set1_epi16(-128), _mm256_min_epi16(_mm256_set1_epi16(128), sum));
        over[r] = _mm256_slli_epi16(_mm256_sub_epi16(sum, fits), 8); /* off the second one */
        v[r] = _mm256_sub_epi8(v[r], over[r]);
    }
    transpose(over);
    int32_t steps[GROUP][8];
    for (int i = 0; i < GROUP; i++) _mm256_storeu_si256((__m256i *)steps[i], over[i]);
    for (; which; which &= which - 1, words += STEP_WORDS(rows)) {
        memcpy(words, steps[__builtin_ctz((unsigned)which)], STEP_WORDS(rows) * sizeof *words);
    }
}

/* Words that a tile needs if nothing is cut. The last steps are written as a group, and as whole registers. */
static int64_t least_words(int64_t rows, int64_t steps) { return (steps + GROUP - 1) / GROUP * GROUP * STEP_WORDS(rows) + 8; }

/* Rows of `q`, as `quantise_i8` gives them, for a tile: the number of its words, or 0 where more than `room` would be needed.
 * `room` is at least least_words. One row alone needs no more. */
UFFB_ALWAYS_INLINE int64_t prepare(int rows, int64_t steps, const uint8_t *q, int64_t lda, int64_t room, int32_t *words,
                                   int32_t *offset) {
    const __m256i turn = _mm256_set1_epi16((int16_t)0xff01);
    __m256i offsets[TILE_ROWS], line = _mm256_slli_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), 6);
    for (int r = 0; r < rows; r++) offsets[r] = _mm256_setzero_si256();
    int64_t cuts = 0;
    int32_t *const cut_off = words + least_words(rows, steps);
    for (int64_t step = 0; step < steps; step += GROUP) {
        __m256i v[8], together = _mm256_setzero_si256(), apart = _mm256_setzero_si256();
        for (int r = 0; r < rows; r++) {
            v[1 + r] = load_activations(q + r * lda + step * 4, (steps - step) * 4);
            together = larger(together, add_neighbours(v[1 + r]));
            apart = larger(apart, add_neighbours(_mm256_sign_epi8(v[1 + r], turn)));
        }
        const __m256i as_is = _mm256_cmpgt_epi16(apart, together);
        const __m256i signs = _mm256_or_si256(_mm256_andnot_si256(as_is, turn), _mm256_set1_epi8(1));
        v[0] = _mm256_xor_si256(_mm256_slli_epi16(as_is, 8), _mm256_set1_epi16(0x7f80)); /* 128 + w; turned, 127 - w */
        for (int r = 0; r < rows; r++) {
            v[1 + r] = _mm256_sign_epi8(v[1 + r], signs);
            const __m256i added = _mm256_madd_epi16(_mm256_maddubs_epi16(v[0], v[1 + r]), _mm256_set1_epi16(1));
            offsets[r] = _mm256_sub_epi32(offsets[r], added);
        }
        for (int r = rows; r < 7; r++) v[1 + r] = line;
        line = _mm256_add_epi32(line, _mm256_set1_epi32(GROUP * UFFB_INT_LINE));

        const __m256i over = _mm256_cmpgt_epi16(_mm256_min_epi16(apart, together), _mm256_set1_epi16(128));
        const __m256i none = _mm256_cmpeq_epi32(over, _mm256_setzero_si256());
        const int which = ~_mm256_movemask_ps(_mm256_castsi256_ps(none)) & 0xff;
        if (which) {
            const int64_t now = __builtin_popcount((unsigned)which) * STEP_WORDS(rows);
            if (least_words(rows, steps) + cuts + now > room) return 0;
            cut(rows, v, which, cut_off + cuts);
            cuts += now;
        }
        transpose(v);
        for (int i = 0; i < GROUP; i++) {
            _mm256_storeu_si256((__m256i *)(words + (step + i) * STEP_WORDS(rows)), v[i]);
        }
    }
    for (int r = 0; r < rows; r++) {
        int32_t parts[8];
        _mm256_storeu_si256((__m256i *)parts, offsets[r]);
        offset[r] = 0;
        for (int i = 0; i < 8; i++) offset[r] += parts[i];
    }
    memmove(words + steps * STEP_WORDS(rows), cut_off, (size_t)cuts * sizeof *words);
    return steps * STEP_WORDS(rows) + cuts;
}

/* --- multiplying -------------------------------------------------------------------------------------- */

static const int16_t ones[16] __attribute__((aligned(32))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* In assembly, because GCC keeps the constant in a register and sums on the stack. */
UFFB_ALWAYS_INLINE __m256i add_products(__m256i sum, __m256i w, __m256i a) {
    __m256i products;
    __asm__("vpmaddubsw %2, %3, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(sum), "=&x"(products)
            : "x"(a), "x"(w), "m"(*(const __m256i *)ones));
    return sum;
}

/* The sums of some rows with a panel, and in L2 the next panel, so many bytes behind. */
UFFB_ALWAYS_INLINE void tile(int rows, const int32_t *words, const int32_t *end, const int32_t *offset, const uint8_t *panel,
                             int64_t panel_bytes, int32_t (*sums)[UFFB_PANEL]) {
    __m256i sum[TILE_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm256_set1_epi32(offset[r]);
    for (; words < end; words += STEP_WORDS(rows)) {
        const uint8_t *line = panel + words[1 + rows];
        const __m256i turn = _mm256_set1_epi32(words[0]);
        const __m256i low = _mm256_xor_si256(turn, _mm256_loadu_si256((const __m256i *)line));
        const __m256i high = _mm256_xor_si256(turn, _mm256_loadu_si256((const __m256i *)line + 1));
        _mm_prefetch((const char *)line + panel_bytes, _MM_HINT_T1);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const __m256i x = _mm256_set1_epi32(words[1 + r]);
            sum[r][0] = add_products(sum[r][0], low, x);
            sum[r][1] = add_products(sum[r][1], high, x);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], sum[r][0]);
        _mm256_storeu_si256((__m256i *)sums[r] + 1, sum[r][1]);
    }
}

typedef int64_t prepare_fn(int64_t steps, const uint8_t *q, int64_t lda, int64_t room, int32_t *words, int32_t *offset);
typedef void tile_fn(const int32_t *words, const int32_t *end, const int32_t *offset, const uint8_t *panel, int64_t panel_bytes,
                     int32_t (*sums)[UFFB_PANEL]);

#define TILE(rows)                                                                                                             \
    static int64_t prepare_##rows(int64_t steps, const uint8_t *q, int64_t lda, int64_t room, int32_t *words,                  \
                                  int32_t *offset) {                                                                           \
        return prepare(rows, steps, q, lda, room, words, offset);                                                              \
    }                                                                                                                          \
    static void tile_##rows(const int32_t *words, const int32_t *end, const int32_t *offset, const uint8_t *panel,             \
                            int64_t panel_bytes, int32_t(*sums)[UFFB_PANEL]) {                                                 \
        tile(rows, words, end, offset, panel, panel_bytes, sums);                                                              \
    }
/* clang-format off */
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
    /* clang-format on */

    static prepare_fn *const prepares[TILE_ROWS] = {prepare_1, prepare_2, prepare_3, prepare_4, prepare_5, prepare_6};
static tile_fn *const tiles[TILE_ROWS] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* Adds the next `rows` rows to the block, if there is room. */
static int add_tile(block *b, int64_t rows, int64_t steps, const uint8_t *q, int64_t lda) {
    const int64_t t = b->tiles, start = b->start[t], room = BLOCK_WORDS - start;
    if (t == BLOCK_TILES || least_words(rows, steps) > room) return 0;
    const int64_t used = prepares[rows - 1](steps, q, lda, room, b->words + start, b->offset[t]);
    if (!used) return 0;
    b->row[t + 1] = b->row[t] + rows;
    b->start[t + 1] = start + used;
    b->tiles++;
    return 1;
}

static void gemm_block(const block *b, int64_t n, int64_t steps, const float *a_scale, const uffb_weights_int *w,
                       const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    for (int64_t col = 0; col < n; col += UFFB_PANEL) {
        const uint8_t *panel = (const uint8_t *)w->panels + col * steps * 4;
        for (int64_t t = 0; t < b->tiles; t++) {
            const int64_t row = b->row[t], rows = b->row[t + 1] - row;
            int32_t sums[TILE_ROWS][UFFB_PANEL];
            tiles[rows - 1](b->words + b->start[t], b->words + b->start[t + 1], b->offset[t], panel, steps * UFFB_INT_LINE,
                            sums);
            uffb_store_sums(rows, col, n - col, sums, a_scale + row, *w, bias, c + row * ldc, ldc, accumulate);
        }
    }
}

void uffb_gemm_i8_avx2(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                       const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const uffb_weights_int weights = {w->panels, w->scale, NULL};
    const int64_t steps = (k + 3) / 4;
    int64_t most_rows = TILE_ROWS;
    while (most_rows && least_words(most_rows, steps) > BLOCK_WORDS) most_rows--;
    if (!most_rows) { /* longer rows than models have, but for some of many shallow trees */
        uffb_gemm_i8_generic(m, n, k, a, lda, a_scale, w, bias, c, ldc, accumulate);
        return;
    }
    block b;
    b.start[0] = b.row[0] = 0;
    for (int64_t row = 0; row < m; row = b.row[0] = b.row[b.tiles]) {
        b.tiles = 0;
        for (; row < m; row = b.row[b.tiles]) { /* rows spread evenly over tiles */
            const int64_t left = (m - row + most_rows - 1) / most_rows, rows = (m - row + left - 1) / left;
            if (!add_tile(&b, rows, steps, a + row * lda, lda)) break;
        }
        if (!b.tiles) add_tile(&b, 1, steps, a + row * lda, lda); /* a tile of which too much is cut off */
        gemm_block(&b, n, steps, a_scale, &weights, bias, c, ldc, accumulate);
    }
}

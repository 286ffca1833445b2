/* Blocks of bf16, a vector of 32 numbers at a time. Of rows these are 32 neighbours in one, which is a line of a left block; of
 * a transposed matrix 16 neighbours in two, which interleaved are a line of a right block. The other side's lines are the
 * columns of these 16, in pairs of numbers. */
#include "../ops.h"

#include <immintrin.h>

#define LINES 16
#define HALF 16

static inline __mmask16 first(int64_t n) { return n >= HALF ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }

static inline __m512i join(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

/* Line i: columns `col` to col + 31 of row i. */
static inline void read_rows(int64_t rows, int64_t cols, const float *x, int64_t ldx, __m512i line[LINES]) {
    const __mmask16 low = first(cols), high = first(cols - HALF);
    for (int64_t i = 0; i < LINES; i++) {
        const float *at = x + (i < rows ? i : 0) * ldx;
        const __mmask16 here = i < rows ? 0xffff : 0;
        line[i] = join(_mm512_maskz_loadu_ps(low & here, at), _mm512_maskz_loadu_ps(high & here, at + HALF));
    }
}

/* Line i: rows 0 to 15 of columns 2 i and 2 i + 1, which are rows in memory. */
static inline void read_columns(int64_t rows, int64_t cols, const float *x, int64_t ldx, __m512i line[LINES]) {
    const __m512i interleave = _mm512_set_epi32(0x1f000f, 0x1e000e, 0x1d000d, 0x1c000c, 0x1b000b, 0x1a000a, 0x190009, 0x180008,
                                                0x170007, 0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    const __mmask16 mask = first(rows);
    for (int64_t i = 0; i < LINES; i++) {
        const float *even = x + (2 * i < cols ? 2 * i : 0) * ldx, *odd = x + (2 * i + 1 < cols ? 2 * i + 1 : 0) * ldx;
        const __m512 low = _mm512_maskz_loadu_ps(2 * i < cols ? mask : 0, even);
        const __m512 high = _mm512_maskz_loadu_ps(2 * i + 1 < cols ? mask : 0, odd);
        line[i] = _mm512_permutexvar_epi16(interleave, join(low, high));
    }
}

/* The 16 x 16 pairs of numbers of 16 lines, transposed: within quarters of the vectors, then the quarters. */
static inline void transpose(__m512i line[LINES]) {
    __m512i t[LINES];
    for (int i = 0; i < LINES; i += 4) {
        const __m512i a = _mm512_unpacklo_epi32(line[i], line[i + 1]), b = _mm512_unpackhi_epi32(line[i], line[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(line[i + 2], line[i + 3]), d = _mm512_unpackhi_epi32(line[i + 2], line[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int i = 0; i < 4; i++) {
        const __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
        line[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        line[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        line[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        line[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

void uffb_pack_bf16_avx512bf16(int64_t rows, int64_t cols, const float *x, int64_t ldx, int32_t transposed, int32_t side,
                               uint16_t *blocks) {
    const int turn = (side == UFFB_RIGHT) != (transposed != 0);
    const int64_t ld = uffb_block_row(cols);
    for (int64_t col = 0; col < cols; col += UFFB_BLOCK_COLS) {
        for (int64_t row = 0; row < rows; row += UFFB_BLOCK_ROWS) {
            __m512i line[LINES];
            if (transposed) {
                read_columns(rows - row, cols - col, x + col * ldx + row, ldx, line);
            } else {
                read_rows(rows - row, cols - col, x + row * ldx + col, ldx, line);
            }
            if (turn) transpose(line);
            uint16_t *block = blocks + row / UFFB_BLOCK_ROWS * ld + col * UFFB_BLOCK_ROWS;
            for (int i = 0; i < LINES; i++) _mm512_storeu_si512(block + i * UFFB_BLOCK_COLS, line[i]);
        }
    }
}

/* Panels of a matrix that is itself an activation (keys and values of attention): blocks of 4 columns transposed in registers.
 */
#include "../vec/simd.h"

#if VEC_TRANSPOSES

/* As many columns, of four each, as there are; returns how many. */
static int64_t pack_blocks(int64_t rows, int64_t cols, const float *w, int64_t ldw, float *panel) {
    const int64_t there = rows < UFFB_PANEL ? rows : UFFB_PANEL;
    const float *row[UFFB_PANEL];
    for (int64_t r = 0; r < UFFB_PANEL; r++) row[r] = w + (r < there ? r : 0) * ldw;
    int64_t c = 0;
    for (; c + 4 <= cols; c += 4) {
        vec out[4];
        vec_transpose(row, c, out);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            vec_store(panel + (c + i) * UFFB_PANEL, there < UFFB_PANEL ? vec_first(there, out[i], vec_zero()) : out[i]);
    }
    return c;
}

#else

typedef float quad __attribute__((vector_size(16), aligned(4)));

/* Four numbers of a row, or zeros if it is not there. */
UFFB_INLINE quad row_quad(const float *w, int there) { return there ? *(const quad *)w : (quad){0}; }

/* block[c][r] of a panel = w[r][c], for 4 columns and 4 rows, of which `rows` are there */
UFFB_INLINE void transpose_block(int64_t rows, const float *w, int64_t ldw, float *panel) {
    quad r0 = row_quad(w, rows > 0), r1 = row_quad(w + ldw, rows > 1), r2 = row_quad(w + 2 * ldw, rows > 2),
         r3 = row_quad(w + 3 * ldw, rows > 3);
    quad lo01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), hi01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
    quad lo23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), hi23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *(quad *)(panel + 0 * UFFB_PANEL) = __builtin_shufflevector(lo01, lo23, 0, 1, 4, 5);
    *(quad *)(panel + 1 * UFFB_PANEL) = __builtin_shufflevector(lo01, lo23, 2, 3, 6, 7);
    *(quad *)(panel + 2 * UFFB_PANEL) = __builtin_shufflevector(hi01, hi23, 0, 1, 4, 5);
    *(quad *)(panel + 3 * UFFB_PANEL) = __builtin_shufflevector(hi01, hi23, 2, 3, 6, 7);
}

/* As many columns, of four each, as there are; returns how many. */
static int64_t pack_blocks(int64_t rows, int64_t cols, const float *w, int64_t ldw, float *panel) {
    int64_t c = 0;
    for (; c + 4 <= cols; c += 4) {
        for (int64_t r = 0; r < UFFB_PANEL; r += 4) {
            if (r + 4 <= rows) {
                transpose_block(4, w + r * ldw + c, ldw, panel + c * UFFB_PANEL + r);
            } else {
                transpose_block(rows - r, w + r * ldw + c, ldw, panel + c * UFFB_PANEL + r);
            }
        }
    }
    return c;
}

#endif

static void pack_rows(int64_t rows, int64_t cols, const float *w, int64_t ldw, float *panel) {
    for (int64_t c = pack_blocks(rows, cols, w, ldw, panel); c < cols; c++) {
        for (int64_t r = 0; r < UFFB_PANEL; r++) panel[c * UFFB_PANEL + r] = r < rows ? w[r * ldw + c] : 0.0f;
    }
}

static void pack_columns(int64_t rows, int64_t cols, const float *w, int64_t ldw, float *panel) {
    for (int64_t c = 0; c < cols; c++, panel += UFFB_PANEL, w += ldw) {
        for (int64_t i = 0; i < UFFB_PANEL; i += VEC_LANES) {
            int64_t left = rows - i < 0 ? 0 : rows - i;
            vec_store(panel + i, left >= VEC_LANES ? vec_load(w + i) : vec_load_some(w + i, left));
        }
    }
}

/* Columns of w, rows in memory, that are read for all panels before the next: then each of their cache lines is read once. */
#define BLOCK_COLS 32

static void pack_transposed(int64_t rows, int64_t cols, const float *w, int64_t ldw, float *panels) {
    for (int64_t c = 0; c < cols; c += BLOCK_COLS) {
        const int64_t count = cols - c < BLOCK_COLS ? cols - c : BLOCK_COLS;
        for (int64_t r = 0; r < rows; r += UFFB_PANEL)
            pack_columns(rows - r, count, w + c * ldw + r, ldw, panels + r * cols + c * UFFB_PANEL);
    }
}

void KERNEL(pack)(int64_t rows, int64_t cols, const float *w, int64_t ldw, int32_t transposed, float *panels) {
    if (transposed) {
        pack_transposed(rows, cols, w, ldw, panels);
        return;
    }
    for (int64_t first = 0; first < rows; first += UFFB_PANEL)
        pack_rows(rows - first, cols, w + first * ldw, ldw, panels + first * cols);
}

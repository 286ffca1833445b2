/* GEMM over panels, for the files beside: each sets TILE_TRANSPOSED to say how `a` lies. A register tile of rows x panels runs
 * through all of k in order, so an element is always one chain of fused multiply-adds over k, whatever tile it falls in. Rows
 * are spread evenly over the tiles: 16 rows are 8 + 8, not 14 + 2, since a short tile has too few chains to hide the latency of
 * an FMA. */
#ifndef UFFB_SIMD_TILE_H
#define UFFB_SIMD_TILE_H

#include "../vec/simd.h"

#define PANEL_VECS (UFFB_PANEL / VEC_LANES)

/* Tiles of more rows ask for the panels to their right, into L2, each for its share, little by little: asked for all at once,
 * they take every slot for a miss. Few rows do little with a panel, and nothing but wait for the next; then the hardware does
 * best that sees a single stream. */
#define FEW_ROWS 4
/* Almost full tiles ask for their own rows, too, into L1: of `a`, whose next lines all begin at once, too many misses for the
 * hardware to have seen them coming; and of c, before it is written. */
#define ASKS(rows) (3 * (rows) > 2 * VEC_TILE_ROWS)
/* Floats of a cache line. */
#define LINE 16
/* Steps before its end at which a tile asks for c: time enough for memory to answer, too little to be displaced. */
#define LATE 64
/* Where the rows of `a` lie side by side, FMAs of one row in so many take its number from memory, each by itself; of the others
 * it is loaded once for both panels. The first saves an instruction, the second a load: a tile of 14 rows takes 40 instructions
 * and 20 loads for 28 FMAs, where all of one kind are 32 and 30, or 44 and 16. CPUs load no faster than they multiply. */
#define IN_MEMORY 4
/* Steps unrolled. */
#define STEPS 4

UFFB_INLINE void ask_for_rows(int rows, const float *x, int64_t ldx) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) __builtin_prefetch(x + r * ldx, 0, 3);
}

UFFB_INLINE void ask_for_output(int rows, int panels, const float *c, int64_t ldc) {
    for (int p = 0; p < panels; p++) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) __builtin_prefetch(c + r * ldc + p * UFFB_PANEL, 1, 3);
    }
}

UFFB_INLINE void store_tile_vec(float *c, vec value, int64_t cols, int32_t accumulate) {
    if (cols >= VEC_LANES) {
        vec_store(c, accumulate ? vec_add(vec_load(c), value) : value);
    } else if (cols > 0) {
        vec_store_some(c, accumulate ? vec_add(vec_load_some(c, cols), value) : value, cols);
    }
}

typedef vec tile_sums[VEC_TILE_ROWS][VEC_TILE_PANELS * PANEL_VECS];

/* One step of k: of `a` a number a row, of each panel, `apart` from the next, a row. */
UFFB_INLINE void tile_step(int rows, int panels, const float *a, int64_t lda, const float *w, int64_t apart, tile_sums sum) {
    vec b[VEC_TILE_PANELS * PANEL_VECS];
#pragma GCC unroll 8
    for (int v = 0; v < panels * PANEL_VECS; v++) b[v] = vec_load(w + v / PANEL_VECS * apart + v % PANEL_VECS * VEC_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        const float *at = TILE_TRANSPOSED ? a + r : a + r * lda;
        if (TILE_TRANSPOSED && r % IN_MEMORY == 0) {
#pragma GCC unroll 8
            for (int v = 0; v < panels * PANEL_VECS; v++) sum[r][v] = vec_fma_all(at, b[v], sum[r][v]);
        } else {
            const vec x = vec_set(*at);
#pragma GCC unroll 8
            for (int v = 0; v < panels * PANEL_VECS; v++) sum[r][v] = vec_fma(x, b[v], sum[r][v]);
        }
    }
}

/* c [rows, cols] of one tile; cols <= panels * 16; a [rows, k], or [k, rows] if TILE_TRANSPOSED. Asks for `lines` cache lines
 * of what is at `next` for STEPS steps. `rows` and `panels` are constants in every call. */
UFFB_INLINE void gemm_tile(int rows, int panels, int64_t cols, int64_t k, const float *a, int64_t lda, const float *w,
                           const float *bias, float *c, int64_t ldc, int32_t accumulate, const float *next, int64_t lines,
                           const float *later, int64_t later_lines) {
    tile_sums sum;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < panels * PANEL_VECS; v++) sum[r][v] = vec_zero();
    }
    const int64_t column = TILE_TRANSPOSED ? lda : 1, late = k > LATE ? (k - LATE) / LINE * LINE : k;
    int64_t l = 0;
    for (; l + LINE <= k; l += LINE) {
        if (ASKS(rows) && !TILE_TRANSPOSED) ask_for_rows(rows, a + LINE, lda);
        if (ASKS(rows) && l == late) ask_for_output(rows, panels, c, ldc);
        for (int64_t j = 0; j < later_lines; j++, later += LINE) __builtin_prefetch(later, 0, 2);
        for (int i = 0; i < LINE; i += STEPS) {
            for (int64_t j = 0; j < lines && rows > FEW_ROWS; j++, next += LINE) __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
            for (int j = 0; j < STEPS; j++, a += column, w += UFFB_PANEL)
                tile_step(rows, panels, a, lda, w, k * UFFB_PANEL, sum);
        }
    }
    for (; l < k; l++, a += column, w += UFFB_PANEL) tile_step(rows, panels, a, lda, w, k * UFFB_PANEL, sum);
#pragma GCC unroll 8
    for (int v = 0; v < panels * PANEL_VECS; v++) {
        int64_t left = cols - v * VEC_LANES;
        vec b = !bias || left <= 0  ? vec_zero()
                : left >= VEC_LANES ? vec_load(bias + v * VEC_LANES)
                                    : vec_load_some(bias + v * VEC_LANES, left);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            store_tile_vec(c + r * ldc + v * VEC_LANES, vec_add(sum[r][v], b), left, accumulate);
        }
    }
}

typedef void tile_fn(int64_t cols, int64_t k, const float *a, int64_t lda, const float *w, const float *bias, float *c,
                     int64_t ldc, int32_t accumulate, const float *next, int64_t lines, const float *later,
                     int64_t later_lines);

#define TILE(rows, panels)                                                                                                     \
    static void tile_##rows##x##panels(int64_t cols, int64_t k, const float *a, int64_t lda, const float *w,                   \
                                       const float *bias, float *c, int64_t ldc, int32_t accumulate, const float *next,        \
                                       int64_t lines, const float *later, int64_t later_lines) {                               \
        gemm_tile(rows, panels, cols, k, a, lda, w, bias, c, ldc, accumulate, next, lines, later, later_lines);                \
    }
#if VEC_TILE_PANELS == 2
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define NAMES(rows) {tile_##rows##x1, tile_##rows##x2},
#else
#define TILES(rows) TILE(rows, 1)
#define NAMES(rows) {tile_##rows##x1},
#endif

/* clang-format off */
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if VEC_TILE_ROWS > 6
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#endif

static tile_fn *const tiles[VEC_TILE_ROWS][VEC_TILE_PANELS] = {
    NAMES(1) NAMES(2) NAMES(3) NAMES(4) NAMES(5) NAMES(6)
#if VEC_TILE_ROWS > 6
    NAMES(7) NAMES(8) NAMES(9) NAMES(10) NAMES(11) NAMES(12) NAMES(13) NAMES(14)
#endif
};
/* clang-format on */

/* `apart`: floats from the `a` of a tile to that of the next, where each tile's lies by itself; else 0. `later`: as many
 * numbers as `a` has, which are wanted next and asked for meanwhile; or NULL. */
UFFB_INLINE void gemm_tiles(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, int64_t apart, const float *w,
                            const float *bias, float *c, int64_t ldc, int32_t accumulate, const float *later) {
    const int64_t row_tiles = (m + VEC_TILE_ROWS - 1) / VEC_TILE_ROWS;
    if (!row_tiles) return;
    const int64_t width = VEC_TILE_PANELS * UFFB_PANEL, calls = row_tiles * ((n + width - 1) / width);
    const int64_t later_lines = later ? (m + calls * LINE - 1) / (calls * LINE) : 0,
                  later_apart = later_lines * (k / LINE) * LINE;
    for (int64_t col = 0; col < n; col += width) {
        const int64_t cols = n - col < width ? n - col : width;
        const int64_t panels = (cols + UFFB_PANEL - 1) / UFFB_PANEL, lines = (panels * STEPS + row_tiles - 1) / row_tiles;
        const float *next = w + (col + panels * UFFB_PANEL) * k;
        for (int64_t t = 0, row = 0; t < row_tiles; t++) {
            const int64_t rows = m / row_tiles + (t < m % row_tiles);
            const float *at = apart ? a + t * apart : a + row * (TILE_TRANSPOSED ? 1 : lda);
            tiles[rows - 1][panels - 1](cols, k, at, lda, w + col * k, bias ? bias + col : bias, c + row * ldc + col, ldc,
                                        accumulate, next + t * lines * k / STEPS * LINE, lines, later, later_lines);
            row += rows;
            if (later) later += later_apart;
        }
    }
}

#endif

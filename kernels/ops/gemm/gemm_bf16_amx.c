/* GEMM of bf16 on AMX, whose registers hold whole blocks: 16 x 16 sums, and of either operand 16 lines of 32 numbers. Two rows
 * of blocks times two of the other side use all eight, and every block that is read twice. */
#include "../ops.h"

#include <immintrin.h>
#include <string.h>

#define BLOCK (UFFB_BLOCK_ROWS * UFFB_BLOCK_COLS)
#define BLOCK_STRIDE (UFFB_BLOCK_COLS * 2)
#define SUMS 16
#define TILE (2 * SUMS)
/* Blocks of k that one pass takes: then those of the right side stay in L1 while the rows of the left go by. */
#define PASS 16

/* In assembly, because the intrinsics do not tell GCC that they read memory. */
#define LOAD(tile, base, stride)                                                                                               \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(base), "r"((int64_t)(stride)) : "memory")
#define STORE(tile, base, stride)                                                                                              \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(base), "r"((int64_t)(stride)) : "memory")

#define EACH(x) x, x, x, x, x, x, x, x
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} shapes = {1, 0, {0}, {EACH(BLOCK_STRIDE)}, {EACH(UFFB_BLOCK_ROWS)}};

typedef struct {
    int64_t blocks, ld; /* of k in this pass; from one row of blocks to the next */
    const uint16_t *a, *b;
} operands;

/* Sums start with c, with the bias in each row, or with zeros. Registers: 0 to 3 sums, 4 and 5 a, 6 and 7 b. */
#define START(sum, i, j)                                                                                                       \
    do {                                                                                                                       \
        if (accumulate) {                                                                                                      \
            LOAD(sum, c + (i)*SUMS * ldc + (j)*SUMS, ldc * 4);                                                                 \
        } else if (bias) {                                                                                                     \
            LOAD(sum, bias + (j)*SUMS, 0);                                                                                     \
        } else {                                                                                                               \
            _tile_zero(sum);                                                                                                   \
        }                                                                                                                      \
    } while (0)

#define END(sum, i, j) STORE(sum, c + (i)*SUMS * ldc + (j)*SUMS, ldc * 4)

/* c [16 down, 16 across] of whole blocks. */
static inline __attribute__((always_inline)) void multiply(int down, int across, const operands *o, const float *bias, float *c,
                                                           int64_t ldc, int32_t accumulate) {
    const uint16_t *a = o->a, *b = o->b;
    /* Of the rows below, which come next: written, they would each wait for memory. */
    for (int i = 0; i < TILE; i++) {
        __builtin_prefetch(c + (TILE + i) * ldc, 1, 2);
        if (across > 1) __builtin_prefetch(c + (TILE + i) * ldc + SUMS, 1, 2);
    }
    START(0, 0, 0);
    if (across > 1) START(1, 0, 1);
    if (down > 1) START(2, 1, 0);
    if (down > 1 && across > 1) START(3, 1, 1);
    for (int64_t l = 0; l < o->blocks; l++, a += BLOCK, b += BLOCK) {
        LOAD(6, b, BLOCK_STRIDE);
        LOAD(4, a, BLOCK_STRIDE);
        _tile_dpbf16ps(0, 4, 6);
        if (across > 1) {
            LOAD(7, b + o->ld, BLOCK_STRIDE);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (down > 1) {
            LOAD(5, a + o->ld, BLOCK_STRIDE);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (down > 1 && across > 1) _tile_dpbf16ps(3, 5, 7);
    }
    END(0, 0, 0);
    if (across > 1) END(1, 0, 1);
    if (down > 1) END(2, 1, 0);
    if (down > 1 && across > 1) END(3, 1, 1);
}

static void multiply_some(int down, int across, const operands *o, const float *bias, float *c, int64_t ldc,
                          int32_t accumulate) {
    if (down > 1 && across > 1) {
        multiply(2, 2, o, bias, c, ldc, accumulate);
    } else if (down > 1) {
        multiply(2, 1, o, bias, c, ldc, accumulate);
    } else if (across > 1) {
        multiply(1, 2, o, bias, c, ldc, accumulate);
    } else {
        multiply(1, 1, o, bias, c, ldc, accumulate);
    }
}

/* The same at the edge of c: rows and cols that blocks are not full of, or both things to start with. */
static void multiply_edge(int64_t rows, int64_t cols, const operands *o, const float *bias, float *c, int64_t ldc,
                          int32_t accumulate) {
    float whole[TILE][TILE] = {{0}};
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) whole[i][j] = (bias ? bias[j] : 0.0f) + (accumulate ? c[i * ldc + j] : 0.0f);
    }
    multiply_some(rows > SUMS ? 2 : 1, cols > SUMS ? 2 : 1, o, NULL, whole[0], TILE, 1);
    for (int64_t i = 0; i < rows; i++) memcpy(c + i * ldc, whole[i], (size_t)cols * sizeof *c);
}

/* Some columns of c, 32 at most, of some blocks of k. */
static void multiply_columns(int64_t m, int64_t cols, const operands *o, const float *bias, float *c, int64_t ldc,
                             int32_t accumulate) {
    for (int64_t row = 0; row < m; row += TILE) {
        const int64_t rows = m - row < TILE ? m - row : TILE;
        const operands here = {o->blocks, o->ld, o->a + row / UFFB_BLOCK_ROWS * o->ld, o->b};
        float *out = c + row * ldc;
        if (rows % SUMS == 0 && cols % SUMS == 0 && !(bias && accumulate)) {
            multiply_some((int)(rows / SUMS), (int)(cols / SUMS), &here, bias, out, ldc, accumulate);
        } else {
            multiply_edge(rows, cols, &here, bias, out, ldc, accumulate);
        }
    }
}

void uffb_gemm_bf16_amx(int64_t m, int64_t n, int64_t k, const uint16_t *a, const uint16_t *b, const float *bias, float *c,
                        int64_t ldc, int32_t accumulate) {
    const int64_t ld = uffb_block_row(k), blocks = ld / BLOCK;
    _tile_loadconfig(&shapes);
    for (int64_t col = 0; col < n; col += TILE) {
        const int64_t cols = n - col < TILE ? n - col : TILE;
        for (int64_t first = 0; first == 0 || first < blocks; first += PASS) {
            const int64_t count = blocks - first < PASS ? blocks - first : PASS;
            const operands o = {count, ld, a + first * BLOCK, b + col / UFFB_BLOCK_ROWS * ld + first * BLOCK};
            multiply_columns(m, cols, &o, bias && !first ? bias + col : NULL, c + col, ldc, accumulate || first);
        }
    }
    _tile_release(); /* tiles in use would be saved whenever this thread is interrupted */
}

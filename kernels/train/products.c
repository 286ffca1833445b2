/* The three products of a linear layer, of operands rounded to bf16: what it computes, and the gradients of its input and of
 * its weight. Weights lie in blocks already; all else is packed as it is used. Sums over tokens run through chunks of a fixed
 * size, so that their order depends on the batch alone. */
#include "trainer.h"
#include "../engine/memory.h"

#include <stdlib.h>

/* Numbers of the left side that are packed at once, so that they stay in L2 while the right side goes by; and rows of it. */
#define LEFT_NUMBERS (512 << 10)
#define MOST_ROWS 1024
#define FEWEST_ROWS 128
/* Rows of a weight matrix whose transpose is packed at once. */
#define BACK_ROWS 2048
/* Rows of blocks of the right side that a task multiplies by at least; and rows that one packs. */
#define TASK_BLOCKS 4
#define PACK_ROWS (4 * UFFB_BLOCK_ROWS)

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t rows_of_blocks(int64_t rows) { return (rows + UFFB_BLOCK_ROWS - 1) / UFFB_BLOCK_ROWS; }

static int64_t part(int64_t whole, int64_t parts, int64_t index) { return whole * index / parts; }

/* --- packing -------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const uffb_ops *ops;
    int64_t rows, cols, ldx;
    int32_t transposed, side;
    const float *x;
    uint16_t *blocks;
} packing;

static void pack_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const packing *p = arg;
    const int64_t first = task * PACK_ROWS, rows = smaller(p->rows - first, PACK_ROWS);
    p->ops->pack_bf16(rows, p->cols, p->transposed ? p->x + first : p->x + first * p->ldx, p->ldx, p->transposed, p->side,
                      p->blocks + first / UFFB_BLOCK_ROWS * uffb_block_row(p->cols));
}

static void pack(const uffb_trainer *t, packing p) {
    p.ops = t->ops;
    uffb_parallel(t->context->team, (p.rows + PACK_ROWS - 1) / PACK_ROWS, pack_task, &p);
}

void uffb_repack_blocks(const uffb_trainer *t, const uffb_parameter *p, int64_t row, int64_t rows) {
    const int64_t cols = p->info.cols;
    t->ops->pack_bf16(rows, cols, p->weight + row * cols, cols, 0, UFFB_RIGHT,
                      p->blocks + row / UFFB_BLOCK_ROWS * uffb_block_row(cols));
}

/* --- multiplying ---------------------------------------------------------------------------------------------------------- */

/* c [m, n] = left right^T + bias, plus the old c if `accumulate`. */
typedef struct {
    const uffb_ops *ops;
    int64_t m, n, k, ldc;
    const uint16_t *left, *right;
    const float *bias;
    float *c;
    int32_t accumulate;
    int64_t tasks;
} product;

static void multiply_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const product *p = arg;
    const int64_t pairs = (rows_of_blocks(p->n) + 1) / 2; /* registers may hold two rows of blocks */
    const int64_t first = part(pairs, p->tasks, task) * 2, end = part(pairs, p->tasks, task + 1) * 2;
    const int64_t col = first * UFFB_BLOCK_ROWS, cols = smaller(end * UFFB_BLOCK_ROWS, p->n) - col;
    p->ops->gemm_bf16(p->m, cols, p->k, p->left, p->right + first * uffb_block_row(p->k), p->bias ? p->bias + col : NULL,
                      p->c + col, p->ldc, p->accumulate);
}

static int64_t left_rows(int64_t k) {
    const int64_t rows = LEFT_NUMBERS / k / UFFB_BLOCK_ROWS * UFFB_BLOCK_ROWS;
    return larger(FEWEST_ROWS, smaller(rows, MOST_ROWS));
}

int64_t uffb_left_size(int64_t widest) { return larger(2 * LEFT_NUMBERS, FEWEST_ROWS * (widest + UFFB_BLOCK_COLS)); }

/* The product of x [m, k], or if `transposed` of x [k, m], on the left. */
static void multiply(uffb_trainer *t, product p, const float *x, int64_t ldx, int32_t transposed) {
    const int64_t m = p.m, step = left_rows(p.k);
    float *const c = p.c;
    p.ops = t->ops;
    p.left = t->left;
    p.tasks = t->context->threads == 1 ? 1 : larger(1, smaller(4 * t->context->threads, rows_of_blocks(p.n) / TASK_BLOCKS));
    for (int64_t row = 0; row < m; row += step) {
        p.m = smaller(step, m - row);
        p.c = c + row * p.ldc;
        pack(t, (packing){.rows = p.m,
                          .cols = p.k,
                          .ldx = ldx,
                          .transposed = transposed,
                          .side = UFFB_LEFT,
                          .x = transposed ? x + row : x + row * ldx,
                          .blocks = t->left});
        uffb_parallel(t->context->team, p.tasks, multiply_task, &p);
    }
}

void uffb_project_bf16(uffb_trainer *t, int64_t rows, const uffb_train_linear *linear, const float *a, int64_t lda, float *c,
                       int64_t ldc, int32_t accumulate) {
    const uffb_linear *of = linear->linear;
    multiply(t,
             (product){.m = rows,
                       .n = of->rows,
                       .k = of->cols,
                       .right = linear->weight->blocks,
                       .bias = of->bias,
                       .c = c,
                       .ldc = ldc,
                       .accumulate = accumulate},
             a, lda, 0);
}

/* --- gradients ------------------------------------------------------------------------------------------------------------ */

/* The transpose of x [cols, rows] in blocks of the right side; NULL when out of memory. */
static const uint16_t *pack_right(uffb_trainer *t, int64_t rows, int64_t cols, const float *x, int64_t ldx) {
    const int64_t size = rows_of_blocks(rows) * uffb_block_row(cols);
    if (size > t->right_size) {
        free(t->right);
        t->right = uffb_allocate((uint64_t)size * sizeof *t->right);
        t->right_size = t->right ? size : 0;
        if (!t->right) return NULL;
    }
    pack(t, (packing){.rows = rows, .cols = cols, .ldx = ldx, .transposed = 1, .side = UFFB_RIGHT, .x = x, .blocks = t->right});
    return t->right;
}

int64_t uffb_right_size(int64_t tokens, int64_t widest) {
    return (widest + UFFB_BLOCK_ROWS) *
           (larger(smaller(tokens, UFFB_OUTER_TOKENS), smaller(widest, BACK_ROWS)) + UFFB_BLOCK_COLS);
}

static int32_t no_memory(void) { return uffb_fail(UFFB_NO_MEMORY, "no memory for the gradient of a layer"); }

int32_t uffb_gradient_bf16(uffb_trainer *t, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                           const float *x, int64_t ldx) {
    const int64_t m = linear->linear->rows, n = linear->linear->cols;
    const int64_t chunks = (rows + UFFB_OUTER_TOKENS - 1) / UFFB_OUTER_TOKENS;
    product p = {.m = m, .n = n, .c = linear->weight->gradient, .ldc = n};
    p.accumulate = uffb_gradient_accumulates(linear->weight);
    for (int64_t i = 0; i < chunks; i++) {
        const int64_t first = part(rows, chunks, i);
        p.k = part(rows, chunks, i + 1) - first;
        p.right = pack_right(t, n, p.k, x + first * ldx, ldx);
        if (!p.right) return no_memory();
        multiply(t, p, dy + first * lddy, lddy, 1);
        p.accumulate = 1;
    }
    return UFFB_OK;
}

int32_t uffb_back_bf16(uffb_trainer *t, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy, float *dx,
                       int64_t lddx, int32_t accumulate) {
    const int64_t m = linear->linear->rows, n = linear->linear->cols, chunks = (m + BACK_ROWS - 1) / BACK_ROWS;
    product p = {.m = rows, .n = n, .c = dx, .ldc = lddx, .accumulate = accumulate};
    for (int64_t i = 0; i < chunks; i++) {
        const int64_t first = part(m, chunks, i);
        p.k = part(m, chunks, i + 1) - first;
        p.right = pack_right(t, n, p.k, linear->weight->weight + first * n, n);
        if (!p.right) return no_memory();
        multiply(t, p, dy + first, lddy, 0);
        p.accumulate = 1;
    }
    return UFFB_OK;
}

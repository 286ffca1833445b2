/* Gradients of dense projections, with the GEMMs of the forward pass. Sums over tokens run through chunks of a fixed size, so
 * that their order depends on the batch alone. */
#include "trainer.h"

#include <string.h>

/* Rows of a weight matrix that are packed at once, or whose transpose is. */
#define WEIGHT_ROWS 2048
/* Columns of one task that adds up columns. */
#define SUM_COLS 64

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t panels_of(int64_t n) { return (n + UFFB_PANEL - 1) / UFFB_PANEL; }

static int64_t part(int64_t whole, int64_t parts, int64_t index) { return whole * index / parts; }

/* --- panels --------------------------------------------------------------------------------------------------------------- */

int64_t uffb_packed_size(int64_t tokens, int64_t rows, int64_t cols) {
    const int64_t some = smaller(rows, WEIGHT_ROWS), wide = panels_of(cols) * UFFB_PANEL;
    const int64_t forward = panels_of(some) * UFFB_PANEL * cols, back = wide * some;
    const int64_t gradient = wide * smaller(tokens, UFFB_OUTER_TOKENS), most = forward > back ? forward : back;
    return most > gradient ? most : gradient;
}

typedef struct {
    const uffb_ops *ops;
    int64_t rows, cols, ld;
    int32_t transposed;
    const float *x; /* [rows, cols], or [cols, rows] if its transpose is packed */
    float *panels;
} packing;

/* Panels of one task. */
#define PACK_PANELS 8

static void pack_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const packing *p = arg;
    const int64_t first = task * PACK_PANELS * UFFB_PANEL, rows = smaller(p->rows - first, PACK_PANELS * UFFB_PANEL);
    p->ops->pack(rows, p->cols, p->transposed ? p->x + first : p->x + first * p->ld, p->ld, p->transposed,
                 p->panels + first * p->cols);
}

/* Panels [ceil(rows/16)][cols][16], in room that the step has reserved. */
static const float *pack(const uffb_trainer *t, packing p) {
    p.ops = t->ops;
    p.panels = t->packed;
    uffb_parallel(t->context->team, (panels_of(p.rows) + PACK_PANELS - 1) / PACK_PANELS, pack_task, &p);
    return t->packed;
}

/* The transpose of x [cols, rows]. */
static const float *pack_transposed(const uffb_trainer *t, int64_t rows, int64_t cols, const float *x, int64_t ld) {
    return pack(t, (packing){.rows = rows, .cols = cols, .ld = ld, .transposed = 1, .x = x});
}

static int32_t no_memory(void) { return uffb_fail(UFFB_NO_MEMORY, "no memory for the gradient of a layer"); }

/* --- forward -------------------------------------------------------------------------------------------------------------- */

static void project_f32(uffb_trainer *t, int64_t rows, const uffb_train_linear *linear, const float *a, int64_t lda, float *c,
                        int64_t ldc, int32_t accumulate) {
    const int64_t m = linear->linear->rows, n = linear->linear->cols, chunks = (m + WEIGHT_ROWS - 1) / WEIGHT_ROWS;
    const int64_t pair = 2 * UFFB_PANEL, pairs = (m + pair - 1) / pair; /* as wide as a tile may be */
    for (int64_t i = 0; i < chunks; i++) {
        const int64_t first = part(pairs, chunks, i) * pair, some = smaller(part(pairs, chunks, i + 1) * pair, m) - first;
        const float *bias = linear->linear->bias, *weight = linear->weight->weight + first * n;
        uffb_linear of = {.rows = some, .cols = n, .bias = bias ? bias + first : NULL};
        of.weights.kind = &uffb_f32_panels;
        of.weights.data = pack(t, (packing){.rows = some, .cols = n, .ld = n, .x = weight});
        uffb_project(t->context, rows, &of, a, lda, c + first, ldc, accumulate);
    }
}

void uffb_train_project(uffb_trainer *t, int64_t rows, const uffb_train_linear *linear, const float *a, int64_t lda, float *c,
                        int64_t ldc, int32_t accumulate) {
    if (linear->weight->blocks) {
        uffb_project_bf16(t, rows, linear, a, lda, c, ldc, accumulate);
    } else {
        project_f32(t, rows, linear, a, lda, c, ldc, accumulate);
    }
}

/* --- of the weights ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uffb_trainer *trainer;
    int64_t m, n, tokens, lddy, row_blocks, col_blocks;
    const float *dy, *x; /* x in panels [ceil(n/16)][tokens][16] */
    float *gradient;     /* [m, n] */
    int32_t accumulate;
} outer;

/* Some rows of the gradient. Their columns of dy are copied first, so that the GEMM does not stride through memory. */
static void outer_task(void *arg, int64_t task, int32_t thread) {
    const outer *o = arg;
    uffb_trainer *t = o->trainer;
    const int64_t lines = panels_of(o->m), chunk = task / o->col_blocks, block = task % o->col_blocks;
    const int64_t row = part(lines, o->row_blocks, chunk) * UFFB_PANEL;
    const int64_t rows = smaller(part(lines, o->row_blocks, chunk + 1) * UFFB_PANEL, o->m) - row;
    const int64_t pairs = (o->n + 2 * UFFB_PANEL - 1) / (2 * UFFB_PANEL);
    const int64_t col = part(pairs, o->col_blocks, block) * 2 * UFFB_PANEL;
    const int64_t end = smaller(part(pairs, o->col_blocks, block + 1) * 2 * UFFB_PANEL, o->n);
    float *columns = t->scratch + thread * t->thread_scratch;
    for (int64_t i = 0; i < o->tokens; i++)
        memcpy(columns + i * rows, o->dy + i * o->lddy + row, (size_t)rows * sizeof *columns);
    t->ops->outer(rows, end - col, o->tokens, columns, rows, o->x + col * o->tokens, o->gradient + row * o->n + col, o->n,
                  o->accumulate);
}

typedef struct {
    int64_t rows, cols, ld;
    const float *x;
    float *sum;
    int32_t accumulate;
} summing;

static void sum_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const summing *s = arg;
    const int64_t first = task * SUM_COLS, cols = smaller(s->cols - first, SUM_COLS);
    float sum[SUM_COLS] = {0};
    for (int64_t r = 0; r < s->rows; r++) {
        const float *x = s->x + r * s->ld + first;
        for (int64_t c = 0; c < cols; c++) sum[c] += x[c];
    }
    for (int64_t c = 0; c < cols; c++) s->sum[first + c] = s->accumulate ? s->sum[first + c] + sum[c] : sum[c];
}

static void sum_columns(uffb_trainer *t, int64_t rows, int64_t cols, const float *x, int64_t ld, uffb_parameter *into) {
    summing s = {rows, cols, ld, x, into->gradient, uffb_gradient_accumulates(into)};
    uffb_parallel(t->context->team, (cols + SUM_COLS - 1) / SUM_COLS, sum_task, &s);
}

int32_t uffb_linear_gradient(uffb_trainer *t, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                             const float *x, int64_t ldx) {
    const int64_t m = linear->linear->rows, n = linear->linear->cols;
    if (uffb_trains(linear->bias)) sum_columns(t, rows, m, dy, lddy, linear->bias);
    if (!uffb_trains(linear->weight)) return UFFB_OK;
    if (linear->weight->blocks) return uffb_gradient_bf16(t, linear, rows, dy, lddy, x, ldx);
    outer o = {.trainer = t, .m = m, .n = n, .lddy = lddy, .gradient = linear->weight->gradient};
    o.accumulate = uffb_gradient_accumulates(linear->weight);
    /* As many rows for each thread: whoever has some rows reads only that part of dy, and copies it once. */
    const int64_t threads = t->context->threads, least = (m + UFFB_OUTER_ROWS - 1) / UFFB_OUTER_ROWS;
    o.row_blocks = smaller((least + threads - 1) / threads * threads, panels_of(m));
    const int64_t want = (2 * threads + o.row_blocks - 1) / o.row_blocks;
    o.col_blocks = threads == 1 ? 1 : smaller(want, (n + 2 * UFFB_PANEL - 1) / (2 * UFFB_PANEL));
    const int64_t chunks = (rows + UFFB_OUTER_TOKENS - 1) / UFFB_OUTER_TOKENS;
    for (int64_t i = 0; i < chunks; i++) {
        const int64_t first = part(rows, chunks, i);
        o.tokens = part(rows, chunks, i + 1) - first;
        o.dy = dy + first * lddy;
        o.x = pack_transposed(t, n, o.tokens, x + first * ldx, ldx);
        uffb_parallel(t->context->team, o.row_blocks * o.col_blocks, outer_task, &o);
        o.accumulate = 1;
    }
    return UFFB_OK;
}

/* --- of the input --------------------------------------------------------------------------------------------------------- */

int32_t uffb_linear_back(uffb_trainer *t, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                         float *dx, int64_t lddx, int32_t accumulate) {
    if (linear->weight->blocks) return uffb_back_bf16(t, linear, rows, dy, lddy, dx, lddx, accumulate);
    const int64_t m = linear->linear->rows, n = linear->linear->cols, chunks = (m + WEIGHT_ROWS - 1) / WEIGHT_ROWS;
    for (int64_t i = 0; i < chunks; i++) {
        const int64_t first = part(m, chunks, i);
        uffb_linear transposed = {.rows = n, .cols = part(m, chunks, i + 1) - first};
        transposed.weights.kind = &uffb_f32_panels;
        transposed.weights.data = pack_transposed(t, n, transposed.cols, linear->weight->weight + first * n, n);
        uffb_project(t->context, rows, &transposed, dy + first, lddy, dx, lddx, accumulate || i > 0);
    }
    return UFFB_OK;
}

/* --- LayerNorm ------------------------------------------------------------------------------------------------------------ */

/* Tokens of one task, whose sums are added up in order. */
#define NORM_TOKENS 32

typedef struct {
    uffb_trainer *trainer;
    const uffb_train_norm *norm;
    int64_t rows, cols;
    const float *x, *dy;
    float *dx;
    int32_t accumulate;
} norm_back;

static void norm_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const norm_back *b = arg;
    const int64_t first = task * NORM_TOKENS, rows = smaller(b->rows - first, NORM_TOKENS), h = b->cols;
    float *partial = b->trainer->partial + task * 2 * h;
    memset(partial, 0, (size_t)(2 * h) * sizeof *partial);
    b->trainer->ops->norm_back(rows, h, b->x + first * h, h, b->norm->affine->weight, (float)b->trainer->arch.norm_eps,
                               b->dy + first * h, h, b->dx + first * h, h, b->accumulate, partial, partial + h);
}

int32_t uffb_norm_gradient(uffb_trainer *t, const uffb_train_norm *norm, int64_t rows, const float *x, const float *dy,
                           float *dx, int32_t accumulate) {
    const int64_t h = t->arch.hidden, tasks = (rows + NORM_TOKENS - 1) / NORM_TOKENS;
    if (!uffb_trainer_grow(&t->partial, &t->partial_size, tasks * 2 * h)) return no_memory();
    norm_back b = {t, norm, rows, h, x, dy, dx, accumulate};
    uffb_parallel(t->context->team, tasks, norm_task, &b);
    if (uffb_trains(norm->weight)) sum_columns(t, tasks, h, t->partial, 2 * h, norm->weight);
    if (uffb_trains(norm->bias)) sum_columns(t, tasks, h, t->partial + h, 2 * h, norm->bias);
    return UFFB_OK;
}

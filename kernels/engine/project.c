/* Row-wise stages, spread over threads: dense projections, LayerNorm, activations. */
#include "context.h"

#include <stddef.h>

/* Rows of one GEMM task, at most: few enough that they stay in L2 while the panels go by; and rows that are not divided, as
 * they are the largest register tile. */
#define ROW_CHUNK 140
#define TILE_ROWS 14
/* Rows of one task of the cheap stages. */
#define ROWS_A_TASK 32

typedef struct {
    const uffb_ops *ops;
    int64_t tokens, row_chunks, panel_chunks, lda, ldc;
    const uffb_linear *linear;
    const float *a;
    float *c;
    int32_t accumulate;
    /* [tokens, ld_inputs]: a, or what the weights' kind makes of it, with scales */
    const void *inputs;
    int64_t ld_inputs;
    void *quantised;
    float *scale;
    float *scratch; /* of each thread, or NULL */
    int64_t scratch_size;
} projection;

static int64_t part(int64_t whole, int64_t parts, int64_t index) { return whole * index / parts; }

static int64_t tiles_of(int64_t rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }

/* The first row of a chunk; of the one behind the last, the number of rows. */
static int64_t first_row(const projection *p, int64_t chunk) {
    const int64_t row = part(tiles_of(p->tokens), p->row_chunks, chunk) * TILE_ROWS;
    return row < p->tokens ? row : p->tokens;
}

/* As many chunks for each thread, where there are enough. */
static int64_t row_chunks(int64_t rows, int64_t threads) {
    const int64_t chunks = (rows + ROW_CHUNK - 1) / ROW_CHUNK, even = (chunks + threads - 1) / threads * threads;
    return chunks < threads ? chunks : even < tiles_of(rows) ? even : tiles_of(rows);
}

static void project_task(void *arg, int64_t task, int32_t thread) {
    const projection *p = arg;
    const uffb_linear *w = p->linear;
    const uffb_kind *kind = w->weights.kind;
    /* Pairs of panels, since a tile may be two panels wide. */
    int64_t pairs = (w->rows + 2 * UFFB_PANEL - 1) / (2 * UFFB_PANEL);
    const int64_t chunk = task / p->panel_chunks, panel = task % p->panel_chunks; /* so that a thread has rows of its own */
    int64_t row = first_row(p, chunk), end = first_row(p, chunk + 1);
    int64_t col = part(pairs, p->panel_chunks, panel) * 2 * UFFB_PANEL;
    int64_t col_end = part(pairs, p->panel_chunks, panel + 1) * 2 * UFFB_PANEL;
    if (col_end > w->rows) col_end = w->rows;
    const uffb_product product = {.m = end - row,
                                  .n = col_end - col,
                                  .k = w->cols,
                                  .a = (const char *)p->inputs + row * p->ld_inputs * kind->input_bytes,
                                  .lda = p->ld_inputs,
                                  .a_scale = p->scale ? p->scale + row : NULL,
                                  .bias = w->bias ? w->bias + col : NULL,
                                  .c = p->c + row * p->ldc + col,
                                  .ldc = p->ldc,
                                  .accumulate = p->accumulate,
                                  .scratch = p->scratch ? p->scratch + thread * p->scratch_size : NULL};
    kind->multiply(p->ops, &w->weights, col, &product);
}

static void quantise_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const projection *p = arg;
    const uffb_kind *kind = p->linear->weights.kind;
    const int64_t first = task * ROWS_A_TASK, left = p->tokens - first;
    kind->quantise(p->ops, left < ROWS_A_TASK ? left : ROWS_A_TASK, p->linear->cols, p->a + first * p->lda, p->lda,
                   (char *)p->quantised + first * p->ld_inputs * kind->input_bytes, p->ld_inputs, p->scale + first);
}

void uffb_project(uffb_context *context, int64_t tokens, const uffb_linear *linear, const float *a, int64_t lda, float *c,
                  int64_t ldc, int32_t accumulate) {
    projection p = {.ops = context->ops, .tokens = tokens, .linear = linear, .a = a, .lda = lda, .c = c, .ldc = ldc};
    p.accumulate = accumulate;
    p.scratch = context->scratch;
    p.scratch_size = context->scratch_size;
    p.inputs = a;
    p.ld_inputs = lda;
    if (uffb_is_quantised(&linear->weights)) {
        p.inputs = p.quantised = context->quantised;
        p.scale = context->quantised_scale;
        p.ld_inputs = uffb_input_cols(linear->weights.kind, linear->cols);
        uffb_parallel(context->team, (tokens + ROWS_A_TASK - 1) / ROWS_A_TASK, quantise_task, &p);
    }
    p.row_chunks = row_chunks(tokens, context->threads);
    p.panel_chunks = 1;
    if (context->threads > 1) {
        int64_t pairs = (linear->rows + 2 * UFFB_PANEL - 1) / (2 * UFFB_PANEL);
        int64_t want = (4 * context->threads + p.row_chunks - 1) / p.row_chunks;
        p.panel_chunks = want < pairs ? want : pairs;
    }
    uffb_parallel(context->team, p.row_chunks * p.panel_chunks, project_task, &p);
}

typedef struct {
    uffb_context *context;
    int64_t tokens, cols, ldx;
    int32_t activation;
    const uffb_affine *norm;
    const float *x;
    float *y;
} rowwise;

static int64_t task_rows(const rowwise *r, int64_t task) {
    int64_t left = r->tokens - task * ROWS_A_TASK;
    return left < ROWS_A_TASK ? left : ROWS_A_TASK;
}

static void normalise_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const rowwise *r = arg;
    int64_t first = task * ROWS_A_TASK * r->cols;
    r->context->ops->norm(task_rows(r, task), r->cols, r->x + first, r->cols, r->norm->weight, r->norm->bias,
                          (float)r->context->model->arch.norm_eps, r->y + first, r->cols);
}

void uffb_normalise(uffb_context *context, int64_t tokens, int64_t cols, const uffb_affine *norm, const float *x, float *y) {
    rowwise r = {.context = context, .tokens = tokens, .cols = cols, .norm = norm, .x = x, .y = y};
    uffb_parallel(context->team, (tokens + ROWS_A_TASK - 1) / ROWS_A_TASK, normalise_task, &r);
}

static void activate_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const rowwise *r = arg;
    r->context->ops->activate(r->activation, task_rows(r, task), r->cols, r->y + task * ROWS_A_TASK * r->ldx, r->ldx);
}

void uffb_activate_all(uffb_context *context, int32_t activation, int64_t tokens, int64_t cols, float *x, int64_t ldx) {
    rowwise r = {.context = context, .tokens = tokens, .cols = cols, .ldx = ldx, .activation = activation, .y = x};
    uffb_parallel(context->team, (tokens + ROWS_A_TASK - 1) / ROWS_A_TASK, activate_task, &r);
}

/* Row-wise stages, spread over threads: dense projections, LayerNorm, activations. */
#include "context.h"

/* Rows of one GEMM task: whole register tiles of every ISA, and few enough that they stay in L2 while the panels go by. */
#define ROW_CHUNK 140
/* Rows of one task of the cheap stages. */
#define ROWS_A_TASK 32

typedef struct {
    const uffb_ops *ops;
    int64_t tokens, row_chunks, panel_chunks, lda, ldc;
    const uffb_linear *linear;
    const float *a;
    float *c;
    int32_t accumulate;
    void *q; /* inputs [tokens, ldq] as integers of 8 or 16 bits, and their scales, when the weights are such */
    float *q_scale;
    int64_t ldq;
} projection;

static int64_t part(int64_t whole, int64_t parts, int64_t index) { return whole * index / parts; }

static void project_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const projection *p = arg;
    const uffb_linear *w = p->linear;
    /* Pairs of panels, since a tile may be two panels wide. */
    int64_t pairs = (w->rows + 2 * UFFB_PANEL - 1) / (2 * UFFB_PANEL);
    int64_t row = part(p->tokens, p->row_chunks, task % p->row_chunks);
    int64_t end = part(p->tokens, p->row_chunks, task % p->row_chunks + 1);
    int64_t col = part(pairs, p->panel_chunks, task / p->row_chunks) * 2 * UFFB_PANEL;
    int64_t col_end = part(pairs, p->panel_chunks, task / p->row_chunks + 1) * 2 * UFFB_PANEL;
    if (col_end > w->rows) col_end = w->rows;
    const float *bias = w->bias ? w->bias + col : w->bias;
    float *c = p->c + row * p->ldc + col;
    if (w->i8.panels) {
        const uffb_weights_i8 part = {w->i8.panels + col * p->ldq, w->i8.scale + col, w->i8.sum + col};
        p->ops->gemm_i8(end - row, col_end - col, w->cols, (const uint8_t *)p->q + row * p->ldq, p->ldq, p->q_scale + row,
                        &part, bias, c, p->ldc, p->accumulate);
    } else if (w->i16.panels) {
        const uffb_weights_i16 part = {w->i16.panels + col * p->ldq, w->i16.scale + col};
        p->ops->gemm_i16(end - row, col_end - col, w->cols, (const int16_t *)p->q + row * p->ldq, p->ldq, p->q_scale + row,
                         &part, bias, c, p->ldc, p->accumulate);
    } else {
        p->ops->gemm(end - row, col_end - col, w->cols, p->a + row * p->lda, p->lda, w->weight + col * w->cols, bias, c, p->ldc,
                     p->accumulate);
    }
}

static void quantise_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const projection *p = arg;
    const int64_t first = task * ROWS_A_TASK, left = p->tokens - first;
    const int64_t rows = left < ROWS_A_TASK ? left : ROWS_A_TASK;
    const float *a = p->a + first * p->lda;
    if (p->linear->i8.panels) {
        p->ops->quantise_i8(rows, p->linear->cols, a, p->lda, (uint8_t *)p->q + first * p->ldq, p->ldq, p->q_scale + first);
    } else {
        p->ops->quantise_i16(rows, p->linear->cols, a, p->lda, (int16_t *)p->q + first * p->ldq, p->ldq, p->q_scale + first);
    }
}

void uffb_project(uffb_context *context, int64_t tokens, const uffb_linear *linear, const float *a, int64_t lda, float *c,
                  int64_t ldc, int32_t accumulate) {
    projection p = {.ops = context->ops, .tokens = tokens, .linear = linear, .a = a, .lda = lda, .c = c, .ldc = ldc};
    p.accumulate = accumulate;
    p.q = context->quantised;
    p.q_scale = context->quantised_scale;
    p.ldq = linear->i8.panels ? (linear->cols + 3) / 4 * 4 : (linear->cols + 1) / 2 * 2;
    if (linear->i8.panels || linear->i16.panels)
        uffb_parallel(context->team, (tokens + ROWS_A_TASK - 1) / ROWS_A_TASK, quantise_task, &p);
    p.row_chunks = (tokens + ROW_CHUNK - 1) / ROW_CHUNK;
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

void uffb_normalise(uffb_context *context, int64_t tokens, const uffb_affine *norm, const float *x, float *y) {
    const int64_t hidden = context->model->arch.hidden;
    rowwise r = {.context = context, .tokens = tokens, .cols = hidden, .norm = norm, .x = x, .y = y};
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

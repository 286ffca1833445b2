/* The dense layer from BLAS calls: y += out^T act(in x + bias). */
#include "layer.h"

#include <string.h>

/* Tokens of one sgemm; the hidden units of a block stay within a few megabytes. */
#define BLOCK 1024

typedef struct {
    uffb_trial *trial;
    float *scratch;
    int64_t parts;
    void (*run)(const uffb_trial *trial, int64_t token, float *scratch);
} per_token;

static void run_part(void *arg, int64_t part, int32_t thread) {
    (void)thread;
    const per_token *p = arg;
    const int64_t tokens = p->trial->tokens;
    for (int64_t t = tokens * part / p->parts; t < tokens * (part + 1) / p->parts; t++) {
        p->run(p->trial, t, p->scratch + part * p->trial->bench->rows);
    }
}

static void each_token(uffb_trial *trial, void (*run)(const uffb_trial *, int64_t, float *)) {
    uffb_bench *b = trial->bench;
    per_token p = {trial, uffb_bench_scratch(b, b->shape.threads * b->rows), b->shape.threads, run};
    if (!p.scratch) {
        trial->status = UFFB_NO_MEMORY;
        return;
    }
    uffb_parallel(b->team, p.parts, run_part, &p);
}

static void level1(const uffb_trial *trial, int64_t t, float *scratch) {
    (void)scratch;
    const uffb_bench *b = trial->bench;
    const int h = (int)b->shape.hidden;
    for (int64_t n = 0; n < b->rows; n++) {
        float logit = trial->blas->sdot(h, b->in + n * h, 1, b->x + t * h, 1) + b->bias[n];
        trial->blas->saxpy(h, uffb_bench_activate(b, logit), b->out + n * h, 1, b->y + t * h, 1);
    }
}

void uffb_dense_level1(uffb_trial *trial) { each_token(trial, level1); }

static void matrix_vector(const uffb_trial *trial, const float *x, float *y, float *units) {
    const uffb_bench *b = trial->bench;
    const int h = (int)b->shape.hidden, n = (int)b->rows;
    memcpy(units, b->bias, (size_t)n * sizeof *units);
    trial->blas->sgemv(BLAS_ROW_MAJOR, BLAS_NO_TRANS, n, h, 1.0f, b->in, h, x, 1, 1.0f, units, 1);
    b->context->ops->activate(b->shape.activation, 1, n, units, n);
    trial->blas->sgemv(BLAS_ROW_MAJOR, BLAS_TRANS, n, h, 1.0f, b->out, h, units, 1, 1.0f, y, 1);
}

static void level2(const uffb_trial *trial, int64_t t, float *scratch) {
    const uffb_bench *b = trial->bench;
    matrix_vector(trial, b->x + t * b->shape.hidden, b->y + t * b->shape.hidden, scratch);
}

void uffb_dense_level2(uffb_trial *trial) { each_token(trial, level2); }

/* As published: one input row and one output row for the whole batch (here a row per thread). */
static void level2_published(const uffb_trial *trial, int64_t t, float *scratch) {
    (void)t;
    const uffb_bench *b = trial->bench;
    const int64_t part = (scratch - b->scratch) / b->rows;
    matrix_vector(trial, b->x, b->y + part % trial->tokens * b->shape.hidden, scratch);
}

void uffb_dense_level2_published(uffb_trial *trial) { each_token(trial, level2_published); }

typedef struct {
    const uffb_bench *bench;
    const uffb_ops *ops;
    float *units; /* [tokens, rows] */
    int64_t tokens, parts;
} finish;

/* act(units + bias), shared out as the library shares out its products. */
static void finish_part(void *arg, int64_t part, int32_t thread) {
    (void)thread;
    const finish *f = arg;
    const int64_t n = f->bench->rows;
    for (int64_t t = f->tokens * part / f->parts; t < f->tokens * (part + 1) / f->parts; t++) {
        for (int64_t i = 0; i < n; i++) f->units[t * n + i] += f->bench->bias[i];
        f->ops->activate(f->bench->shape.activation, 1, n, f->units + t * n, n);
    }
}

void uffb_dense_level3(uffb_trial *trial) {
    uffb_bench *b = trial->bench;
    const int64_t h = b->shape.hidden, n = b->rows;
    float *units = uffb_bench_scratch(b, (trial->tokens < BLOCK ? trial->tokens : BLOCK) * n);
    if (!units) {
        trial->status = UFFB_NO_MEMORY;
        return;
    }
    for (int64_t t = 0; t < trial->tokens; t += BLOCK) {
        const int64_t m = trial->tokens - t < BLOCK ? trial->tokens - t : BLOCK;
        finish f = {b, b->context->ops, units, m, b->shape.threads};
        trial->status = uffb_blas_sgemm(trial->blas, 1, m, n, h, b->x + t * h, b->in, 0.0f, units);
        if (trial->status) return;
        uffb_parallel(b->team, f.parts, finish_part, &f);
        trial->status = uffb_blas_sgemm(trial->blas, 0, m, h, n, units, b->out, 1.0f, b->y + t * h);
        if (trial->status) return;
    }
}

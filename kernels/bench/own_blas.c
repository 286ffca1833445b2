/* A BLAS of the engine's own kernels, for machines without one: what the contenders made of BLAS calls then call. As any BLAS
 * it gets plain rows, and packs what a product of matrices needs at each call; the contender "ours" is what the engine really
 * does. */
#include "blas.h"
#include "../engine/error.h"
#include "../engine/threads.h"
#include "../ops/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of a product that are packed at a time: with a depth of 4,096 two megabytes. */
#define PACKED 128
/* Rows from which on packing the weights costs less than reading them in plain rows once a row. */
#define FEW 4
/* Rows of a matrix that a vector is multiplied with at a time, so that they are still in L2 for the next columns. */
#define ROWS 16

struct uffb_own_blas {
    uffb_team *team;
    int32_t threads;
    float *panels; /* [threads, PACKED, the largest depth so far] */
    int64_t depth;
};

/* Of this CPU's best instruction set: set before the first call. */
static const uffb_ops *ops;

static float own_sdot(int n, const float *x, int incx, const float *y, int incy) {
    (void)incx, (void)incy; /* the contenders' vectors have no gaps */
    return ops->dot(n, x, y);
}

static void own_saxpy(int n, float a, const float *x, int incx, float *y, int incy) {
    (void)incx, (void)incy;
    ops->axpy(n, a, x, y);
}

/* y [n] += x^T a, for rows a [m, n] */
static void rows_times(int64_t m, int64_t n, const float *a, int64_t lda, const float *x, float *y) {
    static const int32_t order[ROWS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int64_t i = 0; i < m; i += ROWS) ops->combine(m - i < ROWS ? m - i : ROWS, order, x + i, 1, a + i * lda, lda, n, y, 1);
}

/* As the contenders call it: alpha = beta = 1. */
static void own_sgemv(int layout, int trans, int m, int n, float alpha, const float *a, int lda, const float *x, int incx,
                      float beta, float *y, int incy) {
    (void)layout, (void)alpha, (void)beta, (void)incx, (void)incy;
    if (trans == BLAS_TRANS) {
        rows_times(m, n, a, lda, x, y);
    } else {
        for (int64_t i = 0; i < m; i++) y[i] += ops->dot(n, a + i * lda, x);
    }
}

typedef struct {
    const uffb_own_blas *own;
    int transposed, accumulate;
    int64_t m, n, k;
    const float *a, *b;
    float *c;
} product;

static void multiply_columns(void *arg, int64_t block, int32_t thread) {
    const product *p = arg;
    const int64_t first = block * PACKED, count = p->n - first < PACKED ? p->n - first : PACKED;
    if (p->m >= FEW) {
        float *panels = p->own->panels + thread * PACKED * p->own->depth;
        const float *b = p->transposed ? p->b + first * p->k : p->b + first;
        ops->pack(count, p->k, b, p->transposed ? p->k : p->n, !p->transposed, panels);
        ops->gemm(p->m, count, p->k, p->a, p->k, panels, NULL, p->c + first, p->n, p->accumulate, NULL);
        return;
    }
    for (int64_t i = 0; i < p->m; i++) {
        const float *a = p->a + i * p->k;
        float *c = p->c + i * p->n + first;
        if (!p->accumulate) memset(c, 0, (size_t)count * sizeof *c);
        if (p->transposed) {
            for (int64_t j = 0; j < count; j++) c[j] += ops->dot(p->k, a, p->b + (first + j) * p->k);
        } else {
            rows_times(p->k, count, p->b + first, p->n, a, c);
        }
    }
}

int32_t uffb_own_sgemm(uffb_own_blas *own, int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                       float beta, float *c) {
    if (k > own->depth) {
        float *panels = realloc(own->panels, (size_t)(own->threads * PACKED * k) * sizeof *panels);
        if (!panels) return uffb_fail(UFFB_NO_MEMORY, "no memory for panels of depth %lld", (long long)k);
        own->panels = panels;
        own->depth = k;
    }
    product p = {own, transposed, beta != 0, m, n, k, a, b, c};
    uffb_parallel(own->team, (n + PACKED - 1) / PACKED, multiply_columns, &p);
    return UFFB_OK;
}

int32_t uffb_own_set_threads(uffb_own_blas *own, int32_t threads) {
    if (threads == own->threads) return UFFB_OK;
    uffb_team *team = uffb_team_new(threads);
    if (!team) return uffb_fail(UFFB_NO_MEMORY, "no memory or threads for %d threads", threads);
    uffb_team_free(own->team);
    free(own->panels);
    *own = (uffb_own_blas){.team = team, .threads = threads};
    return UFFB_OK;
}

int32_t uffb_blas_own(uffb_blas **blas) {
    if (!blas) return uffb_fail(UFFB_INVALID, "uffb_blas_own: nowhere to put the library");
    *blas = NULL;
    uffb_blas *b = calloc(1, sizeof *b);
    uffb_own_blas *own = calloc(1, sizeof *own);
    if (!b || !own || uffb_own_set_threads(own, 1)) {
        free(b);
        free(own);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a BLAS");
    }
    const uffb_isa isa = uffb_best_isa();
    ops = uffb_ops_of(isa);
    b->own = own;
    b->sdot = own_sdot;
    b->saxpy = own_saxpy;
    b->sgemv = own_sgemv;
    snprintf(b->version, sizeof b->version, "uffb's own dot, axpy, gemv and gemm, kernels %s", uffb_isa_names[isa]);
    *blas = b;
    return UFFB_OK;
}

void uffb_own_free(uffb_own_blas *own) {
    if (!own) return;
    uffb_team_free(own->team);
    free(own->panels);
    free(own);
}

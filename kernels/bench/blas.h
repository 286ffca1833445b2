#ifndef UFFB_BLAS_H
#define UFFB_BLAS_H

#include "bench.h"

/* The part of CBLAS that the contenders call. Row-major; lengths and strides are 32-bit in every common build. */
typedef float cblas_sdot_fn(int n, const float *x, int incx, const float *y, int incy);
typedef void cblas_saxpy_fn(int n, float a, const float *x, int incx, float *y, int incy);
typedef void cblas_sgemv_fn(int layout, int trans, int m, int n, float alpha, const float *a, int lda, const float *x, int incx,
                            float beta, float *y, int incy);
typedef void cblas_sgemm_fn(int layout, int transa, int transb, int m, int n, int k, float alpha, const float *a, int lda,
                            const float *b, int ldb, float beta, float *c, int ldc);
/* oneDNN's own: row-major, 64-bit, a status. */
typedef int dnnl_sgemm_fn(char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

typedef struct uffb_own_blas uffb_own_blas;

struct uffb_blas {
    void *library;      /* NULL: the engine's own, own_blas.c */
    uffb_own_blas *own; /* its product of matrices has threads and memory; NULL of a library */
    char version[256];
    void (*set_threads[3])(int); /* those that it has */
    void (*set_threads_blis)(int64_t);
    cblas_sdot_fn *sdot;
    cblas_saxpy_fn *saxpy;
    cblas_sgemv_fn *sgemv;
    cblas_sgemm_fn *sgemm;
    dnnl_sgemm_fn *dnnl;
};

#define BLAS_ROW_MAJOR 101
#define BLAS_NO_TRANS 111
#define BLAS_TRANS 112

/* c [m, n] = a [m, k] * b + beta * c; b is [n, k] when `transposed`, else [k, n]. */
int32_t uffb_blas_sgemm(const uffb_blas *blas, int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                        float beta, float *c);

/* Threads inside the library's own calls. */
int32_t uffb_blas_set_threads(const uffb_blas *blas, int32_t threads);

/* own_blas.c */
int32_t uffb_own_sgemm(uffb_own_blas *own, int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                       float beta, float *c);
int32_t uffb_own_set_threads(uffb_own_blas *own, int32_t threads);
void uffb_own_free(uffb_own_blas *own);

#endif

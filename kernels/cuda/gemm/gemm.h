/* gemm.h: dense projections on a device, by cuBLAS where it was found and by a kernel of our own elsewhere. */
#ifndef UFFB_CUDA_GEMM_H
#define UFFB_CUDA_GEMM_H

#include "cublas.h"

/* c [m, n] = act(a [m, k] w^T + bias [n]), all of `dtype` and row-major, summed in f32. */
typedef struct uffb_cuda_gemm {
    int64_t m, n, k;
    int32_t dtype;
    int32_t activation; /* UFFB_GELU.., UFFB_IDENTITY for none */
    int32_t columns;    /* w is [k, n] instead of [n, k] */
    const void *a, *w;
    const void *bias; /* or NULL */
    void *c;
} uffb_cuda_gemm;

/* The fastest exact way there is; `blas` may be NULL. Enqueues, and returns a status. */
int32_t uffb_cuda_gemm_best(uffb_cublas *blas, const uffb_cuda_gemm *gemm, cudaStream_t stream);

/* Tiles of columns that our own kernels take: blocks in y. */
#define UFFB_CUDA_MOST_TILES 65535
#define UFFB_CUDA_TOO_WIDE "a matrix has more rows than our own kernels take; install cuBLAS"

/* Our own kernels. UFFB_UNSUPPORTED where `n` is too large. */
int32_t uffb_cuda_gemm_own(const uffb_cuda_gemm *gemm, cudaStream_t stream);

/* c = act(c + bias), in place. */
int32_t uffb_cuda_epilogue(const uffb_cuda_gemm *gemm, cudaStream_t stream);

#endif

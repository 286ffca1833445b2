/* cublas.h: cuBLAS and cuBLASLt, opened at run time. Never needed to build or to link, and neither are their headers. */
#ifndef UFFB_CUDA_CUBLAS_H
#define UFFB_CUDA_CUBLAS_H

#include "../device.h"

/* A handle and its workspace, on the current device. Used by one thread at a time. */
typedef struct uffb_cublas uffb_cublas;
struct uffb_cuda_gemm;

/* "cuBLAS 13.0.2", or "" when there is none. */
const char *uffb_cublas_version(void);
/* UFFB_OK with *blas = NULL where there is no cuBLAS, or it does not start. */
int32_t uffb_cublas_new(uffb_cublas **blas);
void uffb_cublas_free(uffb_cublas *blas);
/* Whether uffb_cublaslt_gemm times what cuBLASLt offers for each new shape, 20 calls each, and keeps the fastest, or takes what
 * cuBLASLt thinks best. `blas` may be NULL. */
void uffb_cublas_tune(uffb_cublas *blas, bool on);

/* cublasGemmEx, then bias and activation in a kernel of ours. `tensor`: f32 through TF32. */
int32_t uffb_cublas_gemm(uffb_cublas *blas, const struct uffb_cuda_gemm *gemm, int tensor, cudaStream_t stream);

/* cublasLtMatmul with bias and activation in its epilogue. UFFB_UNSUPPORTED, with nothing enqueued, where it has no such
 * epilogue, as uffb_cublaslt_fuses tells: of GELU it has the tanh form. A shape that is tuned first waits for the device, and
 * its stream must not be captured. */
int32_t uffb_cublaslt_gemm(uffb_cublas *blas, const struct uffb_cuda_gemm *gemm, int tensor, cudaStream_t stream);
bool uffb_cublaslt_fuses(const struct uffb_cuda_gemm *gemm);

#endif

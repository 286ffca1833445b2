#ifndef UFFB_CUDA_GEMM_MMA_H
#define UFFB_CUDA_GEMM_MMA_H

#include "gemm.h"

/* Our kernel for 16 bits, on tensor cores. UFFB_UNSUPPORTED, with nothing enqueued, where rows are not whole 16-byte accesses.
 */
int32_t uffb_cuda_gemm_mma(const uffb_cuda_gemm *gemm, cudaStream_t stream);

#endif

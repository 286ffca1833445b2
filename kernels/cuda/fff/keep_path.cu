/* The paths of shallow trees. */
#include "fff.h"

#define THREADS 256

/* A thread takes one tree of one token. */
template <class T> __global__ static void keep_path_kernel(int64_t count, int depth, int32_t activation, T *x) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= count) return;
    const int nodes = (2 << depth) - 1;
    T *logits = x + i * nodes;
    for (int level = 0, node = 0, first = 0; level <= depth; level++, first = 2 * first + 1) {
        const float logit = to_float(logits[node]);
        for (int n = first; n <= 2 * first; n++) logits[n] = from_float<T>(n == node ? activate(activation, logit) : 0.0f);
        node = 2 * node + 1 + (logit > 0.0f);
    }
}

static int64_t blocks_of(int64_t count) { return (count + THREADS - 1) / THREADS; }

template <class T>
cudaError_t uffb_cuda_keep_path(int64_t tokens, int64_t trees, int64_t depth, int32_t activation, T *x, cudaStream_t stream) {
    const int64_t count = tokens * trees;
    UFFB_LAUNCH((keep_path_kernel<T>), blocks_of(count), THREADS, 0, stream, count, (int)depth, activation, x);
    return cudaGetLastError();
}

#define INSTANTIATE(T) template cudaError_t uffb_cuda_keep_path(int64_t, int64_t, int64_t, int32_t, T *, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(__half)
INSTANTIATE(__nv_bfloat16)

/* Attention with heads of any width, in any type, a warp a row: for heads that the other kernels do not take. */
#include "kernels.h"

#include <math.h>

template <class T> __global__ static void __launch_bounds__(ATTENTION_THREADS) attend_wide_kernel(attention<T> a) {
    UFFB_DYNAMIC_SHARED(float, shared); /* [warps][size]: weighted sums of values */
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int head = (int)(blockIdx.x % (unsigned)a.heads);
    const uffb_cuda_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    const int end = min(tile.row + UFFB_CUDA_TILE, tile.length);
    const int64_t ld = 3 * a.width();
    float *out = shared + warp * a.size;
    for (int row = tile.row + warp; row < end; row += ATTENTION_THREADS / 32) {
        const T *q = a.part(tile, head, row, 0);
        float most = -INFINITY, sum = 0.0f;
        for (int d = lane; d < a.size; d += 32) out[d] = 0.0f;
        for (int key = 0; key < tile.length; key += 32) {
            const int keys = min(32, tile.length - key);
            const T *k = a.part(tile, head, key, 1), *v = a.part(tile, head, key, 2);
            float score = -INFINITY; /* of key + lane */
            for (int n = 0; n < keys; n++) {
                float dot = 0.0f;
                for (int d = lane; d < a.size; d += 32) dot += to_float(q[d]) * to_float(k[n * ld + d]);
                dot = warp_sum(dot);
                if (n == lane) score = dot * a.scale;
            }
            float largest = fmaxf(most, score);
            for (int lanes = 1; lanes < 32; lanes *= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
            const float shrink = exp2f(most - largest), share = exp2f(score - largest);
            most = largest;
            sum = sum * shrink + warp_sum(share);
            for (int d = lane; d < a.size; d += 32) out[d] *= shrink;
            for (int n = 0; n < keys; n++) {
                const float weight = __shfl_sync(~0u, share, n);
                for (int d = lane; d < a.size; d += 32) out[d] += weight * to_float(v[n * ld + d]);
            }
        }
        T *target = a.target(tile, head, row);
        for (int d = lane; d < a.size; d += 32) target[d] = from_float<T>(out[d] / sum);
    }
}

template <class T> cudaError_t uffb_cuda_attend_wide(const attention<T> &a, int64_t tiles, cudaStream_t stream) {
    const size_t shared = ATTENTION_THREADS / 32 * (size_t)a.size * sizeof(float);
    UFFB_LAUNCH((attend_wide_kernel<T>), tiles * a.heads, ATTENTION_THREADS, shared, stream, a);
    return cudaGetLastError();
}

template cudaError_t uffb_cuda_attend_wide(const attention<float> &, int64_t, cudaStream_t);
template cudaError_t uffb_cuda_attend_wide(const attention<__half> &, int64_t, cudaStream_t);
template cudaError_t uffb_cuda_attend_wide(const attention<__nv_bfloat16> &, int64_t, cudaStream_t);

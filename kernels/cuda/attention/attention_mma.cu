/* Attention in 16 bits, on tensor cores. A block of 4 warps takes 64 query rows, each warp 16 of them with all heads' units:
 * the queries, scores and outputs of a row stay in the registers of 4 lanes, only keys and values pass through shared memory.
 * The registers that hold the scores as a result are laid out as those that multiply the values, so that shares need no move.
 * After FlashAttention-2 (arXiv 2307.08691), algorithm 1. */
#include "kernels.h"
#include "../mma.h"

#include <math.h>

/* Keys of a tile; as many as a block has queries, whose rows pass through the same memory. */
#define KEYS UFFB_CUDA_TILE

/* Rows g and g + 8 of a score or output fragment, the largest of 4 lanes. */
__device__ static inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

__device__ static inline float quad_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

template <class T, int WIDTH> __global__ static void __launch_bounds__(ATTENTION_THREADS) attend_mma_kernel(attention<T> a) {
    constexpr int STRIDE = WIDTH + 8; /* 16 bytes more than a power of two: 8 rows of 16 bytes lie in different banks */
    constexpr int STEPS = WIDTH / 16;
    __shared__ __align__(16) T k[KEYS * STRIDE];
    __shared__ __align__(16) T v[KEYS * STRIDE];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int head = (int)(blockIdx.x % (unsigned)a.heads);
    const uffb_cuda_tile tile = a.tiles[blockIdx.x / (unsigned)a.heads];
    const int queries = min(UFFB_CUDA_TILE, tile.length - tile.row);
    const bool idle = warp * 16 >= queries; /* it only helps to load */
    const int64_t ld = 3 * a.width();

    load_rows<KEYS, WIDTH, STRIDE>(k, a.part(tile, head, tile.row, 0), ld, queries, a.size);
    __syncthreads();
    uint32_t q[STEPS][4];
#pragma unroll
    for (int d = 0; d < STEPS; d++) {
        load_matrices<false>(q[d], k + (warp * 16 + lane % 16) * STRIDE + d * 16 + lane / 16 * 8);
    }

    float out[2 * STEPS][4] = {};
    float most[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    for (int key = 0; key < tile.length; key += KEYS) {
        const int keys = min(KEYS, tile.length - key);
        __syncthreads(); /* what was there before is no longer read */
        load_rows<KEYS, WIDTH, STRIDE>(k, a.part(tile, head, key, 1), ld, keys, a.size);
        load_rows<KEYS, WIDTH, STRIDE>(v, a.part(tile, head, key, 2), ld, keys, a.size);
        __syncthreads();
        if (idle) continue;

        /* s[n]: rows g and g + 8, keys 8n + 2t and 8n + 2t + 1 */
        float s[KEYS / 8][4] = {};
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            if (n * 16 >= keys) break;
#pragma unroll
            for (int d = 0; d < STEPS; d++) {
                uint32_t b[4];
                load_matrices<false>(b, k + (n * 16 + lane % 8 + lane / 16 * 8) * STRIDE + d * 16 + lane / 8 % 2 * 8);
                mma(s[2 * n], q[d], b[0], b[1], T());
                mma(s[2 * n + 1], q[d], b[2], b[3], T());
            }
        }

        float largest[2] = {most[0], most[1]};
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[n][i] = n * 8 + 2 * t + i % 2 < keys ? s[n][i] * a.scale : -INFINITY;
                largest[i / 2] = fmaxf(largest[i / 2], s[n][i]);
            }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            largest[r] = quad_max(largest[r]);
            const float shrink = exp2f(most[r] - largest[r]);
            most[r] = largest[r];
            sum[r] *= shrink;
#pragma unroll
            for (int n = 0; n < 2 * STEPS; n++) {
                out[n][2 * r] *= shrink;
                out[n][2 * r + 1] *= shrink;
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[n][i] = exp2f(s[n][i] - most[i / 2]);
                sum[i / 2] += s[n][i]; /* of this lane's keys */
            }
        }

#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            if (n * 16 >= keys) break;
            const float(&low)[4] = s[2 * n], (&high)[4] = s[2 * n + 1];
            const uint32_t shares[4] = {pack_pair<T>(low[0], low[1]), pack_pair<T>(low[2], low[3]),
                                        pack_pair<T>(high[0], high[1]), pack_pair<T>(high[2], high[3])};
#pragma unroll
            for (int d = 0; d < STEPS; d++) {
                uint32_t b[4];
                load_matrices<true>(b, v + (n * 16 + lane % 16) * STRIDE + d * 16 + lane / 16 * 8);
                mma(out[2 * d], shares, b[0], b[1], T());
                mma(out[2 * d + 1], shares, b[2], b[3], T());
            }
        }
    }
    if (idle) return;

#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float share = 1.0f / quad_sum(sum[r]);
        const int row = warp * 16 + g + 8 * r;
        if (row >= queries) continue;
        T *target = a.target(tile, head, tile.row + row);
#pragma unroll
        for (int n = 0; n < 2 * STEPS; n++) {
            const int d = n * 8 + 2 * t;
            const float x = out[n][2 * r] * share, y = out[n][2 * r + 1] * share;
            if (a.size % 2 == 0) {
                if (d < a.size) *(uint32_t *)(target + d) = pack_pair<T>(x, y);
            } else {
                if (d < a.size) target[d] = from_float<T>(x);
                if (d + 1 < a.size) target[d + 1] = from_float<T>(y);
            }
        }
    }
}

template <class T> cudaError_t uffb_cuda_attend_mma(const attention<T> &a, int64_t tiles, cudaStream_t stream) {
    const int64_t blocks = tiles * a.heads;
    if (a.size <= 16) {
        UFFB_LAUNCH((attend_mma_kernel<T, 16>), blocks, ATTENTION_THREADS, 0, stream, a);
    } else if (a.size <= 32) {
        UFFB_LAUNCH((attend_mma_kernel<T, 32>), blocks, ATTENTION_THREADS, 0, stream, a);
    } else if (a.size <= 64) {
        UFFB_LAUNCH((attend_mma_kernel<T, 64>), blocks, ATTENTION_THREADS, 0, stream, a);
    } else {
        UFFB_LAUNCH((attend_mma_kernel<T, 128>), blocks, ATTENTION_THREADS, 0, stream, a);
    }
    return cudaGetLastError();
}

template cudaError_t uffb_cuda_attend_mma(const attention<__half> &, int64_t, cudaStream_t);
template cudaError_t uffb_cuda_attend_mma(const attention<__nv_bfloat16> &, int64_t, cudaStream_t);

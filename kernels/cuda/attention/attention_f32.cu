/* Attention in f32, on the ordinary units. A block of 16 x 8 threads takes QUERIES rows; thread (y, x) has rows y, y + 16, ...
 * and of the scores the keys x, x + 8, ..., of the output 4 neighbouring units in every 32. */
#include "kernels.h"

#include <math.h>

template <int QUERIES, int KEYS, int WIDTH>
__global__ static void __launch_bounds__(ATTENTION_THREADS) attend_f32_kernel(attention<float> a) {
    constexpr int STRIDE = WIDTH + 4; /* rows a bank group apart, so that 8 threads read 8 keys at once */
    constexpr int ROWS = QUERIES / 16, COLS = KEYS / 8, QUADS = WIDTH / 32;
    __shared__ __align__(16) float q[QUERIES * STRIDE];
    __shared__ __align__(16) float k[KEYS * STRIDE];
    __shared__ __align__(16) float v[KEYS * WIDTH];
    __shared__ __align__(16) float p[QUERIES * (KEYS + 4)];
    const int x = threadIdx.x % 8, y = threadIdx.x / 8;
    const int64_t block = blockIdx.x;
    constexpr int PARTS = UFFB_CUDA_TILE / QUERIES;
    const int head = (int)(block / PARTS % a.heads);
    const uffb_cuda_tile tile = a.tiles[block / PARTS / a.heads];
    const int first = tile.row + (int)(block % PARTS) * QUERIES, queries = min(QUERIES, tile.length - first);
    if (queries <= 0) return;
    const int64_t ld = 3 * a.width();
    load_rows<QUERIES, WIDTH, STRIDE>(q, a.part(tile, head, first, 0), ld, queries, a.size);

    float most[ROWS], sum[ROWS];
    float4 out[ROWS][QUADS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        most[i] = -INFINITY;
        sum[i] = 0.0f;
#pragma unroll
        for (int j = 0; j < QUADS; j++) out[i][j] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }

    for (int key = 0; key < tile.length; key += KEYS) {
        const int keys = min(KEYS, tile.length - key);
        __syncthreads(); /* the tile before is no longer read */
        load_rows<KEYS, WIDTH, STRIDE>(k, a.part(tile, head, key, 1), ld, keys, a.size);
        load_rows<KEYS, WIDTH, WIDTH>(v, a.part(tile, head, key, 2), ld, keys, a.size);
        __syncthreads();

        float s[ROWS][COLS] = {};
#pragma unroll 4
        for (int d = 0; d < WIDTH; d += 4) {
            float4 kd[COLS];
#pragma unroll
            for (int j = 0; j < COLS; j++) kd[j] = load4(k + (x + 8 * j) * STRIDE + d);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                const float4 qd = load4(q + (y + 16 * i) * STRIDE + d);
#pragma unroll
                for (int j = 0; j < COLS; j++) {
                    s[i][j] += qd.x * kd[j].x;
                    s[i][j] += qd.y * kd[j].y;
                    s[i][j] += qd.z * kd[j].z;
                    s[i][j] += qd.w * kd[j].w;
                }
            }
        }

        /* A row belongs to 8 neighbouring lanes. */
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            float largest = most[i];
#pragma unroll
            for (int j = 0; j < COLS; j++) {
                s[i][j] = x + 8 * j < keys ? s[i][j] * a.scale : -INFINITY;
                largest = fmaxf(largest, s[i][j]);
            }
#pragma unroll
            for (int lanes = 1; lanes < 8; lanes *= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
            const float shrink = exp2f(most[i] - largest);
            most[i] = largest;
            sum[i] *= shrink;
#pragma unroll
            for (int j = 0; j < COLS; j++) {
                const float share = exp2f(s[i][j] - largest);
                sum[i] += share; /* of this lane's keys */
                p[(y + 16 * i) * (KEYS + 4) + x + 8 * j] = share;
            }
#pragma unroll
            for (int j = 0; j < QUADS; j++) {
                out[i][j].x *= shrink;
                out[i][j].y *= shrink;
                out[i][j].z *= shrink;
                out[i][j].w *= shrink;
            }
        }
        __syncwarp(); /* a row of p is written and read by one warp */

        for (int n = 0; n < keys; n++) {
            float share[ROWS];
#pragma unroll
            for (int i = 0; i < ROWS; i++) share[i] = p[(y + 16 * i) * (KEYS + 4) + n];
#pragma unroll
            for (int j = 0; j < QUADS; j++) {
                const float4 value = load4(v + n * WIDTH + 32 * j + 4 * x);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    out[i][j].x += share[i] * value.x;
                    out[i][j].y += share[i] * value.y;
                    out[i][j].z += share[i] * value.z;
                    out[i][j].w += share[i] * value.w;
                }
            }
        }
    }

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
#pragma unroll
        for (int lanes = 1; lanes < 8; lanes *= 2) sum[i] += __shfl_xor_sync(~0u, sum[i], lanes);
        const int row = y + 16 * i;
        if (row >= queries) continue;
        float *target = a.target(tile, head, first + row);
        const float share = 1.0f / sum[i];
#pragma unroll
        for (int j = 0; j < QUADS; j++) {
            const int d = 32 * j + 4 * x;
            const float values[4] = {out[i][j].x * share, out[i][j].y * share, out[i][j].z * share, out[i][j].w * share};
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (d + e < a.size) target[d + e] = values[e];
            }
        }
    }
}

cudaError_t uffb_cuda_attend_f32(const attention<float> &a, int64_t tiles, cudaStream_t stream) {
    const int64_t blocks = tiles * a.heads;
    if (a.size <= 32) {
        UFFB_LAUNCH((attend_f32_kernel<64, 32, 32>), blocks, ATTENTION_THREADS, 0, stream, a);
    } else if (a.size <= 64) {
        UFFB_LAUNCH((attend_f32_kernel<64, 32, 64>), blocks, ATTENTION_THREADS, 0, stream, a);
    } else { /* half as many rows and keys: more do not fit in shared memory */
        UFFB_LAUNCH((attend_f32_kernel<32, 16, 128>), 2 * blocks, ATTENTION_THREADS, 0, stream, a);
    }
    return cudaGetLastError();
}

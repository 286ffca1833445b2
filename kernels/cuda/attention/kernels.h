/* kernels.h: what the attention kernels share. Softmax(q k^T * scale) v within each sequence and head, with the softmax taken
 * online: keys come by in tiles, and a row keeps its largest score so far, the sum of its exponentials and its weighted sum of
 * values. Both grow by exp2(old largest - new largest) when a tile has a larger one. */
#ifndef UFFB_CUDA_ATTENTION_KERNELS_H
#define UFFB_CUDA_ATTENTION_KERNELS_H

#include "attention.h"

/* Threads of a block: 4 warps, for every kernel. */
#define ATTENTION_THREADS 128

/* What a kernel needs. A block works on one head of one tile. */
template <class T> struct attention {
    const uffb_cuda_tile *tiles;
    int32_t heads, size; /* of a head */
    float scale;         /* of the scores, times log2(e), since exp2 is what raises them */
    const T *qkv;        /* [tokens, heads, 3, size] */
    T *attended;         /* [tokens, heads, size] */

    __device__ int64_t width() const { return (int64_t)heads * size; }
    /* Part 0, 1, 2: q, k, v of token `row` of a sequence. */
    __device__ const T *part(const uffb_cuda_tile &tile, int head, int row, int part) const {
        return qkv + (int64_t)(tile.start + row) * 3 * width() + (int64_t)(head * 3 + part) * size;
    }
    __device__ T *target(const uffb_cuda_tile &tile, int head, int row) const {
        return attended + (int64_t)(tile.start + row) * width() + (int64_t)head * size;
    }
};

/* Copies `valid` rows of `size` elements, ld apart, to [ROWS][STRIDE] in shared memory, and fills up to [ROWS][WIDTH] with
 * zeros. */
template <int ROWS, int WIDTH, int STRIDE, class T>
__device__ static inline void load_rows(T *to, const T *from, int64_t ld, int valid, int size) {
    constexpr int VECTOR = 16 / sizeof(T);
    if (size % VECTOR == 0) { /* then every row begins on 16 bytes */
        for (int i = threadIdx.x; i < ROWS * WIDTH / VECTOR; i += ATTENTION_THREADS) {
            const int row = i / (WIDTH / VECTOR), col = i % (WIDTH / VECTOR) * VECTOR;
            uint4 bits = make_uint4(0, 0, 0, 0);
            if (row < valid && col < size) bits = *(const uint4 *)(from + row * ld + col);
            *(uint4 *)(to + row * STRIDE + col) = bits;
        }
    } else {
        for (int i = threadIdx.x; i < ROWS * WIDTH; i += ATTENTION_THREADS) {
            const int row = i / WIDTH, col = i % WIDTH;
            to[row * STRIDE + col] = row < valid && col < size ? from[row * ld + col] : from_float<T>(0.0f);
        }
    }
}

/* Each enqueues one kernel. f32 and mma take heads of up to 128 units, wide any. */
cudaError_t uffb_cuda_attend_f32(const attention<float> &a, int64_t tiles, cudaStream_t stream);
template <class T> cudaError_t uffb_cuda_attend_mma(const attention<T> &a, int64_t tiles, cudaStream_t stream);
template <class T> cudaError_t uffb_cuda_attend_wide(const attention<T> &a, int64_t tiles, cudaStream_t stream);

#endif

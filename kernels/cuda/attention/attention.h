/* attention.h: attention within each sequence of a batch. */
#ifndef UFFB_CUDA_ATTENTION_H
#define UFFB_CUDA_ATTENTION_H

#include "../device.h"

/* Query rows that an attention block takes. */
#define UFFB_CUDA_TILE 64

/* Rows `row` to `row` + 63, as far as there are, of a sequence that begins at token `start`. */
struct uffb_cuda_tile {
    int32_t start, length, row;
};

/* Widest head that uffb_cuda_attend takes: four of them in shared memory. */
#define UFFB_CUDA_MAX_HEAD 3072

/* attended [tokens, heads, size] from qkv [tokens, heads, 3, size], in which each head's q, k, v lie together. `scale` of the
 * scores. */
template <class T>
cudaError_t uffb_cuda_attend(int64_t tiles, const uffb_cuda_tile *tile, int64_t heads, int64_t size, float scale, const T *qkv,
                             T *attended, cudaStream_t stream);

#endif

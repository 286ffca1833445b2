/* encoder.h: the encoder on a device: what it keeps there, and the stages of an encode. Matrices and what the projections read
 * and write are of one type T; the residual stream and the norms are f32. */
#ifndef UFFB_CUDA_ENCODER_H
#define UFFB_CUDA_ENCODER_H

#include "../device.h"

/* --- stages: each enqueues its kernels on a stream ------------------------------------------------------------------------ */

struct uffb_cuda_norm {
    const float *weight, *bias; /* [hidden]; no weight: nothing is normalised; bias may be NULL */
    float eps;
};

struct uffb_cuda_tables {
    const void *word;             /* T [vocab, hidden] */
    const float *position, *type; /* [max_length + position_offset, hidden]; [token_types, hidden] or NULL */
};

/* Where rows of the residual stream go, [tokens, hidden] each; any may be NULL. */
template <class T> struct uffb_cuda_rows {
    float *sum;    /* as they came */
    float *normed; /* normalised */
    T *input;      /* normalised, for the next projection */
};

/* word + position (+ type) of each token, normalised. `positions` are rows of the table. */
template <class T>
cudaError_t uffb_cuda_embed(int64_t tokens, int64_t hidden, const uffb_cuda_tables &tables, const int32_t *ids,
                            const int32_t *types, const int32_t *positions, const uffb_cuda_norm &norm,
                            const uffb_cuda_rows<T> &target, cudaStream_t stream);

/* x + added, normalised. The target may be x. */
template <class T>
cudaError_t uffb_cuda_add_norm(int64_t tokens, int64_t hidden, const float *x, const T *added, const uffb_cuda_norm &norm,
                               const uffb_cuda_rows<T> &target, cudaStream_t stream);

/* Query rows that an attention block takes. */
#define UFFB_CUDA_TILE 64

/* Rows `row` to `row` + 63, as far as there are, of a sequence that begins at token `start`. */
struct uffb_cuda_tile {
    int32_t start, length, row;
};

/* Widest head that uffb_cuda_attend takes: four of them in shared memory. */
#define UFFB_CUDA_MAX_HEAD 3072

/* attended [tokens, hidden] from qkv [tokens, 3 hidden], in which each head's q, k, v lie together. `scale` of the scores. */
template <class T>
cudaError_t uffb_cuda_attend(int64_t tiles, const uffb_cuda_tile *tile, int64_t hidden, int64_t heads, float scale,
                             const T *qkv, T *attended, cudaStream_t stream);

/* y [tokens, half] = x[:half] * act(x[half:]) of x [tokens, 2 half] */
template <class T>
cudaError_t uffb_cuda_gate(int64_t tokens, int64_t half, int32_t activation, const T *x, T *y, cudaStream_t stream);
/* x [tokens, trees, 2^(depth+1)-1]: logits of all nodes in, act(logit) out on a token's path and 0 off it */
template <class T>
cudaError_t uffb_cuda_keep_path(int64_t tokens, int64_t trees, int64_t depth, int32_t activation, T *x, cudaStream_t stream);

#endif

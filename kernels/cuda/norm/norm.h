/* norm.h: rows of the residual stream in f32, embedded, added to and normalised, and as type T for the next projection. */
#ifndef UFFB_CUDA_NORM_H
#define UFFB_CUDA_NORM_H

#include "../device.h"

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

#endif

/* encoder.h: the encoder's weights and working memory on a device. */
#ifndef UFFB_CUDA_ENCODER_H
#define UFFB_CUDA_ENCODER_H

#include "../activate/gate.h"
#include "../attention/attention.h"
#include "../fff/fff.h"
#include "../gemm/gemm.h"
#include "../norm/norm.h"

extern "C" {
#include "../../engine/model.h"
}

/* y [.., rows] = weight [rows, cols] x + bias [rows], all of T; bias may be NULL. */
struct uffb_cuda_linear {
    int64_t rows, cols;
    const void *weight, *bias;
};

struct uffb_cuda_block {
    uffb_cuda_norm norm1, norm2;
    uffb_cuda_linear qkv, out; /* qkv rows: per head q, k, v */
    int64_t heads;
    float scale;       /* of the attention scores */
    uffb_cuda_fff fff; /* or, of dense and gated layers, */
    uffb_cuda_linear ffn_in, ffn_out;
};

struct uffb_cuda_encoder {
    uffb_arch arch;
    int32_t device, dtype;
    char error[256];
    double seconds;

    void *weights; /* the one block that all of the following lie in */
    uffb_cuda_tables tables;
    uffb_cuda_norm embed_norm, final_norm;
    uffb_cuda_block *blocks; /* [layers] */

    cudaStream_t stream;
    cudaEvent_t start, end;
    uffb_cublas *blas; /* NULL where there is no cuBLAS */

    /* What a batch brings, in pinned memory and on the device: three numbers a token, three an attention tile. */
    int64_t batch_capacity; /* numbers */
    int32_t *host_batch, *batch;

    /* Working memory for `capacity` tokens, one block; and final states on their way to the caller, whose memory is not pinned.
     */
    int64_t capacity;
    float *host_final; /* [T, hidden], pinned */
    void *memory;
    float *x;        /* [T, hidden] residual stream */
    void *input;     /* [T, hidden] what a sublayer reads, and room for the output of attention */
    void *added;     /* [T, hidden] what a sublayer adds to the residual stream */
    void *wide;      /* [T, widest] q, k, v; then feedforward hidden units */
    void *gated;     /* [T, width / 2], of gated layers alone */
    void *workspace; /* of trees */
};

/* Copies the weights of a ready model to the current device. */
int32_t uffb_cuda_upload(uffb_cuda_encoder *encoder, const uffb_model *model);

/* Makes room for a batch; grows only. */
int32_t uffb_cuda_reserve(uffb_cuda_encoder *encoder, int64_t tokens, int64_t numbers);

#endif

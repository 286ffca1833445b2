/* fff.h: the fast feedforward layer on a device. Matrices, inputs and outputs are of one dtype; logits and sums are f32. */
#ifndef UFFB_CUDA_FFF_H
#define UFFB_CUDA_FFF_H

#include "../device.h"

/* A layer in device memory, 16-byte aligned. Node n of tree k is row k * nodes + n, of 2^(depth+1)-1 nodes a tree. */
typedef struct uffb_cuda_fff {
    int64_t hidden, trees, depth;
    int32_t dtype;
    int32_t activation;
    const void *in;    /* [trees * nodes, hidden] */
    const float *bias; /* [trees * nodes] or NULL */
    const void *out;   /* [trees * nodes, hidden]: linear_out transposed, a row a node */
} uffb_cuda_fff;

/* One call: y [tokens, hidden] = layer(x [tokens, hidden]). */
typedef struct uffb_cuda_fff_call {
    const uffb_cuda_fff *layer;
    int64_t tokens;
    const void *x;
    void *y;
    void *workspace; /* uffb_cuda_fff_workspace() bytes */
    cudaStream_t stream;
} uffb_cuda_fff_call;

/* Bytes that a call of at most `tokens` tokens needs. */
uint64_t uffb_cuda_fff_workspace(const uffb_cuda_fff *layer, int64_t tokens);

/* Enqueues the way that suits the batch; returns a status. */
int32_t uffb_cuda_fff_forward(const uffb_cuda_fff_call *call);

#endif

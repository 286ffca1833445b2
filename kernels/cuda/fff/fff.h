/* fff.h: the fast feedforward layer on a device. Matrices, inputs and outputs are of one dtype; logits and sums are f32. */
#ifndef UFFB_CUDA_FFF_H
#define UFFB_CUDA_FFF_H

#include "../gemm/gemm.h"

/* A layer in device memory, 16-byte aligned. Node n of tree k is row k * nodes + n, of 2^(depth+1)-1 nodes a tree. */
typedef struct uffb_cuda_fff {
    int64_t hidden, trees, depth;
    int32_t dtype;
    int32_t activation;
    const void *in;         /* [trees * nodes, hidden] */
    const float *bias;      /* [trees * nodes] or NULL */
    const void *typed_bias; /* the same in the layer's dtype, for all_nodes.cu */
    const void *out;        /* [trees * nodes, hidden]: linear_out transposed, a row a node */
} uffb_cuda_fff;

/* One call: y [tokens, hidden] = layer(x [tokens, hidden]). */
typedef struct uffb_cuda_fff_call {
    const uffb_cuda_fff *layer;
    int64_t tokens;
    const void *x;
    void *y;
    void *workspace; /* uffb_cuda_fff_workspace() bytes, on a 256-byte boundary */
    cudaStream_t stream;
    uffb_cublas *blas; /* NULL where there is no cuBLAS */
} uffb_cuda_fff_call;

/* Bytes that uffb_cuda_fff_forward needs for at most `tokens` tokens. */
uint64_t uffb_cuda_fff_workspace(const uffb_cuda_fff *layer, int64_t tokens);

/* Enqueues the way that suits the batch; returns a status. */
int32_t uffb_cuda_fff_forward(const uffb_cuda_fff_call *call);

/* The ways there are. */
int32_t uffb_cuda_fff_small(const uffb_cuda_fff_call *call);  /* small.cu: a block a token */
int32_t uffb_cuda_fff_walk(const uffb_cuda_fff_call *call);   /* walk.cu: a warp a token */
int32_t uffb_cuda_fff_sorted(const uffb_cuda_fff_call *call); /* walk.cu: a warp a token, sorted by subtree */

/* all_nodes.cu: two dense products. Has a workspace of its own, in place of the others'. */
int32_t uffb_cuda_fff_all_nodes(const uffb_cuda_fff_call *call);
uint64_t uffb_cuda_fff_all_nodes_workspace(const uffb_cuda_fff *layer, int64_t tokens);

/* Of one tree. */
inline int64_t uffb_cuda_fff_nodes(const uffb_cuda_fff *l) { return ((int64_t)2 << l->depth) - 1; }

#endif

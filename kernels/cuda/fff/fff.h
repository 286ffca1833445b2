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
    void *workspace; /* uffb_cuda_fff_workspace() bytes, on a 256-byte boundary */
    cudaStream_t stream;
} uffb_cuda_fff_call;

/* Bytes that a call of at most `tokens` tokens needs, whichever way it goes. */
uint64_t uffb_cuda_fff_workspace(const uffb_cuda_fff *layer, int64_t tokens);

/* Enqueues the way that suits the batch; returns a status. */
int32_t uffb_cuda_fff_forward(const uffb_cuda_fff_call *call);

/* The ways there are. */
int32_t uffb_cuda_fff_small(const uffb_cuda_fff_call *call);  /* small.cu: a block a token */
int32_t uffb_cuda_fff_walk(const uffb_cuda_fff_call *call);   /* walk.cu: a warp a token */
int32_t uffb_cuda_fff_sorted(const uffb_cuda_fff_call *call); /* walk.cu: a warp a token, sorted by subtree */

/* And those to compare with. */
uint64_t uffb_cuda_fff_bmm_workspace(const uffb_cuda_fff *layer, int64_t tokens);
int32_t uffb_cuda_fff_naive(const uffb_cuda_fff_call *call); /* naive.cu */
int32_t uffb_cuda_fff_bmm(const uffb_cuda_fff_call *call);   /* bmm.cu */

/* x [tokens, trees, 2^(depth+1)-1]: logits of all nodes in, act(logit) out on a token's path and 0 off it */
template <class T>
cudaError_t uffb_cuda_keep_path(int64_t tokens, int64_t trees, int64_t depth, int32_t activation, T *x, cudaStream_t stream);

inline int64_t uffb_cuda_fff_nodes(const uffb_cuda_fff *l) { return ((int64_t)2 << l->depth) - 1; }

#endif

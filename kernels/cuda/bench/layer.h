/* layer.h: one feedforward layer on a device, and the ways of computing it that are compared. */
#ifndef UFFB_CUDA_BENCH_LAYER_H
#define UFFB_CUDA_BENCH_LAYER_H

#include "../../bench/bench.h"
#include "../fff/fff.h"
#include "../gemm/gemm.h"

struct uffb_cuda_bench {
    uffb_cuda_bench_shape shape;
    int64_t rows;   /* nodes of all trees, or the width */
    int64_t copies; /* of the weights */
    cudaStream_t stream;
    uffb_cublas *blas; /* NULL where there is none */

    /* On the host, f32 values that the dtype can hold. */
    float *in, *out; /* [rows, hidden] */
    float *bias;     /* [rows] */
    float *x;        /* [inputs, hidden] */
    double *want;    /* [hidden]: the reference of one token */

    /* On the device, in one block; each copy of the weights on a 256-byte boundary. `out` is [rows, hidden] for FFF and, as a
     * linear layer stores it, [hidden, rows] for dense ones. */
    uint8_t *memory;
    uint8_t *device_in, *device_out;
    uint64_t copy_bytes;
    float *device_bias;
    void *typed_bias; /* of the dtype, for dense products */
    uint8_t *device_x, *device_y;
    void *other; /* what cold calls read first, so that it displaces the weights in L2; else NULL */
    uint64_t other_bytes;
    void *workspace; /* of FFF; the hidden units [batch, rows] of dense products */
};

/* One call of a contender. */
typedef struct trial {
    uffb_cuda_bench *bench;
    int64_t tokens, turn; /* of inputs and of copies of the weights */
} trial;

typedef int32_t contender_fn(const trial *t);

typedef struct contender {
    uffb_cuda_contender info;
    int tanh; /* computes GELU in its tanh form, since its library has no other */
    contender_fn *run;
} contender;

/* Layers of more nodes have no room for the logits of all of them. */
#define MOST_ALL_NODES 8192

/* naive.cu, bmm.cu: the ways of others. */
uint64_t uffb_cuda_fff_bmm_workspace(const uffb_cuda_fff *layer, int64_t tokens);
int32_t uffb_cuda_fff_naive(const uffb_cuda_fff_call *call);
int32_t uffb_cuda_fff_bmm(const uffb_cuda_fff_call *call);

/* flush.cu: fills L2 with `bytes` of something else, twice as many as it has. */
int32_t uffb_cuda_flush(void *memory, uint64_t bytes, cudaStream_t stream);

/* NULL when there is no such contender. */
const contender *find_contender(int64_t index);

/* The trial's rows of x and y. */
inline int64_t trial_row(const trial *t) { return t->turn % (t->bench->shape.inputs / t->tokens) * t->tokens; }
inline const void *trial_x(const trial *t) {
    const uffb_cuda_bench_shape &s = t->bench->shape;
    return t->bench->device_x + trial_row(t) * s.hidden * uffb_dtype_bytes(s.dtype);
}
inline void *trial_y(const trial *t) {
    const uffb_cuda_bench_shape &s = t->bench->shape;
    return t->bench->device_y + trial_row(t) * s.hidden * uffb_dtype_bytes(s.dtype);
}

#endif

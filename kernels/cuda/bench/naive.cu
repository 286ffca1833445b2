/* The FFF layer with a thread a token, as the paper's CUDA kernel has it: for comparison, never used by the encoder.
 * Neighbouring threads read different rows, and the same element of different tokens, so almost no access is shared. */
#include "layer.h"
#include "../fff/workspace.h"

#define THREADS 128

template <class T>
__global__ static void naive_kernel(uffb_cuda_fff layer, int64_t nodes, int64_t tokens, const T *x, T *y, float *sums) {
    const int64_t token = (int64_t)blockIdx.x * THREADS + threadIdx.x, hidden = layer.hidden;
    if (token >= tokens) return;
    int path[32];
    float scale[32];
    for (int64_t tree = 0; tree < layer.trees; tree++) {
        const T *in = (const T *)layer.in + tree * nodes * hidden, *out = (const T *)layer.out + tree * nodes * hidden;
        int64_t node = 0;
        for (int level = 0; level <= layer.depth; level++) {
            float logit = layer.bias ? layer.bias[tree * nodes + node] : 0.0f;
            for (int64_t i = 0; i < hidden; i++) {
                logit = fmaf(to_float(x[token * hidden + i]), to_float(in[node * hidden + i]), logit);
            }
            path[level] = (int)node;
            scale[level] = activate(layer.activation, logit);
            node = 2 * node + 1 + (logit > 0.0f);
        }
        for (int64_t i = 0; i < hidden; i++) {
            float sum = tree ? sums[token * hidden + i] : 0.0f;
            for (int level = 0; level <= layer.depth; level++) {
                sum = fmaf(scale[level], to_float(out[path[level] * hidden + i]), sum);
            }
            if (tree + 1 < layer.trees) {
                sums[token * hidden + i] = sum;
            } else {
                y[token * hidden + i] = from_float<T>(sum);
            }
        }
    }
}

template <class T> static int32_t run(const uffb_cuda_fff_call *c, const fff_workspace &w) {
    float *sums = c->layer->dtype == UFFB_F32 ? (float *)c->y : w.sums;
    UFFB_LAUNCH((naive_kernel<T>), (unsigned)((c->tokens + THREADS - 1) / THREADS), THREADS, 0, c->stream, *c->layer,
                uffb_cuda_fff_nodes(c->layer), c->tokens, (const T *)c->x, (T *)c->y, sums);
    return uffb_cuda_check(cudaGetLastError(), "walking trees");
}

int32_t uffb_cuda_fff_naive(const uffb_cuda_fff_call *c) {
    const fff_workspace w = divide_workspace(c->layer, c->tokens, c->workspace);
    switch (c->layer->dtype) {
    case UFFB_F32: return run<float>(c, w);
    case UFFB_F16: return run<__half>(c, w);
    default: return run<__nv_bfloat16>(c, w);
    }
}

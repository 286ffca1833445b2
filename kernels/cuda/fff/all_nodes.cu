/* The FFF layer by two dense products: the logits of all nodes, of which all but the path's are then set to zero, and their
 * product with all output rows. It computes everything and still wins where trees are many and shallow, since tensor cores do
 * in one go what walking does row by row. */
#include "fff.h"

#define THREADS 256
/* Up to this depth a thread takes a tree, deeper ones a warp. */
#define SHALLOW 2

/* x [tokens, trees, nodes]: logits of all nodes in, act(logit) out on the path and 0 off it; a thread a tree. */
template <class T> __global__ static void keep_shallow_path_kernel(int64_t count, int depth, int32_t activation, T *x) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= count) return;
    const int nodes = (2 << depth) - 1;
    T *logits = x + i * nodes;
    for (int level = 0, node = 0, first = 0; level <= depth; level++, first = 2 * first + 1) {
        const float logit = to_float(logits[node]);
        for (int n = first; n <= 2 * first; n++) logits[n] = from_float<T>(n == node ? activate(activation, logit) : 0.0f);
        node = 2 * node + 1 + (logit > 0.0f);
    }
}

/* The same, a warp a tree. Lane l keeps the path's node of level l. */
template <class T> __global__ static void keep_deep_path_kernel(int64_t count, int depth, int32_t activation, T *x) {
    const int64_t i = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32, nodes = (2 << depth) - 1;
    if (i >= count) return;
    T *logits = x + i * nodes;
    int node = 0, my_node = -1;
    float my_logit = 0.0f;
    for (int level = 0; level <= depth; level++) {
        const float logit = to_float(logits[node]);
        if (lane == level) {
            my_node = node;
            my_logit = logit;
        }
        node = 2 * node + 1 + (logit > 0.0f);
    }
    const float my_value = activate(activation, my_logit);
    __syncwarp(); /* every lane has read what it needs */
    for (int first = 0; first < nodes; first += 32) {
        const int n = first + lane, level = n < nodes ? 31 - __clz(n + 1) : 0;
        const int kept = __shfl_sync(~0u, my_node, level);
        const float value = __shfl_sync(~0u, my_value, level);
        if (n < nodes) logits[n] = from_float<T>(n == kept ? value : 0.0f);
    }
}

template <class T> static int32_t keep_path(const uffb_cuda_fff_call *c) {
    const uffb_cuda_fff *l = c->layer;
    const int64_t count = c->tokens * l->trees, each = l->depth <= SHALLOW ? THREADS : THREADS / 32;
    const unsigned blocks = (unsigned)((count + each - 1) / each);
    if (l->depth <= SHALLOW) {
        UFFB_LAUNCH((keep_shallow_path_kernel<T>), blocks, THREADS, 0, c->stream, count, (int)l->depth, l->activation,
                    (T *)c->workspace);
    } else {
        UFFB_LAUNCH((keep_deep_path_kernel<T>), blocks, THREADS, 0, c->stream, count, (int)l->depth, l->activation,
                    (T *)c->workspace);
    }
    return uffb_cuda_check(cudaGetLastError(), "keeping paths");
}

uint64_t uffb_cuda_fff_all_nodes_workspace(const uffb_cuda_fff *l, int64_t tokens) {
    return (uint64_t)(tokens * l->trees * uffb_cuda_fff_nodes(l) * uffb_dtype_bytes(l->dtype));
}

int32_t uffb_cuda_fff_all_nodes(const uffb_cuda_fff_call *c) {
    const uffb_cuda_fff *l = c->layer;
    const int64_t nodes = l->trees * uffb_cuda_fff_nodes(l);
    const uffb_cuda_gemm in = {c->tokens, nodes, l->hidden, l->dtype,      UFFB_IDENTITY,
                               0,         c->x,  l->in,     l->typed_bias, c->workspace};
    const uffb_cuda_gemm out = {c->tokens, l->hidden, nodes, l->dtype, UFFB_IDENTITY, 1, c->workspace, l->out, NULL, c->y};
    int32_t status = uffb_cuda_gemm_best(c->blas, &in, c->stream);
    if (!status) {
        status = l->dtype == UFFB_F32   ? keep_path<float>(c)
                 : l->dtype == UFFB_F16 ? keep_path<__half>(c)
                                        : keep_path<__nv_bfloat16>(c);
    }
    return status ? status : uffb_cuda_gemm_best(c->blas, &out, c->stream);
}

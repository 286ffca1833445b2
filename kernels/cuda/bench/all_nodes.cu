/* The FFF layer by two dense products: the logits of all nodes, of which all but the path's are then set to zero, and their
 * product with all output rows. It computes everything and still wins where trees are many and shallow, since tensor cores do
 * in one go what walking does row by row. */
#include "layer.h"

#define THREADS 256
/* Up to here a thread has no more nodes than are worth a thread; deeper trees have a warp each. */
#define SHALLOW 2

/* x [tokens, trees, nodes]: act(logit) on the path, 0 off it; a warp a tree. Lane l keeps the path's node of level l. */
template <class T> __global__ static void keep_path_kernel(int64_t count, int depth, int32_t activation, T *x) {
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

template <class T> static int32_t keep_path(const trial *t) {
    const uffb_cuda_bench *b = t->bench;
    const uffb_cuda_bench_shape &s = b->shape;
    const int64_t count = t->tokens * s.trees, each = THREADS / 32;
    if (s.depth <= SHALLOW) {
        return uffb_cuda_check(uffb_cuda_keep_path(t->tokens, s.trees, s.depth, s.activation, (T *)b->workspace, b->stream),
                               "keeping paths");
    }
    UFFB_LAUNCH((keep_path_kernel<T>), (unsigned)((count + each - 1) / each), THREADS, 0, b->stream, count, (int)s.depth,
                s.activation, (T *)b->workspace);
    return uffb_cuda_check(cudaGetLastError(), "keeping paths");
}

int32_t run_all_nodes(const trial *t) {
    const uffb_cuda_bench *b = t->bench;
    const uffb_cuda_bench_shape &s = b->shape;
    const uint64_t copy = (uint64_t)(t->turn % b->copies) * b->copy_bytes;
    const uffb_cuda_gemm in = {t->tokens,           b->rows,       s.hidden,    s.dtype, UFFB_IDENTITY, 0, trial_x(t),
                               b->device_in + copy, b->typed_bias, b->workspace};
    const uffb_cuda_gemm out = {t->tokens, s.hidden,  b->rows, s.dtype, UFFB_IDENTITY, 1, b->workspace, b->device_out + copy,
                                NULL,      trial_y(t)};
    int32_t status = uffb_cuda_gemm_best(b->blas, &in, b->stream);
    if (!status) {
        status = s.dtype == UFFB_F32   ? keep_path<float>(t)
                 : s.dtype == UFFB_F16 ? keep_path<__half>(t)
                                       : keep_path<__nv_bfloat16>(t);
    }
    return status ? status : uffb_cuda_gemm_best(b->blas, &out, b->stream);
}

/* Of a dense product, how many rows cost as much as one that is walked, in large batches. In small ones, where a dense product
 * reads all of its weights for next to nothing, how many rows can be walked meanwhile. Estimates until they have been measured.
 */
static const int64_t ROWS_F32 = 11, ROWS_TENSOR = 55, SMALL_BATCH = 256, SMALL_WALK = 512;

bool prefers_all_nodes(const trial *t) {
    const uffb_cuda_bench_shape &s = t->bench->shape;
    const int64_t walked = s.trees * (s.depth + 1), rows = t->bench->rows;
    if (rows > MOST_ALL_NODES || (t->tokens <= SMALL_BATCH && walked <= SMALL_WALK)) return false;
    return rows < walked * (s.dtype == UFFB_F32 ? ROWS_F32 : ROWS_TENSOR);
}

/* The FFF layer as tensor libraries formulate it: at each level the rows of all tokens are gathered into a matrix, which a
 * batched product then multiplies with the inputs; at last the output rows of all paths are gathered, and a batched product
 * adds them up. So every row is read, written and read again. */
#include "layer.h"
#include "../fff/workspace.h"

#define THREADS 128

typedef struct bmm_workspace {
    int32_t *path; /* [tokens, depth + 1]: nodes */
    float *logits; /* [tokens, depth + 1] */
    float *sums;   /* [tokens, hidden], of several trees */
    void *rows;    /* [tokens, depth + 1, hidden] */
    uint64_t bytes;
} bmm_workspace;

static bmm_workspace divide(const uffb_cuda_fff *l, int64_t tokens, void *memory) {
    bmm_workspace w = {};
    uint64_t used = 0;
    const auto take = [&](uint64_t bytes) {
        void *p = (uint8_t *)memory + used;
        used += (bytes + 255) / 256 * 256;
        return p;
    };
    const uint64_t steps = (uint64_t)tokens * (uint64_t)(l->depth + 1), hidden = (uint64_t)l->hidden;
    w.path = (int32_t *)take(steps * 4);
    w.logits = (float *)take(steps * 4);
    w.sums = (float *)take(l->trees > 1 ? (uint64_t)tokens * hidden * 4 : 0);
    w.rows = take(steps * hidden * (uint64_t)uffb_dtype_bytes(l->dtype));
    w.bytes = used;
    return w;
}

uint64_t uffb_cuda_fff_bmm_workspace(const uffb_cuda_fff *layer, int64_t tokens) { return divide(layer, tokens, NULL).bytes; }

/* rows[i] = weights[path[i * step]]: a block a row. */
template <class T>
__global__ static void gather_kernel(int64_t hidden, const T *weights, const int32_t *path, int64_t step, T *rows) {
    const T *from = weights + path[blockIdx.x * step] * hidden;
    T *to = rows + blockIdx.x * hidden;
    if (hidden % PACK<T> == 0) {
        for (int64_t i = threadIdx.x; i < hidden / PACK<T>; i += THREADS) ((uint4 *)to)[i] = ((const uint4 *)from)[i];
    } else {
        for (int64_t i = threadIdx.x; i < hidden; i += THREADS) to[i] = from[i];
    }
}

/* logit = rows[token] . x[token] + bias: a warp a token. Then the next node. */
template <class T>
__global__ static void dot_kernel(int64_t tokens, int64_t hidden, int level, int levels, const T *rows, const T *x,
                                  const float *bias, int32_t *path, float *logits) {
    const int64_t token = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (token >= tokens) return;
    float sum = 0.0f;
    for (int64_t i = lane; i < hidden; i += 32) {
        sum = fmaf(to_float(rows[token * hidden + i]), to_float(x[token * hidden + i]), sum);
    }
    const int node = path[token * levels + level];
    const float logit = warp_sum(sum) + (bias ? bias[node] : 0.0f);
    if (lane) return;
    logits[token * levels + level] = logit;
    if (level + 1 < levels) path[token * levels + level + 1] = 2 * node + 1 + (logit > 0.0f);
}

/* logits = act(logits); path begins at the root. */
__global__ static void activate_kernel(int64_t count, int32_t activation, float *logits) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < count) logits[i] = activate(activation, logits[i]);
}
__global__ static void begin_kernel(int64_t tokens, int levels, int32_t *path) {
    const int64_t token = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (token < tokens) path[token * levels] = 0;
}

/* y = sum over levels of scale * rows: a block a token. */
template <class T>
__global__ static void sum_kernel(int64_t hidden, int levels, const T *rows, const float *scales, int first, int last,
                                  float *sums, T *y) {
    const int64_t token = blockIdx.x;
    for (int64_t i = threadIdx.x; i < hidden; i += THREADS) {
        float sum = first ? 0.0f : sums[token * hidden + i];
        for (int level = 0; level < levels; level++) {
            sum = fmaf(scales[token * levels + level], to_float(rows[(token * levels + level) * hidden + i]), sum);
        }
        if (last) {
            y[token * hidden + i] = from_float<T>(sum);
        } else {
            sums[token * hidden + i] = sum;
        }
    }
}

static unsigned blocks_of(int64_t count, int64_t each) { return (unsigned)((count + each - 1) / each); }

template <class T> static int32_t run(const uffb_cuda_fff_call *c) {
    const uffb_cuda_fff *l = c->layer;
    const bmm_workspace w = divide(l, c->tokens, c->workspace);
    const int64_t tokens = c->tokens, hidden = l->hidden, nodes = uffb_cuda_fff_nodes(l);
    const int levels = (int)l->depth + 1;
    for (int64_t tree = 0; tree < l->trees; tree++) {
        const T *in = (const T *)l->in + tree * nodes * hidden, *out = (const T *)l->out + tree * nodes * hidden;
        const float *bias = l->bias ? l->bias + tree * nodes : NULL;
        UFFB_LAUNCH(begin_kernel, blocks_of(tokens, THREADS), THREADS, 0, c->stream, tokens, levels, w.path);
        for (int level = 0; level < levels; level++) {
            UFFB_LAUNCH((gather_kernel<T>), (unsigned)tokens, THREADS, 0, c->stream, hidden, in, w.path + level,
                        (int64_t)levels, (T *)w.rows);
            UFFB_LAUNCH((dot_kernel<T>), blocks_of(tokens, THREADS / 32), THREADS, 0, c->stream, tokens, hidden, level, levels,
                        (const T *)w.rows, (const T *)c->x, bias, w.path, w.logits);
        }
        UFFB_LAUNCH(activate_kernel, blocks_of(tokens * levels, THREADS), THREADS, 0, c->stream, tokens * levels, l->activation,
                    w.logits);
        UFFB_LAUNCH((gather_kernel<T>), (unsigned)(tokens * levels), THREADS, 0, c->stream, hidden, out, w.path, (int64_t)1,
                    (T *)w.rows);
        UFFB_LAUNCH((sum_kernel<T>), (unsigned)tokens, THREADS, 0, c->stream, hidden, levels, (const T *)w.rows, w.logits,
                    (int)(tree == 0), (int)(tree + 1 == l->trees), w.sums, (T *)c->y);
        CUDA_TRY(cudaGetLastError(), "walking trees");
    }
    return UFFB_OK;
}

int32_t uffb_cuda_fff_bmm(const uffb_cuda_fff_call *c) {
    switch (c->layer->dtype) {
    case UFFB_F32: return run<float>(c);
    case UFFB_F16: return run<__half>(c);
    default: return run<__nv_bfloat16>(c);
    }
}

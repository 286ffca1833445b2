/* The FFF layer with a warp a token: the lanes share a row, so that each level is one dot product and one sum over the warp.
 * What limits it is fetching rows. Each block is all that its multiprocessor runs, takes tokens that follow each other, and
 * keeps the rows they share in L1: the top of the tree in token order; one subtree after another when tokens are sorted.
 *
 * Predicted, not measured, for 1x11 of 768 in bf16 and 16,384 tokens on an H200: a token reads 2 x 12 rows of 1.5 KB, 604 MB in
 * all. In token order the top 6 levels come from L1 (132 multiprocessors x 128 B/clock = 30 TB/s: 20 us for everything), the
 * rest, 302 MB, from L2 (5.5 TB/s: 55 us). Sorted at level 6, a subtree's rows, in and out, are 194 KB and fit in L1, so L2
 * gives each multiprocessor no more than the top and its one or two subtrees (about 50 MB: 9 us), and x twice and y once (75
 * MB: 14 us). Arithmetic is then as large: 302 M multiply-adds and as many conversions, 20 us of issue slots.
 */
#include "row.h"
#include "workspace.h"

/* Warps of a block. 64 registers a thread, or 80 for f32, whose rows take twice as many. For those of 768 the compiler then
 * keeps 8 values in memory (nvcc 13.0, sm_90); it would be 2 with 20 warps, and none with 16. More warps were preferred, since
 * fetching is what limits; which is faster was not measured. */
template <class T> constexpr int WARPS = sizeof(T) == 4 ? 24 : 32;

typedef struct walk {
    uffb_cuda_fff layer;
    int64_t nodes, tokens;
    const void *x;
    void *y;
    int32_t first_tree, trees;
    int32_t from, to;     /* levels; the sum over the path follows when `to` is the last */
    const int32_t *order; /* or NULL */
    int32_t *count, *node, *rank;
    float *logits;
    float *sums; /* where trees before the last leave them */
} walk;

/* Sum over the levels of act(logit) * out[node], added to what earlier trees gave. Lane l has level l. */
template <class S>
__device__ static void sum_path(const walk &w, int64_t token, int tree, int my_node, float my_scale, int lane) {
    typedef typename S::T T;
    const int64_t hidden = w.layer.hidden;
    const T *out = (const T *)w.layer.out + tree * w.nodes * hidden;
    const int levels = (int)w.layer.depth + 1;
    for (int64_t base = 0; base < hidden; base += S::piece_type::SPAN) {
        typename S::piece_type sum;
        if (tree) {
            sum.load_sums(w.sums + token * hidden, base, hidden, lane);
        } else {
            sum.clear();
        }
#pragma unroll 4
        for (int level = 0; level < levels; level++) {
            const int64_t node = __shfl_sync(~0u, my_node, level);
            sum.add(__shfl_sync(~0u, my_scale, level), out + node * hidden, base, hidden, lane);
        }
        if (tree + 1 < w.layer.trees) {
            sum.store_sums(w.sums + token * hidden, base, hidden, lane);
        } else {
            sum.store((T *)w.y + token * hidden, base, hidden, lane);
        }
    }
}

/* One tree, from level `from`. Levels have one lane each: there are at most 25. */
template <class S> __device__ static void walk_tree(const walk &w, int64_t token, int tree, int lane) {
    typedef typename S::T T;
    const int64_t hidden = w.layer.hidden, row = tree * w.nodes;
    const T *in = (const T *)w.layer.in + row * hidden;
    const float *bias = w.layer.bias ? w.layer.bias + row : NULL;
    const int levels = (int)w.layer.depth + 1;
    typename S::piece_type x; /* again for each tree: while rows are summed up, registers have better uses */
    if (S::HELD) x.load((const T *)w.x + token * hidden, 0, hidden, lane);
    int node = w.from ? w.node[token] : 0;
    float my_logit = lane < w.from ? w.logits[token * levels + lane] : 0.0f;
    for (int level = w.from; level < w.to; level++) {
        const T *weights = in + node * hidden;
        const float offset = bias ? __ldg(bias + node) : 0.0f;
        float part = 0.0f;
        if (S::HELD) {
            part = x.dot(weights, 0, hidden, lane);
        } else {
            for (int64_t base = 0; base < hidden; base += S::piece_type::SPAN) {
                typename S::piece_type some;
                some.load((const T *)w.x + token * hidden, base, hidden, lane);
                part += some.dot(weights, base, hidden, lane);
            }
        }
        const float logit = warp_sum(part) + offset;
        if (lane == level) my_logit = logit;
        node = 2 * node + 1 + (logit > 0.0f);
    }
    if (w.to < levels) { /* sorting comes next */
        if (lane < w.to) w.logits[token * levels + lane] = my_logit;
        if (lane == 0) {
            w.node[token] = node;
            w.rank[token] = atomicAdd(&w.count[node - ((1 << w.to) - 1)], 1);
        }
        return;
    }
    /* Below the leaf now; the node at a level is as many steps up as there are levels below it. */
    const int my_node = lane < levels ? (int)(((unsigned)node + 1) >> (levels - lane)) - 1 : 0;
    sum_path<S>(w, token, tree, my_node, activate(w.layer.activation, my_logit), lane);
}

template <class S> __global__ static void __launch_bounds__(WARPS<typename S::T> * 32) walk_kernel(walk w) {
    typedef typename S::T T;
    const int64_t each = (w.tokens + gridDim.x - 1) / gridDim.x, first = blockIdx.x * each;
    const int64_t last = first + each < w.tokens ? first + each : w.tokens;
    const int lane = threadIdx.x % 32;
    for (int64_t i = first + threadIdx.x / 32; i < last; i += WARPS<T>) {
        const int64_t token = w.order ? w.order[i] : i;
        for (int tree = w.first_tree; tree < w.first_tree + w.trees; tree++) walk_tree<S>(w, token, tree, lane);
    }
}

/* --- sorting by subtree ---------------------------------------------------------------------------------------------------
 * Counted while walking the top; here each block adds up the counts and puts its tokens in their places. Where tokens of a
 * subtree stand among each other depends on who counted first, and no result depends on that. The first block clears the counts
 * of the next tree, which nobody uses meanwhile. */

#define SORT_THREADS 256

__global__ static void sort_kernel(int64_t tokens, int top, const int32_t *count, const int32_t *node, const int32_t *rank,
                                   int32_t *order, int32_t *next_count) {
    __shared__ int32_t start[1 << MOST_TOP], total[SORT_THREADS];
    const int subtrees = 1 << top, each = (subtrees + SORT_THREADS - 1) / SORT_THREADS, mine = threadIdx.x * each;
    for (int i = threadIdx.x; blockIdx.x == 0 && i < subtrees; i += SORT_THREADS) next_count[i] = 0;
    int32_t sum = 0;
    for (int i = mine; i < mine + each && i < subtrees; i++) {
        start[i] = sum;
        sum += count[i];
    }
    total[threadIdx.x] = sum;
    __syncthreads();
    for (int step = 1; step < SORT_THREADS; step *= 2) {
        const int32_t before = (int)threadIdx.x >= step ? total[threadIdx.x - step] : 0;
        __syncthreads();
        total[threadIdx.x] += before;
        __syncthreads();
    }
    for (int i = mine; i < mine + each && i < subtrees; i++) start[i] += total[threadIdx.x] - sum;
    __syncthreads();
    for (int64_t t = (int64_t)blockIdx.x * SORT_THREADS + threadIdx.x; t < tokens; t += (int64_t)gridDim.x * SORT_THREADS) {
        order[start[node[t] - (subtrees - 1)] + rank[t]] = (int32_t)t;
    }
}

/* --- enqueuing ------------------------------------------------------------------------------------------------------------ */

/* What a subtree's rows, in and out, may take of the 256 KB of L1. */
static const int64_t SUBTREE_BYTES = 200 << 10;

/* The level at which subtrees fit, and no more than there are places to count in. */
static int64_t choose_top(const uffb_cuda_fff *l) {
    int64_t top = 0;
    while (top < l->depth && top < MOST_TOP &&
           (((int64_t)2 << (l->depth - top)) - 1) * l->hidden * 2 * uffb_dtype_bytes(l->dtype) > SUBTREE_BYTES)
        top++;
    return top;
}

static int32_t multiprocessors(int32_t *count) {
    int device = 0;
    CUDA_TRY(cudaGetDevice(&device), "asking for the device");
    CUDA_TRY(cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device), "counting multiprocessors");
    return UFFB_OK;
}

static int32_t launch(const walk &w, cudaStream_t stream) {
    int32_t most = 1;
    const int32_t status = multiprocessors(&most);
    if (status) return status;
    const int64_t grid = w.tokens < most ? w.tokens : most;
    return with_dtype(w.layer.dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return with_row_shape<T>(w.layer.hidden, [&](auto shape) {
            const auto kernel = walk_kernel<decltype(shape)>;
            CUDA_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 0), "preferring L1");
            UFFB_LAUNCH(kernel, (unsigned)grid, WARPS<T> * 32, 0, stream, w);
            return uffb_cuda_check(cudaGetLastError(), "walking trees");
        });
    });
}

static walk prepare(const uffb_cuda_fff_call *c, const fff_workspace &s) {
    const uffb_cuda_fff *l = c->layer;
    walk w = {};
    w.layer = *l;
    w.nodes = uffb_cuda_fff_nodes(l);
    w.tokens = c->tokens;
    w.x = c->x;
    w.y = c->y;
    w.trees = (int32_t)l->trees;
    w.to = (int32_t)l->depth + 1;
    w.node = s.node;
    w.rank = s.rank;
    w.logits = s.logits;
    w.sums = l->dtype == UFFB_F32 ? (float *)c->y : s.sums;
    return w;
}

int32_t uffb_cuda_fff_walk(const uffb_cuda_fff_call *c) {
    return launch(prepare(c, divide_workspace(c->layer, c->tokens, c->workspace)), c->stream);
}

int32_t uffb_cuda_fff_sorted(const uffb_cuda_fff_call *c) {
    const int64_t top = choose_top(c->layer), levels = c->layer->depth + 1;
    if (!top || c->tokens > INT32_MAX) return uffb_cuda_fff_walk(c);
    const fff_workspace s = divide_workspace(c->layer, c->tokens, c->workspace);
    walk w = prepare(c, s);
    w.trees = 1;
    const int64_t blocks = (c->tokens + SORT_THREADS - 1) / SORT_THREADS;
    CUDA_TRY(cudaMemsetAsync(s.count[0], 0, sizeof(int32_t) << top, c->stream), "clearing counts");
    for (; w.first_tree < c->layer->trees; w.first_tree++) {
        w.count = s.count[w.first_tree % 2];
        w.from = 0;
        w.to = (int32_t)top;
        w.order = NULL;
        int32_t status = launch(w, c->stream);
        if (status) return status;
        UFFB_LAUNCH(sort_kernel, (unsigned)(blocks < 128 ? blocks : 128), SORT_THREADS, 0, c->stream, c->tokens, (int)top,
                    w.count, s.node, s.rank, s.order, s.count[(w.first_tree + 1) % 2]);
        CUDA_TRY(cudaGetLastError(), "sorting tokens");
        w.from = (int32_t)top;
        w.to = (int32_t)levels;
        w.order = s.order;
        status = launch(w, c->stream);
        if (status) return status;
    }
    return UFFB_OK;
}

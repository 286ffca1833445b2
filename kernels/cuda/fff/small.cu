/* The FFF layer for few tokens, where the time is that of a chain: row after row, each known only when the one before has been
 * multiplied. So a block takes one token and several levels at a time: of a subtree of 4 levels, 15 warps compute all 15 nodes
 * at once, and one look at the signs goes down 4 levels. Rows that were not on the path were read in vain, 3.75 times what was
 * needed, for which a device that is mostly idle has time. The output rows of these 4 levels are requested next, and arrive
 * while the following subtree is computed.
 *
 * Predicted, not measured, for 1x11 of 768 on an H200: 12 levels are 3 rounds of about 530 clocks (L2 270, multiply-adds 60,
 * sums over warps 150, a barrier 50), and the last output rows and their sum 400: 2,000 clocks, 1.1 us, where one level after
 * the other would take 12 x 480 + 400 clocks, 3.5 us.
 */
#include "row.h"
#include "workspace.h"

/* Levels of a round; 2^LEVELS - 1 warps compute its nodes. The last warp has none, and helps with the output. */
#define LEVELS 4
#define WARPS 16
#define THREADS (WARPS * 32)

typedef struct small {
    uffb_cuda_fff layer;
    int64_t nodes;
    const void *x;
    void *y;
    int32_t splits; /* blocks of a token, each with every splits-th tree */
    float *parts;   /* [tokens, splits, hidden], or NULL with one split */
} small;

/* How many accesses of output rows a thread has in a round. */
template <class S> constexpr int ITEMS = (LEVELS * S::COUNT * 32 + THREADS - 1) / THREADS;

/* A thread's share of the weighted sum: access `item % accesses` of row `item / accesses` of each round. */
template <class S> struct share {
    typedef access<typename S::T, S::WIDE> access_type;
    float sum[ITEMS<S>][S::WIDE];
    access_type rows[ITEMS<S>]; /* under way */
    float scale[ITEMS<S>];

    __device__ void add() {
#pragma unroll
        for (int i = 0; i < ITEMS<S>; i++) {
            float v[S::WIDE];
            rows[i].get(v);
#pragma unroll
            for (int j = 0; j < S::WIDE; j++) sum[i][j] = scale[i] != 0.0f ? fmaf(scale[i], v[j], sum[i][j]) : sum[i][j];
        }
    }
};

/* Node `index` (heap order) of the subtree under `root`. */
__device__ static int64_t node_below(int64_t root, int index, int level) {
    return ((root + 1) << level) + (index + 1 - (1 << level)) - 1;
}

template <class S> __global__ static void __launch_bounds__(THREADS) small_kernel(small s) {
    typedef typename S::T T;
    __shared__ float logits[2][WARPS];
    __shared__ float sums[LEVELS][S::piece_type::SPAN];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int warp_level = 31 - __clz(warp + 1); /* of this warp's node, in its subtree */
    const int64_t token = blockIdx.x, hidden = s.layer.hidden;
    const int levels = (int)s.layer.depth + 1, accesses = (int)(hidden / S::WIDE);
    typename S::piece_type x;
    x.load((const T *)s.x + token * hidden, 0, hidden, lane);
    share<S> mine = {};
    int round = 0;
    for (int tree = blockIdx.y; tree < s.layer.trees; tree += s.splits) {
        const T *in = (const T *)s.layer.in + tree * s.nodes * hidden, *out = (const T *)s.layer.out + tree * s.nodes * hidden;
        const float *bias = s.layer.bias ? s.layer.bias + tree * s.nodes : NULL;
        int64_t root = 0;
        for (int level = 0; level < levels; level += LEVELS, round++) {
            const int here = levels - level < LEVELS ? levels - level : LEVELS;
            float *known = logits[round % 2]; /* by turns, so that one barrier a round is enough */
            if (warp_level < here) {
                const int64_t node = node_below(root, warp, warp_level);
                const float offset = bias ? __ldg(bias + node) : 0.0f;
                const float logit = warp_sum(x.dot(in + node * hidden, 0, hidden, lane)) + offset;
                if (lane == 0) known[warp] = logit;
            }
            mine.add(); /* the round before: its rows have come meanwhile */
            __syncthreads();
            int index[LEVELS], at = 0;
#pragma unroll
            for (int l = 0; l < LEVELS; l++) {
                index[l] = at;
                if (l < here) at = 2 * at + 1 + (known[at] > 0.0f);
            }
#pragma unroll
            for (int i = 0; i < ITEMS<S>; i++) {
                const int item = threadIdx.x + i * THREADS, l = item / accesses;
                mine.scale[i] = 0.0f;
                if (l >= here) continue;
                int my_index = 0;
#pragma unroll
                for (int k = 0; k < LEVELS; k++) my_index = k == l ? index[k] : my_index;
                const T *row = out + node_below(root, my_index, l) * hidden;
                mine.rows[i] = load_weights<T, S::WIDE>(row + (item - l * accesses) * S::WIDE);
                mine.scale[i] = activate(s.layer.activation, known[my_index]);
            }
            root = ((root + 1) << here) + (at + 1 - (1 << here)) - 1;
        }
    }
    mine.add();
#pragma unroll
    for (int i = 0; i < ITEMS<S>; i++) {
        const int item = threadIdx.x + i * THREADS, l = item / accesses;
        if (l >= LEVELS) continue;
#pragma unroll
        for (int j = 0; j < S::WIDE; j++) sums[l][(item - l * accesses) * S::WIDE + j] = mine.sum[i][j];
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < hidden; i += THREADS) {
        float sum = 0.0f;
#pragma unroll
        for (int l = 0; l < LEVELS; l++) sum += sums[l][i];
        if (s.parts) {
            s.parts[(token * s.splits + blockIdx.y) * hidden + i] = sum;
        } else {
            ((T *)s.y)[token * hidden + i] = from_float<T>(sum);
        }
    }
}

/* y [tokens, hidden] = sum over the splits */
template <class T> __global__ static void join_kernel(int64_t count, int64_t hidden, int splits, const float *parts, T *y) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= count) return;
    const float *part = parts + i / hidden * splits * hidden + i % hidden;
    float sum = 0.0f;
    for (int s = 0; s < splits; s++) sum += part[s * hidden];
    y[i] = from_float<T>(sum);
}

static int64_t choose_splits(const uffb_cuda_fff_call *c) {
    if (c->tokens > SMALL_SPLIT_TOKENS) return 1;
    const int64_t splits = c->layer->trees < SMALL_SPLITS ? c->layer->trees : SMALL_SPLITS;
    return splits;
}

int32_t uffb_cuda_fff_small(const uffb_cuda_fff_call *c) {
    const uffb_cuda_fff *l = c->layer;
    const int64_t splits = choose_splits(c), count = c->tokens * l->hidden;
    const fff_workspace w = divide_workspace(l, c->tokens, c->workspace);
    small s = {*l, uffb_cuda_fff_nodes(l), c->x, c->y, (int32_t)splits, splits > 1 ? w.splits : NULL};
    return with_dtype(l->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        return with_row_shape<T>(l->hidden, [&](auto shape) {
            typedef decltype(shape) S;
            if constexpr (!S::HELD) {
                return uffb_cuda_fff_walk(c); /* rows that no warp can hold */
            } else {
                UFFB_LAUNCH((small_kernel<S>), dim3((unsigned)c->tokens, (unsigned)splits), THREADS, 0, c->stream, s);
                CUDA_TRY(cudaGetLastError(), "walking trees");
                if (splits == 1) return (int32_t)UFFB_OK;
                UFFB_LAUNCH((join_kernel<T>), (unsigned)((count + THREADS - 1) / THREADS), THREADS, 0, c->stream, count,
                            l->hidden, (int)splits, s.parts, (T *)s.y);
                return uffb_cuda_check(cudaGetLastError(), "adding up trees");
            }
        });
    });
}

/* The fast feedforward network. What limits it is fetching rows, not arithmetic: a token reads depth + 1 rows that depend on
 * each other. So a few tokens go down the tree side by side, one level at a time: while one waits for its row, the others' dot
 * products run. In token order, where the rows of a deep level lie anywhere, each token also asks for its next row as soon as
 * it knows it; in sorted order the caller has seen to it that the rows are in L2, and asking costs more than it gains. */
#include "math.h"

#include <string.h>

#define TOKENS_IN_FLIGHT 8

UFFB_INLINE float dot(int64_t n, const float *a, const float *b) {
    vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= n; i += 4 * VEC_LANES) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            sum[v] = vec_fma(vec_load(a + i + v * VEC_LANES), vec_load(b + i + v * VEC_LANES), sum[v]);
        }
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) sum[0] = vec_fma(vec_load(a + i), vec_load(b + i), sum[0]);
    if (i < n) sum[1] = vec_fma(vec_load_some(a + i, n - i), vec_load_some(b + i, n - i), sum[1]);
    return vec_sum(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
}

/* Asks for n floats, into L1 or no nearer than L2. */
#define PREFETCH(row, n, into)                                                                                                 \
    for (int64_t i_ = 0; i_ < (n); i_ += 16) __builtin_prefetch((row) + i_, 0, into)
#define INTO_L1 3
#define INTO_L2 2

/* One token on its own has nobody's work to hide behind. While its dot product runs, it asks for both children, and for the
 * output row that it will need at the end: half of what it fetches is thrown away, which memory has time for. */
static void walk_alone(const uffb_tree *tree, int64_t from, int64_t to, const float *x, int32_t *nodes, float *logits) {
    const int64_t hidden = tree->hidden;
    int64_t node = from ? nodes[from] : 0;
    for (int64_t level = from; level < to; level++) {
        if (level + 1 < to) PREFETCH(tree->in + (2 * node + 1) * hidden, 2 * hidden, INTO_L2);
        PREFETCH(tree->out + node * hidden, hidden, INTO_L2);
        float logit = dot(hidden, tree->in + node * hidden, x);
        if (tree->bias) logit += tree->bias[node];
        nodes[level] = (int32_t)node;
        logits[level] = logit;
        node = 2 * node + 1 + (logit > 0);
    }
    if (to <= tree->depth) nodes[to] = (int32_t)node;
}

UFFB_INLINE int64_t row_of(uffb_rows rows, int64_t i) { return rows.order ? rows.order[i] : i; }

void KERNEL(fff_walk)(const uffb_tree *tree, int64_t from, int64_t to, uffb_rows rows, const float *x, int64_t ldx,
                      int32_t *nodes, float *logits, int64_t ldp) {
    const int64_t hidden = tree->hidden;
    if (rows.count == 1) {
        const int64_t t = row_of(rows, 0);
        walk_alone(tree, from, to, x + t * ldx, nodes + t * ldp, logits + t * ldp);
        return;
    }
    for (int64_t first = 0; first < rows.count; first += TOKENS_IN_FLIGHT) {
        const int64_t group = rows.count - first < TOKENS_IN_FLIGHT ? rows.count - first : TOKENS_IN_FLIGHT;
        int64_t node[TOKENS_IN_FLIGHT] = {0};
        for (int64_t g = 0; from && g < group; g++) node[g] = nodes[row_of(rows, first + g) * ldp + from];
        for (int64_t level = from; level < to; level++) {
            for (int64_t g = 0; g < group; g++) {
                const int64_t t = row_of(rows, first + g), here = node[g];
                float logit = dot(hidden, tree->in + here * hidden, x + t * ldx);
                if (tree->bias) logit += tree->bias[here];
                nodes[t * ldp + level] = (int32_t)here;
                logits[t * ldp + level] = logit;
                node[g] = 2 * here + 1 + (logit > 0);
                if (!rows.order && level + 1 < to) PREFETCH(tree->in + node[g] * hidden, hidden, INTO_L1);
            }
        }
        for (int64_t g = 0; to <= tree->depth && g < group; g++) nodes[row_of(rows, first + g) * ldp + to] = (int32_t)node[g];
    }
}

/* `next` is the row of y that comes after this one: in sorted order no hardware prefetcher can guess it. */
UFFB_INLINE void sum_rows(const uffb_tree *tree, const int32_t *nodes, const float *scale, float *y, const float *next) {
    const int64_t hidden = tree->hidden, levels = tree->depth + 1;
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= hidden; i += 4 * VEC_LANES) {
        vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
        for (int64_t p = 0; p < levels; p++) {
            const float *row = tree->out + nodes[p] * hidden + i;
            vec s = vec_set(scale[p]);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) sum[v] = vec_fma(s, vec_load(row + v * VEC_LANES), sum[v]);
        }
        if (next) PREFETCH(next + i, 4 * VEC_LANES, INTO_L1);
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            vec_store(y + i + v * VEC_LANES, vec_add(vec_load(y + i + v * VEC_LANES), sum[v]));
        }
    }
    for (; i < hidden; i += VEC_LANES) {
        const int64_t lanes = hidden - i < VEC_LANES ? hidden - i : VEC_LANES;
        vec sum = vec_zero();
        for (int64_t p = 0; p < levels; p++) {
            sum = vec_fma(vec_set(scale[p]), vec_load_some(tree->out + nodes[p] * hidden + i, lanes), sum);
        }
        vec_store_some(y + i, vec_add(vec_load_some(y + i, lanes), sum), lanes);
    }
}

uffb_activate_fn KERNEL(activate);

void KERNEL(fff_sum)(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes, const float *logits,
                     int64_t ldp, float *y, int64_t ldy) {
    const int64_t levels = tree->depth + 1;
    float scale[UFFB_MAX_DEPTH + 1];
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t t = row_of(rows, i);
        memcpy(scale, logits + t * ldp, (size_t)levels * sizeof *scale);
        KERNEL(activate)(activation, 1, levels, scale, levels);
        const float *next = rows.order && i + 1 < rows.count ? y + rows.order[i + 1] * ldy : NULL;
        sum_rows(tree, nodes + t * ldp, scale, y + t * ldy, next);
    }
}

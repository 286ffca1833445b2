/* The fast feedforward network. What limits it is fetching rows, not arithmetic: a token reads depth + 1 rows that depend on each
 * other. So a few tokens go down the tree side by side, one level at a time, and each asks for its next row as soon as it knows
 * it; the others' dot products hide the wait. */
#include "simd.h"

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

UFFB_INLINE void prefetch_row(const float *row, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 0, 3);
}

void KERNEL(fff_walk)(const uffb_tree *tree, int64_t tokens, const float *x, int64_t ldx, int32_t first_node, int32_t *nodes,
                      float *logits, int64_t ldp) {
    for (int64_t first = 0; first < tokens; first += TOKENS_IN_FLIGHT) {
        int64_t group = tokens - first < TOKENS_IN_FLIGHT ? tokens - first : TOKENS_IN_FLIGHT;
        int64_t node[TOKENS_IN_FLIGHT] = {0};
        for (int64_t level = 0; level <= tree->depth; level++) {
            for (int64_t g = 0; g < group; g++) {
                int64_t here = node[g], t = first + g;
                float logit = dot(tree->hidden, tree->weight + here * tree->hidden, x + t * ldx);
                if (tree->bias) logit += tree->bias[here];
                nodes[t * ldp + level] = first_node + (int32_t)here;
                logits[t * ldp + level] = logit;
                node[g] = 2 * here + 1 + (logit > 0);
                if (level < tree->depth) prefetch_row(tree->weight + node[g] * tree->hidden, tree->hidden);
            }
        }
    }
}

void KERNEL(fff_sum)(int64_t tokens, int64_t count, int64_t hidden, const int32_t *nodes, const float *scale, int64_t ldp,
                     const float *weight, float *y, int64_t ldy) {
    for (int64_t t = 0; t < tokens; t++, nodes += ldp, scale += ldp, y += ldy) {
        int64_t i = 0;
        for (; i + 4 * VEC_LANES <= hidden; i += 4 * VEC_LANES) {
            vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
            for (int64_t p = 0; p < count; p++) {
                const float *row = weight + nodes[p] * hidden + i;
                vec s = vec_set(scale[p]);
#pragma GCC unroll 4
                for (int v = 0; v < 4; v++) sum[v] = vec_fma(s, vec_load(row + v * VEC_LANES), sum[v]);
            }
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                vec_store(y + i + v * VEC_LANES, vec_add(vec_load(y + i + v * VEC_LANES), sum[v]));
            }
        }
        for (; i < hidden; i += VEC_LANES) {
            int64_t lanes = hidden - i < VEC_LANES ? hidden - i : VEC_LANES;
            vec sum = vec_zero();
            for (int64_t p = 0; p < count; p++) {
                sum = vec_fma(vec_set(scale[p]), vec_load_some(weight + nodes[p] * hidden + i, lanes), sum);
            }
            vec_store_some(y + i, vec_add(vec_load_some(y + i, lanes), sum), lanes);
        }
    }
}

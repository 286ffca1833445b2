/* The way up of the fast feedforward network: y += the weighted rows of a path. Tokens on the same path share their loads. */
#include "fff.h"

/* Tokens before its turn that a row of y is asked for: no hardware prefetcher can guess the order. */
#define AHEAD 8

/* y[g] of `tokens` tokens on one path; next[g]: the rows to ask for, or NULL. */
UFFB_INLINE void add_rows(int32_t dtype, int tokens, const uffb_tree *tree, const int32_t *path,
                          const float (*scale)[UFFB_MAX_DEPTH + 1], float *const *y, const float *const *next) {
    const int64_t hidden = tree->hidden, levels = tree->depth + 1;
    int64_t i = 0;
    for (; i + 4 * VEC_LANES <= hidden; i += 4 * VEC_LANES) {
        vec sum[VEC_FFF_TOKENS][4];
#pragma GCC unroll 4
        for (int g = 0; g < tokens; g++) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) sum[g][v] = vec_zero();
        }
        for (int64_t p = 0; p < levels; p++) {
            const void *row = node_row(dtype, tree->out.data, path[p], hidden);
            vec w[4];
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) w[v] = row_load(dtype, row, i + v * VEC_LANES);
#pragma GCC unroll 4
            for (int g = 0; g < tokens; g++) {
                const vec s = vec_set(scale[g][p]);
#pragma GCC unroll 4
                for (int v = 0; v < 4; v++) sum[g][v] = vec_fma(s, w[v], sum[g][v]);
            }
        }
#pragma GCC unroll 4
        for (int g = 0; g < tokens; g++) {
            if (next[g]) prefetch(next[g] + i, 4 * VEC_LANES * (int64_t)sizeof(float));
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                vec_store(y[g] + i + v * VEC_LANES, vec_add(vec_load(y[g] + i + v * VEC_LANES), sum[g][v]));
            }
        }
    }
    for (; i < hidden; i += VEC_LANES) {
        const int64_t lanes = hidden - i < VEC_LANES ? hidden - i : VEC_LANES;
        for (int g = 0; g < tokens; g++) {
            vec sum = vec_zero();
            for (int64_t p = 0; p < levels; p++) {
                const void *row = node_row(dtype, tree->out.data, path[p], hidden);
                sum = vec_fma(vec_set(scale[g][p]), row_load_some(dtype, row, i, lanes), sum);
            }
            vec_store_some(y[g] + i, vec_add(vec_load_some(y[g] + i, lanes), sum), lanes);
        }
    }
}

uffb_activate_fn KERNEL(activate);

UFFB_INLINE void sum_paths(int32_t dtype, const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes,
                           const float *logits, int64_t ldp, float *y, int64_t ldy) {
    const int64_t levels = tree->depth + 1;
    const size_t path_size = (size_t)levels * sizeof *nodes;
    for (int64_t i = 0; i < rows.count;) {
        float scale[VEC_FFF_TOKENS][UFFB_MAX_DEPTH + 1], *ys[VEC_FFF_TOKENS];
        const float *next[VEC_FFF_TOKENS];
        const int32_t *path = nodes + rows.order[i] * ldp;
        int tokens = 0;
        for (; tokens < VEC_FFF_TOKENS && i + tokens < rows.count; tokens++) {
            const int64_t t = rows.order[i + tokens], later = i + tokens + AHEAD;
            if (memcmp(nodes + t * ldp, path, path_size)) break;
            memcpy(scale[tokens], logits + t * ldp, path_size);
            KERNEL(activate)(activation, 1, levels, scale[tokens], levels);
            ys[tokens] = y + t * ldy;
            next[tokens] = later < rows.count ? y + rows.order[later] * ldy : NULL;
        }
        if (tokens == VEC_FFF_TOKENS) {
            add_rows(dtype, VEC_FFF_TOKENS, tree, path, scale, ys, next);
        } else {
            for (int g = 0; g < tokens; g++) add_rows(dtype, 1, tree, path, scale + g, ys + g, next + g);
        }
        i += tokens;
    }
}

void KERNEL(fff_sum)(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes, const float *logits,
                     int64_t ldp, float *y, int64_t ldy) {
    if (tree->out.dtype == UFFB_BF16) {
        sum_paths(UFFB_BF16, tree, activation, rows, nodes, logits, ldp, y, ldy);
    } else {
        sum_paths(UFFB_F32, tree, activation, rows, nodes, logits, ldp, y, ldy);
    }
}

/* The fast feedforward network as the paper states it (arXiv 2311.10770, algorithm 1): one dot product per level. */
#include "../ops.h"

#include <string.h>

/* A weight of node `node`. */
static float weight(uffb_node_rows rows, int64_t hidden, int64_t node, int64_t h) {
    const int64_t i = node * hidden + h;
    if (rows.dtype != UFFB_BF16) return ((const float *)rows.data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)rows.data)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void uffb_fff_walk_generic(const uffb_tree *tree, int64_t from, int64_t to, uffb_rows rows, const float *x, int64_t ldx,
                           int32_t *nodes, float *logits, int64_t ldp, int32_t *arranged) {
    memcpy(arranged, rows.order, (size_t)rows.count * sizeof *arranged);
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t t = rows.order[i];
        int32_t node = from ? nodes[t * ldp + from] : 0;
        for (int64_t level = from; level < to; level++) {
            float logit = 0;
            for (int64_t h = 0; h < tree->hidden; h++) logit += weight(tree->in, tree->hidden, node, h) * x[t * ldx + h];
            if (tree->bias) logit += tree->bias[node];
            nodes[t * ldp + level] = node;
            logits[t * ldp + level] = logit;
            node = 2 * node + 1 + ((tree->noise ? logit + tree->noise[t * ldp + level] : logit) > 0);
        }
        if (to <= tree->depth) nodes[t * ldp + to] = node;
    }
}

uffb_activate_fn uffb_activate_generic;

void uffb_fff_sum_generic(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes, const float *logits,
                          int64_t ldp, float *y, int64_t ldy) {
    const int64_t levels = tree->depth + 1;
    float scale[UFFB_MAX_DEPTH + 1];
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t t = rows.order[i];
        memcpy(scale, logits + t * ldp, (size_t)levels * sizeof *scale);
        uffb_activate_generic(activation, 1, levels, scale, levels);
        for (int64_t h = 0; h < tree->hidden; h++) {
            float sum = 0;
            for (int64_t p = 0; p < levels; p++) sum += scale[p] * weight(tree->out, tree->hidden, nodes[t * ldp + p], h);
            y[t * ldy + h] += sum;
        }
    }
}

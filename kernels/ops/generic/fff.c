/* The fast feedforward network as the paper states it (arXiv 2311.10770, algorithm 1): one dot product per level. */
#include "../ops.h"

void uffb_fff_walk_generic(const uffb_tree *tree, int64_t tokens, const float *x, int64_t ldx, int32_t first_node,
                           int32_t *nodes, float *logits, int64_t ldp) {
    for (int64_t t = 0; t < tokens; t++, x += ldx, nodes += ldp, logits += ldp) {
        int64_t node = 0;
        for (int64_t level = 0; level <= tree->depth; level++) {
            const float *row = tree->weight + node * tree->hidden;
            float logit = 0;
            for (int64_t i = 0; i < tree->hidden; i++) logit += row[i] * x[i];
            if (tree->bias) logit += tree->bias[node];
            nodes[level] = first_node + (int32_t)node;
            logits[level] = logit;
            node = 2 * node + 1 + (logit > 0);
        }
    }
}

void uffb_fff_sum_generic(int64_t tokens, int64_t count, int64_t hidden, const int32_t *nodes, const float *scale,
                          int64_t ldp, const float *weight, float *y, int64_t ldy) {
    for (int64_t t = 0; t < tokens; t++, nodes += ldp, scale += ldp, y += ldy) {
        for (int64_t i = 0; i < hidden; i++) {
            float sum = 0;
            for (int64_t p = 0; p < count; p++) sum += scale[p] * weight[nodes[p] * hidden + i];
            y[i] += sum;
        }
    }
}

/* The gradient of the logits of known paths. Nothing waits for a branch here; tokens on the same path share the loads of its
 * rows. */
#include "fff.h"

uffb_activate_back_fn KERNEL(activate_back);

void KERNEL(fff_back)(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes, const float *logits,
                      int64_t ldp, const float *dy, int64_t lddy, float *dlogits) {
    const int64_t levels = tree->depth + 1, hidden = tree->hidden;
    for (int64_t i = 0; i < rows.count;) {
        const int32_t *path = nodes + rows.order[i] * ldp;
        const float *ds[VEC_FFF_TOKENS];
        int tokens = 0;
        for (; tokens < VEC_FFF_TOKENS && i + tokens < rows.count; tokens++) {
            const int64_t t = rows.order[i + tokens];
            if (memcmp(nodes + t * ldp, path, (size_t)levels * sizeof *path)) break;
            ds[tokens] = dy + t * lddy;
        }
        for (int64_t p = 0; p < levels; p++) {
            const void *row = node_row(UFFB_F32, tree->out.data, path[p], hidden);
            float sums[VEC_FFF_TOKENS];
            if (tokens == VEC_FFF_TOKENS) {
                dot(UFFB_F32, VEC_FFF_TOKENS, hidden, row, ds, sums);
            } else {
                for (int g = 0; g < tokens; g++) dot(UFFB_F32, 1, hidden, row, ds + g, sums + g);
            }
            for (int g = 0; g < tokens; g++) dlogits[rows.order[i + g] * ldp + p] = sums[g];
        }
        for (int g = 0; g < tokens; g++) {
            const int64_t at = rows.order[i + g] * ldp;
            KERNEL(activate_back)(activation, 1, levels, logits + at, ldp, dlogits + at, ldp);
        }
        i += tokens;
    }
}

#include "../ops.h"

uffb_activate_back_fn uffb_activate_back_generic;

void uffb_fff_back_generic(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes, const float *logits,
                           int64_t ldp, const float *dy, int64_t lddy, float *dlogits) {
    const float *out = tree->out.data;
    for (int64_t i = 0; i < rows.count; i++) {
        const int64_t t = rows.order[i];
        for (int64_t p = t * ldp; p <= t * ldp + tree->depth; p++) {
            double sum = 0;
            for (int64_t h = 0; h < tree->hidden; h++)
                sum += (double)out[nodes[p] * tree->hidden + h] * (double)dy[t * lddy + h];
            dlogits[p] = (float)sum;
        }
        uffb_activate_back_generic(activation, 1, tree->depth + 1, logits + t * ldp, ldp, dlogits + t * ldp, ldp);
    }
}

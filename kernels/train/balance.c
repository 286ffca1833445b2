/* Balance of trees by their biases, beside the gradient. */
#include "trainer.h"

#include <math.h>
#include <string.h>

/* Tokens that a node is taken to have sent either way besides, so that a few do not move it far. */
#define PRIOR 8.0

static uffb_parameter *bias_of(const uffb_train_layer *layer) {
    return layer->tree_bias ? layer->tree_bias : layer->nodes_in.bias;
}

/* One tree: node n has its children at 2n+1 and 2n+2. */
static void balance_tree(int64_t nodes, double rate, const int64_t *visits, const int64_t *balanced, float *bias) {
    for (int64_t n = 0; 2 * n + 2 < nodes; n++) {
        const double left = (double)(visits[2 * n + 1] - balanced[2 * n + 1]);
        const double right = (double)(visits[2 * n + 2] - balanced[2 * n + 2]);
        bias[n] -= (float)(rate * (right - left) / (right + left + PRIOR));
    }
}

int32_t uffb_trainer_balance(uffb_trainer *t, double rate) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_balance: no trainer");
    int32_t status = UFFB_OK;
    if (!t->context) status = uffb_fail(UFFB_INVALID, "uffb_trainer_balance: the trainer is not ready");
    if (!status && !(rate >= 0 && isfinite(rate))) status = uffb_fail(UFFB_INVALID, "the rate of balance must be 0 or more");
    for (int64_t l = 0; !status && l < t->arch.layers; l++) {
        if (!t->layers[l].visits || !bias_of(&t->layers[l]))
            status = uffb_fail(UFFB_INVALID, "layer %lld has no biases of trees to balance", (long long)l);
    }
    if (status) return uffb_trainer_fail(t, status);
    const int64_t nodes = t->model->nodes;
    for (int64_t l = 0; l < t->arch.layers; l++) {
        uffb_train_layer *layer = &t->layers[l];
        const uffb_parameter *bias = bias_of(layer);
        for (int64_t first = 0; uffb_trains(bias) && first < t->arch.trees * nodes; first += nodes)
            balance_tree(nodes, rate, layer->visits + first, layer->balanced + first, bias->weight + first);
        memcpy(layer->balanced, layer->visits, (size_t)(t->arch.trees * nodes) * sizeof *layer->visits);
    }
    return UFFB_OK;
}

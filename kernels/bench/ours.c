/* Our own kernels, as the encoder runs them. */
#include "layer.h"

#include <stddef.h>

void uffb_ours(uffb_trial *trial) {
    uffb_context *c = trial->bench->context;
    trial->status = uffb_context_reserve(c, 1, trial->tokens, 1);
    if (trial->status) return;
    c->tokens = trial->tokens;
    uffb_feed_forward(c, 0, trial->bench->x, trial->bench->y, NULL);
}

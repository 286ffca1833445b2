/* Which way a batch takes through an FFF layer. The limits are estimates until they have been measured on a device: the
 * driver's table has a line for each way. */
#include "workspace.h"

/* Up to here a block a token is faster than a warp. */
static const int64_t SMALL_TOKENS = 256;
/* From here on sorting pays for its three launches. */
static const int64_t SORTED_TOKENS = 4096;
/* With many trees no path is long, and there are enough of them to keep a device busy. */
static const int64_t FEW_TREES = 32;

uint64_t uffb_cuda_fff_workspace(const uffb_cuda_fff *layer, int64_t tokens) {
    return divide_workspace(layer, tokens, NULL).bytes;
}

int32_t uffb_cuda_fff_forward(const uffb_cuda_fff_call *c) {
    if (c->tokens <= SMALL_TOKENS && c->layer->trees <= FEW_TREES) return uffb_cuda_fff_small(c);
    return c->tokens < SORTED_TOKENS || c->layer->trees > FEW_TREES ? uffb_cuda_fff_walk(c) : uffb_cuda_fff_sorted(c);
}

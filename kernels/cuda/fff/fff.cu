/* Which way a batch takes through an FFF layer. The driver's table has a line for each way. On an H200, whose L2 of 63 MB holds
 * all of a layer of 1x11, a block a token is faster up to some 400 tokens and sorting pays in no 16-bit batch
 * (PERFORMANCE.md); where a layer exceeds L2, the limit for sorting is an estimate. */
#include "workspace.h"

/* Up to here a block a token is faster than a warp. */
static const int64_t SMALL_TOKENS = 256;
/* From here on sorting pays for its three launches, where rows come from memory. */
static const int64_t SORTED_TOKENS = 4096;
/* With many trees no path is long, and there are enough of them to keep a device busy. */
static const int64_t FEW_TREES = 32;

/* Of a dense product in a large batch: how many rows cost as much as one that is walked. */
static const int64_t ROWS_F32 = 11, ROWS_TENSOR = 55;
/* A small batch, in which a dense product reads all of its weights for few tokens, and the rows that are walked meanwhile. */
static const int64_t SMALL_BATCH = 256, SMALL_WALK = 512;
/* The most nodes of all trees for which there is room for every logit. */
static const int64_t MOST_NODES = 8192;

/* Whether some batch of the layer is computed by all_nodes.cu. */
static bool may_take_all_nodes(const uffb_cuda_fff *l) {
    const int64_t nodes = l->trees * uffb_cuda_fff_nodes(l), walked = l->trees * (l->depth + 1);
    return nodes <= MOST_NODES && nodes < walked * (l->dtype == UFFB_F32 ? ROWS_F32 : ROWS_TENSOR);
}

static bool takes_all_nodes(const uffb_cuda_fff *l, int64_t tokens) {
    return may_take_all_nodes(l) && (tokens > SMALL_BATCH || l->trees * (l->depth + 1) > SMALL_WALK);
}

uint64_t uffb_cuda_fff_workspace(const uffb_cuda_fff *layer, int64_t tokens) {
    const uint64_t walking = divide_workspace(layer, tokens, NULL).bytes;
    const uint64_t all = may_take_all_nodes(layer) ? uffb_cuda_fff_all_nodes_workspace(layer, tokens) : 0;
    return walking > all ? walking : all;
}

static int32_t exceeds_l2(const uffb_cuda_fff *l, bool *exceeds) {
    int device = 0, l2 = 0;
    CUDA_TRY(cudaGetDevice(&device), "asking for the device");
    CUDA_TRY(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device), "asking for the size of L2");
    *exceeds = 2 * l->trees * uffb_cuda_fff_nodes(l) * l->hidden * uffb_dtype_bytes(l->dtype) > l2;
    return UFFB_OK;
}

int32_t uffb_cuda_fff_forward(const uffb_cuda_fff_call *c) {
    if (takes_all_nodes(c->layer, c->tokens)) return uffb_cuda_fff_all_nodes(c);
    if (c->tokens <= SMALL_TOKENS && c->layer->trees <= FEW_TREES) return uffb_cuda_fff_small(c);
    if (c->tokens < SORTED_TOKENS || c->layer->trees > FEW_TREES) return uffb_cuda_fff_walk(c);
    bool sorts = false;
    const int32_t status = exceeds_l2(c->layer, &sorts);
    if (status) return status;
    return sorts ? uffb_cuda_fff_sorted(c) : uffb_cuda_fff_walk(c);
}

/* workspace.h: how the ways of computing an FFF layer divide the workspace. */
#ifndef UFFB_CUDA_WORKSPACE_H
#define UFFB_CUDA_WORKSPACE_H

#include "fff.h"

/* Blocks that a token's trees are spread over, at most, when there are few tokens (small.cu). */
#define SMALL_SPLITS 32
/* Tokens that a call of small.cu takes with more than one split. */
#define SMALL_SPLIT_TOKENS 64
/* Deepest level to sort at: 4,096 subtrees. */
#define MOST_TOP 12

typedef struct fff_workspace {
    int32_t *count[2]; /* [2^MOST_TOP]: tokens in each subtree, of every other tree */
    int32_t *node;     /* [tokens]: the root of the subtree that a token has reached */
    int32_t *rank;     /* [tokens]: its place among those of its subtree */
    int32_t *order;    /* [tokens], sorted by subtree */
    float *logits;     /* [tokens, depth + 1] */
    float *sums;       /* [tokens, hidden]: of several trees, where y cannot hold them */
    float *splits;     /* [tokens, splits, hidden]: of small.cu */
    uint64_t bytes;
} fff_workspace;

inline fff_workspace divide_workspace(const uffb_cuda_fff *l, int64_t tokens, void *memory) {
    fff_workspace w = {};
    uint64_t used = 0;
    const auto take = [&](uint64_t elements) {
        void *p = (uint8_t *)memory + used;
        used += (elements * 4 + 255) / 256 * 256;
        return p;
    };
    const uint64_t t = (uint64_t)tokens, hidden = (uint64_t)l->hidden;
    const uint64_t few = t < SMALL_SPLIT_TOKENS ? t : SMALL_SPLIT_TOKENS;
    for (int32_t *&count : w.count) count = (int32_t *)take(1 << MOST_TOP);
    w.node = (int32_t *)take(t);
    w.rank = (int32_t *)take(t);
    w.order = (int32_t *)take(t);
    w.logits = (float *)take(t * (uint64_t)(l->depth + 1));
    w.sums = (float *)take(l->trees > 1 && l->dtype != UFFB_F32 ? t * hidden : 0);
    w.splits = (float *)take(l->trees > 1 ? few * SMALL_SPLITS * hidden : 0);
    w.bytes = used;
    return w;
}

#endif

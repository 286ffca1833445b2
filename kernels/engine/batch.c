#include "batch.h"
#include "error.h"

#include <stddef.h>

int32_t uffb_check_offsets(const uffb_arch *a, int64_t sequences, const int64_t *offsets, const char *name) {
    if (sequences < 1 || !offsets) return uffb_fail(UFFB_INVALID, "%s: no sequences or offsets", name);
    if (offsets[0] != 0) return uffb_fail(UFFB_INVALID, "%s: offsets must start at 0", name);
    for (int64_t s = 0; s < sequences; s++) {
        int64_t length;
        if (__builtin_sub_overflow(offsets[s + 1], offsets[s], &length) || length < 1 || length > a->max_length) {
            return uffb_fail(UFFB_INVALID, "sequence %lld has %lld tokens, but must have 1 to %lld", (long long)s,
                             (long long)length, (long long)a->max_length);
        }
    }
    if (offsets[sequences] > INT32_MAX / a->heads) { /* so many tasks and tokens are numbered in 32 bits */
        return uffb_fail(UFFB_INVALID, "%s: %lld tokens are too many for a batch", name, (long long)offsets[sequences]);
    }
    return UFFB_OK;
}

int32_t uffb_check_batch(const uffb_arch *a, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                         const int32_t *types, const char *name) {
    int32_t status = uffb_check_offsets(a, sequences, offsets, name);
    if (status) return status;
    if (!ids) return uffb_fail(UFFB_INVALID, "%s: no ids", name);
    for (int64_t t = 0; t < offsets[sequences]; t++) {
        if (ids[t] < 0 || ids[t] >= a->vocab) {
            return uffb_fail(UFFB_INVALID, "token %lld is id %d, but the vocabulary has 0 to %lld", (long long)t, ids[t],
                             (long long)a->vocab - 1);
        }
        if (types && a->token_types && (types[t] < 0 || types[t] >= a->token_types)) {
            return uffb_fail(UFFB_INVALID, "token %lld is of type %d, but there are 0 to %lld", (long long)t, types[t],
                             (long long)a->token_types - 1);
        }
    }
    return UFFB_OK;
}

const char *uffb_beyond_plain(const uffb_arch *a) {
    if (a->positions == UFFB_ROTARY) return "rotary positions";
    if (a->relative_buckets) return "relative position biases";
    if (a->window) return "attention within a window";
    if (a->embed_width) return "a projection of the embedding";
    if (a->distinct_layers) return "layers that share tensors";
    if (a->feedforward == UFFB_FFN_GLU_FIRST) return "gates in the second half of a layer";
    if (a->qkv_order) return "queries, keys and values one behind the other";
    if (a->first_unnormed) return "a first layer without norm";
    return a->pool_norm ? "a norm in the classification head" : NULL;
}

#include "batch.h"
#include "error.h"

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

#include "weights.h"

#include <stddef.h>

static const uffb_kind *const kinds[] = {
#define UFFB_KIND(name) &uffb_##name,
#include "kinds.inc"
#undef UFFB_KIND
};

#define KINDS (sizeof kinds / sizeof *kinds)

const uffb_kind *uffb_kind_for(int32_t purpose, int32_t dtype) {
    const uffb_kind *first = NULL;
    for (size_t i = 0; i < KINDS; i++) {
        if (!(kinds[i]->purposes & purpose)) continue;
        if (kinds[i]->dtype == dtype) return kinds[i];
        if (!first) first = kinds[i];
    }
    return first;
}

const uffb_kind *uffb_quantised_kind(int32_t dtype) {
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i]->quantise && kinds[i]->dtype == dtype) return kinds[i];
    }
    return NULL;
}

int32_t uffb_unpack_plain(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out) {
    const uffb_kind *kind = w->kind;
    return uffb_tensor_convert(rows, cols, w->data, uffb_tensor_bytes(rows, cols, kind->dtype, kind->layout), kind->dtype,
                               kind->layout, out, uffb_tensor_bytes(rows, cols, dtype, layout), dtype, layout);
}

#include "weights.h"

#include <stdlib.h>

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

const uffb_kind *uffb_integer_kind(int32_t dtype, int32_t layout) {
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i]->pack_row && kinds[i]->dtype == dtype && kinds[i]->layout == layout) return kinds[i];
    }
    return NULL;
}

int32_t uffb_unpack_plain(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out) {
    const uffb_kind *kind = w->kind;
    return uffb_tensor_convert(rows, cols, w->data, uffb_tensor_bytes(rows, cols, kind->dtype, kind->layout), kind->dtype,
                               kind->layout, out, uffb_tensor_bytes(rows, cols, dtype, layout), dtype, layout);
}

int32_t uffb_unpack_integers(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out) {
    float *values = calloc((size_t)(rows * cols), sizeof *values);
    if (!values) return UFFB_NO_MEMORY;
    for (int64_t row = 0; row < rows; row++) w->kind->add_row(w, cols, row, values + row * cols);
    const int32_t status = uffb_tensor_convert(rows, cols, values, uffb_tensor_bytes(rows, cols, UFFB_F32, UFFB_ROWS), UFFB_F32,
                                               UFFB_ROWS, out, uffb_tensor_bytes(rows, cols, dtype, layout), dtype, layout);
    free(values);
    return status;
}

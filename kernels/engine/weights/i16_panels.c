/* Weights in 16 bits, or as many of them as sums over the columns leave room for. */
#include "integers.h"

static void add_row(const uffb_weights *w, int64_t cols, int64_t row, float *x) { add_integers(2, w, cols, row, x); }

static uint64_t row_bytes(int64_t cols) { return (uint64_t)round_up(cols, 2) * 2; }

static void pack_row(int64_t cols, int64_t row, const float *values, void *data, float *scale) {
    pack_integers(2, uffb_most_i16(cols), cols, row, values, data, scale);
}

static void multiply(const uffb_ops *ops, const uffb_weights *w, int64_t first, const uffb_product *p) {
    const uffb_weights_i16 part = {(const int16_t *)w->data + first * round_up(p->k, 2), w->scale + first};
    ops->gemm_i16(p->m, p->n, p->k, p->a, p->lda, p->a_scale, &part, p->bias, p->c, p->ldc, p->accumulate);
}

static void quantise(const uffb_ops *ops, int64_t rows, int64_t cols, const float *x, int64_t ldx, void *q, int64_t ldq,
                     float *scale) {
    ops->quantise_i16(rows, cols, x, ldx, q, ldq, scale);
}

const uffb_kind uffb_i16_panels = {
    .purposes = UFFB_FOR_PRODUCTS,
    .dtype = UFFB_I16,
    .layout = UFFB_PANELS_I16,
    .boundary = 2,
    .add_row = add_row,
    .unpack = uffb_unpack_integers,
    .multiply = multiply,
    .input_bytes = 2,
    .together = 2,
    .quantise = quantise,
    .row_bytes = row_bytes,
    .pack_row = pack_row,
};

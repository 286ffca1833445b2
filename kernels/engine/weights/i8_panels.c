/* Weights in 8 bits. Kernels add 128 to inputs, so that they are unsigned, and take it away again with the sums of rows. */
#include "integers.h"

/* Sums of 255 * 127 over more columns than this could overflow. */
#define MOST_COLS 65536

static void add_row(const uffb_weights *w, int64_t cols, int64_t row, float *x) { add_integers(1, w, cols, row, x); }

static uint64_t row_bytes(int64_t cols) { return (uint64_t)round_up(cols, 4); }

static void pack_row(int64_t cols, int64_t row, const float *values, void *data, float *scale) {
    pack_integers(1, 127, cols, row, values, data, scale);
}

static void multiply(const uffb_ops *ops, const uffb_weights *w, int64_t first, const uffb_product *p) {
    const uffb_weights_i8 part = {(const int8_t *)w->data + first * round_up(p->k, 4), w->scale + first, w->sum + first};
    ops->gemm_i8(p->m, p->n, p->k, p->a, p->lda, p->a_scale, &part, p->bias, p->c, p->ldc, p->accumulate);
}

static void quantise(const uffb_ops *ops, int64_t rows, int64_t cols, const float *x, int64_t ldx, void *q, int64_t ldq,
                     float *scale) {
    ops->quantise_i8(rows, cols, x, ldx, q, ldq, scale);
}

static uint64_t derived_bytes(int64_t rows, int64_t cols) { return cols > MOST_COLS ? 0 : (uint64_t)rows * sizeof(int32_t); }

static void derive(uffb_weights *w, int64_t rows, int64_t cols, void *derived) {
    int32_t *sums = derived;
    for (int64_t row = 0; row < rows; row++) {
        const int8_t *q = (const int8_t *)w->data + row_start(1, cols, row);
        sums[row] = 0;
        for (int64_t l = 0; l < cols; l += 4, q += 4 * UFFB_PANEL) sums[row] += q[0] + q[1] + q[2] + q[3];
    }
    w->sum = sums;
}

const uffb_kind uffb_i8_panels = {
    .purposes = UFFB_FOR_PRODUCTS,
    .dtype = UFFB_I8,
    .layout = UFFB_PANELS_I8,
    .boundary = 1,
    .add_row = add_row,
    .unpack = uffb_unpack_integers,
    .multiply = multiply,
    .input_bytes = 1,
    .together = 4,
    .quantise = quantise,
    .row_bytes = row_bytes,
    .pack_row = pack_row,
    .derived_bytes = derived_bytes,
    .derive = derive,
};

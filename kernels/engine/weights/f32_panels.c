/* Weights in f32, 16 rows to a panel: what they are, exactly. */
#include "weights.h"

static void add_row(const uffb_weights *w, int64_t cols, int64_t row, float *x) {
    const float *at = (const float *)w->data + row / UFFB_PANEL * UFFB_PANEL * cols + row % UFFB_PANEL;
    for (int64_t i = 0; i < cols; i++) x[i] += at[i * UFFB_PANEL];
}

static void multiply(const uffb_ops *ops, const uffb_weights *w, int64_t first, const uffb_product *p) {
    ops->gemm(p->m, p->n, p->k, p->a, p->lda, (const float *)w->data + first * p->k, p->bias, p->c, p->ldc, p->accumulate,
              p->scratch);
}

const uffb_kind uffb_f32_panels = {
    .purposes = UFFB_FOR_PRODUCTS,
    .dtype = UFFB_F32,
    .layout = UFFB_PANELS,
    .boundary = 4,
    .add_row = add_row,
    .unpack = uffb_unpack_plain,
    .multiply = multiply,
    .input_bytes = 4,
    .together = 1,
};

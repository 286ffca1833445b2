/* Rows in 8 bits that are looked up one at a time: embeddings. A row takes a quarter of what it does in f32, and so many fewer
 * lines of the cache. */
#include "weights.h"
#include "../../ops/gemm/quantise.h"

static const int8_t *row_of(const uffb_weights *w, int64_t cols, int64_t row) { return (const int8_t *)w->data + row * cols; }

static void add_row(const uffb_weights *w, int64_t cols, int64_t row, float *x) {
    const int8_t *q = row_of(w, cols, row);
    const float scale = w->scale[row];
    for (int64_t i = 0; i < cols; i++) x[i] += (float)q[i] * scale;
}

static uint64_t row_bytes(int64_t cols) { return (uint64_t)cols; }

static void pack_row(int64_t cols, int64_t row, const float *values, void *data, float *scale) {
    const float factor = uffb_quantise_factor(uffb_largest(cols, values), 127, scale);
    int8_t *q = (int8_t *)data + row * cols;
    for (int64_t i = 0; factor > 0 && i < cols; i++) q[i] = (int8_t)rintf(values[i] * factor);
}

const uffb_kind uffb_i8_rows = {
    .purposes = UFFB_FOR_ROWS,
    .dtype = UFFB_I8,
    .layout = UFFB_ROWS,
    .boundary = 1,
    .add_row = add_row,
    .unpack = uffb_unpack_integers,
    .row_bytes = row_bytes,
    .pack_row = pack_row,
};

/* integers.h: panels of integers with a scale a row, of any width. Panels are [ceil(rows/16)][ceil(cols/group)][16][group],
 * where a group is what 4 bytes hold. Every function is inlined with a constant size of an integer, in bytes. */
#ifndef UFFB_INTEGERS_H
#define UFFB_INTEGERS_H

#include "weights.h"
#include "../../ops/gemm/quantise.h"

#define UFFB_INLINE static inline __attribute__((always_inline))

UFFB_INLINE int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/* Where a row starts, and where a column lies from there. */
UFFB_INLINE int64_t row_start(int size, int64_t cols, int64_t row) {
    return row / UFFB_PANEL * UFFB_PANEL * round_up(cols, 4 / size) + row % UFFB_PANEL * (4 / size);
}
UFFB_INLINE int64_t column(int size, int64_t i) { return i / (4 / size) * (4 / size) * UFFB_PANEL + i % (4 / size); }

UFFB_INLINE int32_t integer(int size, const void *data, int64_t at) {
    return size == 1 ? ((const int8_t *)data)[at] : ((const int16_t *)data)[at];
}

UFFB_INLINE void add_integers(int size, const uffb_weights *w, int64_t cols, int64_t row, float *x) {
    const int64_t start = row_start(size, cols, row);
    for (int64_t i = 0; i < cols; i++) x[i] += (float)integer(size, w->data, start + column(size, i)) * w->scale[row];
}

/* Integers of up to `most`, to nearest, ties to even. */
UFFB_INLINE void pack_integers(int size, int32_t most, int64_t cols, int64_t row, const float *values, void *data,
                               float *scale) {
    const float factor = uffb_quantise_factor(uffb_largest(cols, values), (float)most, scale);
    const int64_t start = row_start(size, cols, row);
    for (int64_t i = 0; factor > 0 && i < cols; i++) {
        const float q = rintf(values[i] * factor);
        if (size == 1) {
            ((int8_t *)data)[start + column(size, i)] = (int8_t)q;
        } else {
            ((int16_t *)data)[start + column(size, i)] = (int16_t)q;
        }
    }
}

#endif

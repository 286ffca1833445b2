/* quantise_i16 for every instruction set: compilers have vector code for it, since it needs no instruction that rounds. A
 * number that is added and taken away again leaves a whole number in the low bits, ties to even. */
#ifndef UFFB_QUANTISE_I16_H
#define UFFB_QUANTISE_I16_H

#include "../ops.h"
#include "quantise.h"

static inline void uffb_quantise_i16_rows(int64_t rows, int64_t cols, const float *x, int64_t ldx, int16_t *q, int64_t ldq,
                                          float *scale) {
    const float levels = (float)uffb_most_i16(cols), rounder = 0x1.8p23f;
    int32_t zero;
    memcpy(&zero, &rounder, sizeof zero);
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const float factor = uffb_quantise_factor(uffb_largest(cols, x), levels, &scale[r]);
        if (factor == 0) {
            memset(q, 0, (size_t)((cols + 1) / 2 * 2) * sizeof *q);
            continue;
        }
        for (int64_t i = 0; i < cols; i++) {
            const float rounded = x[i] * factor + rounder;
            int32_t bits;
            memcpy(&bits, &rounded, sizeof bits);
            q[i] = (int16_t)(bits - zero);
        }
        if (cols % 2) q[cols] = 0;
    }
}

#endif

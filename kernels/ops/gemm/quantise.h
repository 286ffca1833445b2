/* What turns a row of numbers into integers and back, the same for weights and activations, of any width. */
#ifndef UFFB_QUANTISE_H
#define UFFB_QUANTISE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The largest magnitude of a row; NaN if there is one. Without their signs, floats are in the order of their bits, NaNs above
 * infinity: compilers have vector code for that. */
static inline float uffb_largest(int64_t n, const float *x) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    float value;
    memcpy(&value, &most, sizeof value);
    return value;
}

/* Integers are round(x * the result), and stand for themselves times `scale`; `most` of `levels` is the largest magnitude of
 * the row. 0 for a row of zeros, or of numbers so small that there is no factor in f32: its integers are 0. So are those of a
 * row that is not finite, whose scale is NaN, as then all is that is computed from it. */
static inline float uffb_quantise_factor(float most, float levels, float *scale) {
    const int finite = most < INFINITY;
    const float factor = levels / most;
    *scale = finite ? most / levels : NAN;
    return finite && factor < INFINITY ? factor : 0.0f;
}

#endif

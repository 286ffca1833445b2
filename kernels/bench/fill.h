/* fill.h: the numbers of a bench's layer and inputs, the same ones on the CPU and on a device. */
#ifndef UFFB_BENCH_FILL_H
#define UFFB_BENCH_FILL_H

#include "bench.h"

#include <math.h>

/* Uniform in [-1, 1); xorshift64. */
static inline void uffb_fill_random(uint64_t *state, int64_t n, float scale, float *out) {
    for (int64_t i = 0; i < n; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        out[i] = ((float)(*state >> 40) * 0x1p-23f - 1.0f) * scale;
    }
}

/* in and out [rows, hidden], x [inputs, hidden], bias [rows]; `fill` is one of UFFB_FILL_UNIFORM... */
static inline void uffb_fill_layer(int32_t fill, uint64_t seed, int64_t rows, int64_t hidden, int64_t inputs, float *in,
                                   float *out, float *x, float *bias) {
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    const float scale = fill == UFFB_FILL_ZERO ? 0.0f : 1.0f;
    /* Weights of variance 1/hidden and inputs of variance 1 give logits of variance 1. */
    uffb_fill_random(&state, rows * hidden, scale * sqrtf(3.0f / (float)hidden), in);
    uffb_fill_random(&state, rows * hidden, scale * sqrtf(3.0f / (float)hidden), out);
    uffb_fill_random(&state, inputs * hidden, scale * sqrtf(3.0f), x);
    uffb_fill_random(&state, rows, scale * 0.01f, bias);
    /* P(N(0,1) > 1.2816) = 0.1 */
    for (int64_t i = 0; fill == UFFB_FILL_SKEWED && i < rows; i++) bias[i] -= 1.2816f;
}

#endif

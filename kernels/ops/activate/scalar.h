/* scalar.h: activations, one number at a time. Every other way to compute them is held against this one; a device computes them
 * with it, too. */
#ifndef UFFB_SCALAR_H
#define UFFB_SCALAR_H

#include <math.h>
#include <stdint.h>
#include "../../uffb.h"

/* How a function that can run on a device is declared; kernels/cuda has a way of its own. */
#ifndef UFFB_SCALAR
#define UFFB_SCALAR static inline
#endif

/* Held from -20 on, where it is 0, lest -infinity give NaN. */
UFFB_SCALAR float act_gelu(float x) {
    const float held = x < -20.0f ? -20.0f : x;
    return 0.5f * held * (1.0f + erff(held * 0.70710678f));
}
UFFB_SCALAR float act_gelu_tanh(float x) { return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }
UFFB_SCALAR float act_relu(float x) { return x < 0 ? 0.0f : x; }
UFFB_SCALAR float act_tanh(float x) { return tanhf(x); }
UFFB_SCALAR float act_identity(float x) { return x; }

/* act(x), NaN for an activation that there is not. */
UFFB_SCALAR float activate(int32_t activation, float x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return act_##name(x);
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: return NAN;
    }
}

/* Derivatives, for training. */
UFFB_SCALAR float slope_gelu(float x) { return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x); }
UFFB_SCALAR float slope_gelu_tanh(float x) {
    const float t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 3.0f * 0.044715f * x * x);
}
UFFB_SCALAR float slope_relu(float x) { return x > 0 ? 1.0f : 0.0f; }
UFFB_SCALAR float slope_tanh(float x) { return 1.0f - tanhf(x) * tanhf(x); }
UFFB_SCALAR float slope_identity(float x) {
    (void)x;
    return 1.0f;
}

/* act'(x), NaN for an activation that there is not. */
UFFB_SCALAR float activation_slope(int32_t activation, float x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return slope_##name(x);
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: return NAN;
    }
}

#endif

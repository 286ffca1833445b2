/* activations.h: every activation in double precision, and how far a kernel may be off. */
#ifndef UFFB_TEST_ACTIVATIONS_H
#define UFFB_TEST_ACTIVATIONS_H

#include "check.h"
#include "../uffb.h"

#include <float.h>
#include <math.h>

static inline double exact_gelu(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }
static inline double exact_gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))); }
static inline double exact_relu(double x) { return x < 0 ? 0 : x; }
static inline double exact_tanh(double x) { return tanh(x); }
static inline double exact_identity(double x) { return x; }

/* GELU multiplies x by a factor between 0 and 1, and tanh lies between -1 and 1: either may be off by a few units in the last
 * place of 1. The others are exact. */
#define error_gelu(x) (8 * ROUNDING * fabs(x) + (double)FLT_MIN)
#define error_gelu_tanh(x) error_gelu(x)
#define error_tanh(x) (8 * ROUNDING)
#define error_relu(x) 0
#define error_identity(x) 0

/* act(x). */
static inline double exact_activation(int32_t activation, double x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return exact_##name(x);
#include "../activations.inc"
#undef UFFB_ACTIVATION
    default: return (double)NAN;
    }
}

/* The largest error of a kernel's act(x). */
static inline double activation_error(int32_t activation, double x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return error_##name(x);
#include "../activations.inc"
#undef UFFB_ACTIVATION
    default: return 0;
    }
}

static const char *const activation_names[] = {
#define UFFB_ACTIVATION(CONSTANT, name, ...) #name,
#include "../activations.inc"
#undef UFFB_ACTIVATION
};

#endif

/* Vector functions good to a few units in the last place of 1. Coefficients: our own minimax fits. NaN gives NaN: what may be
 * one comes last in vec_max and vec_min. */
#ifndef UFFB_SIMD_MATH_H
#define UFFB_SIMD_MATH_H

#include "simd.h"

/* exp(x) = 2^n exp(r), |r| <= ln2/2; relative error 2e-7. Below -87 it stays at exp(-87), above 88 at exp(88). */
UFFB_INLINE vec vec_exp(vec x) {
    x = vec_min(vec_set(88.0f), vec_max(vec_set(-87.0f), x));
    vec n = vec_round(vec_mul(x, vec_set(1.44269504f)));
    vec r = vec_fma(n, vec_set(-0.693359375f), x);
    r = vec_fma(n, vec_set(2.12194440e-4f), r);
    vec p = vec_set(1.38145383e-3f);
    p = vec_fma(p, r, vec_set(8.36874545e-3f));
    p = vec_fma(p, r, vec_set(4.16683890e-2f));
    p = vec_fma(p, r, vec_set(1.66665211e-1f));
    p = vec_fma(p, r, vec_set(4.99999940e-1f));
    p = vec_fma(p, vec_mul(r, r), vec_add(r, vec_set(1.0f)));
    return vec_mul(p, vec_exp2(n));
}

/* The distribution function of the normal distribution: 1/2 + x P(x^2) / Q(x^2), the fraction held from |x| = 5.66 on, where it
 * is 1/2 - 1e-8; off by 2.3e-7. Below -5.66 it is 0, as in f32 with erf: what rounding leaves there, training would take for a
 * gradient, of which AdamW makes full steps. */
UFFB_INLINE vec vec_normal(vec x) {
    const vec t = vec_min(vec_set(5.65685425f), vec_max(vec_set(-5.65685425f), x)), u = vec_mul(t, t);
    vec p = vec_set(2.19498498e-08f);
    p = vec_fma(p, u, vec_set(6.2869855e-06f));
    p = vec_fma(p, u, vec_set(0.000171569139f));
    p = vec_fma(p, u, vec_set(0.00469324782f));
    p = vec_fma(p, u, vec_set(0.0342099912f));
    p = vec_fma(p, u, vec_set(0.39894226f));
    vec q = vec_set(1.1692639e-06f);
    q = vec_fma(q, u, vec_set(7.40776594e-05f));
    q = vec_fma(q, u, vec_set(0.00190061401f));
    q = vec_fma(q, u, vec_set(0.0288348905f));
    q = vec_fma(q, u, vec_set(0.252418011f));
    q = vec_fma(q, u, vec_set(1.0f));
    return vec_where_positive(vec_add(x, vec_set(5.65685425f)), vec_fma(vec_mul(t, p), vec_inverse(q), vec_set(0.5f)));
}

/* Off by 2.3e-7 of |x|, or of 1 where |x| is less. x is held where vec_normal holds it below, lest its error grow with x. */
UFFB_INLINE vec vec_gelu(vec x) { return vec_mul(vec_max(vec_set(-5.65685425f), x), vec_normal(x)); }

/* tanh(x) = 1 - 2 / (exp(2x) + 1); absolute error 2e-7. */
UFFB_INLINE vec vec_tanh(vec x) {
    vec e = vec_exp(vec_add(x, x));
    return vec_fma(vec_set(-2.0f), vec_inverse(vec_add(e, vec_set(1.0f))), vec_set(1.0f));
}

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
UFFB_INLINE vec vec_gelu_tanh(vec x) {
    const vec half = vec_mul(x, vec_set(0.5f)), cube = vec_mul(vec_mul(x, x), vec_mul(x, vec_set(0.044715f)));
    return vec_fma(half, vec_tanh(vec_mul(vec_set(0.79788456f), vec_add(x, cube))), half);
}

UFFB_INLINE vec vec_relu(vec x) { return vec_max(vec_zero(), x); }

UFFB_INLINE vec vec_identity(vec x) { return x; }

/* --- their derivatives ---------------------------------------------------------------------------------------------------- */

/* The distribution function of the normal distribution, plus x times its density. */
UFFB_INLINE vec slope_vec_gelu(vec x) {
    const vec density = vec_mul(vec_set(0.39894228f), vec_exp(vec_mul(vec_mul(x, vec_set(-0.5f)), x)));
    return vec_fma(x, density, vec_normal(x));
}

UFFB_INLINE vec slope_vec_tanh(vec x) {
    const vec t = vec_tanh(x);
    return vec_fma(vec_mul(t, vec_set(-1.0f)), t, vec_set(1.0f));
}

UFFB_INLINE vec slope_vec_gelu_tanh(vec x) {
    const vec square = vec_mul(x, x), half = vec_mul(x, vec_set(0.5f));
    const vec inner = vec_mul(x, vec_fma(square, vec_set(0.79788456f * 0.044715f), vec_set(0.79788456f)));
    const vec inner_slope = vec_fma(square, vec_set(3.0f * 0.79788456f * 0.044715f), vec_set(0.79788456f));
    const vec t = vec_tanh(inner), steep = vec_mul(vec_fma(vec_mul(t, vec_set(-1.0f)), t, vec_set(1.0f)), inner_slope);
    return vec_fma(half, steep, vec_fma(t, vec_set(0.5f), vec_set(0.5f)));
}

UFFB_INLINE vec slope_vec_relu(vec x) { return vec_where_positive(x, vec_set(1.0f)); }

UFFB_INLINE vec slope_vec_identity(vec x) {
    (void)x;
    return vec_set(1.0f);
}

#endif

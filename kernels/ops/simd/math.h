/* Vector functions good to a few units in the last place of 1. Coefficients: our own minimax fits. */
#ifndef UFFB_SIMD_MATH_H
#define UFFB_SIMD_MATH_H

#include "simd.h"

/* exp(x) = 2^n exp(r), |r| <= ln2/2; relative error 2e-7. Below -87 it stays at exp(-87), above 88 at exp(88). */
UFFB_INLINE vec vec_exp(vec x) {
    x = vec_min(vec_max(x, vec_set(-87.0f)), vec_set(88.0f));
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

/* erf(x) = x P(x^2) / Q(x^2) on |x| <= 4, 1 - 1.5e-8 beyond; absolute error 4e-7. */
UFFB_INLINE vec vec_erf(vec x) {
    x = vec_min(vec_max(x, vec_set(-4.0f)), vec_set(4.0f));
    vec u = vec_mul(x, x);
    vec p = vec_set(1.98667362e-6f);
    p = vec_fma(p, u, vec_set(2.84516485e-4f));
    p = vec_fma(p, u, vec_set(3.88216646e-3f));
    p = vec_fma(p, u, vec_set(5.30980378e-2f));
    p = vec_fma(p, u, vec_set(1.93520934e-1f));
    p = vec_fma(p, u, vec_set(1.12837911f));
    vec q = vec_set(3.74164447e-5f);
    q = vec_fma(q, u, vec_set(1.18524255e-3f));
    q = vec_fma(q, u, vec_set(1.52049121e-2f));
    q = vec_fma(q, u, vec_set(1.15339562e-1f));
    q = vec_fma(q, u, vec_set(5.04836023e-1f));
    q = vec_fma(q, u, vec_set(1.0f));
    return vec_div(vec_mul(x, p), q);
}

/* tanh(x) = 1 - 2 / (exp(2x) + 1); absolute error 2e-7. */
UFFB_INLINE vec vec_tanh(vec x) {
    vec e = vec_exp(vec_add(x, x));
    return vec_sub(vec_set(1.0f), vec_div(vec_set(2.0f), vec_add(e, vec_set(1.0f))));
}

#endif

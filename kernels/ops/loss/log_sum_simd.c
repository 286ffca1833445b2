/* Softmax and its log-sum-exp, of a row of logits as wide as a vocabulary: three passes over what stays in L2. The sum is one
 * of blocks, in double precision: what it is off by, every class's gradient is off by, in the same direction. The label is left
 * out of it until the end, so that a share of nearly 1 does not swallow the others. */
#include "../vec/math.h"

#include <math.h>

#define BLOCK (16 * VEC_LANES)

/* x = exp(x - shift) of a whole number of vectors; returns their sum. */
UFFB_INLINE float exponentials(int64_t cols, vec shift, float *x) {
    vec sums[2] = {vec_zero(), vec_zero()};
    for (int64_t i = 0; i < cols; i += VEC_LANES) {
        const vec e = vec_exp(vec_sub(vec_load(x + i), shift));
        vec_store(x + i, e);
        sums[i / VEC_LANES % 2] = vec_add(sums[i / VEC_LANES % 2], e);
    }
    return vec_sum(vec_add(sums[0], sums[1]));
}

double KERNEL(log_sum)(int64_t cols, float factor, float *x, float *top) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    vec tops = vec_set(-INFINITY);
    for (int64_t i = 0; i < whole; i += VEC_LANES) tops = vec_max(tops, vec_load(x + i));
    if (rest) tops = vec_max(tops, vec_first(rest, vec_load_some(x + whole, rest), vec_set(-INFINITY)));
    *top = vec_top(tops);

    const vec shift = vec_set(*top);
    double sum = 0;
    for (int64_t i = 0; i < whole; i += BLOCK) sum += (double)exponentials(whole - i < BLOCK ? whole - i : BLOCK, shift, x + i);
    if (rest) {
        const vec e = vec_exp(vec_sub(vec_load_some(x + whole, rest), shift));
        vec_store_some(x + whole, e, rest);
        sum += (double)vec_sum(vec_first(rest, e, vec_zero()));
    }

    const vec share = vec_set(factor / (float)sum);
    for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, vec_mul(vec_load(x + i), share));
    if (rest) vec_store_some(x + whole, vec_mul(vec_load_some(x + whole, rest), share), rest);
    return (double)*top + log(sum);
}

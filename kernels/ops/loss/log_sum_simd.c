/* Softmax and its log-sum-exp, of a row of logits as wide as a vocabulary: three passes over what stays in L2. */
#include "../vec/math.h"

#include <math.h>

float KERNEL(log_sum)(int64_t cols, float factor, float *x, float *top) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    vec tops = vec_set(-INFINITY);
    for (int64_t i = 0; i < whole; i += VEC_LANES) tops = vec_max(tops, vec_load(x + i));
    if (rest) tops = vec_max(tops, vec_first(rest, vec_load_some(x + whole, rest), vec_set(-INFINITY)));
    *top = vec_top(tops);

    const vec shift = vec_set(*top);
    vec sums = vec_zero();
    for (int64_t i = 0; i < whole; i += VEC_LANES) {
        const vec e = vec_exp(vec_sub(vec_load(x + i), shift));
        vec_store(x + i, e);
        sums = vec_add(sums, e);
    }
    if (rest) {
        const vec e = vec_exp(vec_sub(vec_load_some(x + whole, rest), shift));
        vec_store_some(x + whole, e, rest);
        sums = vec_add(sums, vec_first(rest, e, vec_zero()));
    }

    const float sum = vec_sum(sums);
    const vec share = vec_set(factor / sum);
    for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, vec_mul(vec_load(x + i), share));
    if (rest) vec_store_some(x + whole, vec_mul(vec_load_some(x + whole, rest), share), rest);
    return *top + logf(sum);
}

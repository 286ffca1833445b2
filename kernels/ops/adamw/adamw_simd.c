/* AdamW in one pass over weights, gradients and moments; what limits it is memory. */
#include "../vec/simd.h"

#include <float.h>

/* x, or 0 where it is smaller than any normal number; NaN stays. */
UFFB_INLINE vec flush(vec x) { return vec_sub(x, vec_where_positive(vec_sub(vec_set(FLT_MIN), vec_abs(x)), x)); }

UFFB_INLINE void update(const uffb_adamw_factors *f, vec d, vec *w, vec *m, vec *v) {
    *m = flush(vec_fma(vec_sub(d, *m), vec_set(f->first), *m));
    *v = flush(vec_fma(*v, vec_set(f->beta2), vec_mul(vec_mul(d, d), vec_set(f->second))));
    const vec root = vec_fma(vec_sqrt(*v), vec_set(f->root), vec_set(f->eps));
    *w = vec_fma(vec_set(-f->step), vec_div(*m, root), vec_mul(*w, vec_set(f->decay)));
}

/* NaN is none. */
UFFB_INLINE int is_zero(vec x) { return vec_sum(vec_abs(x)) == 0; }

/* Where a row has been without a gradient for so long that its first moment is 0, nothing is left to divide: two
 * multiplications give the same. Only rows that begin so are asked. */
void KERNEL(adamw)(int64_t n, const uffb_adamw_factors *f, const float *g, float *w, float *m, float *v) {
    const int64_t whole = n / VEC_LANES * VEC_LANES, rest = n - whole;
    const vec factor = vec_set(f->gradient);
    const int settled = !g && whole && is_zero(vec_load(m));
    for (int64_t i = 0; i < whole; i += VEC_LANES) {
        vec x = vec_load(w + i), first = vec_load(m + i), second = vec_load(v + i);
        if (settled && is_zero(first)) {
            vec_store(w + i, vec_mul(x, vec_set(f->decay)));
            vec_store(v + i, flush(vec_mul(second, vec_set(f->beta2))));
            continue;
        }
        update(f, g ? vec_mul(vec_load(g + i), factor) : vec_zero(), &x, &first, &second);
        vec_store(w + i, x);
        vec_store(m + i, first);
        vec_store(v + i, second);
    }
    if (rest) {
        vec x = vec_load_some(w + whole, rest), first = vec_load_some(m + whole, rest);
        vec second = vec_load_some(v + whole, rest);
        update(f, g ? vec_mul(vec_load_some(g + whole, rest), factor) : vec_zero(), &x, &first, &second);
        vec_store_some(w + whole, x, rest);
        vec_store_some(m + whole, first, rest);
        vec_store_some(v + whole, second, rest);
    }
}

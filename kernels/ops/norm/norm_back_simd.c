/* The gradient of LayerNorm. With z the normalised row and g = dy * weight: dx = (g - mean(g) - z mean(g z)) / deviation. */
#include "norm.h"

/* One vector of a row, or its last `lanes` lanes. */
UFFB_INLINE vec load_part(const float *p, int64_t lanes) { return lanes == VEC_LANES ? vec_load(p) : vec_load_some(p, lanes); }

UFFB_INLINE void store_part(float *p, vec v, int64_t lanes) {
    if (lanes == VEC_LANES) {
        vec_store(p, v);
    } else {
        vec_store_some(p, v, lanes);
    }
}

/* Adds a vector of columns to the sums g and g z, and to the gradients of weight and bias. */
UFFB_INLINE void add_part(int64_t lanes, vec centre, vec scale, const float *x, const float *weight, const float *dy,
                          float *dweight, float *dbias, vec *total, vec *dot) {
    const vec z = vec_mul(vec_sub(load_part(x, lanes), centre), scale), d = load_part(dy, lanes);
    const vec g = vec_mul(d, load_part(weight, lanes)); /* 0 beyond the row */
    *total = vec_add(*total, g);
    *dot = vec_fma(g, z, *dot);
    store_part(dweight, vec_fma(d, z, load_part(dweight, lanes)), lanes);
    store_part(dbias, vec_add(d, load_part(dbias, lanes)), lanes);
}

UFFB_INLINE void back_part(int64_t lanes, vec centre, vec scale, vec total, vec dot, const float *x, const float *weight,
                           const float *dy, float *dx, int32_t accumulate) {
    const vec z = vec_mul(vec_sub(load_part(x, lanes), centre), scale);
    const vec g = vec_sub(vec_mul(load_part(dy, lanes), load_part(weight, lanes)), vec_fma(z, dot, total));
    const vec d = vec_mul(g, scale);
    store_part(dx, accumulate ? vec_add(load_part(dx, lanes), d) : d, lanes);
}

void KERNEL(norm_back)(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, float eps, const float *dy,
                       int64_t lddy, float *dx, int64_t lddx, int32_t accumulate, float *dweight, float *dbias) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    const vec share = vec_set(1.0f / (float)cols);
    for (int64_t r = 0; r < rows; r++, x += ldx, dy += lddy, dx += lddx) {
        vec centre, scale, total = vec_zero(), dot = vec_zero();
        row_statistics(cols, x, eps, &centre, &scale);
        for (int64_t i = 0; i < whole; i += VEC_LANES)
            add_part(VEC_LANES, centre, scale, x + i, weight + i, dy + i, dweight + i, dbias + i, &total, &dot);
        if (rest)
            add_part(rest, centre, scale, x + whole, weight + whole, dy + whole, dweight + whole, dbias + whole, &total, &dot);
        total = vec_mul(vec_set(vec_sum(total)), share);
        dot = vec_mul(vec_set(vec_sum(dot)), share);
        for (int64_t i = 0; i < whole; i += VEC_LANES)
            back_part(VEC_LANES, centre, scale, total, dot, x + i, weight + i, dy + i, dx + i, accumulate);
        if (rest) back_part(rest, centre, scale, total, dot, x + whole, weight + whole, dy + whole, dx + whole, accumulate);
    }
}

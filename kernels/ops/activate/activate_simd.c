#include "../vec/math.h"

UFFB_INLINE vec apply(int32_t activation, vec x) {
    vec half = vec_mul(x, vec_set(0.5f));
    switch (activation) {
    case UFFB_GELU: return vec_gelu(x);
    case UFFB_GELU_TANH: {
        vec cube = vec_mul(vec_mul(x, x), vec_mul(x, vec_set(0.044715f)));
        return vec_fma(half, vec_tanh(vec_mul(vec_set(0.79788456f), vec_add(x, cube))), half);
    }
    case UFFB_RELU: return vec_max(x, vec_zero());
    default: return vec_tanh(x);
    }
}

UFFB_INLINE void activate(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx) {
    int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, apply(activation, vec_load(x + i)));
        if (rest) vec_store_some(x + whole, apply(activation, vec_load_some(x + whole, rest)), rest);
    }
}

/* One loop per activation, so that none of them decides anything per element. */
void KERNEL(activate)(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx) {
    switch (activation) {
    case UFFB_GELU: activate(UFFB_GELU, rows, cols, x, ldx); break;
    case UFFB_GELU_TANH: activate(UFFB_GELU_TANH, rows, cols, x, ldx); break;
    case UFFB_RELU: activate(UFFB_RELU, rows, cols, x, ldx); break;
    case UFFB_TANH: activate(UFFB_TANH, rows, cols, x, ldx); break;
    default: break;
    }
}

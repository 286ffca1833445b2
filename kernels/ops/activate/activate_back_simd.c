#include "../vec/math.h"

/* NaN for an activation that there is not. */
UFFB_INLINE vec slope(int32_t activation, vec x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return slope_vec_##name(x);
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: return vec_set(NAN);
    }
}

UFFB_INLINE void back(int32_t activation, int64_t rows, int64_t cols, const float *x, int64_t ldx, float *d, int64_t ldd) {
    const int64_t whole = cols / VEC_LANES * VEC_LANES, rest = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += ldx, d += ldd) {
        for (int64_t i = 0; i < whole; i += VEC_LANES)
            vec_store(d + i, vec_mul(vec_load(d + i), slope(activation, vec_load(x + i))));
        if (rest) {
            const vec part = slope(activation, vec_load_some(x + whole, rest));
            vec_store_some(d + whole, vec_mul(vec_load_some(d + whole, rest), part), rest);
        }
    }
}

/* One loop per activation, so that none of them decides anything per element. */
void KERNEL(activate_back)(int32_t activation, int64_t rows, int64_t cols, const float *x, int64_t ldx, float *d, int64_t ldd) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, ...)                                                                                         \
    case UFFB_##CONSTANT:                                                                                                      \
        back(UFFB_##CONSTANT, rows, cols, x, ldx, d, ldd);                                                                     \
        break;
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: back(UFFB_ACTIVATION_COUNT, rows, cols, x, ldx, d, ldd);
    }
}

#include "../vec/math.h"

/* NaN for an activation that there is not. */
UFFB_INLINE vec apply(int32_t activation, vec x) {
    switch (activation) {
#define UFFB_ACTIVATION(CONSTANT, name, ...)                                                                                   \
    case UFFB_##CONSTANT:                                                                                                      \
        return vec_##name(x);
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: return vec_set(NAN);
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
#define UFFB_ACTIVATION(CONSTANT, ...)                                                                                         \
    case UFFB_##CONSTANT:                                                                                                      \
        activate(UFFB_##CONSTANT, rows, cols, x, ldx);                                                                         \
        break;
#include "../../activations.inc"
#undef UFFB_ACTIVATION
    default: activate(UFFB_ACTIVATION_COUNT, rows, cols, x, ldx);
    }
}

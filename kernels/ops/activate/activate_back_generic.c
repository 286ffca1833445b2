#include "../ops.h"
#include "scalar.h"

void uffb_activate_back_generic(int32_t activation, int64_t rows, int64_t cols, const float *x, int64_t ldx, float *d,
                                int64_t ldd) {
    for (int64_t r = 0; r < rows; r++, x += ldx, d += ldd) {
        for (int64_t i = 0; i < cols; i++) d[i] *= activation_slope(activation, x[i]);
    }
}

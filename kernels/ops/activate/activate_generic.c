#include "../ops.h"
#include "scalar.h"

void uffb_activate_generic(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx) {
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        for (int64_t i = 0; i < cols; i++) x[i] = activate(activation, x[i]);
    }
}

#include "../ops.h"

void uffb_multiply_generic(int64_t rows, int64_t cols, float *x, int64_t ldx, const float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        for (int64_t i = 0; i < cols; i++) x[i] *= y[i];
    }
}

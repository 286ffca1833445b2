#include "../vec/simd.h"

void KERNEL(multiply)(int64_t rows, int64_t cols, float *x, int64_t ldx, const float *y, int64_t ldy) {
    int64_t whole = cols / VEC_LANES * VEC_LANES;
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        for (int64_t i = 0; i < whole; i += VEC_LANES) vec_store(x + i, vec_mul(vec_load(x + i), vec_load(y + i)));
        for (int64_t i = whole; i < cols; i++) x[i] *= y[i];
    }
}

#include "../vec/simd.h"
#include "quantise_i16.h"

void KERNEL(quantise_i16)(int64_t rows, int64_t cols, const float *x, int64_t ldx, int16_t *q, int64_t ldq, float *scale) {
    uffb_quantise_i16_rows(rows, cols, x, ldx, q, ldq, scale);
}

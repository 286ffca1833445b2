#include "../ops.h"

void uffb_combine_generic(int64_t count, const int32_t *order, const float *scale, int64_t lds, const float *x, int64_t ldx,
                          int64_t cols, float *y, int32_t accumulate) {
    for (int64_t c = 0; c < cols; c++) {
        double sum = 0;
        for (int64_t i = 0; i < count; i++) sum += (double)scale[order[i] * lds] * (double)x[order[i] * ldx + c];
        y[c] = accumulate ? y[c] + (float)sum : (float)sum;
    }
}

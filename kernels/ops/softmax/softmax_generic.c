#include "../ops.h"

#include <math.h>

void uffb_softmax_generic(int64_t rows, int64_t cols, float scale, float *x, int64_t ldx) {
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        float max = -INFINITY, sum = 0;
        for (int64_t i = 0; i < cols; i++) max = fmaxf(max, x[i] * scale);
        for (int64_t i = 0; i < cols; i++) sum += x[i] = expf(x[i] * scale - max);
        for (int64_t i = 0; i < cols; i++) x[i] /= sum;
    }
}

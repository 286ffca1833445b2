#include "../ops.h"

double uffb_log_sum_generic(int64_t cols, float factor, float *x, float *top) {
    float max = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < cols; i++) max = x[i] > max ? x[i] : max;
    for (int64_t i = 0; i < cols; i++) sum += (double)(x[i] = expf(x[i] - max));
    const float share = factor / (float)sum;
    for (int64_t i = 0; i < cols; i++) x[i] *= share;
    *top = max;
    return (double)max + log(sum);
}

#include "../ops.h"

float uffb_log_sum_generic(int64_t cols, float factor, float *x, float *top) {
    float max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < cols; i++) max = x[i] > max ? x[i] : max;
    for (int64_t i = 0; i < cols; i++) sum += x[i] = expf(x[i] - max);
    for (int64_t i = 0; i < cols; i++) x[i] *= factor / sum;
    *top = max;
    return max + logf(sum);
}

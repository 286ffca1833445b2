#include "../ops.h"

#include <math.h>

void uffb_norm_back_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, float eps,
                            const float *dy, int64_t lddy, float *dx, int64_t lddx, int32_t accumulate, float *dweight,
                            float *dbias) {
    for (int64_t r = 0; r < rows; r++, x += ldx, dy += lddy, dx += lddx) {
        double sum = 0, squares = 0, dot = 0, total = 0;
        for (int64_t i = 0; i < cols; i++) sum += (double)x[i];
        const float mean = (float)(sum / (double)cols);
        for (int64_t i = 0; i < cols; i++) squares += (double)(x[i] - mean) * (double)(x[i] - mean);
        const float scale = uffb_norm_scale((float)(squares / (double)cols), eps);
        for (int64_t i = 0; i < cols; i++) {
            const float z = (x[i] - mean) * scale, g = dy[i] * weight[i];
            total += (double)g;
            dot += (double)g * (double)z;
            dweight[i] += dy[i] * z;
            dbias[i] += dy[i];
        }
        const float mean_g = (float)(total / (double)cols), mean_gz = (float)(dot / (double)cols);
        for (int64_t i = 0; i < cols; i++) {
            const float z = (x[i] - mean) * scale, d = (dy[i] * weight[i] - mean_g - z * mean_gz) * scale;
            dx[i] = accumulate ? dx[i] + d : d;
        }
    }
}

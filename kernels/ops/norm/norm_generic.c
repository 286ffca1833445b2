#include "../ops.h"

void uffb_norm_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias,
                       float eps, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        float sum = 0, squares = 0;
        for (int64_t i = 0; i < cols; i++) sum += x[i];
        float mean = sum / (float)cols;
        for (int64_t i = 0; i < cols; i++) squares += (x[i] - mean) * (x[i] - mean);
        float scale = uffb_norm_scale(squares / (float)cols, eps);
        for (int64_t i = 0; i < cols; i++) y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0.0f);
    }
}

#include "../ops.h"

#include <math.h>

static float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

static float gelu_tanh(float x) { return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }

static float relu(float x) { return x > 0 ? x : 0.0f; }

void uffb_activate_generic(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx) {
    static float (*const functions[])(float) = {
        [UFFB_GELU] = gelu, [UFFB_GELU_TANH] = gelu_tanh, [UFFB_RELU] = relu, [UFFB_TANH] = tanhf};
    if (activation == UFFB_IDENTITY) return;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        for (int64_t i = 0; i < cols; i++) x[i] = functions[activation](x[i]);
    }
}

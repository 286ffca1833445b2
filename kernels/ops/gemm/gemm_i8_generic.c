/* The reference for 8-bit integers. Whatever is fast must give these very bits. */
#include "../ops.h"
#include "quantise.h"

void uffb_quantise_i8_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq, float *scale) {
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const float factor = uffb_quantise_factor(uffb_largest(cols, x), 127.0f, &scale[r]);
        memset(q, 128, (size_t)((cols + 3) / 4 * 4));
        if (factor == 0) continue;
        for (int64_t i = 0; i < cols; i++) q[i] = (uint8_t)(128 + (int)rintf(x[i] * factor));
    }
}

void uffb_gemm_i8_generic(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                          const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t quads = (k + 3) / 4;
    for (int64_t i = 0; i < m; i++, a += lda, c += ldc) {
        for (int64_t col = 0; col < n; col++) {
            const int8_t *panel = w->panels + col / UFFB_PANEL * quads * 4 * UFFB_PANEL + col % UFFB_PANEL * 4;
            int32_t sum = 0;
            for (int64_t l = 0; l < quads * 4; l++) sum += a[l] * panel[l / 4 * 4 * UFFB_PANEL + l % 4];
            float value = (float)(sum - 128 * w->sum[col]) * (a_scale[i] * w->scale[col]) + (bias ? bias[col] : 0.0f);
            c[col] = accumulate ? c[col] + value : value;
        }
    }
}

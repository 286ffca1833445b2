/* The reference GEMM: one accumulator per element, summed in the order of k. */
#include "../ops.h"

void uffb_gemm_generic(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias,
                       float *c, int64_t ldc, int32_t accumulate, float *scratch) {
    (void)scratch;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t p = 0; p * UFFB_PANEL < n; p++) {
            const float *panel = w + p * k * UFFB_PANEL;
            float sum[UFFB_PANEL] = {0};
            for (int64_t l = 0; l < k; l++) {
                for (int j = 0; j < UFFB_PANEL; j++) sum[j] += a[i * lda + l] * panel[l * UFFB_PANEL + j];
            }
            int64_t cols = n - p * UFFB_PANEL < UFFB_PANEL ? n - p * UFFB_PANEL : UFFB_PANEL;
            for (int64_t j = 0; j < cols; j++) {
                float *out = &c[i * ldc + p * UFFB_PANEL + j];
                float value = sum[j] + (bias ? bias[p * UFFB_PANEL + j] : 0.0f);
                *out = accumulate ? *out + value : value;
            }
        }
    }
}

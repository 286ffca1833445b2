#include "../ops.h"

void uffb_outer_generic(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, float *c, int64_t ldc,
                        int32_t accumulate) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            const float *panel = b + j / UFFB_PANEL * k * UFFB_PANEL + j % UFFB_PANEL;
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (double)a[l * lda + i] * (double)panel[l * UFFB_PANEL];
            c[i * ldc + j] = accumulate ? c[i * ldc + j] + (float)sum : (float)sum;
        }
    }
}

/* The reference for 16-bit integers. Whatever is fast must give these very bits. */
#include "../ops.h"
#include "quantise_i16.h"

void uffb_quantise_i16_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, int16_t *q, int64_t ldq, float *scale) {
    uffb_quantise_i16_rows(rows, cols, x, ldx, q, ldq, scale);
}

void uffb_gemm_i16_generic(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                           const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate) {
    const int64_t pairs = (k + 1) / 2;
    for (int64_t i = 0; i < m; i++, a += lda, c += ldc) {
        for (int64_t col = 0; col < n; col++) {
            const int16_t *panel = w->panels + col / UFFB_PANEL * pairs * 2 * UFFB_PANEL + col % UFFB_PANEL * 2;
            uint32_t sum = 0; /* which wraps like the vectors', where weights are larger than they may be */
            for (int64_t l = 0; l < pairs * 2; l++) sum += (uint32_t)(a[l] * panel[l / 2 * 2 * UFFB_PANEL + l % 2]);
            float value = (float)(int32_t)sum * (a_scale[i] * w->scale[col]) + (bias ? bias[col] : 0.0f);
            c[col] = accumulate ? c[col] + value : value;
        }
    }
}

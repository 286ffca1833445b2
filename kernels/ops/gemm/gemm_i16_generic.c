/* The reference for 16-bit integers. Whatever is fast must give these very bits. */
#include "../ops.h"
#include "quantise.h"

/* Every ISA uses this one. Compilers have vector code for it without an instruction that rounds: a number that is added and
 * taken away again leaves a whole number in the low bits, ties to even. */
void uffb_quantise_i16_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, int16_t *q, int64_t ldq, float *scale) {
    const float levels = (float)uffb_most_i16(cols), rounder = 0x1.8p23f;
    int32_t zero;
    memcpy(&zero, &rounder, sizeof zero);
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const float factor = uffb_quantise_factor(uffb_largest(cols, x), levels, &scale[r]);
        if (factor == 0) {
            memset(q, 0, (size_t)((cols + 1) / 2 * 2) * sizeof *q);
            continue;
        }
        for (int64_t i = 0; i < cols; i++) {
            const float rounded = x[i] * factor + rounder;
            int32_t bits;
            memcpy(&bits, &rounded, sizeof bits);
            q[i] = (int16_t)(bits - zero);
        }
        if (cols % 2) q[cols] = 0;
    }
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

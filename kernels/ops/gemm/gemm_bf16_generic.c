/* The reference: one accumulator per element, summed in the order of k. */
#include "bf16.h"

void uffb_gemm_bf16_generic(int64_t m, int64_t n, int64_t k, const uint16_t *a, const uint16_t *b, const float *bias, float *c,
                            int64_t ldc, int32_t accumulate) {
    const int64_t ld = uffb_block_row(k);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t l = 0; l < k; l++) {
                sum += uffb_from_bf16(a[uffb_block_index(UFFB_LEFT, ld, i, l)]) *
                       uffb_from_bf16(b[uffb_block_index(UFFB_RIGHT, ld, j, l)]);
            }
            if (bias) sum += bias[j];
            c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum : sum;
        }
    }
}

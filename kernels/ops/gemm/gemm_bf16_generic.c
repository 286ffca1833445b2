/* The reference: one accumulator per element, summed in the order of k. */
#include "bf16.h"

#define BLOCK (UFFB_BLOCK_ROWS * UFFB_BLOCK_COLS)

/* Adds a line of a left block times 16 rows of a right one. */
static void add_block(const uint16_t *a, const uint16_t *b, float sum[UFFB_BLOCK_ROWS]) {
    for (int l = 0; l < UFFB_BLOCK_COLS; l++) {
        const float x = uffb_from_bf16(a[l]);
        const uint16_t *pairs = b + l / 2 * 2 * UFFB_BLOCK_ROWS + l % 2;
        for (int j = 0; j < UFFB_BLOCK_ROWS; j++) sum[j] += x * uffb_from_bf16(pairs[2 * j]);
    }
}

void uffb_gemm_bf16_generic(int64_t m, int64_t n, int64_t k, const uint16_t *a, const uint16_t *b, const float *bias, float *c,
                            int64_t ldc, int32_t accumulate) {
    const int64_t ld = uffb_block_row(k);
    for (int64_t i = 0; i < m; i++) {
        const uint16_t *left = a + i / UFFB_BLOCK_ROWS * ld + i % UFFB_BLOCK_ROWS * UFFB_BLOCK_COLS;
        for (int64_t col = 0; col < n; col += UFFB_BLOCK_ROWS) {
            const uint16_t *right = b + col / UFFB_BLOCK_ROWS * ld;
            const int64_t cols = n - col < UFFB_BLOCK_ROWS ? n - col : UFFB_BLOCK_ROWS;
            float sum[UFFB_BLOCK_ROWS] = {0}, *out = c + i * ldc + col;
            for (int64_t l = 0; l < ld; l += BLOCK) add_block(left + l, right + l, sum);
            for (int64_t j = 0; j < cols; j++) {
                const float value = sum[j] + (bias ? bias[col + j] : 0.0f);
                out[j] = accumulate ? out[j] + value : value;
            }
        }
    }
}

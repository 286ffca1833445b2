#include "bf16.h"

void uffb_pack_bf16_generic(int64_t rows, int64_t cols, const float *x, int64_t ldx, int32_t transposed, int32_t side,
                            uint16_t *blocks) {
    const int64_t row_step = transposed ? 1 : ldx, col_step = transposed ? ldx : 1, ld = uffb_block_row(cols);
    const int64_t all_cols = ld / UFFB_BLOCK_ROWS;
    for (int64_t row = 0; row < (rows + UFFB_BLOCK_ROWS - 1) / UFFB_BLOCK_ROWS * UFFB_BLOCK_ROWS; row++) {
        for (int64_t col = 0; col < all_cols; col++) {
            const int within = row < rows && col < cols;
            blocks[uffb_block_index(side, ld, row, col)] = within ? uffb_to_bf16(x[row * row_step + col * col_step]) : 0;
        }
    }
}

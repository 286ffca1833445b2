#include "../ops.h"

void uffb_pack_generic(int64_t rows, int64_t cols, const float *w, int64_t ldw, int32_t transposed, float *panels) {
    int64_t row_step = transposed ? 1 : ldw, col_step = transposed ? ldw : 1;
    for (int64_t first = 0; first < rows; first += UFFB_PANEL) {
        for (int64_t col = 0; col < cols; col++) {
            for (int64_t i = 0; i < UFFB_PANEL; i++) {
                int64_t row = first + i;
                *panels++ = row < rows ? w[row * row_step + col * col_step] : 0.0f;
            }
        }
    }
}

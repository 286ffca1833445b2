#include "philox.h"

void uffb_dropout_generic(int64_t rows, int64_t cols, float rate, const uffb_random *random, float *x, int64_t ldx) {
    const uint32_t limit = uffb_dropout_limit(rate);
    const float scale = 1.0f / (1.0f - rate);
    const int64_t blocks = (cols + 3) / 4;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        for (int64_t b = 0; b < blocks; b++) {
            uint32_t words[4];
            uffb_philox(random, (uint64_t)(r * blocks + b), words);
            for (int64_t i = b * 4; i < cols && i < b * 4 + 4; i++) x[i] = words[i % 4] >= limit ? x[i] * scale : 0.0f;
        }
    }
}

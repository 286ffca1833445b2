/* Dropout. Blocks of the generator do not depend on each other: LANES of them side by side, in arrays that the compiler turns
 * into vectors of this ISA. Integers, so every ISA drops the same elements. */
#include "philox.h"
#include "../vec/simd.h"

#define LANES 16

void KERNEL(dropout)(int64_t rows, int64_t cols, float rate, const uffb_random *random, float *x, int64_t ldx) {
    const uint32_t limit = uffb_dropout_limit(rate);
    const float scale = 1.0f / (1.0f - rate);
    const int64_t blocks = (cols + 3) / 4;
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        for (int64_t first = 0; first < blocks; first += LANES) {
            uint32_t x0[LANES], x1[LANES], x2[LANES], x3[LANES], words[4 * LANES];
            for (int i = 0; i < LANES; i++) {
                const uint64_t block = random->block + (uint64_t)(r * blocks + first + i);
                x0[i] = (uint32_t)block;
                x1[i] = (uint32_t)(block >> 32) ^ random->stream;
                x2[i] = (uint32_t)random->counter;
                x3[i] = (uint32_t)(random->counter >> 32);
            }
            uint32_t k0 = (uint32_t)random->seed, k1 = (uint32_t)(random->seed >> 32);
            for (int round = 0; round < PHILOX_ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
                for (int i = 0; i < LANES; i++) uffb_philox_round(x0 + i, x1 + i, x2 + i, x3 + i, k0, k1);
            }
            for (int i = 0; i < LANES; i++) {
                words[4 * i] = x0[i];
                words[4 * i + 1] = x1[i];
                words[4 * i + 2] = x2[i];
                words[4 * i + 3] = x3[i];
            }
            const int64_t left = cols - first * 4, count = left < 4 * LANES ? left : 4 * LANES;
            float *at = x + first * 4;
            for (int64_t i = 0; i < count; i++) at[i] = words[i] >= limit ? at[i] * scale : 0.0f;
        }
    }
}

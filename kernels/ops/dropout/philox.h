/* Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011),
 * whose constants these are. Four words of a block depend on its number alone, so that a mask need not be kept. */
#ifndef UFFB_PHILOX_H
#define UFFB_PHILOX_H

#include "../ops.h"

#define PHILOX_ROUNDS 10

/* One round on a block's words, with keys k0 and k1. */
static inline __attribute__((always_inline)) void uffb_philox_round(uint32_t *x0, uint32_t *x1, uint32_t *x2, uint32_t *x3,
                                                                    uint32_t k0, uint32_t k1) {
    const uint64_t a = (uint64_t)*x0 * 0xD2511F53u, b = (uint64_t)*x2 * 0xCD9E8D57u;
    const uint32_t y0 = (uint32_t)(b >> 32) ^ *x1 ^ k0, y2 = (uint32_t)(a >> 32) ^ *x3 ^ k1;
    *x1 = (uint32_t)b;
    *x3 = (uint32_t)a;
    *x0 = y0;
    *x2 = y2;
}

/* Words 4 * block to 4 * block + 3 of a stream. */
static inline void uffb_philox(const uffb_random *random, uint64_t block, uint32_t words[4]) {
    block += random->block;
    uint32_t x0 = (uint32_t)block, x1 = (uint32_t)(block >> 32) ^ random->stream, x2 = (uint32_t)random->counter;
    uint32_t x3 = (uint32_t)(random->counter >> 32), k0 = (uint32_t)random->seed, k1 = (uint32_t)(random->seed >> 32);
    for (int i = 0; i < PHILOX_ROUNDS; i++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) uffb_philox_round(&x0, &x1, &x2, &x3, k0, k1);
    words[0] = x0;
    words[1] = x1;
    words[2] = x2;
    words[3] = x3;
}

/* Words below this are dropped. */
static inline uint32_t uffb_dropout_limit(float rate) { return (uint32_t)((double)rate * 4294967296.0); }

#endif

/* bf16: the upper half of an f32. */
#ifndef UFFB_GEMM_BF16_H
#define UFFB_GEMM_BF16_H

#include "../ops.h"

#include <string.h>

static inline float uffb_from_bf16(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To nearest, ties to even, as the instructions do it: denormals become zero, and a NaN stays one. */
static inline uint16_t uffb_to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude < 0x00800000u) return (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* Where in its blocks a number lies; `ld` is uffb_block_row of its columns. */
static inline int64_t uffb_block_index(int32_t side, int64_t ld, int64_t row, int64_t col) {
    const int64_t r = row % UFFB_BLOCK_ROWS, c = col % UFFB_BLOCK_COLS;
    const int64_t within = side == UFFB_LEFT ? r * UFFB_BLOCK_COLS + c : c / 2 * 2 * UFFB_BLOCK_ROWS + 2 * r + c % 2;
    return row / UFFB_BLOCK_ROWS * ld + col / UFFB_BLOCK_COLS * UFFB_BLOCK_COLS * UFFB_BLOCK_ROWS + within;
}

#endif

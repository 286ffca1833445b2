/* Tests of the ops on bf16: rounding and places are exact, the same on every ISA; sums are f32, each ISA's in its own order. */
#include "ops_test.h"
#include "check.h"
#include "view.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { X, BLOCKS, A, B, BIAS, C, PARTS, BEFORE };

static int64_t rows_of_blocks(int64_t rows) { return (rows + UFFB_BLOCK_ROWS - 1) / UFFB_BLOCK_ROWS; }

/* Blocks of `rows` rows; two numbers are a float of the view. */
static view blocks_new(int arena, int64_t rows, int64_t cols, int64_t shift) {
    return view_new(arena, rows_of_blocks(rows), uffb_block_row(cols) / 2, 0, shift);
}

/* Where the layout puts a number, from its description: [16 rows][32 columns], or [16 pairs of columns][16 rows][2]. */
static uint16_t *place(view blocks, int32_t side, int64_t row, int64_t col) {
    uint16_t *block = (uint16_t *)view_row(blocks, row / 16) + col / 32 * 512;
    return side == UFFB_LEFT ? block + row % 16 * 32 + col % 32 : block + col % 32 / 2 * 32 + row % 16 * 2 + col % 2;
}

/* --- packing -------------------------------------------------------------------------------------------------------------- */

static float widened(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Whether `got` is the bf16 next to x; of two as near, the even one. */
static int rounds_to(float x, uint16_t got) {
    const float value = widened(got);
    if (isnan(x)) return isnan(value) && !signbit(x) == !signbit(value);
    if (fabsf(x) < FLT_MIN) return value == 0 && !signbit(x) == !signbit(value);
    if (isinf(x)) return value == x;
    const double limit = 0x1.ffp127; /* half a step above the largest, which is odd: what is as large becomes infinite */
    if (fabs((double)x) >= limit) return isinf(value) && (value > 0) == (x > 0);
    const double above = widened((uint16_t)(got + 1)), below = widened((uint16_t)(got - 1)), error = fabs(value - (double)x);
    const double up = isinf(above) ? 0x1p128 - fabs((double)x) : fabs(above - (double)x), down = fabs(below - (double)x);
    return !isinf(value) && error <= up && error <= down && (!(error == up || error == down) || got % 2 == 0);
}

static void fill_with_everything(view x) {
    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t i = 0; i < x.cols; i++) {
            uint32_t bits = (uint32_t)random_bits();
            switch (random_below(6)) {
            case 0: bits = (bits & 0xffff0000u) | 0x8000u; break;                        /* halfway between two */
            case 1: bits |= 0x7f800000u; break;                                          /* NaN */
            case 2: bits &= 0x807fffffu; break;                                          /* denormal */
            case 3: bits = (bits & 0x80000000u) | 0x7f7f0000u | (bits & 0xffffu); break; /* next to infinity */
            case 4: bits = (bits & 0x80000000u) | (random_below(2) ? 0x7f800000u : 0); break;
            default: break;
            }
            memcpy(view_row(x, r) + i, &bits, sizeof bits);
        }
    }
}

static void pack_case(const uffb_ops *ops, int64_t rows, int64_t cols, int32_t transposed, int32_t side) {
    test_case("rows %lld, cols %lld%s, %s", (long long)rows, (long long)cols, transposed ? ", transposed" : "",
              side == UFFB_LEFT ? "left" : "right");
    const int64_t shift = (rows + cols) % 2;
    view x = transposed ? view_new(X, cols, rows, 3 * shift, shift) : view_new(X, rows, cols, 3 * shift, shift);
    view blocks = blocks_new(BLOCKS, rows, cols, 1 - shift);
    fill_with_everything(x);
    ops->pack_bf16(rows, cols, x.data, x.ld, transposed, side, blocks.data);
    view_check_canaries(blocks, "blocks");
    int64_t wrong = 0;
    for (int64_t r = 0; r < blocks.rows * UFFB_BLOCK_ROWS; r++) {
        for (int64_t c = 0; c < uffb_block_row(cols) / UFFB_BLOCK_ROWS; c++) {
            const uint16_t got = *place(blocks, side, r, c);
            const int within = r < rows && c < cols;
            wrong += within ? !rounds_to(transposed ? view_row(x, c)[r] : view_row(x, r)[c], got) : got != 0;
        }
    }
    check(wrong == 0, "%lld numbers are wrong", (long long)wrong);
}

void test_pack_bf16(const uffb_ops *ops, const char *isa) {
    test_begin("pack_bf16 %s", isa);
    for (int64_t i = 0; i < COUNT_OF(ops_lengths); i++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
            for (int variant = 0; variant < 4; variant++)
                pack_case(ops, ops_lengths[i], ops_lengths[j], variant & 1, variant >> 1);
        }
    }
    test_end();
}

/* --- products ------------------------------------------------------------------------------------------------------------- */

/* Numbers that are bf16, and in rows beyond the matrix anything: nothing of them may reach the product. */
static void fill_blocks(view blocks, int32_t side, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < blocks.rows * UFFB_BLOCK_ROWS; r++) {
        for (int64_t c = 0; c < uffb_block_row(cols) / UFFB_BLOCK_ROWS; c++) {
            const float value = random_between(-1, 1);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            *place(blocks, side, r, c) = c >= cols ? 0 : r >= rows ? 0x7fc0 : (uint16_t)(bits >> 16);
        }
    }
}

static void check_product(int64_t k, view a, view b, const float *bias, view c, view before, int accumulate) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < c.cols; j++) {
            double sum = bias ? bias[j] : 0, magnitude = fabs(sum);
            if (accumulate) {
                sum += view_row(before, i)[j];
                magnitude += fabsf(view_row(before, i)[j]);
            }
            for (int64_t l = 0; l < k; l++) {
                const double term = (double)widened(*place(a, UFFB_LEFT, i, l)) * widened(*place(b, UFFB_RIGHT, j, l));
                sum += term;
                magnitude += fabs(term);
            }
            wrong += !(fabs(view_row(c, i)[j] - sum) <= (double)(k + 3) * ROUNDING * magnitude);
        }
    }
    check(wrong == 0, "%lld sums are off by more than their roundings", (long long)wrong);
}

static void gemm_case(const uffb_ops *ops, int64_t m, int64_t n, int64_t k, int variant) {
    const int with_bias = variant & 1, accumulate = variant >> 1 & 1, shift = variant & 1;
    test_case("m %lld, n %lld, k %lld%s%s", (long long)m, (long long)n, (long long)k, with_bias ? ", bias" : "",
              accumulate ? ", accumulate" : "");
    view a = blocks_new(A, m, k, shift), b = blocks_new(B, n, k, 1 - shift);
    view shifts = view_new(BIAS, 1, n, 0, shift), before = view_new(BEFORE, m, n, 0, 0);
    view c = view_new(C, m, n, 3, shift), parts = view_new(PARTS, m, n, 0, 1 - shift);
    fill_blocks(a, UFFB_LEFT, m, k);
    fill_blocks(b, UFFB_RIGHT, n, k);
    view_fill(shifts, -1, 1);
    view_fill(before, -1, 1);
    if (accumulate) {
        view_copy(c, before);
        view_copy(parts, before);
    }
    const float *bias = with_bias ? shifts.data : NULL;
    ops->gemm_bf16(m, n, k, a.data, b.data, bias, c.data, c.ld, accumulate);
    check_product(k, a, b, bias, c, before, accumulate);
    view_check_canaries(c, "c");

    const int64_t down = UFFB_BLOCK_ROWS * (1 + random_below(3)), across = UFFB_BLOCK_ROWS * (1 + random_below(3));
    for (int64_t i = 0; i < m; i += down) {
        for (int64_t j = 0; j < n; j += across) {
            ops->gemm_bf16(m - i < down ? m - i : down, n - j < across ? n - j : across, k, (void *)view_row(a, i / 16),
                           (void *)view_row(b, j / 16), bias ? bias + j : NULL, view_row(parts, i) + j, parts.ld, accumulate);
        }
    }
    view_check_canaries(parts, "c in pieces");
    view_check_same(parts, c, "c in pieces");
}

void test_gemm_bf16(const uffb_ops *ops, const char *isa) {
    test_begin("gemm_bf16 %s", isa);
    static const int64_t sizes[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100};
    int variant = 0;
    for (int64_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int64_t j = 0; j < COUNT_OF(sizes); j++)
            gemm_case(ops, sizes[i], sizes[j], ops_lengths[variant % COUNT_OF(ops_lengths)], variant), variant++;
    }
    for (variant = 0; variant < 4; variant++) gemm_case(ops, 33, 35, 1537, variant);
    test_end();
}

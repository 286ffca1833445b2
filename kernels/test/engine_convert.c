/* Tests of uffb_tensor_bytes and uffb_tensor_convert: every element type and layout, to every other. */
#include "engine_test.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PANEL 16
#define TAIL 8

static const char *const dtype_names[] = {"f32", "f16", "bf16", "f64"}, *const layout_names[] = {"rows", "columns", "panels"};
static const int64_t sizes[] = {4, 2, 2, 8};
static const int64_t shapes[][2] = {{1, 1},   {1, 5},  {3, 1},    {15, 7},  {16, 16},
                                    {17, 33}, {32, 3}, {33, 257}, {600, 2}, {5, 1000}};

static int64_t place(int64_t rows, int64_t cols, int32_t layout, int64_t r, int64_t c) {
    if (layout == UFFB_COLUMNS) return c * rows + r;
    return layout == UFFB_PANELS ? r / PANEL * PANEL * cols + c * PANEL + r % PANEL : r * cols + c;
}

static int64_t stored(int64_t rows, int64_t cols, int32_t layout) {
    return (layout == UFFB_PANELS ? (rows + PANEL - 1) / PANEL * PANEL : rows) * cols;
}

/* A buffer of exactly so many elements, all bytes 0xa5, with a canary behind if `tail`. */
static uint8_t *buffer(int64_t elements, int32_t dtype, int64_t tail) {
    size_t bytes = (size_t)(elements * sizes[dtype] + tail);
    uint8_t *data = malloc(bytes);
    if (!data) abort();
    memset(data, 0xa5, bytes);
    return data;
}

static int64_t convert(int64_t rows, int64_t cols, const void *from, int32_t from_dtype, int32_t from_layout, void *to,
                       int32_t to_dtype, int32_t to_layout) {
    uint64_t from_bytes = (uint64_t)(stored(rows, cols, from_layout) * sizes[from_dtype]);
    uint64_t to_bytes = (uint64_t)(stored(rows, cols, to_layout) * sizes[to_dtype]);
    int32_t status =
        uffb_tensor_convert(rows, cols, from, from_bytes, from_dtype, from_layout, to, to_bytes, to_dtype, to_layout);
    return check(status == UFFB_OK, "status %d: %s", status, uffb_error());
}

/* Any bits at all, NaNs of every payload too, survive a change of layout and the way back. */
static void same_dtype(int64_t rows, int64_t cols, int32_t dtype, int32_t from, int32_t to) {
    test_case("[%lld, %lld] %s, %s to %s", (long long)rows, (long long)cols, dtype_names[dtype], layout_names[from],
              layout_names[to]);
    int64_t size = sizes[dtype], from_count = stored(rows, cols, from), to_count = stored(rows, cols, to);
    uint8_t *source = buffer(from_count, dtype, 0), *target = buffer(to_count, dtype, TAIL),
            *back = buffer(from_count, dtype, 0);
    memset(source, 0, (size_t)(from_count * size));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            uint64_t bits = random_below(4) ? random_bits() : random_bits() | 0x7ff07f807f807c00u; /* often a NaN */
            memcpy(source + place(rows, cols, from, r, c) * size, &bits, (size_t)size);
        }
    }
    if (convert(rows, cols, source, dtype, from, target, dtype, to) &&
        convert(rows, cols, target, dtype, to, back, dtype, from)) {
        int64_t wrong = 0, padding = 0;
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t c = 0; c < cols; c++) {
                wrong += memcmp(source + place(rows, cols, from, r, c) * size, target + place(rows, cols, to, r, c) * size,
                                (size_t)size) != 0;
            }
        }
        for (int64_t r = rows; to == UFFB_PANELS && r < to_count / cols; r++) {
            for (int64_t c = 0; c < cols; c++) {
                const uint64_t zero = 0;
                padding += memcmp(target + place(rows, cols, to, r, c) * size, &zero, (size_t)size) != 0;
            }
        }
        check(wrong == 0, "%lld elements differ", (long long)wrong);
        check(padding == 0, "%lld elements of padding are not 0", (long long)padding);
        check(memcmp(source, back, (size_t)(from_count * size)) == 0, "not the same bits after the way back");
        for (int i = 0; i < TAIL; i++) check(target[to_count * size + i] == 0xa5, "written beyond the end");
    }
    free(source);
    free(target);
    free(back);
}

/* Integers that every type holds exactly arrive in every type and layout. */
static void across_dtypes(int64_t rows, int64_t cols, int32_t from_dtype, int32_t from, int32_t to_dtype, int32_t to) {
    test_case("[%lld, %lld] %s %s to %s %s", (long long)rows, (long long)cols, dtype_names[from_dtype], layout_names[from],
              dtype_names[to_dtype], layout_names[to]);
    float *values = (float *)(void *)buffer(rows * cols, UFFB_F32, 0),
          *result = (float *)(void *)buffer(rows * cols, UFFB_F32, 0);
    uint8_t *source = buffer(stored(rows, cols, from), from_dtype, 0), *target = buffer(stored(rows, cols, to), to_dtype, 0);
    for (int64_t i = 0; i < rows * cols; i++) values[i] = (float)(random_below(257) - 128);
    if (convert(rows, cols, values, UFFB_F32, UFFB_ROWS, source, from_dtype, from) &&
        convert(rows, cols, source, from_dtype, from, target, to_dtype, to) &&
        convert(rows, cols, target, to_dtype, to, result, UFFB_F32, UFFB_ROWS)) {
        check(memcmp(values, result, (size_t)(rows * cols) * 4) == 0, "values differ");
    }
    free(values);
    free(result);
    free(source);
    free(target);
}

/* --- half precision, from the definition of its bits ---------------------------------------------------------------------- */

typedef struct {
    int32_t dtype;
    int exponent_bits, mantissa_bits;
} half_format;

static const half_format half_formats[] = {{UFFB_F16, 5, 10}, {UFFB_BF16, 8, 7}};

static double half_value(half_format f, uint32_t bits) {
    int bias = (1 << (f.exponent_bits - 1)) - 1, top = (1 << f.exponent_bits) - 1;
    int exponent = (int)(bits >> f.mantissa_bits) & top, mantissa = (int)bits & ((1 << f.mantissa_bits) - 1);
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == top) return mantissa ? NAN : sign * INFINITY;
    return sign *
           ldexp(exponent ? mantissa + (1 << f.mantissa_bits) : mantissa, (exponent ? exponent : 1) - bias - f.mantissa_bits);
}

static uint16_t half_of(half_format f, float value) {
    uint16_t bits = 0;
    convert(1, 1, &value, UFFB_F32, UFFB_ROWS, &bits, f.dtype, UFFB_ROWS);
    return bits;
}

static void test_half(half_format f) {
    test_begin("convert %s: all 65,536 values", dtype_names[f.dtype]);
    uint16_t *halves = malloc(65536 * sizeof *halves), *back = malloc(65536 * sizeof *back);
    float *floats = malloc(65536 * sizeof *floats);
    for (uint32_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    test_case("to f32 and back");
    convert(256, 256, halves, f.dtype, UFFB_ROWS, floats, UFFB_F32, UFFB_ROWS);
    convert(256, 256, floats, UFFB_F32, UFFB_ROWS, back, f.dtype, UFFB_ROWS);
    for (uint32_t i = 0; i < 65536; i++) {
        double value = half_value(f, i);
        if (isnan(value)) {
            check(isnan(floats[i]) && isnan(half_value(f, back[i])), "NaN %04x is %g, then %04x", i, floats[i], back[i]);
        } else {
            check((double)floats[i] == value && !signbit(floats[i]) == !signbit(value), "%04x is %g, not %g", i, floats[i],
                  value);
            check(back[i] == i, "%04x comes back as %04x", i, back[i]);
        }
    }
    /* Between neighbours: the nearer one, halfway the even one. */
    for (uint32_t i = 0; i < 0x7fff; i++) {
        double low = half_value(f, i), high = half_value(f, i + 1);
        if (isnan(high) || isnan(low)) break;
        if (isinf(high)) high = ldexp(1, 1 << (f.exponent_bits - 1)); /* as if the range went on */
        float middle = (float)((low + high) / 2);
        test_case("between %04x and %04x", i, i + 1);
        check(half_of(f, middle) == (i & 1 ? i + 1 : i), "halfway %a gives %04x", (double)middle, half_of(f, middle));
        check(half_of(f, nextafterf(middle, 0)) == i, "below halfway gives %04x", half_of(f, nextafterf(middle, 0)));
        check(half_of(f, nextafterf(middle, INFINITY)) == i + 1, "above halfway gives %04x",
              half_of(f, nextafterf(middle, INFINITY)));
        check(half_of(f, -middle) == (half_of(f, middle) | 0x8000), "-%a gives %04x", (double)middle, half_of(f, -middle));
    }
    free(halves);
    free(floats);
    free(back);
    test_end();
}

static void test_bytes(void) {
    test_begin("uffb_tensor_bytes");
    test_case("sizes");
    check(uffb_tensor_bytes(17, 3, UFFB_F32, UFFB_ROWS) == 204, "rows");
    check(uffb_tensor_bytes(17, 3, UFFB_F16, UFFB_COLUMNS) == 102, "columns");
    check(uffb_tensor_bytes(17, 3, UFFB_F64, UFFB_PANELS) == 768, "panels");
    check(uffb_tensor_bytes(16, 3, UFFB_BF16, UFFB_PANELS) == 96, "whole panels");
    check(uffb_tensor_bytes(17, 3, UFFB_I8, UFFB_ROWS) == 51, "rows in 8 bits");
    static const int64_t bad[][4] = {{0, 1, 0, 0},
                                     {1, 0, 0, 0},
                                     {-1, 1, 0, 0},
                                     {1, -1, 0, 0},
                                     {1, 1, -1, 0},
                                     {1, 1, UFFB_I8, UFFB_COLUMNS},
                                     {1, 1, UFFB_I16, UFFB_ROWS},
                                     {1, 1, 0, -1},
                                     {1, 1, 0, 3},
                                     {INT64_MAX, 1, 0, UFFB_ROWS},
                                     {INT64_MAX, 1, 0, UFFB_PANELS},
                                     {INT64_MIN, INT64_MIN, 0, 0},
                                     {(int64_t)1 << 32, (int64_t)1 << 32, UFFB_F32, UFFB_ROWS},
                                     {(int64_t)1 << 31, (int64_t)1 << 31, UFFB_F64, UFFB_PANELS}};
    for (int64_t i = 0; i < COUNT_OF(bad); i++) {
        test_case("case %lld", (long long)i);
        uint64_t bytes = uffb_tensor_bytes(bad[i][0], bad[i][1], (int32_t)bad[i][2], (int32_t)bad[i][3]);
        check(bytes == 0, "%llu bytes", (unsigned long long)bytes);
    }
    test_end();
}

void test_convert(void) {
    test_bytes();
    for (int32_t dtype = UFFB_F32; dtype <= UFFB_F64; dtype++) {
        test_begin("convert %s: layouts, bit for bit", dtype_names[dtype]);
        for (int64_t i = 0; i < COUNT_OF(shapes); i++) {
            for (int32_t pair = 0; pair < 9; pair++) same_dtype(shapes[i][0], shapes[i][1], dtype, pair / 3, pair % 3);
        }
        test_end();
    }
    test_begin("convert: every type and layout to every other");
    for (int64_t i = 0; i < COUNT_OF(shapes); i++) {
        for (int32_t pair = 0; pair < 144; pair++) {
            across_dtypes(shapes[i][0], shapes[i][1], pair / 36, pair / 12 % 3, pair / 3 % 4, pair % 3);
        }
    }
    test_end();
    for (int64_t i = 0; i < COUNT_OF(half_formats); i++) test_half(half_formats[i]);
}

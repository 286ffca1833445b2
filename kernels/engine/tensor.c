/* Matrices as bytes: element types, layouts, and the way from one to another. */
#include "error.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

/* Of plain numbers. */
static const uint64_t element_bytes[] = {[UFFB_F32] = 4, [UFFB_F16] = 2, [UFFB_BF16] = 2, [UFFB_F64] = 8};

static int is_plain(int32_t dtype) { return dtype >= UFFB_F32 && dtype <= UFFB_F64; }

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

static int64_t stored_rows(int64_t rows, int32_t layout) { return layout >= UFFB_PANELS ? round_up(rows, UFFB_PANEL) : rows; }

uint64_t uffb_tensor_bytes(int64_t rows, int64_t cols, int32_t dtype, int32_t layout) {
    uint64_t bytes;
    if (rows < 1 || cols < 1 || rows > INT64_MAX - UFFB_PANEL || cols > INT64_MAX - 64) return 0;
    const uffb_kind *integers = uffb_integer_kind(dtype, layout);
    if (!integers && (!is_plain(dtype) || layout < UFFB_ROWS || layout > UFFB_PANELS)) return 0;
    if (integers) {
        bytes = integers->row_bytes(cols);
    } else if (__builtin_mul_overflow((uint64_t)cols, element_bytes[dtype], &bytes)) {
        return 0;
    }
    if (__builtin_mul_overflow((uint64_t)stored_rows(rows, layout), bytes, &bytes) || bytes > INT64_MAX) return 0;
    return bytes;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static float f32_of_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13;
    /* Rebiasing by a multiplication makes subnormals right for free; infinities and NaNs keep their payload. Without a branch,
     * compilers have vector code for it. */
    uint32_t rebiased = bits_of(float_of(rest) * 0x1p112f), special = rest >= 0x0f800000 ? 0x7f800000 : 0;
    return float_of(sign | rebiased | special);
}

/* Rounds to nearest, ties to even. */
static uint16_t f16_of_f32(float value) {
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65,520 and above */
    if (rest < 0x38800000) {                                  /* subnormal: let the addition round at 2^-24 */
        return (uint16_t)(sign | (bits_of(float_of(rest) + 0.5f) - bits_of(0.5f)));
    }
    return (uint16_t)(sign | ((rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13));
}

static uint16_t bf16_of_f32(float value) {
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Reads n elements that lie `step` elements apart as f32. Inlined with a constant step of 1, its loops become vector code:
 * models stored in half precision are converted at every start. */
static inline __attribute__((always_inline)) void read_elements(int32_t dtype, const uint8_t *restrict source, int64_t step,
                                                                int64_t n, float *restrict out) {
    uint16_t half;
    double wide;
    switch (dtype) {
    case UFFB_F32:
        for (int64_t i = 0; i < n; i++) memcpy(&out[i], source + i * step * 4, 4);
        break;
    case UFFB_F16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&half, source + i * step * 2, 2);
            out[i] = f32_of_f16(half);
        }
        break;
    case UFFB_BF16:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&half, source + i * step * 2, 2);
            out[i] = float_of((uint32_t)half << 16);
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            memcpy(&wide, source + i * step * 8, 8);
            out[i] = (float)wide;
        }
    }
}

void uffb_to_f32(int32_t dtype, int64_t n, const void *values, float *out) { read_elements(dtype, values, 1, n, out); }

static void write_elements(int32_t dtype, uint8_t *target, int64_t step, int64_t n, const float *in) {
    uint16_t half;
    double wide;
    switch (dtype) {
    case UFFB_F32:
        for (int64_t i = 0; i < n; i++) memcpy(target + i * step * 4, &in[i], 4);
        break;
    case UFFB_F16:
        for (int64_t i = 0; i < n; i++) {
            half = f16_of_f32(in[i]);
            memcpy(target + i * step * 2, &half, 2);
        }
        break;
    case UFFB_BF16:
        for (int64_t i = 0; i < n; i++) {
            half = bf16_of_f32(in[i]);
            memcpy(target + i * step * 2, &half, 2);
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            wide = in[i];
            memcpy(target + i * step * 8, &wide, 8);
        }
    }
}

/* In rounding to nearest, the least magnitude that becomes infinite. */
static double end_of_range(int32_t dtype) { return dtype == UFFB_F16 ? 65520.0 : 0x1.ffffffp127; }

double uffb_out_of_range(uint64_t bytes, const void *data, int32_t dtype, int32_t target) {
    const int64_t n = (int64_t)(bytes / element_bytes[dtype]);
    const double end = end_of_range(target);
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *element = (const uint8_t *)data + (uint64_t)i * element_bytes[dtype];
        double value;
        if (dtype == UFFB_F64) {
            memcpy(&value, element, sizeof value);
        } else {
            float narrow;
            read_elements(dtype, element, 1, 1, &narrow);
            value = narrow;
        }
        if (fabs(value) >= end && fabs(value) < (double)INFINITY) return value;
    }
    return 0;
}

/* Copies n elements as they are. */
static void copy_elements(uint64_t bytes, const uint8_t *source, int64_t source_step, uint8_t *target, int64_t target_step,
                          int64_t n) {
    switch (bytes) {
    case 2:
        for (int64_t i = 0; i < n; i++) memcpy(target + i * target_step * 2, source + i * source_step * 2, 2);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++) memcpy(target + i * target_step * 4, source + i * source_step * 4, 4);
        break;
    default:
        for (int64_t i = 0; i < n; i++) memcpy(target + i * target_step * 8, source + i * source_step * 8, 8);
    }
}

#define RUN 256

static void convert_run(const uint8_t *source, int32_t source_dtype, int64_t source_step, uint8_t *target, int32_t target_dtype,
                        int64_t target_step, int64_t n) {
    float run[RUN];
    if (source_dtype == target_dtype) {
        copy_elements(element_bytes[source_dtype], source, source_step, target, target_step, n);
        return;
    }
    for (int64_t i = 0; i < n; i += RUN) {
        int64_t count = n - i < RUN ? n - i : RUN;
        read_elements(source_dtype, source + (uint64_t)(i * source_step) * element_bytes[source_dtype], source_step, count,
                      run);
        write_elements(target_dtype, target + (uint64_t)(i * target_step) * element_bytes[target_dtype], target_step, count,
                       run);
    }
}

/* Where the first element of a row lies, and how far apart its elements are. */
static int64_t row_start(int64_t row, int64_t cols, int32_t layout) {
    if (layout == UFFB_COLUMNS) return row;
    if (layout == UFFB_PANELS) return row / UFFB_PANEL * UFFB_PANEL * cols + row % UFFB_PANEL;
    return row * cols;
}

static int64_t row_step(int64_t rows, int32_t layout) {
    return layout == UFFB_COLUMNS ? rows : layout == UFFB_PANELS ? UFFB_PANEL : 1;
}

int32_t uffb_tensor_convert(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes, int32_t source_dtype,
                            int32_t source_layout, void *target, uint64_t target_bytes, int32_t target_dtype,
                            int32_t target_layout) {
    if (!source || !target) return uffb_fail(UFFB_INVALID, "uffb_tensor_convert: no source or no target");
    uint64_t want_source = uffb_tensor_bytes(rows, cols, source_dtype, source_layout);
    uint64_t want_target = uffb_tensor_bytes(rows, cols, target_dtype, target_layout);
    if (!want_source || !want_target || !is_plain(source_dtype) || !is_plain(target_dtype))
        return uffb_fail(UFFB_INVALID, "uffb_tensor_convert: shape, dtype or layout is not valid");
    if (want_source != source_bytes || want_target != target_bytes) {
        return uffb_fail(UFFB_INVALID,
                         "uffb_tensor_convert: a [%lld, %lld] matrix has %llu bytes here and %llu there, not %llu and %llu",
                         (long long)rows, (long long)cols, (unsigned long long)want_source, (unsigned long long)want_target,
                         (unsigned long long)source_bytes, (unsigned long long)target_bytes);
    }
    if (source_layout == target_layout) {
        convert_run(source, source_dtype, 1, target, target_dtype, 1, stored_rows(rows, source_layout) * cols);
        return UFFB_OK;
    }
    if (target_layout == UFFB_PANELS && rows % UFFB_PANEL) {
        uint64_t panel = (uint64_t)cols * UFFB_PANEL * element_bytes[target_dtype];
        memset((uint8_t *)target + target_bytes - panel, 0, panel);
    }
    for (int64_t row = 0; row < rows; row++) {
        convert_run((const uint8_t *)source + (uint64_t)row_start(row, cols, source_layout) * element_bytes[source_dtype],
                    source_dtype, row_step(rows, source_layout),
                    (uint8_t *)target + (uint64_t)row_start(row, cols, target_layout) * element_bytes[target_dtype],
                    target_dtype, row_step(rows, target_layout), cols);
    }
    return UFFB_OK;
}

int32_t uffb_tensor_quantise(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes, int32_t source_dtype,
                             int32_t source_layout, int32_t dtype, int32_t layout, void *target, uint64_t target_bytes,
                             float *scale) {
    if (!source || !target || !scale) return uffb_fail(UFFB_INVALID, "uffb_tensor_quantise: no source or nowhere to put it");
    const uffb_kind *kind = uffb_integer_kind(dtype, layout);
    if (!kind)
        return uffb_fail(UFFB_INVALID, "uffb_tensor_quantise: dtype %d in layout %d is not one of integers", dtype, layout);
    if (!is_plain(source_dtype) || uffb_tensor_bytes(rows, cols, source_dtype, source_layout) != source_bytes ||
        !source_bytes || uffb_tensor_bytes(rows, cols, dtype, layout) != target_bytes || !target_bytes) {
        return uffb_fail(UFFB_INVALID, "uffb_tensor_quantise: sizes do not fit a [%lld, %lld] matrix", (long long)rows,
                         (long long)cols);
    }
    float *values = malloc((size_t)cols * sizeof *values);
    if (!values) return uffb_fail(UFFB_NO_MEMORY, "no memory for a row of %lld weights", (long long)cols);
    memset(target, 0, target_bytes);
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t start = (uint64_t)row_start(row, cols, source_layout) * element_bytes[source_dtype];
        read_elements(source_dtype, (const uint8_t *)source + start, row_step(rows, source_layout), cols, values);
        kind->pack_row(cols, row, values, target, &scale[row]);
    }
    free(values);
    return UFFB_OK;
}

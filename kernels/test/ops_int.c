/* Tests of the ops on integers, of 8 and of 16 bits. Integers are exact: every ISA must give the bits that the definition
 * gives. */
#include "ops_test.h"
#include "check.h"
#include "view.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { X, A_SCALE, W_SCALE, SUMS, BIAS, C, PARTS, BEFORE };

typedef struct {
    int64_t bytes;
    int32_t most, zero; /* the largest integer; what stands for 0 among activations */
} width;

static const width i8 = {1, 127, 128}, i16 = {2, 32767, 0};

/* Integers of a row: whole steps of 4 bytes. */
static int64_t filled(width t, int64_t cols) { return (cols * t.bytes + 3) / 4 * 4 / t.bytes; }

/* The largest integer of which sums over k products fit 32 bits, by trying. */
static int32_t most_of(width t, int64_t k) {
    int64_t most = 1;
    while (most < t.most && (most + 1) * (most + 1) * k <= INT32_MAX) most++;
    return (int32_t)most;
}

static int32_t activation_at(width t, const void *q, int64_t i) {
    return (t.bytes == 1 ? ((const uint8_t *)q)[i] : ((const int16_t *)q)[i]) - t.zero;
}

static void put(width t, void *q, int64_t i, int32_t value) {
    if (t.bytes == 1) ((uint8_t *)q)[i] = (uint8_t)value;
    if (t.bytes == 2) ((int16_t *)q)[i] = (int16_t)value;
}

/* --- quantise --- */

static void check_quantised(width t, view x, const void *q, int64_t ldq, const float *scale) {
    const int32_t levels = most_of(t, x.cols);
    for (int64_t r = 0; r < x.rows; r++) {
        float most = 0;
        int finite = 1;
        for (int64_t i = 0; i < x.cols; i++) {
            most = fmaxf(most, fabsf(view_row(x, r)[i]));
            finite &= isfinite(view_row(x, r)[i]);
        }
        float inverse = (float)levels / most, expected = finite ? most / (float)levels : NAN;
        if (!finite || isinf(inverse)) inverse = 0;
        check(finite ? scale[r] == expected && !signbit(scale[r]) : isnan(scale[r]), "scale of row %lld is %g, not %g",
              (long long)r, scale[r], expected);
        for (int64_t i = 0; i < x.cols; i++) {
            const float product = inverse > 0 ? view_row(x, r)[i] * inverse : 0;
            const int32_t value = activation_at(t, q, r * ldq + i), rounded = (int32_t)rintf(product);
            check(abs(value) <= levels && value == rounded, "q[%lld, %lld] is %d, not %d", (long long)r, (long long)i, value,
                  rounded);
        }
        const int64_t end = filled(t, x.cols);
        for (int64_t i = x.cols; i < end; i++) check(activation_at(t, q, r * ldq + i) == 0, "q is not filled up with 0");
        const uint8_t *bytes = (const uint8_t *)q + r * ldq * t.bytes;
        for (int64_t i = end * t.bytes; i < ldq * t.bytes; i++) check(bytes[i] == 77, "q is written beyond its row");
    }
}

static void quantise_cases(width t, const uffb_ops *ops) {
    for (int64_t i = 0; i < COUNT_OF(ops_lengths); i++) {
        /* Of magnitudes at both ends of f32, and of what is no number, first and last in their rows. */
        static const float odd[] = {1e30f, -1e30f, 1e-38f, FLT_MIN, 1e-45f, FLT_MAX, INFINITY, -INFINITY, NAN, -NAN};
        const int64_t rows = 2 + 2 * COUNT_OF(odd), cols = ops_lengths[i], ldq = filled(t, cols) + 4 / t.bytes * (i % 2);
        test_case("rows %lld, cols %lld", (long long)rows, (long long)cols);
        view x = view_new(X, rows, cols, i % 3, i % 2), scale = view_new(A_SCALE, 1, rows, 0, 0);
        view_fill(x, -3, 3);
        memset(view_row(x, 1), 0, (size_t)cols * sizeof(float));
        for (int64_t r = 2; r < rows; r++) {
            const float value = odd[(r - 2) / 2];
            if (fabsf(value) < 1) memset(view_row(x, r), 0, (size_t)cols * sizeof(float));
            view_row(x, r)[r % 2 ? cols - 1 : 0] = value;
        }
        void *q = malloc((size_t)(rows * ldq * t.bytes));
        memset(q, 77, (size_t)(rows * ldq * t.bytes));
        if (t.bytes == 1) ops->quantise_i8(rows, cols, x.data, x.ld, q, ldq, scale.data);
        if (t.bytes == 2) ops->quantise_i16(rows, cols, x.data, x.ld, q, ldq, scale.data);
        check_quantised(t, x, q, ldq, scale.data);
        view_check_canaries(scale, "scales");
        free(q);
    }
}

void test_quantise_i8(const uffb_ops *ops, const char *isa) {
    test_begin("quantise_i8 %s", isa);
    quantise_cases(i8, ops);
    test_end();
}

void test_quantise_i16(const uffb_ops *ops, const char *isa) {
    test_begin("quantise_i16 %s", isa);
    quantise_cases(i16, ops);
    test_end();
}

/* --- gemm --- */

typedef struct {
    width t;
    int64_t m, n, k, lda;
    int32_t *a, *w;   /* [m, k] and [n, k], as they are */
    void *q, *panels; /* as kernels take them */
    view a_scale, w_scale, sums, bias;
    int accumulate;
} product;

/* Some rows, of activations and of weights, are the largest or smallest there are, or both in turn: sums just fit 32 bits, and
 * those of neighbours overflow 16 bits at once where they are multiplied as bytes. */
static int32_t extreme_or(int64_t kind, int64_t col, int32_t most) {
    const int32_t any = random_below(2 * most + 1) - most;
    return kind == 1   ? most
           : kind == 2 ? -most
           : kind == 3 ? (col % 2 ? -most : most)
           : kind == 4 ? (col % 2 ? most : -most)
                       : any;
}

/* Variants of which all rows of activations are the largest and the smallest in turn; or every other row, between rows of the
 * largest alone. */
#define ALL_EXTREME (1 << 20)
#define MIXED_EXTREMES (1 << 21)

static product new_product(width t, int64_t m, int64_t n, int64_t k, int variant) {
    const int64_t panels = (n + UFFB_PANEL - 1) / UFFB_PANEL, shift = variant & 1, step = 4 / t.bytes, depth = filled(t, k);
    const int32_t most = most_of(t, k);
    product p = {.t = t, .m = m, .n = n, .k = k, .lda = depth + step * shift, .accumulate = variant >> 1 & 1};
    p.a = malloc((size_t)(m * k + 1) * sizeof *p.a);
    p.w = malloc((size_t)(n * k) * sizeof *p.w);
    p.q = malloc((size_t)(m * p.lda * t.bytes + 1));
    p.panels = calloc((size_t)(panels * UFFB_PANEL * depth), (size_t)t.bytes);
    p.a_scale = view_new(A_SCALE, 1, m, 0, shift);
    p.w_scale = view_new(W_SCALE, 1, n, 0, shift);
    p.sums = view_new(SUMS, 1, n, 0, shift);
    p.bias = view_new(BIAS, 1, n, 0, shift);
    view_fill(p.a_scale, 0, 1);
    view_fill(p.w_scale, 0, 1);
    view_fill(p.bias, -1, 1);
    for (int64_t i = 0; i < m * p.lda; i++) put(t, p.q, i, t.zero);
    for (int64_t row = 0; row < m; row++) {
        for (int64_t col = 0; col < k; col++) {
            const int64_t kind = variant & ALL_EXTREME ? 3 : variant & MIXED_EXTREMES ? 1 + row % 2 * 2 : row;
            const int32_t value = extreme_or(kind, col, most);
            p.a[row * k + col] = value;
            put(t, p.q, row * p.lda + col, t.zero + value);
        }
    }
    for (int64_t row = 0; row < n; row++) {
        int32_t sum = 0;
        for (int64_t col = 0; col < k; col++) {
            const int32_t value = extreme_or(row % 7, col, most);
            sum += p.w[row * k + col] = value;
            put(t, p.panels, (row / UFFB_PANEL * depth + col / step * step) * UFFB_PANEL + row % UFFB_PANEL * step + col % step,
                value);
        }
        ((int32_t *)p.sums.data)[row] = sum;
    }
    return p;
}

static void free_product(const product *p) {
    free(p->a);
    free(p->w);
    free(p->q);
    free(p->panels);
}

static void run_product(const uffb_ops *ops, const product *p, int64_t row, int64_t rows, int64_t col, int64_t cols, view c) {
    const int64_t from = col * filled(p->t, p->k);
    const float *a_scale = (const float *)p->a_scale.data + row, *w_scale = (const float *)p->w_scale.data + col;
    const float *bias = p->bias.rows ? (const float *)p->bias.data + col : NULL;
    float *out = view_row(c, row) + col;
    if (p->t.bytes == 1) {
        const uffb_weights_i8 w = {(const int8_t *)p->panels + from, w_scale, (const int32_t *)p->sums.data + col};
        ops->gemm_i8(rows, cols, p->k, (const uint8_t *)p->q + row * p->lda, p->lda, a_scale, &w, bias, out, c.ld,
                     p->accumulate);
    } else {
        const uffb_weights_i16 w = {(const int16_t *)p->panels + from, w_scale};
        ops->gemm_i16(rows, cols, p->k, (const int16_t *)p->q + row * p->lda, p->lda, a_scale, &w, bias, out, c.ld,
                      p->accumulate);
    }
}

static void gemm_case(width t, const uffb_ops *ops, int64_t m, int64_t n, int64_t k, int variant) {
    test_case("m %lld, n %lld, k %lld, variant %d", (long long)m, (long long)n, (long long)k, variant);
    product p = new_product(t, m, n, k, variant);
    if (variant & 4) p.bias.rows = 0;
    view before = view_new(BEFORE, m, n, 0, 0), c = view_new(C, m, n, 3, 1), parts = view_new(PARTS, m, n, 0, 0);
    view_fill(before, -1, 1);
    if (p.accumulate) {
        view_copy(c, before);
        view_copy(parts, before);
    }
    run_product(ops, &p, 0, m, 0, n, c);
    view_check_canaries(c, "c");
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            int64_t sum = 0;
            for (int64_t l = 0; l < k; l++) sum += p.a[i * k + l] * p.w[j * k + l];
            float value = (float)sum * (view_row(p.a_scale, 0)[i] * view_row(p.w_scale, 0)[j]);
            value += p.bias.rows ? view_row(p.bias, 0)[j] : 0.0f;
            if (p.accumulate) value = view_row(before, i)[j] + value;
            check(view_row(c, i)[j] == value, "c[%lld, %lld] is %.9g, not %.9g", (long long)i, (long long)j, view_row(c, i)[j],
                  value);
        }
    }
    for (int64_t j = 0; j < n; j += 2 * UFFB_PANEL) {
        for (int64_t i = 0; i < m; i += 3) {
            run_product(ops, &p, i, m - i < 3 ? m - i : 3, j, n - j < 2 * UFFB_PANEL ? n - j : 2 * UFFB_PANEL, parts);
        }
    }
    view_check_same(parts, c, "c in pieces");
    free_product(&p);
}

static void gemm_cases(width t, const uffb_ops *ops) {
    int variant = 0;
    for (int64_t m = 0; m <= 2 * 8 + 1; m++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths) - 1; j++) {
            gemm_case(t, ops, m, ops_lengths[j], ops_lengths[(5 * m + j) % 12], variant++);
        }
    }
    gemm_case(t, ops, 3, 48, 3072, 0);
    gemm_case(t, ops, 2, 17, 65536, 3);
    gemm_case(t, ops, 35, 17, 768, ALL_EXTREME);
    gemm_case(t, ops, 35, 17, 770, MIXED_EXTREMES);
    gemm_case(t, ops, 12, 17, 4096, MIXED_EXTREMES);
}

void test_gemm_i8(const uffb_ops *ops, const char *isa) {
    test_begin("gemm_i8 %s", isa);
    gemm_cases(i8, ops);
    test_end();
}

void test_gemm_i16(const uffb_ops *ops, const char *isa) {
    test_begin("gemm_i16 %s", isa);
    gemm_cases(i16, ops);
    test_end();
}

/* Tests of the 16-bit ops. Integers are exact: every ISA must give the bits that the definition gives. */
#include "ops_test.h"
#include "check.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { X, A_SCALE, W_SCALE, BIAS, C, PARTS, BEFORE };

static int64_t pairs(int64_t cols) { return (cols + 1) / 2; }

/* The largest integer of which sums over k products fit 32 bits, by trying. */
static int32_t most_of(int64_t k) {
    int64_t most = 1;
    while (most < 32767 && (most + 1) * (most + 1) * k <= INT32_MAX) most++;
    return (int32_t)most;
}

/* --- quantise_i16 --- */

static void check_quantised(view x, const int16_t *q, int64_t ldq, const float *scale) {
    const int32_t levels = most_of(x.cols);
    for (int64_t r = 0; r < x.rows; r++) {
        float most = 0;
        for (int64_t i = 0; i < x.cols; i++) most = fmaxf(most, fabsf(view_row(x, r)[i]));
        check(scale[r] == most / (float)levels, "scale of row %lld is %g", (long long)r, scale[r]);
        for (int64_t i = 0; i < x.cols; i++) {
            const int value = q[r * ldq + i];
            const float inverse = most > 0 ? (float)levels / most : 0;
            check(abs(value) <= levels && value == (int)rintf(view_row(x, r)[i] * inverse), "q[%lld, %lld] is %d", (long long)r,
                  (long long)i, value);
        }
        for (int64_t i = x.cols; i < 2 * pairs(x.cols); i++) check(q[r * ldq + i] == 0, "q is not filled up with 0");
        for (int64_t i = 2 * pairs(x.cols); i < ldq; i++) check(q[r * ldq + i] == 77, "q is written beyond its row");
    }
}

void test_quantise_i16(const uffb_ops *ops, const char *isa) {
    test_begin("quantise_i16 %s", isa);
    for (int64_t i = 0; i < COUNT_OF(ops_lengths); i++) {
        const int64_t rows = 1 + i % 5, cols = ops_lengths[i], ldq = 2 * pairs(cols) + 2 * (i % 2);
        test_case("rows %lld, cols %lld", (long long)rows, (long long)cols);
        view x = view_new(X, rows, cols, i % 3, i % 2), scale = view_new(A_SCALE, 1, rows, 0, 0);
        view_fill(x, -3, 3);
        if (rows > 1) memset(view_row(x, 1), 0, (size_t)cols * sizeof(float));
        if (rows > 2) view_row(x, 2)[cols - 1] = -1e30f;
        int16_t *q = malloc((size_t)(rows * ldq) * sizeof *q);
        for (int64_t j = 0; j < rows * ldq; j++) q[j] = 77;
        ops->quantise_i16(rows, cols, x.data, x.ld, q, ldq, scale.data);
        check_quantised(x, q, ldq, scale.data);
        view_check_canaries(scale, "scales");
        free(q);
    }
    test_end();
}

/* --- gemm_i16 --- */

typedef struct {
    int64_t m, n, k, lda;
    int16_t *a, *panels;
    view a_scale, w_scale, bias;
    int accumulate;
} product;

static int16_t *weight_at(const product *p, int64_t row, int64_t col) {
    return p->panels + row / UFFB_PANEL * pairs(p->k) * 2 * UFFB_PANEL + col / 2 * 2 * UFFB_PANEL + row % UFFB_PANEL * 2 +
           col % 2;
}

/* Some rows of weights are the largest there are, and so is the first row of activations: their sums just fit 32 bits. */
static product new_product(int64_t m, int64_t n, int64_t k, int variant) {
    const int64_t panels = (n + UFFB_PANEL - 1) / UFFB_PANEL, shift = variant & 1;
    const int32_t most = most_of(k);
    product p = {m, n, k, 2 * pairs(k) + 2 * shift, NULL, NULL, {0}, {0}, {0}, variant >> 1 & 1};
    p.a = malloc((size_t)(m * p.lda + 1) * sizeof *p.a);
    p.panels = calloc((size_t)(panels * pairs(k)), 2 * UFFB_PANEL * sizeof *p.panels);
    for (int64_t i = 0; i < m * p.lda; i++) {
        const int16_t q = (int16_t)(i < p.lda ? -most : random_below(2 * most + 1) - most);
        p.a[i] = (int16_t)(i % p.lda < k ? q : 0);
    }
    p.a_scale = view_new(A_SCALE, 1, m, 0, shift);
    p.w_scale = view_new(W_SCALE, 1, n, 0, shift);
    p.bias = view_new(BIAS, 1, n, 0, shift);
    view_fill(p.a_scale, 0, 1);
    view_fill(p.w_scale, 0, 1);
    view_fill(p.bias, -1, 1);
    for (int64_t row = 0; row < n; row++) {
        for (int64_t col = 0; col < k; col++)
            *weight_at(&p, row, col) = (int16_t)(row % 7 ? random_below(2 * most + 1) - most : most);
    }
    return p;
}

static void run_product(const uffb_ops *ops, const product *p, int64_t row, int64_t rows, int64_t col, int64_t cols, view c) {
    const uffb_weights_i16 w = {p->panels + col * pairs(p->k) * 2, (const float *)p->w_scale.data + col};
    ops->gemm_i16(rows, cols, p->k, p->a + row * p->lda, p->lda, (const float *)p->a_scale.data + row, &w,
                  p->bias.rows ? (const float *)p->bias.data + col : NULL, view_row(c, row) + col, c.ld, p->accumulate);
}

static void gemm_i16_case(const uffb_ops *ops, int64_t m, int64_t n, int64_t k, int variant) {
    test_case("m %lld, n %lld, k %lld, variant %d", (long long)m, (long long)n, (long long)k, variant);
    product p = new_product(m, n, k, variant);
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
            for (int64_t l = 0; l < k; l++) sum += p.a[i * p.lda + l] * *weight_at(&p, j, l);
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
    free(p.a);
    free(p.panels);
}

void test_gemm_i16(const uffb_ops *ops, const char *isa) {
    test_begin("gemm_i16 %s", isa);
    int variant = 0;
    for (int64_t m = 0; m <= 2 * 8 + 1; m++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths) - 1; j++) {
            gemm_i16_case(ops, m, ops_lengths[j], ops_lengths[(5 * m + j) % 12], variant++);
        }
    }
    gemm_i16_case(ops, 3, 48, 3072, 0);
    gemm_i16_case(ops, 2, 17, 65536, 3);
    test_end();
}

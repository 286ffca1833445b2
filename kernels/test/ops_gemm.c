/* Tests of gemm and pack. */
#include "ops_test.h"
#include "check.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { A, W, BIAS, C, PARTS, BEFORE, SCRATCH };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The sum for c[i, j .. j+15] and the sum of its terms' magnitudes. */
static void reference_panel(int64_t k, const float *a, const float *panel, double *sums, double *magnitudes) {
    for (int j = 0; j < UFFB_PANEL; j++) sums[j] = magnitudes[j] = 0;
    for (int64_t l = 0; l < k; l++) {
        for (int j = 0; j < UFFB_PANEL; j++) {
            double term = (double)a[l] * panel[l * UFFB_PANEL + j];
            sums[j] += term;
            magnitudes[j] += fabs(term);
        }
    }
}

static void check_gemm(view a, view w, const float *bias, view c, view before, int accumulate) {
    int64_t m = c.rows, n = c.cols, k = a.cols;
    double sums[UFFB_PANEL], magnitudes[UFFB_PANEL];
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            int64_t lane = j % UFFB_PANEL;
            if (lane == 0) reference_panel(k, view_row(a, i), view_row(w, j / UFFB_PANEL), sums, magnitudes);
            double shift = bias ? bias[j] : 0, old = accumulate ? view_row(before, i)[j] : 0;
            double bound = (double)(k + 3) * ROUNDING * (magnitudes[lane] + fabs(shift) + fabs(old));
            double error = fabs(view_row(c, i)[j] - (sums[lane] + shift + old));
            check(error <= bound, "c[%lld, %lld] is off by %g, bound %g", (long long)i, (long long)j, error, bound);
        }
    }
}

/* The same product in pieces: `step` rows and `panels` panels of columns at a time. */
static void gemm_in_pieces(const uffb_ops *ops, int64_t step, int64_t panels, view a, view w, const float *bias, view c,
                           int accumulate) {
    int64_t k = a.cols, width = panels * UFFB_PANEL;
    for (int64_t j = 0; j < c.cols; j += width) {
        for (int64_t i = 0; i < c.rows; i += step) {
            ops->gemm(least(step, c.rows - i), least(width, c.cols - j), k, view_row(a, i), a.ld, view_row(w, j / UFFB_PANEL),
                      bias ? bias + j : NULL, view_row(c, i) + j, c.ld, accumulate, NULL);
        }
    }
}

static void gemm_case(const uffb_ops *ops, int64_t m, int64_t n, int64_t k, int variant) {
    int with_bias = variant & 1, accumulate = variant >> 1 & 1, shift = variant & 1;
    test_case("m %lld, n %lld, k %lld%s%s", (long long)m, (long long)n, (long long)k, with_bias ? ", bias" : "",
              accumulate ? ", accumulate" : "");
    int64_t panels = (n + UFFB_PANEL - 1) / UFFB_PANEL;
    view a = view_new(A, m, k, 1 + 2 * shift, shift);
    view w = view_new(W, panels, k * UFFB_PANEL, 0, shift);
    view b = view_new(BIAS, 1, n, 0, shift);
    view before = view_new(BEFORE, m, n, 0, 0);
    view c = view_new(C, m, n, 3, shift), parts = view_new(PARTS, m, n, 0, 1 - shift);
    view_fill(a, -1, 1);
    view_fill(w, -1, 1);
    view_fill(b, -1, 1);
    for (int64_t j = n; j < panels * UFFB_PANEL; j++) { /* columns beyond n must reach nothing */
        for (int64_t l = 0; l < k; l++) view_row(w, panels - 1)[l * UFFB_PANEL + j % UFFB_PANEL] = NAN;
    }
    if (accumulate) {
        view_fill(before, -1, 1);
        view_copy(c, before);
        view_copy(parts, before);
    }
    const float *bias = with_bias ? b.data : NULL;

    view scratch = view_new(SCRATCH, 1, UFFB_GEMM_SCRATCH, 0, shift);
    ops->gemm(m, n, k, a.data, a.ld, w.data, bias, c.data, c.ld, accumulate, scratch.data);
    view_check_canaries(scratch, "scratch");
    check_gemm(a, w, bias, c, before, accumulate);
    view_check_canaries(c, "c");

    int64_t step = variant & 4 ? 1 : 1 + random_below(m + 1), width = variant & 8 ? 1 : 1 + random_below(panels);
    gemm_in_pieces(ops, step, width, a, w, bias, parts, accumulate);
    view_check_canaries(parts, "c in pieces");
    view_check_same(parts, c, "c in pieces");
}

void test_gemm(const uffb_ops *ops, const char *isa) {
    test_begin("gemm %s", isa);
    int64_t lengths = COUNT_OF(ops_lengths);
    int variant = 0;
    for (int64_t i = 0; i < ROW_COUNTS; i++) {
        for (int64_t j = 0; j < lengths; j++) {
            int64_t k = ops_lengths[(7 * i + j) % lengths];
            gemm_case(ops, ops_rows(i), ops_lengths[j], i < 30 || k < 64 ? k : k % 60, variant++);
        }
    }
    for (int64_t i = 0; i < lengths; i++) {
        for (int64_t j = 0; j < lengths; j++) {
            gemm_case(ops, 1 + random_below(9), ops_lengths[i], ops_lengths[j], variant++);
        }
    }
    gemm_case(ops, 3, 3072, 768, 1);
    gemm_case(ops, 3, 768, 3073, 2);
    /* with scratch: rows in one block and in several, columns that end within a panel, rows too long for it */
    for (variant = 0; variant < 4; variant++) {
        gemm_case(ops, 64 + variant, 192, 768, variant);
        gemm_case(ops, 83, 213, 1 + 15 * variant, variant);
        gemm_case(ops, 121, 192 + variant, 3072, variant);
    }
    gemm_case(ops, 64, 192, UFFB_GEMM_SCRATCH / UFFB_PANEL + 1, 0);
    test_end();
}

static void pack_case(const uffb_ops *ops, int64_t rows, int64_t cols, int transposed, int64_t shift) {
    test_case("rows %lld, cols %lld%s", (long long)rows, (long long)cols, transposed ? ", transposed" : "");
    view w = transposed ? view_new(W, cols, rows, 2 * shift, shift) : view_new(W, rows, cols, 2 * shift, shift);
    for (int64_t r = 0; r < w.rows; r++) { /* any bits, NaNs of every kind too */
        for (int64_t i = 0; i < w.cols; i++) {
            uint32_t bits = (uint32_t)random_bits() | (random_below(8) ? 0 : 0x7f800000u);
            memcpy(view_row(w, r) + i, &bits, sizeof bits);
        }
    }
    int64_t count = (rows + UFFB_PANEL - 1) / UFFB_PANEL;
    view panels = view_new(C, count, cols * UFFB_PANEL, 0, shift);
    ops->pack(rows, cols, w.data, w.ld, transposed, panels.data);
    view_check_canaries(panels, "panels");
    for (int64_t row = 0; row < count * UFFB_PANEL; row++) {
        int64_t wrong = 0;
        for (int64_t col = 0; col < cols; col++) {
            const float zero = 0, *packed = view_row(panels, row / UFFB_PANEL) + col * UFFB_PANEL + row % UFFB_PANEL;
            const float *expected = row >= rows ? &zero : transposed ? view_row(w, col) + row : view_row(w, row) + col;
            wrong += memcmp(packed, expected, sizeof zero) != 0;
        }
        check(wrong == 0, "row %lld: %lld elements differ", (long long)row, (long long)wrong);
    }
}

void test_pack(const uffb_ops *ops, const char *isa) {
    test_begin("pack %s", isa);
    for (int64_t i = 0; i < COUNT_OF(ops_lengths); i++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
            pack_case(ops, ops_lengths[i], ops_lengths[j], 0, (i + j) % 2);
            pack_case(ops, ops_lengths[i], ops_lengths[j], 1, (i + j) % 2);
        }
    }
    for (int64_t rows = 0; rows <= 2 * UFFB_PANEL; rows++) {
        for (int64_t cols = 0; cols <= 9; cols++) {
            pack_case(ops, rows, cols, 0, cols % 2);
            pack_case(ops, rows, cols, 1, cols % 2);
        }
    }
    test_end();
}

/* Tests of the ops that work on each row by itself: norm, softmax, activate, multiply. */
#include "ops_test.h"
#include "activations.h"
#include "check.h"
#include "view.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { X, Y, WEIGHT, BIAS, PARTS };

static const int64_t row_counts[] = {0, 1, 2, 3, 5, 17};

/* --- norm ----------------------------------------------------------------------------------------------------------------- */

/* y must be LayerNorm(x) up to: rounding of the mean (n terms), of the variance about that mean, and of each
 * element. */
static void check_norm_row(int64_t n, const float *x, const float *weight, const float *bias, double eps, const float *y) {
    double mean = 0, magnitude = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += x[i];
        magnitude += fabs(x[i]);
    }
    mean /= (double)n;
    magnitude /= (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    variance = variance / (double)n + eps;
    double scale = 1 / sqrt(variance), mean_error = (double)(n + 1) * ROUNDING * magnitude;
    double scale_error = (double)(n + 8) * ROUNDING + mean_error * mean_error / variance;
    for (int64_t i = 0; i < n; i++) {
        double z = (x[i] - mean) * scale, expected = z * weight[i] + (bias ? bias[i] : 0);
        double z_error = (mean_error + 2 * ROUNDING * fabs(x[i] - mean)) * scale + fabs(z) * scale_error;
        double bound = fabs(weight[i]) * z_error * (1 + scale_error) + 2 * ROUNDING * (fabs(expected) + fabs(z * weight[i]));
        double error = fabs(y[i] - expected);
        check(error <= bound, "column %lld is off by %g, bound %g", (long long)i, error, bound);
    }
}

static void norm_case(const uffb_ops *ops, int64_t rows, int64_t cols, float offset, float spread, int variant) {
    int with_bias = variant & 1, in_place = variant >> 1 & 1;
    float eps = variant & 4 ? 1e-5f : 1e-12f;
    test_case("rows %lld, cols %lld, offset %g, spread %g, eps %g%s%s", (long long)rows, (long long)cols, offset, spread, eps,
              with_bias ? ", bias" : "", in_place ? ", in place" : "");
    int64_t shift = variant & 1;
    view x = view_new(X, rows, cols, 1 + shift, shift), y = view_new(Y, rows, cols, 3, 1 - shift);
    view parts = view_new(PARTS, rows, cols, 0, shift);
    view weight = view_new(WEIGHT, 1, cols, 0, shift), b = view_new(BIAS, 1, cols, 0, 1 - shift);
    view_fill(x, offset - spread, offset + spread);
    view_fill(weight, -2, 2);
    view_fill(b, -1, 1);
    const float *bias = with_bias ? b.data : NULL;
    if (in_place) {
        view_copy(y, x);
        ops->norm(rows, cols, y.data, y.ld, weight.data, bias, eps, y.data, y.ld);
    } else {
        ops->norm(rows, cols, x.data, x.ld, weight.data, bias, eps, y.data, y.ld);
    }
    view_check_canaries(y, "y");
    for (int64_t r = 0; r < rows; r++) {
        check_norm_row(cols, view_row(x, r), weight.data, bias, eps, view_row(y, r));
        ops->norm(1, cols, view_row(x, r), x.ld, weight.data, bias, eps, view_row(parts, r), parts.ld);
    }
    view_check_same(parts, y, "y row by row");
}

void test_norm(const uffb_ops *ops, const char *isa) {
    test_begin("norm %s", isa);
    int variant = 0;
    for (int64_t i = 0; i < COUNT_OF(row_counts); i++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
            norm_case(ops, row_counts[i], ops_lengths[j], 0, 1, variant++);
            norm_case(ops, row_counts[i], ops_lengths[j], 100, 1, variant++);
            norm_case(ops, row_counts[i], ops_lengths[j], 0.5f, 0, variant++);
        }
    }
    test_end();
}

/* --- softmax -------------------------------------------------------------------------------------------------------------- */

/* y must be softmax(scale * x). The argument of exp carries the rounding of products and of the subtraction;
 * exp itself is good to a few units, the sum to n. Shares may be flushed to or clamped near the smallest
 * normal number. */
static void check_softmax_row(int64_t n, double scale, const float *x, const float *y) {
    double top = -INFINITY, sum = 0, total = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, x[i] * scale);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i] * scale - top);
    for (int64_t i = 0; i < n; i++) {
        double z = x[i] * scale, expected = exp(z - top) / sum;
        double relative = ROUNDING * (2 * fabs(z) + 2 * fabs(top) + (double)(n + 12));
        double bound = expected * relative + 4 * FLT_MIN, error = fabs(y[i] - expected);
        check(error <= bound, "column %lld is off by %g, bound %g", (long long)i, error, bound);
        total += y[i];
    }
    check(fabs(total - 1) <= (double)(n + 4) * ROUNDING, "shares add up to 1 + %g", total - 1);
}

static void softmax_case(const uffb_ops *ops, int64_t rows, int64_t cols, float scale, float spread) {
    test_case("rows %lld, cols %lld, scale %g, spread %g", (long long)rows, (long long)cols, scale, spread);
    view x = view_new(X, rows, cols, 1, 0), y = view_new(Y, rows, cols, 3, 1), parts = view_new(PARTS, rows, cols, 0, 1);
    view_fill(x, -spread, spread);
    view_copy(y, x);
    view_copy(parts, x);
    ops->softmax(rows, cols, scale, y.data, y.ld);
    view_check_canaries(y, "x");
    for (int64_t r = 0; r < rows; r++) {
        check_softmax_row(cols, scale, view_row(x, r), view_row(y, r));
        ops->softmax(1, cols, scale, view_row(parts, r), parts.ld);
    }
    view_check_same(parts, y, "x row by row");
}

void test_softmax(const uffb_ops *ops, const char *isa) {
    test_begin("softmax %s", isa);
    for (int64_t i = 0; i < COUNT_OF(row_counts); i++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
            softmax_case(ops, row_counts[i], ops_lengths[j], 0.125f, 0);
            softmax_case(ops, row_counts[i], ops_lengths[j], 0.125f, 1);
            softmax_case(ops, row_counts[i], ops_lengths[j], 0.3f, 100);
            softmax_case(ops, row_counts[i], ops_lengths[j], 1, 1e4f);
        }
    }
    test_end();
}

/* --- activate ------------------------------------------------------------------------------------------------------------- */

static double check_activation(int32_t kind, float x, float y) {
    double bound = activation_error(kind, x), error = fabs(y - exact_activation(kind, x));
    check(error <= bound, "%s(%a) is off by %g, bound %g", activation_names[kind], (double)x, error, bound);
    return bound > 0 ? error / bound : 0;
}

static void activate_case(const uffb_ops *ops, int32_t kind, int64_t rows, int64_t cols) {
    test_case("%s, rows %lld, cols %lld", activation_names[kind], (long long)rows, (long long)cols);
    view x = view_new(X, rows, cols, 1, 0), y = view_new(Y, rows, cols, 3, 1), parts = view_new(PARTS, rows, cols, 0, 0);
    view_fill(x, -4, 4);
    view_copy(y, x);
    view_copy(parts, x);
    ops->activate(kind, rows, cols, y.data, y.ld);
    view_check_canaries(y, "x");
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < cols; i++) check_activation(kind, view_row(x, r)[i], view_row(y, r)[i]);
        ops->activate(kind, 1, cols, view_row(parts, r), parts.ld);
    }
    view_check_same(parts, y, "x row by row");
}

/* Every power of two from the smallest normal number to 2^100, both signs, `steps` values within each, and
 * some more. */
static double activate_sweep(const uffb_ops *ops, int32_t kind) {
    static const float special[] = {0, -0.0f, 1e4f, -1e4f, 87, -87, 88, -88, 89, -89, 1e30f, -1e30f};
    enum { STEPS = 64, COUNT = 2 * STEPS * 226 + 12 };
    test_case("%s, all magnitudes", activation_names[kind]);
    view x = view_new(X, 1, COUNT, 0, 0), y = view_new(Y, 1, COUNT, 0, 0);
    float *at = x.data;
    for (int exponent = -126; exponent < 100; exponent++) {
        for (int i = 0; i < STEPS; i++) {
            float value = ldexpf(1 + ((float)i + random_between(0, 1)) / STEPS, exponent);
            *at++ = value;
            *at++ = -value;
        }
    }
    memcpy(at, special, sizeof special);
    view_copy(y, x);
    ops->activate(kind, 1, COUNT, y.data, y.ld);
    double worst = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        worst = fmax(worst, check_activation(kind, view_row(x, 0)[i], view_row(y, 0)[i]));
    }
    return worst;
}

/* A NaN in each lane of a vector and of a rest gives a NaN there and nowhere else. */
static void keeps_nan(const uffb_ops *ops, int32_t kind) {
    enum { LENGTH = 35 };
    test_case("%s of NaN", activation_names[kind]);
    for (int at = 0; at < LENGTH; at++) {
        float x[LENGTH] = {0};
        x[at] = NAN;
        ops->activate(kind, 1, LENGTH, x, LENGTH);
        for (int i = 0; i < LENGTH; i++) check(i == at ? isnan(x[i]) : x[i] == 0, "%g at %d, NaN was at %d", x[i], i, at);
    }
}

void test_activate(const uffb_ops *ops, const char *isa) {
    test_begin("activate %s", isa);
    for (int32_t kind = 0; kind < UFFB_ACTIVATION_COUNT; kind++) {
        for (int64_t i = 0; i < COUNT_OF(row_counts); i++) {
            for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
                activate_case(ops, kind, row_counts[i], ops_lengths[j]);
            }
        }
        const double worst = activate_sweep(ops, kind);
        if (worst > 0) test_note("%s: largest error %.2f of its bound", activation_names[kind], worst);
        keeps_nan(ops, kind);
    }
    test_case("an activation that there is not");
    float x[35] = {0};
    ops->activate(UFFB_ACTIVATION_COUNT, 1, COUNT_OF(x), x, COUNT_OF(x));
    for (int i = 0; i < COUNT_OF(x); i++) check(isnan(x[i]), "x[%d] is %g, not NaN", i, x[i]);
    test_end();
}

/* --- multiply ------------------------------------------------------------------------------------------------------------- */

void test_multiply(const uffb_ops *ops, const char *isa) {
    test_begin("multiply %s", isa);
    for (int64_t i = 0; i < COUNT_OF(row_counts); i++) {
        for (int64_t j = 0; j < COUNT_OF(ops_lengths); j++) {
            int64_t rows = row_counts[i], cols = ops_lengths[j];
            test_case("rows %lld, cols %lld", (long long)rows, (long long)cols);
            view x = view_new(X, rows, cols, 1, 0), y = view_new(Y, rows, cols, 2, 1);
            view product = view_new(PARTS, rows, cols, 3, 1);
            view_fill(x, -1, 1);
            view_fill(y, -1, 1);
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t c = 0; c < cols; c++) view_row(product, r)[c] = view_row(x, r)[c] * view_row(y, r)[c];
            }
            ops->multiply(rows, cols, x.data, x.ld, y.data, y.ld);
            view_check_canaries(x, "x");
            view_check_same(x, product, "x");
        }
    }
    test_end();
}

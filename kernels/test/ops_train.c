/* Tests of the ops of training. Gradients are held against finite differences, in double precision, of what they are gradients
 * of. */
#include "ops_test.h"
#include "activations.h"
#include "check.h"
#include "view.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, D, E, F, G, H };

static const int64_t lengths[] = {1, 3, 15, 16, 17, 33, 64, 130, 257};

/* Half the step of a central difference. Its own error is about the square of that, times a third derivative. */
#define STEP 1e-4

static void check_close(float actual, double expected, double bound, int64_t i) {
    const double error = fabs(actual - expected);
    check(error <= bound, "element %lld is %g, not %g: off by %g, bound %g", (long long)i, (double)actual, expected, error,
          bound);
}

static double *widened(int64_t n, const float *x) {
    double *wide = malloc((size_t)n * sizeof *wide);
    for (int64_t i = 0; i < n; i++) wide[i] = x[i];
    return wide;
}

/* --- outer ---------------------------------------------------------------------------------------------------------------- */

static void outer_case(const uffb_ops *ops, int64_t m, int64_t n, int64_t k, int accumulate) {
    test_case("m %lld, n %lld, k %lld%s", (long long)m, (long long)n, (long long)k, accumulate ? ", accumulate" : "");
    const int64_t panels = (n + UFFB_PANEL - 1) / UFFB_PANEL;
    view a = view_new(A, k, m, 1, 1), b = view_new(B, k, n, 2, 0), packed = view_new(C, panels, k * UFFB_PANEL, 0, 0);
    view c = view_new(D, m, n, 3, 1), before = view_new(E, m, n, 0, 0), parts = view_new(F, m, n, 1, 0);
    view_fill(a, -1, 1);
    view_fill(b, -1, 1);
    view_fill(before, -1, 1);
    view_copy(c, before);
    view_copy(parts, before);
    ops->pack(n, k, b.data, b.ld, 1, packed.data);
    ops->outer(m, n, k, a.data, a.ld, packed.data, c.data, c.ld, accumulate);
    view_check_canaries(c, "c");
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = accumulate ? view_row(before, i)[j] : 0, size = fabs(sum);
            for (int64_t l = 0; l < k; l++) {
                const double term = (double)view_row(a, l)[i] * view_row(b, l)[j];
                sum += term;
                size += fabs(term);
            }
            check_close(view_row(c, i)[j], sum, (double)(k + 3) * ROUNDING * size, i * n + j);
        }
    }
    for (int64_t i = 0; i < m; i += 5) /* any rows of it are the same bits */
        ops->outer(m - i < 5 ? m - i : 5, n, k, view_row(a, 0) + i, a.ld, packed.data, view_row(parts, i), parts.ld,
                   accumulate);
    view_check_same(parts, c, "c in pieces");
}

void test_outer(const uffb_ops *ops, const char *isa) {
    test_begin("outer %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        outer_case(ops, lengths[i], 33, 17, 0);
        outer_case(ops, 29, lengths[i], 5, 1);
        outer_case(ops, 15, 31, lengths[i], (int)(i & 1));
    }
    test_end();
}

/* --- norm_back ------------------------------------------------------------------------------------------------------------ */

/* sum of dy * LayerNorm(x) of a row */
static double normed_sum(int64_t n, const double *x, const float *weight, double eps, const float *dy) {
    double mean = 0, variance = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) sum += dy[i] * weight[i] * (x[i] - mean) / sqrt(variance + eps);
    return sum;
}

static void norm_back_case(const uffb_ops *ops, int64_t rows, int64_t n, int accumulate, int in_place) {
    const float eps = 1e-5f;
    test_case("rows %lld, cols %lld%s%s", (long long)rows, (long long)n, accumulate ? ", accumulate" : "",
              in_place ? ", in place" : "");
    view x = view_new(A, rows, n, 1, 0), weight = view_new(B, 1, n, 0, 1), dy = view_new(C, rows, n, 2, 1);
    view dx = view_new(D, rows, n, 3, 0), before = view_new(E, rows, n, 0, 0), sums = view_new(F, 2, n, 1, 0);
    view_fill(x, -2, 3);
    view_fill(weight, -2, 2);
    view_fill(dy, -1, 1);
    view_fill(before, -1, 1);
    view_copy(dx, in_place ? dy : before);
    memset(view_row(sums, 0), 0, (size_t)n * sizeof(float));
    memset(view_row(sums, 1), 0, (size_t)n * sizeof(float));
    ops->norm_back(rows, n, x.data, x.ld, weight.data, eps, in_place ? dx.data : dy.data, in_place ? dx.ld : dy.ld, dx.data,
                   dx.ld, accumulate, view_row(sums, 0), view_row(sums, 1));
    view_check_canaries(dx, "dx");
    view_check_canaries(sums, "dweight and dbias");
    for (int64_t r = 0; r < rows; r++) {
        double *wide = widened(n, view_row(x, r));
        for (int64_t i = 0; i < n; i++) {
            const double at = wide[i];
            wide[i] = at + STEP;
            double slope = normed_sum(n, wide, weight.data, eps, view_row(dy, r));
            wide[i] = at - STEP;
            slope = (slope - normed_sum(n, wide, weight.data, eps, view_row(dy, r))) / (2 * STEP);
            wide[i] = at;
            /* one element alone has deviation 0 and an enormous, vanishing slope: sqrt(eps) bounds what rounding leaves */
            const double old = accumulate ? view_row(before, r)[i] : 0, bound = n == 1 ? 1e-3 : 2e-5;
            check_close(view_row(dx, r)[i], slope + old, bound, i);
        }
        free(wide);
    }
    for (int64_t i = 0; i < n; i++) {
        double dweight = 0, dbias = 0;
        for (int64_t r = 0; r < rows; r++) {
            double mean = 0, variance = 0;
            for (int64_t j = 0; j < n; j++) mean += view_row(x, r)[j] / (double)n;
            for (int64_t j = 0; j < n; j++) variance += pow(view_row(x, r)[j] - mean, 2) / (double)n;
            dweight += view_row(dy, r)[i] * (view_row(x, r)[i] - mean) / sqrt(variance + eps);
            dbias += view_row(dy, r)[i];
        }
        check_close(view_row(sums, 0)[i], dweight, n == 1 ? 1e-3 : 1e-5, i);
        check_close(view_row(sums, 1)[i], dbias, 1e-5, i);
    }
}

void test_norm_back(const uffb_ops *ops, const char *isa) {
    test_begin("norm_back %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        norm_back_case(ops, 1, lengths[i], 0, 0);
        norm_back_case(ops, 3, lengths[i], 1, 0);
        norm_back_case(ops, 2, lengths[i], 0, 1);
    }
    test_end();
}

/* --- activate_back -------------------------------------------------------------------------------------------------------- */

static void activate_back_case(const uffb_ops *ops, int32_t kind, int64_t cols, float spread) {
    test_case("%s, cols %lld, spread %g", activation_names[kind], (long long)cols, (double)spread);
    view x = view_new(A, 2, cols, 1, 0), d = view_new(B, 2, cols, 2, 1), before = view_new(C, 2, cols, 0, 0);
    view_fill(x, -spread, spread);
    view_fill(before, -1, 1);
    view_copy(d, before);
    ops->activate_back(kind, 2, cols, x.data, x.ld, d.data, d.ld);
    view_check_canaries(d, "d");
    for (int64_t i = 0; i < 2 * cols; i++) {
        const double z = view_row(x, i / cols)[i % cols], h = 1e-6;
        const double slope = (exact_activation(kind, z + h) - exact_activation(kind, z - h)) / (2 * h);
        if (kind == UFFB_RELU && fabs(z) < 2 * h) continue;
        check_close(view_row(d, i / cols)[i % cols], view_row(before, i / cols)[i % cols] * slope, 2e-6, i);
    }
}

void test_activate_back(const uffb_ops *ops, const char *isa) {
    test_begin("activate_back %s", isa);
    for (int32_t kind = 0; kind < UFFB_ACTIVATION_COUNT; kind++) {
        for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
            activate_back_case(ops, kind, lengths[i], 1);
            activate_back_case(ops, kind, lengths[i], 12);
        }
    }
    test_case("ReLU at 0, and no activation");
    float zero = 0, one = 1;
    ops->activate_back(UFFB_RELU, 1, 1, &zero, 1, &one, 1);
    check(one == 0, "the slope at 0 is %g", (double)one);
    ops->activate_back(UFFB_ACTIVATION_COUNT, 1, 1, &zero, 1, &one, 1);
    check(isnan(one), "an activation that there is not has a slope");
    test_case("GELU far below 0");
    for (float x = -6; x > -40; x -= 1.7f) {
        float slope = 1, value = x;
        ops->activate_back(UFFB_GELU, 1, 1, &x, 1, &slope, 1);
        ops->activate(UFFB_GELU, 1, 1, &value, 1);
        check(slope <= 0 && slope >= -4e-8f, "the slope at %g is %g", (double)x, (double)slope);
        check(value == 0, "the value at %g is %g", (double)x, (double)value);
    }
    test_end();
}

/* --- softmax_back and log_sum --------------------------------------------------------------------------------------------- */

static double softmax_sum(int64_t n, double scale, const double *x, const float *d) {
    double total = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) total += exp(scale * x[i]);
    for (int64_t i = 0; i < n; i++) sum += d[i] * exp(scale * x[i]) / total;
    return sum;
}

static void softmax_back_case(const uffb_ops *ops, int64_t n, float scale) {
    test_case("cols %lld, scale %g", (long long)n, (double)scale);
    view x = view_new(A, 2, n, 0, 0), p = view_new(B, 2, n, 1, 1), d = view_new(C, 2, n, 2, 0),
         before = view_new(D, 2, n, 0, 0);
    view_fill(x, -3, 3);
    view_fill(before, -1, 1);
    view_copy(d, before);
    view_copy(p, x);
    ops->softmax(2, n, scale, p.data, p.ld);
    ops->softmax_back(2, n, scale, p.data, p.ld, d.data, d.ld);
    view_check_canaries(d, "d");
    for (int64_t r = 0; r < 2; r++) {
        double *wide = widened(n, view_row(x, r));
        for (int64_t i = 0; i < n; i++) {
            const double at = wide[i];
            wide[i] = at + STEP;
            double slope = softmax_sum(n, scale, wide, view_row(before, r));
            wide[i] = at - STEP;
            slope = (slope - softmax_sum(n, scale, wide, view_row(before, r))) / (2 * STEP);
            wide[i] = at;
            check_close(view_row(d, r)[i], slope, 2e-6, i);
        }
        free(wide);
    }
}

void test_softmax_back(const uffb_ops *ops, const char *isa) {
    test_begin("softmax_back %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        softmax_back_case(ops, lengths[i], 0.125f);
        softmax_back_case(ops, lengths[i], 1);
    }
    test_end();
}

static void log_sum_case(const uffb_ops *ops, int64_t n, float spread) {
    test_case("cols %lld, spread %g", (long long)n, (double)spread);
    view x = view_new(A, 1, n, 0, 1), before = view_new(B, 1, n, 0, 0);
    view_fill(before, -spread, spread);
    view_copy(x, before);
    const float *old = before.data;
    float top;
    double most = -INFINITY, total = 0;
    const double sum = ops->log_sum(n, -3, x.data, &top);
    for (int64_t c = 0; c < n; c++) most = fmax(most, old[c]);
    for (int64_t c = 0; c < n; c++) total += exp(old[c] - most);
    view_check_canaries(x, "x");
    check(top == (float)most, "the largest is %g, not %g", (double)top, most);
    check(fabs(sum - most - log(total)) <= ROUNDING * (fabs(most) + 20), "%g, not %g", sum, most + log(total));
    for (int64_t c = 0; c < n; c++) check_close(view_row(x, 0)[c], -3 * exp(old[c] - most) / total, 2e-6, c);
}

void test_log_sum(const uffb_ops *ops, const char *isa) {
    test_begin("log_sum %s", isa);
    static const float spreads[] = {0, 1, 9, 80, 1e4f};
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        for (int64_t j = 0; j < COUNT_OF(spreads); j++) log_sum_case(ops, lengths[i], spreads[j]);
    }
    test_end();
}

/* --- dropout -------------------------------------------------------------------------------------------------------------- */

/* Known answers of Philox4x32-10, from the generator's own distribution (Random123, kat_vectors): counter and key all zeros,
 * and all ones. */
static void check_known(const uffb_ops *ops) {
    static const uint32_t zeros[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t ones[] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    for (int set = 0; set < 2; set++) {
        test_case("known words, counter and key of all %ds", set);
        const uint64_t bits = set ? UINT64_MAX : 0;
        const uffb_random random = {bits, bits, 0, bits};
        for (int word = 0; word < 4; word++) {
            /* a word is dropped at rates above it, and kept at rates below */
            const double share = (set ? ones : zeros)[word] / 4294967296.0;
            float above[4] = {1, 1, 1, 1}, below[4] = {1, 1, 1, 1};
            ops->dropout(1, 4, (float)(share + 1e-6), &random, above, 4);
            ops->dropout(1, 4, (float)(share - 1e-6), &random, below, 4);
            check(above[word] == 0 && below[word] != 0, "word %d is not %g", word, share);
        }
    }
}

void test_dropout(const uffb_ops *ops, const char *isa) {
    test_begin("dropout %s", isa);
    check_known(ops);
    const uffb_ops *generic = uffb_ops_of(UFFB_ISA_generic);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        const int64_t n = lengths[i];
        test_case("cols %lld", (long long)n);
        view x = view_new(A, 5, n, 1, 1), same = view_new(B, 5, n, 0, 0), parts = view_new(C, 5, n, 2, 0);
        view_fill(x, 1, 2);
        view_copy(same, x);
        view_copy(parts, x);
        uffb_random random = {0x123456789abcdef, 42, 7, UINT32_MAX - 3}; /* block numbers pass 32 bits */
        ops->dropout(5, n, 0.3f, &random, x.data, x.ld);
        generic->dropout(5, n, 0.3f, &random, same.data, same.ld);
        view_check_canaries(x, "x");
        view_check_same(x, same, "the generic one's");
        for (int64_t r = 0; r < 5; r++, random.block += (uint64_t)(n + 3) / 4)
            ops->dropout(1, n, 0.3f, &random, view_row(parts, r), parts.ld);
        view_check_same(parts, x, "x row by row");
    }
    test_case("share of zeros and scale");
    const int64_t n = 100000;
    float *x = malloc((size_t)n * sizeof *x), *other = malloc((size_t)n * sizeof *other);
    for (int64_t i = 0; i < n; i++) x[i] = other[i] = 1;
    const uffb_random random = {1, 2, 3, 0}, next = {1, 3, 3, 0};
    ops->dropout(1, n, 0.1f, &random, x, n);
    ops->dropout(1, n, 0.1f, &next, other, n);
    int64_t zeros = 0, both = 0;
    for (int64_t i = 0; i < n; i++) {
        zeros += x[i] == 0;
        both += x[i] == 0 && other[i] == 0;
        check(x[i] == 0 || fabsf(x[i] - 1 / 0.9f) < 1e-6f, "%g", (double)x[i]);
    }
    check(llabs(zeros - 10000) < 500, "%lld of %lld are zero", (long long)zeros, (long long)n);
    check(llabs(both - 1000) < 200, "%lld of %lld are zero twice", (long long)both, (long long)n);
    free(x);
    free(other);
    test_end();
}

/* --- trees and rows ------------------------------------------------------------------------------------------------------- */

static void fff_back_case(const uffb_ops *ops, int64_t tokens, int64_t depth, int64_t hidden, int32_t kind) {
    test_case("tokens %lld, depth %lld, hidden %lld, %s", (long long)tokens, (long long)depth, (long long)hidden,
              activation_names[kind]);
    const int64_t nodes = ((int64_t)2 << depth) - 1, levels = depth + 1;
    view out = view_new(A, nodes, hidden, 0, 1), dy = view_new(B, tokens, hidden, 3, 0);
    view path = view_new(C, tokens, levels, 1, 0), logits = view_new(D, tokens, levels, 1, 1);
    view got = view_new(E, tokens, levels, 1, 0);
    view_fill(out, -1, 1);
    view_fill(dy, -1, 1);
    view_fill(logits, -2, 2);
    int32_t *order = malloc((size_t)tokens * sizeof *order);
    for (int64_t t = 0; t < tokens; t++) {
        order[t] = (int32_t)(tokens - 1 - t);
        int32_t *nodes_of = (int32_t *)path.data + t * path.ld;
        nodes_of[0] = 0;
        /* runs of tokens on one path, as a sort leaves them */
        for (int64_t p = 1; p < levels; p++) nodes_of[p] = 2 * nodes_of[p - 1] + 1 + (int32_t)(t / 5 >> (p - 1) & 1);
    }
    const uffb_tree tree = {depth, hidden, {NULL, UFFB_F32}, NULL, {out.data, UFFB_F32}, NULL};
    ops->fff_back(&tree, kind, (uffb_rows){tokens, order, 0}, path.data, logits.data, path.ld, dy.data, dy.ld, got.data);
    view_check_canaries(got, "dlogits");
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t p = 0; p < levels; p++) {
            const float *row = view_row(out, ((int32_t *)path.data)[t * path.ld + p]);
            const double z = view_row(logits, t)[p], h = 1e-6;
            double sum = 0;
            for (int64_t i = 0; i < hidden; i++) sum += (double)row[i] * view_row(dy, t)[i];
            const double slope = (exact_activation(kind, z + h) - exact_activation(kind, z - h)) / (2 * h);
            check_close(view_row(got, t)[p], sum * slope, 1e-6 * (double)hidden, t * levels + p);
        }
    }
    free(order);
}

void test_fff_back(const uffb_ops *ops, const char *isa) {
    test_begin("fff_back %s", isa);
    for (int32_t kind = 0; kind < UFFB_ACTIVATION_COUNT; kind++) {
        for (int64_t i = 0; i < COUNT_OF(lengths); i++) fff_back_case(ops, 1 + i * 3, i % 5, lengths[i], kind);
    }
    test_end();
}

static void combine_case(const uffb_ops *ops, int64_t count, int64_t cols, int64_t lds, int accumulate) {
    test_case("count %lld, cols %lld, lds %lld", (long long)count, (long long)cols, (long long)lds);
    const int64_t rows = count + 3;
    view x = view_new(A, rows, cols, 2, 0), scale = view_new(B, rows, lds > 0 ? lds : 1, 0, 1);
    view y = view_new(C, 1, cols, 0, 1), before = view_new(D, 1, cols, 0, 0);
    view_fill(x, -1, 1);
    view_fill(scale, -2, 2);
    view_fill(before, -1, 1);
    view_copy(y, before);
    int32_t *order = malloc((size_t)(count + 1) * sizeof *order);
    for (int64_t i = 0; i < count; i++) order[i] = (int32_t)random_below(rows);
    ops->combine(count, order, scale.data, lds, x.data, x.ld, cols, y.data, accumulate);
    view_check_canaries(y, "y");
    for (int64_t c = 0; c < cols; c++) {
        double sum = accumulate ? view_row(before, 0)[c] : 0, size = fabs(sum);
        for (int64_t i = 0; i < count; i++) {
            const double term = (double)((float *)scale.data)[order[i] * lds] * view_row(x, order[i])[c];
            sum += term;
            size += fabs(term);
        }
        check_close(view_row(y, 0)[c], sum, (double)(count + 3) * ROUNDING * size, c);
    }
    free(order);
}

void test_combine(const uffb_ops *ops, const char *isa) {
    test_begin("combine %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        for (int64_t count = 0; count < 7; count += 2) combine_case(ops, count, lengths[i], count % 3, (int)(i & 1));
    }
    combine_case(ops, 300, 64, 5, 1);
    test_end();
}

/* --- dot and axpy ----------------------------------------------------------------------------------------------------------
 */

void test_dot(const uffb_ops *ops, const char *isa) {
    test_begin("dot %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        const int64_t n = lengths[i];
        test_case("n %lld", (long long)n);
        view x = view_new(A, 1, n, 0, 1), y = view_new(B, 1, n, 0, 1);
        view_fill(x, -1, 1);
        view_fill(y, -1, 1);
        double sum = 0, size = 0;
        for (int64_t c = 0; c < n; c++) {
            const double product = (double)view_row(x, 0)[c] * view_row(y, 0)[c];
            sum += product;
            size += fabs(product);
        }
        check_close(ops->dot(n, x.data, y.data), sum, ROUNDING * (double)n * size, i);
    }
    test_end();
}

void test_axpy(const uffb_ops *ops, const char *isa) {
    test_begin("axpy %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        const int64_t n = lengths[i];
        test_case("n %lld", (long long)n);
        view x = view_new(A, 1, n, 0, 1), y = view_new(B, 1, n, 0, 1), old = view_new(C, 1, n, 0, 0);
        view_fill(x, -1, 1);
        view_fill(y, -1, 1);
        memcpy(old.data, y.data, (size_t)n * sizeof(float));
        ops->axpy(n, 0.3f, x.data, y.data);
        view_check_canaries(y, "y");
        for (int64_t c = 0; c < n; c++) {
            check_close(view_row(y, 0)[c], view_row(old, 0)[c] + (double)0.3f * view_row(x, 0)[c], 2 * ROUNDING, c);
        }
    }
    test_end();
}

/* --- adamw and squares ---------------------------------------------------------------------------------------------------- */

void test_adamw(const uffb_ops *ops, const char *isa) {
    test_begin("adamw %s", isa);
    for (int64_t i = 0; i < COUNT_OF(lengths); i++) {
        for (int none = 0; none < 2; none++) {
            const int64_t n = lengths[i];
            test_case("n %lld%s", (long long)n, none ? ", without a gradient" : "");
            const uffb_adamw_factors f = {0.5f, 0.1f, 0.98f, 0.02f, 0.99f, 1e-2f, 1.7f, 1e-6f};
            view g = view_new(A, 1, n, 0, 1), w = view_new(B, 1, n, 0, 0), m = view_new(C, 1, n, 0, 1),
                 v = view_new(D, 1, n, 0, 0);
            view old = view_new(E, 3, n, 0, 0);
            view_fill(g, -1, 1);
            view_fill(old, -1, 1);
            for (int64_t c = 0; c < n; c++) view_row(old, 2)[c] = fabsf(view_row(old, 2)[c]) + 0.01f;
            memcpy(w.data, view_row(old, 0), (size_t)n * sizeof(float));
            memcpy(m.data, view_row(old, 1), (size_t)n * sizeof(float));
            memcpy(v.data, view_row(old, 2), (size_t)n * sizeof(float));
            ops->adamw(n, &f, none ? NULL : g.data, w.data, m.data, v.data);
            view_check_canaries(w, "w");
            view_check_canaries(m, "m");
            view_check_canaries(v, "v");
            for (int64_t c = 0; c < n; c++) {
                const double d = none ? 0 : view_row(g, 0)[c] * (double)f.gradient;
                const double first = view_row(old, 1)[c] + (d - view_row(old, 1)[c]) * (double)f.first;
                const double second = view_row(old, 2)[c] * (double)f.beta2 + d * d * (double)f.second;
                const double after =
                    view_row(old, 0)[c] * (double)f.decay - f.step * first / (sqrt(second) * (double)f.root + (double)f.eps);
                check_close(view_row(m, 0)[c], first, 4 * ROUNDING, c);
                check_close(view_row(v, 0)[c], second, 4 * ROUNDING, c);
                check_close(view_row(w, 0)[c], after, 8 * ROUNDING, c);
            }
        }
    }
    test_case("a row without moments or decay stays as it is");
    const uffb_adamw_factors f = {1, 0.1f, 0.98f, 0.02f, 1, 1e-2f, 1.7f, 1e-12f};
    float w[37], before[37], m[37] = {0}, v[37] = {0};
    for (int i = 0; i < 37; i++) w[i] = before[i] = random_between(-1, 1);
    ops->adamw(37, &f, NULL, w, m, v);
    check(!memcmp(w, before, sizeof w), "it changed");
    test_case("without a first moment what is left are products");
    const uffb_adamw_factors decaying = {1, 0.1f, 0.98f, 0.02f, 0.99f, 1e-2f, 1.7f, 1e-12f};
    for (int i = 0; i < 37; i++) {
        v[i] = before[i] * before[i];
        m[i] = i < 34 ? 0.0f : 0.5f;
    }
    ops->adamw(37, &decaying, NULL, w, m, v);
    for (int i = 0; i < 34; i++) {
        check(w[i] == before[i] * 0.99f && v[i] == before[i] * before[i] * 0.98f, "weight %g, moment %g of %g", w[i], v[i],
              before[i]);
    }
    check(m[36] == 0.45f && w[36] < before[36] * 0.99f, "moment %g, weight %g", m[36], w[36]);
    test_case("moments below the normal numbers are 0, and NaN stays");
    for (int i = 0; i < 37; i++) {
        m[i] = i % 2 ? 1.2e-38f : -1.2e-38f;
        v[i] = 1.18e-38f;
    }
    m[20] = NAN;
    v[21] = NAN;
    m[22] = -1.4e-38f; /* 0.9 of it is still normal */
    ops->adamw(37, &f, NULL, w, m, v);
    for (int i = 0; i < 37; i++) {
        if (i == 20 || i == 22) {
            check(i == 20 ? isnan(m[i]) : fabsf(m[i] / -1.26e-38f - 1) < 1e-5f, "m[%d] is %g", i, m[i]);
        } else {
            check(m[i] == 0, "m[%d] is %g", i, m[i]);
        }
        check(i == 21 ? isnan(v[i]) : v[i] == 0, "v[%d] is %g", i, v[i]);
    }
    test_end();
}

void test_squares(const uffb_ops *ops, const char *isa) {
    test_begin("squares %s", isa);
    for (int64_t i = 0; i <= COUNT_OF(lengths); i++) {
        const int64_t n = i < COUNT_OF(lengths) ? lengths[i] : 70001;
        test_case("n %lld", (long long)n);
        view x = view_new(A, 1, n, 0, 1);
        view_fill(x, -1, 1);
        double sum = 0;
        for (int64_t c = 0; c < n; c++) sum += (double)view_row(x, 0)[c] * view_row(x, 0)[c];
        const double got = ops->squares(n, x.data);
        check(fabs(got - sum) <= 4e-6 * sum, "%g, not %g", got, sum);
    }
    test_end();
}

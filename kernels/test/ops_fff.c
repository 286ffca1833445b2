/* Tests of the fast feedforward network: the walk down a tree and the weighted sum of the rows it met. Rounding may turn a
 * branch whose logit is nearly 0, so the walk is judged along the kernel's own path: each logit must be right for the node that
 * the kernel names, and each next node must follow from the logit that the kernel gives. */
#include "ops_test.h"
#include "activations.h"
#include "check.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { X, WEIGHT, HALF, BIAS, NODES, LOGITS, NOISE, PART_NODES, PART_LOGITS, Y };

static const int64_t tree_counts[] = {1, 2, 3, 9, 128, 3072};
static const int64_t hidden_sizes[] = {1, 5, 48, 64, 256, 768};
static const int64_t token_counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
#define MOST_ROWS (2 * UFFB_FFF_ROWS + 1)

/* How far branches were from turning, over a test. */
static int64_t branches, near_ties;

static int64_t nodes_of(int64_t depth) { return ((int64_t)2 << depth) - 1; }

static int32_t *node_row(view nodes, int64_t row) { return (int32_t *)nodes.data + row * nodes.ld; }

/* --- rows in order, or some rows in any order -------------------------------------------------------------------------- */

/* `order` becomes 0 to rows - 1, or a shuffle of them. */
static void list_rows(int32_t *order, int64_t rows, int shuffled) {
    for (int64_t i = 0; i < rows; i++) {
        int64_t j = shuffled ? random_below(i + 1) : i;
        order[i] = order[j];
        order[j] = (int32_t)i;
    }
}

/* --- rows of weights, in f32 or bf16 ------------------------------------------------------------------------------------ */

/* Of WEIGHT's numbers the upper halves, at the very end of HALF. */
static uint16_t *halves(int64_t count) { return (uint16_t *)view_tail(HALF, VIEW_FLOATS / 2) + VIEW_FLOATS - count; }

static void fill_weights(void) {
    view_fill(view_new(WEIGHT, 1, VIEW_FLOATS, 0, 0), -1, 1);
    const uint32_t *bits = (const uint32_t *)view_tail(WEIGHT, VIEW_FLOATS);
    uint16_t *half = halves(VIEW_FLOATS);
    for (int64_t i = 0; i < VIEW_FLOATS; i++) half[i] = (uint16_t)(bits[i] >> 16);
}

static uffb_node_rows rows_of(int64_t count, int32_t dtype) {
    if (dtype == UFFB_BF16) return (uffb_node_rows){halves(count), dtype};
    return (uffb_node_rows){view_tail(WEIGHT, count), dtype};
}

static double weight_of(uffb_node_rows rows, int64_t i) {
    if (rows.dtype == UFFB_F32) return ((const float *)rows.data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)rows.data)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* --- walk --------------------------------------------------------------------------------------------------------------- */

/* Of w . x + b: the value, and the worst that f32 rounding makes of it. */
static double reference_logit(const uffb_tree *tree, int64_t node, const float *x, double *bound) {
    double sum = tree->bias ? tree->bias[node] : 0, magnitude = fabs(sum);
    for (int64_t i = 0; i < tree->hidden; i++) {
        const double product = weight_of(tree->in, node * tree->hidden + i) * x[i];
        sum += product;
        magnitude += fabs(product);
    }
    *bound = (double)(tree->hidden + 2) * ROUNDING * magnitude;
    return sum;
}

static void check_walk(const uffb_tree *tree, const float *x, const float *noise, const int32_t *nodes, const float *logits) {
    int64_t node = 0;
    for (int64_t level = 0; level <= tree->depth; level++) {
        if (!check(nodes[level] == node, "level %lld: node %d, not %lld", (long long)level, nodes[level], (long long)node))
            return;
        double bound, logit = reference_logit(tree, node, x, &bound), error = fabs(logits[level] - logit);
        check(error <= bound, "level %lld: logit is off by %g, bound %g", (long long)level, error, bound);
        branches++;
        near_ties += fabs(logit) <= bound;
        node = 2 * node + 1 + ((noise ? logits[level] + noise[level] : logits[level]) > 0);
    }
}

/* The generic walk must take the same path until a logit is too near 0 to tell. */
static void check_against_generic(const uffb_tree *tree, const float *x, const int32_t *nodes) {
    int32_t expected[UFFB_MAX_DEPTH + 1], arranged;
    const int32_t only = 0;
    float logits[UFFB_MAX_DEPTH + 1];
    uffb_ops_of(UFFB_ISA_generic)
        ->fff_walk(tree, 0, tree->depth + 1, (uffb_rows){1, &only, 0}, x, tree->hidden, expected, logits, UFFB_MAX_DEPTH + 1,
                   &arranged);
    for (int64_t level = 1; level <= tree->depth; level++) {
        double bound, logit = reference_logit(tree, expected[level - 1], x, &bound);
        if (fabs(logit) <= bound) return;
        int holds = nodes[level] == expected[level];
        check(holds, "level %lld: node %d, generic %d", (long long)level, nodes[level], expected[level]);
    }
}

/* `arranged` must hold the rows of `order`, each once. */
static void check_arranged(uffb_rows rows, const int32_t *arranged) {
    int seen[MOST_ROWS] = {0};
    for (int64_t i = 0; i < rows.count; i++) seen[rows.order[i]]++;
    for (int64_t i = 0; i < rows.count; i++) {
        const int32_t t = arranged[i];
        if (!check(t >= 0 && t < MOST_ROWS && seen[t]-- == 1, "arranged: %d at %lld", t, (long long)i)) return;
    }
}

/* The same walk in pieces of rows, in reverse, and in two stages: to level `cut`, then on from there. */
static void walk_in_pieces(const uffb_ops *ops, const uffb_tree *tree, int64_t cut, int64_t step, uffb_rows rows, view x,
                           view nodes, view logits) {
    int32_t order[MOST_ROWS], arranged[MOST_ROWS];
    for (int64_t i = 0; i < rows.count; i++) order[i] = rows.order[rows.count - 1 - i];
    for (int64_t i = 0; i < rows.count; i += step) {
        const int64_t left = rows.count - i, count = left < step ? left : step;
        uffb_rows some = {count, order + i, left - count};
        if (cut > 0) {
            ops->fff_walk(tree, 0, cut, some, x.data, x.ld, nodes.data, logits.data, nodes.ld, arranged);
            check_arranged(some, arranged);
            for (int64_t j = 0; j < some.count; j++) {
                check(view_untouched(nodes, some.order[j], cut + 1), "a walk to level %lld goes on: nodes", (long long)cut);
                check(view_untouched(logits, some.order[j], cut), "a walk to level %lld goes on: logits", (long long)cut);
            }
        }
        ops->fff_walk(tree, cut, tree->depth + 1, some, x.data, x.ld, nodes.data, logits.data, nodes.ld, arranged);
        check_arranged(some, arranged);
    }
}

static void walk_case(const uffb_ops *ops, int64_t depth, int64_t hidden, int64_t tokens, int variant) {
    int64_t shift = variant & 1, gap = variant & 2 ? 3 : 0, ordered = variant >> 2 & 1, levels = depth + 1;
    int64_t all = ordered ? 2 * tokens + 1 : tokens, cut = random_below(levels);
    test_case("depth %lld, hidden %lld, tokens %lld%s%s, cut at %lld", (long long)depth, (long long)hidden, (long long)tokens,
              shift ? ", bias" : "", ordered ? ", in another order" : "", (long long)cut);
    view x = view_new(X, all, hidden, 1 + shift, shift), bias = view_new(BIAS, 1, nodes_of(depth), 0, shift);
    view nodes = view_new(NODES, all, levels, gap, shift), logits = view_new(LOGITS, all, levels, gap, 1 - shift);
    view part_nodes = view_new(PART_NODES, all, levels, gap, 0), part_logits = view_new(PART_LOGITS, all, levels, gap, 1);
    view noise = view_new(NOISE, all, levels, gap, 0); /* as the logits lie, in pieces, too */
    view_fill(noise, -0.5f, 0.5f);
    view_fill(bias, -0.1f, 0.1f);
    const int32_t dtype = variant % 3 ? UFFB_F32 : UFFB_BF16;
    const uffb_node_rows weights = rows_of(nodes_of(depth) * hidden, dtype);
    uffb_tree tree = {depth, hidden, weights, shift ? bias.data : NULL, weights, variant % 5 == 4 ? noise.data : NULL};
    int32_t order[MOST_ROWS], arranged[MOST_ROWS];
    list_rows(order, all, (int)ordered);
    uffb_rows rows = {tokens, order, 0};
    for (int64_t i = 0; i < tokens; i++) { /* the other rows stay NaN */
        for (int64_t h = 0; h < hidden; h++) view_row(x, order[i])[h] = random_between(-1, 1);
    }

    ops->fff_walk(&tree, 0, levels, rows, x.data, x.ld, nodes.data, logits.data, nodes.ld, arranged);
    check_arranged(rows, arranged);
    view_check_canaries(nodes, "nodes");
    view_check_canaries(logits, "logits");
    for (int64_t i = 0; i < tokens; i++) {
        int64_t t = order[i];
        check_walk(&tree, view_row(x, t), tree.noise ? view_row(noise, t) : NULL, node_row(nodes, t), view_row(logits, t));
        if (!tree.noise) check_against_generic(&tree, view_row(x, t), node_row(nodes, t));
    }
    for (int64_t i = tokens; i < all; i++) {
        int untouched = view_untouched(nodes, order[i], 0) && view_untouched(logits, order[i], 0);
        check(untouched, "row %d was not asked for, but is written", order[i]);
    }
    walk_in_pieces(ops, &tree, cut, 1 + random_below(tokens + 1), rows, x, part_nodes, part_logits);
    view_check_same(part_nodes, nodes, "nodes in pieces");
    view_check_same(part_logits, logits, "logits in pieces");
}

/* Several trees write side by side. */
static void forest_case(const uffb_ops *ops, int64_t trees, int64_t depth, int64_t hidden, int64_t tokens) {
    int64_t count = nodes_of(depth) * hidden, levels = depth + 1;
    int32_t order[MOST_ROWS], arranged[MOST_ROWS];
    list_rows(order, tokens, 0);
    test_case("trees %lld, depth %lld, hidden %lld, tokens %lld", (long long)trees, (long long)depth, (long long)hidden,
              (long long)tokens);
    view x = view_new(X, tokens, hidden, 0, 1);
    view nodes = view_new(NODES, tokens, trees * levels, 1, 0), logits = view_new(LOGITS, tokens, trees * levels, 1, 0);
    view_fill(x, -1, 1);
    for (int64_t k = 0; k < trees; k++) {
        uffb_tree tree = {depth, hidden, rows_of((trees - k) * count, UFFB_F32), NULL, rows_of(count, UFFB_F32), NULL};
        ops->fff_walk(&tree, 0, levels, (uffb_rows){tokens, order, 0}, x.data, x.ld, node_row(nodes, 0) + k * levels,
                      view_row(logits, 0) + k * levels, nodes.ld, arranged);
    }
    view_check_canaries(nodes, "nodes");
    view_check_canaries(logits, "logits");
    for (int64_t k = 0; k < trees; k++) {
        uffb_tree tree = {depth, hidden, rows_of((trees - k) * count, UFFB_F32), NULL, rows_of(count, UFFB_F32), NULL};
        for (int64_t t = 0; t < tokens; t++) {
            check_walk(&tree, view_row(x, t), NULL, node_row(nodes, t) + k * levels, view_row(logits, t) + k * levels);
        }
    }
}

/* A logit of exactly 0 goes left, whatever its sign. */
static void walk_zeros(const uffb_ops *ops, int64_t hidden) {
    test_case("x = 0, hidden %lld", (long long)hidden);
    uffb_tree tree = {5, hidden, rows_of(63 * hidden, UFFB_F32), NULL, rows_of(63 * hidden, UFFB_F32), NULL};
    view x = view_new(X, 2, hidden, 0, 0), nodes = view_new(NODES, 2, 6, 0, 0), logits = view_new(LOGITS, 2, 6, 0, 0);
    for (int64_t i = 0; i < hidden; i++) {
        view_row(x, 0)[i] = 0.0f;
        view_row(x, 1)[i] = -0.0f;
    }
    const int32_t order[2] = {0, 1};
    int32_t arranged[2];
    ops->fff_walk(&tree, 0, 6, (uffb_rows){2, order, 0}, x.data, x.ld, nodes.data, logits.data, nodes.ld, arranged);
    for (int64_t t = 0; t < 2; t++) {
        for (int level = 0; level <= 5; level++) {
            int node = node_row(nodes, t)[level];
            check(node == (1 << level) - 1, "level %d: node %d is not the leftmost", level, node);
        }
    }
}

void test_fff_walk(const uffb_ops *ops, const char *isa) {
    test_begin("fff_walk %s", isa);
    fill_weights();
    branches = near_ties = 0;
    int variant = 0;
    for (int64_t i = 0; i < COUNT_OF(hidden_sizes); i++) {
        walk_zeros(ops, hidden_sizes[i]);
        for (int64_t depth = 0; depth <= 16; depth++) {
            if (nodes_of(depth) * hidden_sizes[i] > VIEW_FLOATS) continue;
            for (int64_t j = 0; j < COUNT_OF(token_counts); j++) {
                walk_case(ops, depth, hidden_sizes[i], token_counts[j], variant++);
            }
        }
    }
    for (int64_t depth = 0; depth <= 8; depth++) walk_case(ops, depth, 48, UFFB_FFF_ROWS, variant++);
    for (int64_t i = 0; i < COUNT_OF(tree_counts); i++) {
        for (int64_t depth = 0; depth <= 3; depth++) {
            forest_case(ops, tree_counts[i], depth, 5, 11);
            forest_case(ops, tree_counts[i], depth, 64, 3);
        }
    }
    test_note("%lld branches, %lld near-ties", (long long)branches, (long long)near_ties);
    test_end();
}

/* --- sum ---------------------------------------------------------------------------------------------------------------- */

/* y must be `old` plus the terms, each off by what the activation and the rounding of a sum may make of it. */
static void check_sum(const uffb_tree *tree, int32_t kind, const int32_t *nodes, const float *logits, const float *old,
                      const float *y) {
    double scale[UFFB_MAX_DEPTH + 1], scale_bound[UFFB_MAX_DEPTH + 1];
    for (int64_t p = 0; p <= tree->depth; p++) {
        scale[p] = exact_activation(kind, logits[p]);
        scale_bound[p] = activation_error(kind, logits[p]);
    }
    for (int64_t h = 0; h < tree->hidden; h++) {
        double expected = old[h], magnitude = fabs(expected), inexact = 0;
        for (int64_t p = 0; p <= tree->depth; p++) {
            double weight = weight_of(tree->out, nodes[p] * tree->hidden + h);
            expected += scale[p] * weight;
            magnitude += fabs(scale[p] * weight);
            inexact += scale_bound[p] * fabs(weight);
        }
        double bound = (double)(tree->depth + 4) * ROUNDING * (magnitude + inexact) + inexact, error = fabs(y[h] - expected);
        check(error <= bound, "column %lld is off by %g, bound %g", (long long)h, error, bound);
    }
}

static void sum_case(const uffb_ops *ops, int64_t depth, int64_t hidden, int64_t tokens, int variant) {
    int64_t shift = variant & 1, gap = variant & 2 ? 3 : 0, ordered = variant >> 2 & 1, levels = depth + 1;
    int64_t all = ordered ? 2 * tokens + 1 : tokens;
    const size_t path_size = (size_t)levels * sizeof(int32_t);
    int32_t kind = variant % UFFB_ACTIVATION_COUNT;
    test_case("depth %lld, hidden %lld, tokens %lld, %s%s", (long long)depth, (long long)hidden, (long long)tokens,
              activation_names[kind], ordered ? ", in another order" : "");
    view nodes = view_new(NODES, all, levels, gap, shift), logits = view_new(LOGITS, all, levels, gap, 1 - shift);
    view y = view_new(Y, all, hidden, 1 + shift, shift), old = view_new(X, all, hidden, 0, 0);
    view parts = view_new(PART_LOGITS, all, hidden, 0, 1);
    const int32_t dtype = variant % 3 ? UFFB_F32 : UFFB_BF16;
    uffb_tree tree = {depth, hidden, {NULL, UFFB_F32}, NULL, rows_of(nodes_of(depth) * hidden, dtype), NULL};
    int32_t order[MOST_ROWS];
    list_rows(order, all, (int)ordered);
    view_fill(logits, -3, 3);
    view_fill(old, -1, 1);
    view_copy(y, old);
    view_copy(parts, old);
    for (int64_t i = 0; i < all; i++) { /* often on the same path as the one before, or all but the leaf */
        for (int64_t p = 0; p < levels; p++) node_row(nodes, order[i])[p] = (int32_t)random_below(nodes_of(depth));
        if (i && random_below(4)) memcpy(node_row(nodes, order[i]), node_row(nodes, order[i - 1]), path_size);
        if (!random_below(8)) node_row(nodes, order[i])[depth] = (int32_t)random_below(nodes_of(depth));
    }
    uffb_rows rows = {tokens, order, 0};
    ops->fff_sum(&tree, kind, rows, nodes.data, logits.data, nodes.ld, y.data, y.ld);
    view_check_canaries(y, "y");
    for (int64_t i = 0; i < all; i++) {
        int64_t t = order[i];
        if (i >= tokens) {
            int same = memcmp(view_row(y, t), view_row(old, t), (size_t)hidden * sizeof(float)) == 0;
            check(same, "row %lld was not asked for, but is written", (long long)t);
            continue;
        }
        check_sum(&tree, kind, node_row(nodes, t), view_row(logits, t), view_row(old, t), view_row(y, t));
        const int32_t only = 0;
        ops->fff_sum(&tree, kind, (uffb_rows){1, &only, 0}, node_row(nodes, t), view_row(logits, t), nodes.ld,
                     view_row(parts, t), parts.ld);
    }
    view_check_same(parts, y, "y token by token");
}

void test_fff_sum(const uffb_ops *ops, const char *isa) {
    test_begin("fff_sum %s", isa);
    fill_weights();
    int variant = 0;
    for (int64_t i = 0; i < COUNT_OF(hidden_sizes); i++) {
        for (int64_t depth = 0; depth <= 16; depth++) {
            if (nodes_of(depth) * hidden_sizes[i] > VIEW_FLOATS) continue;
            for (int64_t j = 0; j < COUNT_OF(token_counts); j++) {
                sum_case(ops, depth, hidden_sizes[i], token_counts[j], variant++);
            }
        }
    }
    for (int64_t i = 0; i < COUNT_OF(ops_lengths); i++) sum_case(ops, 5, ops_lengths[i], 5, variant++);
    test_end();
}

/* The feedforward half of a block, forward and backward: a dense layer, gated or not, and trees too shallow to be walked, which
 * are a dense layer whose units are zero off the path. Walked trees are in trees.c. */
#include "trainer.h"

#include <string.h>

#define TASK_TOKENS 32

typedef struct {
    uffb_trainer *trainer;
    uffb_train_layer *layer;
    const uffb_train_linear *in, *out;
    int32_t activation, gated, shallow; /* shallow: its units are nodes of trees */
    int64_t tokens, ld;
    float *units, *dunits;
} stage;

static stage dense_stage(uffb_trainer *t, uffb_train_layer *layer, int64_t tokens) {
    const uffb_arch *a = &t->arch;
    const int32_t gated = a->feedforward == UFFB_FFN_GLU;
    return (stage){t,
                   layer,
                   &layer->ffn_in,
                   &layer->ffn_out,
                   a->activation,
                   gated,
                   0,
                   tokens,
                   uffb_hidden_stride(a->width),
                   layer->units,
                   t->wide};
}

static stage shallow_stage(uffb_trainer *t, uffb_train_layer *layer, int64_t tokens) {
    const uffb_arch *a = &t->arch;
    return (stage){t,      layer, &layer->nodes_in, &layer->nodes_out,   uffb_node_activation(a),
                   0,      1,     tokens,           uffb_node_stride(a), layer->shallow,
                   t->wide};
}

static int64_t rows_of(const stage *s, int64_t task) {
    const int64_t left = s->tokens - task * TASK_TOKENS;
    return left < TASK_TOKENS ? left : TASK_TOKENS;
}

static void run(const stage *s, uffb_task *task) {
    uffb_parallel(s->trainer->context->team, (s->tokens + TASK_TOKENS - 1) / TASK_TOKENS, task, (void *)s);
}

/* --- forward -------------------------------------------------------------------------------------------------------------- */

static void keep_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const stage *s = arg;
    const uffb_trainer *t = s->trainer;
    const int64_t size = t->arch.trees * (t->arch.depth + 1), first = task * TASK_TOKENS;
    for (int64_t i = first; i < first + rows_of(s, task); i++)
        uffb_keep_path(&t->arch, t->model->nodes, s->units + i * s->ld, t->noisy ? t->noise + i * size : NULL,
                       s->layer->nodes + i * size, NULL);
}

/* dunits = what `out` reads */
static void act_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const stage *s = arg;
    const uffb_ops *ops = s->trainer->ops;
    const int64_t rows = rows_of(s, task), first = task * TASK_TOKENS * s->ld, width = s->in->linear->rows, half = width / 2;
    float *out = s->dunits + first;
    memcpy(out, s->units + first, (size_t)(rows * s->ld) * sizeof *out);
    if (s->gated) {
        ops->activate(s->activation, rows, half, out + half, s->ld);
        ops->multiply(rows, half, out, s->ld, out + half, s->ld);
    } else {
        ops->activate(s->activation, rows, width, out, s->ld);
    }
}

/* Counts who came where, serially: it is a fraction of a percent of a walk. */
static void count_visits(const uffb_trainer *t, const uffb_train_layer *layer, int64_t tokens) {
    const int64_t levels = t->arch.depth + 1, seen = !t->learning;
    const int32_t *node = layer->nodes;
    for (int64_t i = 0; i < tokens; i++) {
        for (int64_t k = 0; k < t->arch.trees; k++) {
            for (int64_t p = 0; p < levels; p++, node++) {
                layer->visits[k * t->model->nodes + *node]++;
                layer->balanced[k * t->model->nodes + *node] += seen;
            }
        }
    }
}

/* out += `out` of the activated units, which are `in` of the input; `tap` gets these units, or is NULL */
static void add_units(stage s, const float *input, float *out, float *tap) {
    uffb_trainer *t = s.trainer;
    const int64_t h = t->arch.hidden;
    uffb_train_project(t, s.tokens, s.in, input, h, s.units, s.ld, 0);
    if (s.shallow) run(&s, keep_task);
    run(&s, act_task);
    const int64_t units = s.out->linear->cols;
    for (int64_t i = 0; tap && i < s.tokens; i++) memcpy(tap + i * units, s.dunits + i * s.ld, (size_t)units * sizeof *tap);
    uffb_train_project(t, s.tokens, s.out, s.dunits, s.ld, out, h, 1);
}

/* out += the trees' output */
static void add_trees(uffb_trainer *t, int64_t tokens, int64_t l, const float *input, float *out) {
    const uffb_arch *a = &t->arch;
    if (uffb_fff_walks(a)) uffb_walk_trees(t, tokens, l, input, out);
    if (uffb_fff_shallow(a)) add_units(shallow_stage(t, &t->layers[l], tokens), input, out, NULL);
}

/* The same where it is the activation of their sum, which is kept. */
static void add_activated_trees(uffb_trainer *t, int64_t tokens, int64_t l, const float *input, float *out) {
    const int64_t h = t->arch.hidden;
    float *sum = t->layers[l].tree_sum;
    uffb_clear_rows(t, tokens, sum);
    add_trees(t, tokens, l, input, sum);
    uffb_copy_rows(t, tokens, sum, t->wide);
    uffb_activate_all(t->context, t->arch.activation, tokens, h, t->wide, h);
    uffb_add_rows(t, tokens, t->wide, out);
}

void uffb_train_feed_forward(uffb_trainer *t, int64_t tokens, int64_t l, const float *input, float *out, float *units) {
    const uffb_arch *a = &t->arch;
    uffb_train_layer *layer = &t->layers[l];
    if (a->width) add_units(dense_stage(t, layer, tokens), input, out, units);
    if (a->feedforward != UFFB_FFN_FFF) return;
    if (uffb_activates_sum(a)) {
        add_activated_trees(t, tokens, l, input, out);
    } else {
        add_trees(t, tokens, l, input, out);
    }
    count_visits(t, layer, tokens);
}

/* --- backward ------------------------------------------------------------------------------------------------------------- */

/* Zeroes the gradient of units off the path. */
static void drop_off_path(const stage *s, int64_t token) {
    const uffb_trainer *t = s->trainer;
    const int64_t levels = t->arch.depth + 1, nodes = t->model->nodes;
    const int32_t *path = s->layer->nodes + token * t->arch.trees * levels;
    float *d = s->dunits + token * s->ld;
    for (int64_t k = 0; k < t->arch.trees; k++, path += levels, d += nodes) {
        float kept[UFFB_MAX_DEPTH + 1];
        for (int64_t p = 0; p < levels; p++) kept[p] = d[path[p]];
        memset(d, 0, (size_t)nodes * sizeof *d);
        for (int64_t p = 0; p < levels; p++) d[path[p]] = kept[p];
    }
}

/* dunits: from the gradient of what `out` reads to that of units; units: to what `out` read. */
static void back_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const stage *s = arg;
    const uffb_ops *ops = s->trainer->ops;
    const int64_t rows = rows_of(s, task), first = task * TASK_TOKENS, width = s->in->linear->rows, half = width / 2;
    float *u = s->units + first * s->ld, *d = s->dunits + first * s->ld;
    if (s->gated) { /* y = u1 act(u2): du1 = dy act(u2), du2 = dy u1 act'(u2) */
        for (int64_t r = 0; r < rows; r++) memcpy(d + r * s->ld + half, d + r * s->ld, (size_t)half * sizeof *d);
        ops->multiply(rows, half, d + half, s->ld, u, s->ld);
        ops->activate_back(s->activation, rows, half, u + half, s->ld, d + half, s->ld);
        ops->activate(s->activation, rows, half, u + half, s->ld);
        ops->multiply(rows, half, d, s->ld, u + half, s->ld);
        ops->multiply(rows, half, u, s->ld, u + half, s->ld);
        return;
    }
    ops->activate_back(s->activation, rows, width, u, s->ld, d, s->ld);
    ops->activate(s->activation, rows, width, u, s->ld);
    for (int64_t i = first; s->shallow && i < first + rows; i++) drop_off_path(s, i);
}

static int32_t units_back(stage s, const float *input, const float *dy, float *dinput) {
    uffb_trainer *t = s.trainer;
    const int64_t h = t->arch.hidden;
    int32_t status = uffb_linear_back(t, s.out, s.tokens, dy, h, s.dunits, s.ld, 0);
    if (status) return status;
    run(&s, back_task);
    status = uffb_linear_gradient(t, s.out, s.tokens, dy, h, s.units, s.ld);
    if (!status) status = uffb_linear_gradient(t, s.in, s.tokens, s.dunits, s.ld, input, h);
    if (!status && dinput) status = uffb_linear_back(t, s.in, s.tokens, s.dunits, s.ld, dinput, h, 1);
    return status;
}

typedef struct {
    const uffb_trainer *trainer;
    int64_t tokens;
    const float *sum;
    float *d;
} sum_back;

static void sum_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const sum_back *b = arg;
    const uffb_arch *a = &b->trainer->arch;
    const int64_t h = a->hidden, first = task * TASK_TOKENS, left = b->tokens - first,
                  rows = left < TASK_TOKENS ? left : TASK_TOKENS;
    b->trainer->ops->activate_back(a->activation, rows, h, b->sum + first * h, h, b->d + first * h, h);
}

/* The gradient of the sum of trees from that of its activation, dy: in trainer->branch, where dy may lie itself. */
static const float *sum_gradient(uffb_trainer *t, const uffb_train_layer *layer, int64_t tokens, const float *dy) {
    sum_back b = {t, tokens, layer->tree_sum, t->branch};
    if (dy != t->branch) uffb_copy_rows(t, tokens, dy, t->branch);
    uffb_parallel(t->context->team, (tokens + TASK_TOKENS - 1) / TASK_TOKENS, sum_task, &b);
    return t->branch;
}

int32_t uffb_feed_forward_back(uffb_trainer *t, int64_t l, int64_t tokens, const float *input, const float *dy, float *dinput) {
    const uffb_arch *a = &t->arch;
    uffb_train_layer *layer = &t->layers[l];
    int32_t status = UFFB_OK;
    if (a->width) status = units_back(dense_stage(t, layer, tokens), input, dy, dinput);
    if (!status && uffb_activates_sum(a)) dy = sum_gradient(t, layer, tokens, dy);
    if (!status && uffb_fff_walks(a)) status = uffb_trees_back(t, l, tokens, input, dy, dinput);
    if (!status && uffb_fff_shallow(a)) status = units_back(shallow_stage(t, layer, tokens), input, dy, dinput);
    return status;
}

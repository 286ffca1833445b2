/* The feedforward half of a block, forward and backward: dense, gated, and trees too shallow to be walked, which are a dense
 * layer whose units are zero off the path. Walked trees are in trees.c. */
#include "trainer.h"

#include <string.h>

#define TASK_TOKENS 32

typedef struct {
    uffb_trainer *trainer;
    uffb_train_layer *layer;
    int64_t tokens, ld;
    float *units, *dunits;
} stage;

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
        uffb_keep_path(&t->arch, t->model->nodes, s->units + i * s->ld, s->layer->nodes + i * size, NULL);
}

/* dunits = what `ffn.out` reads */
static void act_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const stage *s = arg;
    const uffb_arch *a = &s->trainer->arch;
    const uffb_ops *ops = s->trainer->ops;
    const int64_t rows = rows_of(s, task), first = task * TASK_TOKENS * s->ld, width = s->layer->ffn_in.linear->rows;
    const int64_t half = width / 2, gated = a->feedforward == UFFB_FFN_GLU;
    float *out = s->dunits + first;
    memcpy(out, s->units + first, (size_t)(rows * s->ld) * sizeof *out);
    if (gated) {
        ops->activate(a->activation, rows, half, out + half, s->ld);
        ops->multiply(rows, half, out, s->ld, out + half, s->ld);
    } else {
        ops->activate(a->activation, rows, width, out, s->ld);
    }
}

/* Counts who came where, serially: it is a fraction of a percent of a walk. */
static void count_visits(const uffb_trainer *t, const uffb_train_layer *layer, int64_t tokens) {
    const int64_t levels = t->arch.depth + 1;
    const int32_t *node = layer->nodes;
    for (int64_t i = 0; i < tokens; i++) {
        for (int64_t k = 0; k < t->arch.trees; k++) {
            for (int64_t p = 0; p < levels; p++) layer->visits[k * t->model->nodes + *node++]++;
        }
    }
}

void uffb_train_feed_forward(uffb_trainer *t, int64_t tokens, int64_t l, const float *input, float *out) {
    const uffb_arch *a = &t->arch;
    uffb_train_layer *layer = &t->layers[l];
    const int64_t h = a->hidden;
    if (uffb_fff_walks(a)) {
        uffb_fff_layer(t->context, &t->model->layers[l], input, out, layer->nodes, layer->logits);
        count_visits(t, layer, tokens);
        return;
    }
    stage s = {t, layer, tokens, uffb_unit_stride(a), layer->units, t->wide};
    uffb_project(t->context, tokens, layer->ffn_in.linear, input, h, s.units, s.ld, 0);
    if (a->feedforward == UFFB_FFN_FFF) {
        run(&s, keep_task);
        count_visits(t, layer, tokens);
    }
    run(&s, act_task);
    uffb_project(t->context, tokens, layer->ffn_out.linear, t->wide, s.ld, out, h, 1);
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

/* dunits: from the gradient of what `ffn.out` reads to that of units; units: to what `ffn.out` read. */
static void back_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const stage *s = arg;
    const uffb_arch *a = &s->trainer->arch;
    const uffb_ops *ops = s->trainer->ops;
    const int64_t rows = rows_of(s, task), first = task * TASK_TOKENS, width = s->layer->ffn_in.linear->rows, half = width / 2;
    float *u = s->units + first * s->ld, *d = s->dunits + first * s->ld;
    if (a->feedforward == UFFB_FFN_GLU) { /* y = u1 act(u2): du1 = dy act(u2), du2 = dy u1 act'(u2) */
        for (int64_t r = 0; r < rows; r++) memcpy(d + r * s->ld + half, d + r * s->ld, (size_t)half * sizeof *d);
        ops->multiply(rows, half, d + half, s->ld, u, s->ld);
        ops->activate_back(a->activation, rows, half, u + half, s->ld, d + half, s->ld);
        ops->activate(a->activation, rows, half, u + half, s->ld);
        ops->multiply(rows, half, d, s->ld, u + half, s->ld);
        ops->multiply(rows, half, u, s->ld, u + half, s->ld);
        return;
    }
    ops->activate_back(a->activation, rows, width, u, s->ld, d, s->ld);
    ops->activate(a->activation, rows, width, u, s->ld);
    for (int64_t i = first; a->feedforward == UFFB_FFN_FFF && i < first + rows; i++) drop_off_path(s, i);
}

int32_t uffb_feed_forward_back(uffb_trainer *t, int64_t l, int64_t tokens, const float *input, const float *dy, float *dinput) {
    const uffb_arch *a = &t->arch;
    uffb_train_layer *layer = &t->layers[l];
    const int64_t h = a->hidden;
    if (uffb_fff_walks(a)) return uffb_trees_back(t, l, tokens, input, dy, dinput);
    stage s = {t, layer, tokens, uffb_unit_stride(a), layer->units, t->wide};
    int32_t status = uffb_linear_back(t, &layer->ffn_out, tokens, dy, h, s.dunits, s.ld, 0);
    if (status) return status;
    run(&s, back_task);
    status = uffb_linear_gradient(t, &layer->ffn_out, tokens, dy, h, s.units, s.ld);
    if (!status) status = uffb_linear_gradient(t, &layer->ffn_in, tokens, s.dunits, s.ld, input, h);
    if (!status && dinput) status = uffb_linear_back(t, &layer->ffn_in, tokens, s.dunits, s.ld, dinput, h, 1);
    return status;
}

/* The feedforward half of a block: dense, gated, or fast feedforward (FFF; the walked kind is in fff.c). */
#include "context.h"
#include "taps.h"

#include <string.h>

/* Tokens of one task. */
#define TASK_TOKENS 64

/* --- FFF, shallow: all nodes in one GEMM, those off the path put to zero -------------------------------------------------- */

void uffb_keep_path(const uffb_arch *a, int64_t nodes, float *logits, const float *noise, int32_t *path, float *path_logits) {
    float kept[4]; /* walked from depth 4 on */
    for (int64_t tree = 0; tree < a->trees; tree++, logits += nodes) {
        int64_t node = 0, visited[4];
        for (int64_t level = 0; level <= a->depth; level++) {
            visited[level] = node;
            kept[level] = logits[node];
            if (path) *path++ = (int32_t)node;
            if (path_logits) *path_logits++ = kept[level];
            node = 2 * node + 1 + (kept[level] + (noise ? *noise++ : 0) > 0);
        }
        memset(logits, 0, (size_t)nodes * sizeof *logits);
        for (int64_t level = 0; level <= a->depth; level++) logits[visited[level]] = kept[level];
    }
}

typedef struct {
    uffb_context *context;
    int32_t *path;      /* tap or NULL */
    float *path_logits; /* tap or NULL */
} selection;

static void keep_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const selection *f = arg;
    uffb_context *c = f->context;
    const uffb_arch *a = &c->model->arch;
    const int64_t ld = uffb_node_stride(a), size = a->trees * (a->depth + 1);
    for (int64_t t = task * TASK_TOKENS; t < c->tokens && t < (task + 1) * TASK_TOKENS; t++) {
        uffb_keep_path(a, c->model->nodes, c->wide + t * ld, NULL, f->path ? f->path + t * size : NULL,
                       f->path_logits ? f->path_logits + t * size : NULL);
    }
}

/* --- all kinds ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const uffb_ops *ops;
    int64_t tokens, half, ld;
    float *wide;
} gate;

static void gate_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const gate *g = arg;
    int64_t first = task * TASK_TOKENS, left = g->tokens - first, rows = left < TASK_TOKENS ? left : TASK_TOKENS;
    float *x = g->wide + first * g->ld;
    g->ops->multiply(rows, g->half, x, g->ld, x + g->half, g->ld);
}

static void dense_part(uffb_context *c, const uffb_layer *layer, const float *input, float *x, float *units) {
    const uffb_arch *a = &c->model->arch;
    const int64_t tokens = c->tokens, tasks = (tokens + TASK_TOKENS - 1) / TASK_TOKENS;
    const int64_t width = a->width, ld = uffb_hidden_stride(width);
    uffb_project(c, tokens, &layer->ffn_in, input, a->hidden, c->wide, ld, 0);
    if (a->feedforward == UFFB_FFN_GLU || a->feedforward == UFFB_FFN_GLU_FIRST) {
        gate g = {c->ops, tokens, width / 2, ld, c->wide};
        const int64_t activated = a->feedforward == UFFB_FFN_GLU ? width / 2 : 0;
        uffb_activate_all(c, a->activation, tokens, width / 2, c->wide + activated, ld);
        uffb_parallel(c->team, tasks, gate_task, &g);
    } else {
        uffb_activate_all(c, a->activation, tokens, width, c->wide, ld);
    }
    const int64_t out = uffb_ffn_units(a);
    for (int64_t t = 0; units && t < tokens; t++) memcpy(units + t * out, c->wide + t * ld, (size_t)out * sizeof *units);
    uffb_project(c, tokens, &layer->ffn_out, c->wide, ld, x, a->hidden, 1);
}

static void shallow_trees(uffb_context *c, const uffb_layer *layer, const float *input, float *x, int32_t *path,
                          float *path_logits) {
    const uffb_arch *a = &c->model->arch;
    const int64_t tokens = c->tokens, ld = uffb_node_stride(a);
    selection f = {c, path, path_logits};
    uffb_project(c, tokens, &layer->nodes_in, input, a->hidden, c->wide, ld, 0);
    uffb_parallel(c->team, (tokens + TASK_TOKENS - 1) / TASK_TOKENS, keep_task, &f);
    /* every activation maps 0 to 0 */
    uffb_activate_all(c, uffb_node_activation(a), tokens, a->trees * c->model->nodes, c->wide, ld);
    uffb_project(c, tokens, &layer->nodes_out, c->wide, ld, x, a->hidden, 1);
}

typedef struct {
    uffb_context *context;
    float *sum, *x; /* [T, hidden] */
} activation_of_sum;

/* x += act(sum) */
static void add_activated(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const activation_of_sum *a = arg;
    const uffb_context *c = a->context;
    const int64_t h = c->model->arch.hidden, first = task * TASK_TOKENS, left = c->tokens - first,
                  rows = left < TASK_TOKENS ? left : TASK_TOKENS;
    float *sum = a->sum + first * h, *x = a->x + first * h;
    c->ops->activate(c->model->arch.activation, rows, h, sum, h);
    for (int64_t i = 0; i < rows * h; i++) x[i] += sum[i];
}

static void trees_part(uffb_context *c, const uffb_layer *layer, const float *input, float *x, int32_t *path,
                       float *path_logits) {
    const uffb_arch *a = &c->model->arch;
    if (uffb_fff_walks(a)) uffb_fff_layer(c, layer, input, x, NULL, path, path_logits);
    if (uffb_fff_shallow(a)) shallow_trees(c, layer, input, x, path, path_logits);
}

void uffb_feed_forward(uffb_context *c, int64_t l, const float *input, float *x, const uffb_taps *taps) {
    const uffb_arch *a = &c->model->arch;
    const uffb_layer *layer = &c->model->layers[l];
    int32_t *path = uffb_tap(taps, UFFB_TAP_PATH, l);
    float *path_logits = uffb_tap(taps, UFFB_TAP_PATH_LOGITS, l);
    if (a->width) dense_part(c, layer, input, x, uffb_tap(taps, UFFB_TAP_FFN_UNITS, l));
    if (!uffb_activates_sum(a)) {
        trees_part(c, layer, input, x, path, path_logits);
        return;
    }
    activation_of_sum all = {c, c->wide + c->tokens * uffb_trees_wide(a), x};
    memset(all.sum, 0, (size_t)(c->tokens * a->hidden) * sizeof *all.sum);
    trees_part(c, layer, input, all.sum, path, path_logits);
    uffb_parallel(c->team, (c->tokens + TASK_TOKENS - 1) / TASK_TOKENS, add_activated, &all);
}

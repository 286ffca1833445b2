/* The gradient of walked trees. Only nodes on a path have one: a token's cost is depth + 1 dot products and as many rows added
 * up three times, whatever the size of the tree. Tokens are sorted by leaf; those of a node then lie side by side at every
 * level. */
#include "trainer.h"

#include <string.h>

#define TASK_TOKENS 64

typedef struct {
    uffb_trainer *trainer;
    uffb_tree tree;
    int64_t tokens, ldp;
    const int32_t *order, *nodes;
    const float *dy;
    float *logits, *dlogits, *dinput;
} tree_back;

static uffb_rows rows_of(const tree_back *b, int64_t task) {
    const int64_t first = task * TASK_TOKENS, left = b->tokens - first;
    return (uffb_rows){left < TASK_TOKENS ? left : TASK_TOKENS, b->order + first, 0};
}

/* Gradients of the logits, then the activation in place of these; and of the input: a sum of rows as in the way up, of weights
 * `in` and without an activation. */
static void token_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const tree_back *b = arg;
    const uffb_ops *ops = b->trainer->ops;
    const uffb_rows rows = rows_of(b, task);
    ops->fff_back(&b->tree, uffb_node_activation(&b->trainer->arch), rows, b->nodes, b->logits, b->ldp, b->dy, b->tree.hidden,
                  b->dlogits);
    if (b->dinput) {
        uffb_tree down = b->tree;
        down.out = b->tree.in;
        ops->fff_sum(&down, UFFB_IDENTITY, rows, b->nodes, b->dlogits, b->ldp, b->dinput, b->tree.hidden);
    }
    for (int64_t i = 0; i < rows.count; i++)
        ops->activate(uffb_node_activation(&b->trainer->arch), 1, b->tree.depth + 1, b->logits + rows.order[i] * b->ldp,
                      b->ldp);
}

/* Adds the nodes of one level that tokens came to. */
static int64_t list_level(const tree_back *b, int64_t level, int64_t first_row, uffb_segment *segments) {
    int64_t count = 0, last = -1;
    for (int64_t i = 0; i < b->tokens; i++) {
        const int32_t node = b->nodes[b->order[i] * b->ldp + level];
        if (node != last) segments[count++] = (uffb_segment){first_row + node, (int32_t)i, (int32_t)i, (int32_t)level};
        segments[count - 1].end++;
        last = node;
    }
    return count;
}

int32_t uffb_trees_back(uffb_trainer *t, int64_t l, int64_t tokens, const float *input, const float *dy, float *dinput) {
    const uffb_arch *a = &t->arch;
    uffb_train_layer *layer = &t->layers[l];
    const uffb_layer *weights = &t->model->layers[l];
    const int64_t levels = a->depth + 1, h = a->hidden, nodes = t->model->nodes,
                  tasks = (tokens + TASK_TOKENS - 1) / TASK_TOKENS;
    uffb_segment *segments = uffb_segment_room(t, tokens * levels);
    if (!segments) return uffb_fail(UFFB_NO_MEMORY, "no memory for the gradient of trees");
    for (int64_t k = 0; k < a->trees; k++) {
        const int64_t first = k * nodes;
        tree_back b = {.trainer = t, .tokens = tokens, .ldp = a->trees * levels, .dy = dy, .dinput = dinput};
        b.tree = uffb_tree_of(t->model, weights, k);
        b.nodes = layer->nodes + k * levels;
        b.logits = layer->logits + k * levels;
        b.dlogits = t->dlogits + k * levels;
        b.order = uffb_sort_tokens(t, tokens, b.nodes + a->depth, b.ldp, nodes);
        uffb_parallel(t->context->team, tasks, token_task, &b);
        /* The gradient of `in` and bias is dlogits times the input, that of `out` the activation times dy. */
        int64_t count = 0;
        for (int64_t level = 0; level < levels; level++) count += list_level(&b, level, first, segments + count);
        const uffb_addend addends[] = {
            {layer->tree_in, b.dlogits, input, h}, {layer->tree_out, b.logits, dy, h}, {layer->tree_bias, b.dlogits, NULL, 0}};
        const int32_t status = uffb_add_segments(t, count, segments, b.order, b.ldp, 3, addends);
        if (status) return status;
    }
    return UFFB_OK;
}

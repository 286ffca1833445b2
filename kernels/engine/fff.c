/* The walked FFF layer. A small batch goes through each tree in token order. In a large one, tokens first walk the top of the
 * tree, whose rows all fit in L2; then they are sorted by the subtree they have reached, and go on subtree by subtree, so that
 * rows of the lower levels are fetched once for all the tokens that need them. Either way a token's arithmetic is the same. */
#include "context.h"

#include <string.h>

/* Tokens of one task. */
#define FFF_TOKENS 64
/* What a subtree's rows, in and out, may take of L2. */
#define SUBTREE_BYTES (384 << 10)
/* Sorting pays from this many tokens a subtree. */
#define SUBTREE_TOKENS 8
#define MAX_TOP 12

typedef struct {
    uffb_context *context;
    uffb_tree tree;
    int64_t top; /* levels walked in token order before sorting; 0 without sorting */
    const float *x;
    float *y;
    int32_t *nodes; /* [T, trees, depth+1], this tree's part */
    float *logits;
    int64_t ldp;
    int32_t *order; /* [T] */
} pass;

/* Floats a token needs: nodes and logits of its paths, and its place in the order. */
int64_t uffb_fff_wide(const uffb_arch *a) { return 2 * a->trees * (a->depth + 1) + 1; }

static uffb_rows task_rows(const pass *p, int64_t task, const int32_t *order) {
    const int64_t first = task * FFF_TOKENS, left = p->context->tokens - first;
    return (uffb_rows){left < FFF_TOKENS ? left : FFF_TOKENS, order ? order + first : NULL};
}

/* Levels 0 to `to` - 1 of the tokens of a task. */
static void walk_in_order(const pass *p, int64_t task, int64_t to) {
    const int64_t first = task * FFF_TOKENS, hidden = p->tree.hidden;
    p->context->ops->fff_walk(&p->tree, 0, to, task_rows(p, task, NULL), p->x + first * hidden, hidden,
                              p->nodes + first * p->ldp, p->logits + first * p->ldp, p->ldp);
}

static void whole_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const pass *p = arg;
    const int64_t first = task * FFF_TOKENS, hidden = p->tree.hidden;
    walk_in_order(p, task, p->tree.depth + 1);
    p->context->ops->fff_sum(&p->tree, p->context->model->arch.activation, task_rows(p, task, NULL), p->nodes + first * p->ldp,
                             p->logits + first * p->ldp, p->ldp, p->y + first * hidden, hidden);
}

static void top_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    walk_in_order(arg, task, ((const pass *)arg)->top);
}

static void subtree_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const pass *p = arg;
    const uffb_ops *ops = p->context->ops;
    const uffb_rows rows = task_rows(p, task, p->order);
    const int64_t hidden = p->tree.hidden;
    ops->fff_walk(&p->tree, p->top, p->tree.depth + 1, rows, p->x, hidden, p->nodes, p->logits, p->ldp);
    ops->fff_sum(&p->tree, p->context->model->arch.activation, rows, p->nodes, p->logits, p->ldp, p->y, hidden);
}

/* Counting sort by the node reached at level `top`; equal ones keep their order. */
static void sort_tokens(const pass *p) {
    const int64_t tokens = p->context->tokens, first_node = ((int64_t)1 << p->top) - 1;
    int32_t start[(1 << MAX_TOP) + 1] = {0};
    for (int64_t t = 0; t < tokens; t++) start[p->nodes[t * p->ldp + p->top] - first_node + 1]++;
    for (int64_t i = 0; i < (int64_t)1 << p->top; i++) start[i + 1] += start[i];
    for (int64_t t = 0; t < tokens; t++) p->order[start[p->nodes[t * p->ldp + p->top] - first_node]++] = (int32_t)t;
}

/* The first level whose subtrees fit; 0 when the batch is too small, or the tree too large or small, for sorting to pay. */
static int64_t choose_top(const uffb_arch *a, int64_t tokens) {
    int64_t top = 0;
    while ((((int64_t)2 << (a->depth - top)) - 1) * a->hidden * 2 * (int64_t)sizeof(float) > SUBTREE_BYTES && top < a->depth)
        top++;
    return top <= MAX_TOP && tokens >> top >= SUBTREE_TOKENS && tokens <= INT32_MAX ? top : 0;
}

void uffb_fff_layer(uffb_context *c, const uffb_layer *layer, const float *x, float *y, int32_t *path, float *path_logits) {
    const uffb_model *m = c->model;
    const uffb_arch *a = &m->arch;
    const int64_t tokens = c->tokens, size = a->trees * (a->depth + 1), tasks = (tokens + FFF_TOKENS - 1) / FFF_TOKENS;
    float *logits = c->wide;
    int32_t *nodes = (int32_t *)(logits + tokens * size);
    for (int64_t k = 0; k < a->trees; k++) {
        const int64_t first = k * m->nodes;
        pass p = {.context = c, .top = choose_top(a, tokens), .x = x, .y = y, .ldp = size, .order = nodes + tokens * size};
        p.tree = (uffb_tree){a->depth, a->hidden, layer->fff_in + first * a->hidden,
                             layer->fff_bias ? layer->fff_bias + first : NULL, layer->fff_out + first * a->hidden};
        p.nodes = nodes + k * (a->depth + 1);
        p.logits = logits + k * (a->depth + 1);
        if (p.top) {
            uffb_parallel(c->team, tasks, top_task, &p);
            sort_tokens(&p);
            uffb_parallel(c->team, tasks, subtree_task, &p);
        } else {
            uffb_parallel(c->team, tasks, whole_task, &p);
        }
    }
    if (path) memcpy(path, nodes, (size_t)(tokens * size) * sizeof *path);
    if (path_logits) memcpy(path_logits, logits, (size_t)(tokens * size) * sizeof *path_logits);
}

/* The walked FFF layer. A small batch goes through each tree in token order. In a large one, tokens first walk the top of the
 * tree, whose rows all fit in L2; then they are sorted by the subtree they have reached, and go on subtree by subtree, so that
 * rows of the lower levels are fetched once for all the tokens that need them. Either way a token's arithmetic is the same. */
#include "context.h"

#include <string.h>

/* What a subtree's rows, in and out, may take of L2. */
#define SUBTREE_BYTES (192 << 10)
/* Sorting pays from this many tokens a subtree. */
#define SUBTREE_TOKENS 8
#define MAX_TOP 12
/* Tasks a thread should get at least, so that all end at the same time; but no smaller ones than this. */
#define THREAD_TASKS 4
#define TASK_TOKENS 16

typedef struct {
    uffb_context *context;
    uffb_tree tree;
    int64_t task_tokens;
    int64_t top; /* levels walked in token order before sorting; 0 without sorting */
    const float *x;
    float *y;
    int32_t *nodes; /* [T, trees, depth+1], this tree's part */
    float *logits;
    int64_t ldp;
    int32_t *order;    /* [T] tokens as they take their turns */
    int32_t *arranged; /* [T] the same, as the walk left them: within a task, those on one path side by side */
} pass;

/* Floats a token needs: nodes and logits of its paths, and its places in both orders. */
int64_t uffb_fff_wide(const uffb_arch *a) { return 2 * a->trees * (a->depth + 1) + 2; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Levels `from` to `to` - 1 of a task's tokens. */
static uffb_rows walk(const pass *p, int64_t task, int64_t from, int64_t to) {
    const int64_t first = task * p->task_tokens, left = p->context->tokens - first, count = smaller(left, p->task_tokens);
    p->context->ops->fff_walk(&p->tree, from, to, (uffb_rows){count, p->order + first, left - count}, p->x, p->tree.hidden,
                              p->nodes, p->logits, p->ldp, p->arranged + first);
    return (uffb_rows){count, p->arranged + first, 0};
}

static void top_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    walk(arg, task, 0, ((const pass *)arg)->top);
}

static void rest_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const pass *p = arg;
    const uffb_rows rows = walk(p, task, p->top, p->tree.depth + 1);
    p->context->ops->fff_sum(&p->tree, uffb_node_activation(&p->context->model->arch), rows, p->nodes, p->logits, p->ldp, p->y,
                             p->tree.hidden);
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
    return top <= MAX_TOP && tokens >> top >= SUBTREE_TOKENS ? top : 0;
}

static int64_t choose_task(int64_t tokens, int32_t threads) {
    if (threads == 1) return UFFB_FFF_ROWS;
    const int64_t share = tokens / (THREAD_TASKS * threads);
    return share < TASK_TOKENS ? TASK_TOKENS : smaller(share, UFFB_FFF_ROWS);
}

uffb_tree uffb_tree_of(const uffb_model *m, const uffb_layer *layer, int64_t k) {
    const int64_t first = k * m->nodes, h = m->arch.hidden;
    return (uffb_tree){.depth = m->arch.depth,
                       .hidden = h,
                       .in = uffb_rows_from(uffb_nodes_of(&layer->fff_in), first * h),
                       .bias = layer->fff_bias ? layer->fff_bias + first : NULL,
                       .out = uffb_rows_from(uffb_nodes_of(&layer->fff_out), first * h)};
}

void uffb_fff_layer(uffb_context *c, const uffb_layer *layer, const float *x, float *y, const float *noise, int32_t *path,
                    float *path_logits) {
    const uffb_model *m = c->model;
    const uffb_arch *a = &m->arch;
    const int64_t tokens = c->tokens, size = a->trees * (a->depth + 1), block = choose_task(tokens, c->threads);
    const int64_t tasks = (tokens + block - 1) / block;
    float *logits = c->wide;
    int32_t *nodes = (int32_t *)(logits + tokens * size), *order = nodes + tokens * size;
    for (int64_t k = 0; k < a->trees; k++) {
        pass p = {.context = c, .task_tokens = block, .top = choose_top(a, tokens), .x = x, .y = y, .ldp = size};
        p.tree = uffb_tree_of(m, layer, k);
        p.tree.noise = noise ? noise + k * (a->depth + 1) : NULL;
        p.nodes = nodes + k * (a->depth + 1);
        p.logits = logits + k * (a->depth + 1);
        p.order = order;
        p.arranged = order + tokens;
        for (int64_t t = 0; t < tokens; t++) order[t] = (int32_t)t;
        if (p.top) {
            uffb_parallel(c->team, tasks, top_task, &p);
            sort_tokens(&p);
        }
        uffb_parallel(c->team, tasks, rest_task, &p);
    }
    if (path) memcpy(path, nodes, (size_t)(tokens * size) * sizeof *path);
    if (path_logits) memcpy(path_logits, logits, (size_t)(tokens * size) * sizeof *path_logits);
}

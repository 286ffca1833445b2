/* Walked trees in the forward pass, where rows may wait for updates. Which rows a token needs shows only on the way: so the
 * upper levels, of which nearly every node is visited anyway, are brought up to date and walked at once, and the others level
 * by level. A token's arithmetic is that of uffb_fff_layer. */
#include "trainer.h"

/* Tokens of a task: enough tasks for all threads to end at the same time, but no smaller ones than this. */
#define TASK_TOKENS 16
#define THREAD_TASKS 4
/* Tokens for each node of a level that is brought up to date as a whole. */
#define NODE_TOKENS 4

typedef struct {
    uffb_trainer *trainer;
    uffb_tree tree;
    int64_t tokens, task_tokens, ldp, from, to; /* levels */
    const int32_t *order;
    int32_t *arranged, *nodes;
    float *logits;
    const float *input;
    float *out;
} pass;

static int64_t count_of(const pass *p, int64_t task) {
    const int64_t left = p->tokens - task * p->task_tokens;
    return left < p->task_tokens ? left : p->task_tokens;
}

static void walk_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const pass *p = arg;
    const int64_t first = task * p->task_tokens, count = count_of(p, task);
    p->trainer->ops->fff_walk(&p->tree, p->from, p->to, (uffb_rows){count, p->order + first, p->tokens - first - count},
                              p->input, p->tree.hidden, p->nodes, p->logits, p->ldp, p->arranged + first);
}

static void sum_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const pass *p = arg;
    p->trainer->ops->fff_sum(&p->tree, uffb_node_activation(&p->trainer->arch),
                             (uffb_rows){count_of(p, task), p->arranged + task * p->task_tokens, 0}, p->nodes, p->logits,
                             p->ldp, p->out, p->tree.hidden);
}

static void run(pass *p, uffb_task *task) {
    uffb_parallel(p->trainer->context->team, (p->tokens + p->task_tokens - 1) / p->task_tokens, task, p);
}

static int64_t choose_task(int64_t tokens, int32_t threads) {
    const int64_t share = threads == 1 ? tokens : tokens / (THREAD_TASKS * threads);
    return share < TASK_TOKENS ? TASK_TOKENS : share < UFFB_FFF_ROWS ? share : UFFB_FFF_ROWS;
}

static int64_t choose_top(int64_t depth, int64_t tokens) {
    int64_t top = 1;
    while (top <= depth && tokens >> top >= NODE_TOKENS) top++;
    return top;
}

/* Lists the nodes that the sorted tokens have come to, as rows of the parameter, each once. */
static int64_t list_nodes(const pass *p, int64_t first_row, int32_t *rows) {
    int64_t count = 0;
    int32_t last = -1;
    for (int64_t i = 0; i < p->tokens; i++) {
        const int32_t node = p->nodes[p->order[i] * p->ldp + p->from];
        if (node != last) rows[count++] = (int32_t)(first_row + (last = node));
    }
    return count;
}

static void walk_tree(uffb_trainer *t, const uffb_train_layer *layer, int64_t first, pass *p) {
    const int64_t nodes = t->model->nodes, top = choose_top(p->tree.depth, p->tokens), whole = ((int64_t)1 << top) - 1;
    int32_t *rows = t->sort + 3 * p->tokens; /* behind what the sort uses, and `arranged` */
    for (int64_t i = 0; i < p->tokens; i++) t->sort[i] = (int32_t)i;
    p->order = t->sort;
    p->from = 0;
    p->to = top;
    int64_t count = whole;
    for (int64_t i = 0; i < whole; i++) rows[i] = (int32_t)(first + i);
    for (;;) {
        uffb_make_up_rows(t, layer->tree_in, count, rows);
        uffb_make_up_rows(t, layer->tree_out, count, rows);
        run(p, walk_task);
        if (p->to > p->tree.depth) break;
        p->from = p->to++;
        p->order = uffb_sort_tokens(t, p->tokens, p->nodes + p->from, p->ldp, nodes);
        count = list_nodes(p, first, rows);
    }
    run(p, sum_task);
}

static int waits(const uffb_parameter *p) { return p && p->made; }

void uffb_walk_trees(uffb_trainer *t, int64_t tokens, int64_t l, const float *input, float *out) {
    const uffb_arch *a = &t->arch;
    const uffb_train_layer *layer = &t->layers[l];
    const uffb_layer *weights = &t->model->layers[l];
    const float *noise = t->noisy ? t->noise : NULL;
    if (!waits(layer->tree_in) && !waits(layer->tree_out)) {
        uffb_fff_layer(t->context, weights, input, out, noise, layer->nodes, layer->logits);
        return;
    }
    const int64_t levels = a->depth + 1, nodes = t->model->nodes, task = choose_task(tokens, t->context->threads);
    for (int64_t k = 0; k < a->trees; k++) {
        const int64_t first = k * nodes;
        pass p = {.trainer = t, .tokens = tokens, .task_tokens = task, .ldp = a->trees * levels, .input = input, .out = out};
        p.tree = uffb_tree_of(t->model, weights, k);
        p.tree.noise = noise ? noise + k * levels : NULL;
        p.nodes = layer->nodes + k * levels;
        p.logits = layer->logits + k * levels;
        p.arranged = t->sort + 2 * tokens;
        walk_tree(t, layer, first, &p);
    }
}

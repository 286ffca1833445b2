/* The FFF layer from BLAS calls, one contender for each BLAS level, as in the paper's benchmark. Those that work token by token
 * divide the batch among threads; the library's own calls then run on one thread. */
#include "layer.h"

#include <string.h>

typedef struct {
    uffb_trial *trial;
    float *scratch;
    int64_t scratch_size; /* a thread */
} shares;

typedef void share_fn(const shares *s, int64_t first, int64_t end, int32_t thread);

typedef struct {
    shares shares;
    share_fn *run;
    int64_t parts;
} split;

static void run_share(void *arg, int64_t part, int32_t thread) {
    const split *s = arg;
    const int64_t tokens = s->shares.trial->tokens;
    s->run(&s->shares, tokens * part / s->parts, tokens * (part + 1) / s->parts, thread);
}

/* Runs `run` over the tokens, in one part a thread, with `scratch_size` floats each. */
static void share_out(uffb_trial *trial, int64_t scratch_size, share_fn *run) {
    uffb_bench *b = trial->bench;
    float *scratch = uffb_bench_scratch(b, b->shape.threads * scratch_size);
    if (!scratch) {
        trial->status = UFFB_NO_MEMORY;
        return;
    }
    split s = {{trial, scratch, scratch_size}, run, b->shape.threads};
    uffb_parallel(b->team, s.parts, run_share, &s);
}

/* --- Level 1: a dot product and an axpy per node ------------------------------------------------------------------------- */

static void level1(const shares *s, int64_t first, int64_t end, int32_t thread) {
    (void)thread;
    const uffb_bench *b = s->trial->bench;
    const uffb_blas *blas = s->trial->blas;
    const int64_t h = b->shape.hidden;
    for (int64_t t = first; t < end; t++) {
        for (int64_t tree = 0; tree < b->shape.trees; tree++) {
            int64_t node = 0;
            for (int64_t level = 0; level <= b->shape.depth; level++) {
                const int64_t row = tree * b->nodes + node;
                float logit = blas->sdot((int)h, b->in + row * h, 1, b->x + t * h, 1) + b->bias[row];
                blas->saxpy((int)h, uffb_bench_activate(b, logit), b->out + row * h, 1, b->y + t * h, 1);
                node = 2 * node + 1 + (logit > 0);
            }
        }
    }
}

void uffb_fff_level1(uffb_trial *trial) { share_out(trial, 0, level1); }

/* As published: the rows added are those of the output, not of W2. */
static void level1_published(const shares *s, int64_t first, int64_t end, int32_t thread) {
    (void)thread;
    const uffb_bench *b = s->trial->bench;
    const uffb_blas *blas = s->trial->blas;
    const int64_t h = b->shape.hidden;
    for (int64_t t = first; t < end; t++) {
        int64_t node = 0;
        for (int64_t level = 0; level <= b->shape.depth; level++) {
            float logit = blas->sdot((int)h, b->in + node * h, 1, b->x + t * h, 1);
            blas->saxpy((int)h, uffb_bench_activate(b, logit), b->y + node % s->trial->tokens * h, 1, b->y + t * h, 1);
            node = 2 * node + 1 + (logit > 0);
        }
    }
}

void uffb_fff_level1_published(uffb_trial *trial) { share_out(trial, 0, level1_published); }

/* --- Level 2: dots of gathered rows over the batch, then a matrix-vector product with the path's rows ------------------------
 */

/* nodes and logits of the tokens first to end - 1, [.., trees, depth + 1], one level of all of them after the other. */
static void walk_levels(const uffb_trial *trial, int64_t first, int64_t end, int32_t *nodes, float *logits) {
    const uffb_bench *b = trial->bench;
    const int64_t h = b->shape.hidden, levels = b->shape.depth + 1, size = b->shape.trees * levels;
    for (int64_t tree = 0; tree < b->shape.trees; tree++) {
        for (int64_t level = 0; level < levels; level++) {
            for (int64_t t = first; t < end; t++) {
                const int64_t at = (t - first) * size + tree * levels + level;
                const int64_t root = tree * b->nodes;
                const int64_t row = level ? 2 * (nodes[at - 1] - root) + 1 + (logits[at - 1] > 0) + root : root;
                nodes[at] = (int32_t)row;
                logits[at] = trial->blas->sdot((int)h, b->in + row * h, 1, b->x + t * h, 1) + b->bias[row];
            }
        }
    }
}

/* Tokens whose paths are held at once. */
#define BLOCK 256

static int64_t path_size(const uffb_bench *b) { return b->shape.trees * (b->shape.depth + 1); }

static void level2(const shares *s, int64_t first, int64_t end, int32_t thread) {
    const uffb_bench *b = s->trial->bench;
    const int64_t h = b->shape.hidden, size = path_size(b);
    float *rows = s->scratch + thread * s->scratch_size; /* [size, hidden] */
    float *logits = rows + size * h;                     /* [BLOCK, size] */
    int32_t *nodes = (int32_t *)(logits + BLOCK * size); /* [BLOCK, size] */
    for (int64_t block = first; block < end; block += BLOCK) {
        const int64_t stop = block + BLOCK < end ? block + BLOCK : end;
        walk_levels(s->trial, block, stop, nodes, logits);
        for (int64_t t = block; t < stop; t++) {
            float *logit = logits + (t - block) * size;
            for (int64_t p = 0; p < size; p++) {
                memcpy(rows + p * h, b->out + nodes[(t - block) * size + p] * h, (size_t)h * sizeof *rows);
                logit[p] = uffb_bench_activate(b, logit[p]);
            }
            s->trial->blas->sgemv(BLAS_ROW_MAJOR, BLAS_TRANS, (int)size, (int)h, 1.0f, rows, (int)h, logit, 1, 1.0f,
                                  b->y + t * h, 1);
        }
    }
}

void uffb_fff_level2(uffb_trial *trial) {
    const int64_t size = path_size(trial->bench);
    share_out(trial, size * trial->bench->shape.hidden + 2 * BLOCK * size, level2);
}

/* As published: one input row and one output row for the whole batch, W2 rows added unscaled. */
static void level2_published(const shares *s, int64_t first, int64_t end, int32_t thread) {
    (void)thread;
    const uffb_bench *b = s->trial->bench;
    const uffb_blas *blas = s->trial->blas;
    const int64_t h = b->shape.hidden;
    for (int64_t t = first; t < end; t++) {
        int64_t node = 0;
        for (int64_t level = 0; level <= b->shape.depth; level++) {
            float logit = blas->sdot((int)h, b->in + node * h, 1, b->x, 1);
            blas->saxpy((int)h, 1.0f, b->out + node * h, 1, b->y + first * h, 1);
            node = 2 * node + 1 + (logit > 0);
        }
    }
}

void uffb_fff_level2_published(uffb_trial *trial) { share_out(trial, 0, level2_published); }

/* --- Level 3: tokens that share a node multiply a block of levels at once --------------------------------------------------
 */

/* Levels of a block: up to 7 nodes in one product, of which a token uses 3. */
#define BLOCK_LEVELS 3
#define BLOCK_NODES 7

typedef struct {
    uffb_trial *trial;
    int64_t tree;
    int32_t *order, *sorted; /* [tokens]: token numbers, those of one node together */
    int32_t *node;           /* [tokens]: where a token is, by token */
    float *x, *y, *logits;   /* [tokens, hidden], [tokens, hidden], [tokens, BLOCK_NODES] of the group */
    float *rows;             /* [BLOCK_NODES, hidden] */
} grouping;

/* Rows of the nodes of a block below `node`, in breadth-first order. */
static int64_t block_rows(const grouping *g, int64_t node, int64_t levels, const float *weights, int64_t *at) {
    const uffb_bench *b = g->trial->bench;
    const int64_t h = b->shape.hidden;
    int64_t count = 0;
    at[count++] = node;
    for (int64_t i = 0; count < ((int64_t)1 << levels) - 1; i++) {
        at[count++] = 2 * at[i] + 1;
        at[count++] = 2 * at[i] + 2;
    }
    for (int64_t i = 0; i < count; i++) {
        memcpy(g->rows + i * h, weights + (g->tree * b->nodes + at[i]) * h, (size_t)h * sizeof *g->rows);
    }
    return count;
}

static void multiply_group(grouping *g, int64_t node, int64_t levels, const int32_t *members, int64_t m) {
    const uffb_bench *b = g->trial->bench;
    const int64_t h = b->shape.hidden;
    int64_t at[BLOCK_NODES];
    int64_t count = block_rows(g, node, levels, b->in, at);
    for (int64_t i = 0; i < m; i++) {
        memcpy(g->x + i * h, b->x + members[i] * h, (size_t)h * sizeof *g->x);
        memcpy(g->y + i * h, b->y + members[i] * h, (size_t)h * sizeof *g->y);
    }
    g->trial->status = uffb_blas_sgemm(g->trial->blas, 1, m, count, h, g->x, g->rows, 0.0f, g->logits);
    if (g->trial->status) return;
    for (int64_t i = 0; i < m; i++) {
        float *logits = g->logits + i * count, kept[BLOCK_NODES] = {0};
        int64_t local = 0;
        for (int64_t level = 0; level < levels; level++) {
            float logit = logits[local] + b->bias[g->tree * b->nodes + at[local]];
            kept[local] = uffb_bench_activate(b, logit);
            g->node[members[i]] = (int32_t)(2 * at[local] + 1 + (logit > 0));
            local = 2 * local + 1 + (logit > 0);
        }
        memcpy(logits, kept, (size_t)count * sizeof *logits);
    }
    block_rows(g, node, levels, b->out, at);
    g->trial->status = uffb_blas_sgemm(g->trial->blas, 0, m, h, count, g->logits, g->rows, 1.0f, g->y);
    if (g->trial->status) return;
    for (int64_t i = 0; i < m; i++) memcpy(b->y + members[i] * h, g->y + i * h, (size_t)h * sizeof *g->y);
}

/* Sorts g->order by the node that tokens have reached, keeping the order of those at one node. */
static void sort_by_node(grouping *g, int64_t level, int32_t *start) {
    const int64_t first = ((int64_t)1 << level) - 1, nodes = first + 1, tokens = g->trial->tokens;
    memset(start, 0, (size_t)(nodes + 1) * sizeof *start);
    for (int64_t t = 0; t < tokens; t++) start[g->node[t] - first + 1]++;
    for (int64_t i = 0; i < nodes; i++) start[i + 1] += start[i];
    for (int64_t i = 0; i < tokens; i++) g->sorted[start[g->node[g->order[i]] - first]++] = g->order[i];
    int32_t *swap = g->order;
    g->order = g->sorted;
    g->sorted = swap;
}

void uffb_fff_level3(uffb_trial *trial) {
    const uffb_bench *b = trial->bench;
    const int64_t h = b->shape.hidden, tokens = trial->tokens, leaves = (int64_t)1 << b->shape.depth;
    float *scratch =
        uffb_bench_scratch(trial->bench, 2 * tokens * h + tokens * BLOCK_NODES + BLOCK_NODES * h + 3 * tokens + leaves + 1);
    if (!scratch) {
        trial->status = UFFB_NO_MEMORY;
        return;
    }
    grouping g = {.trial = trial, .x = scratch, .y = scratch + tokens * h, .logits = scratch + 2 * tokens * h};
    g.rows = g.logits + tokens * BLOCK_NODES;
    g.order = (int32_t *)(g.rows + BLOCK_NODES * h);
    g.sorted = g.order + tokens;
    g.node = g.sorted + tokens;
    int32_t *start = g.node + tokens;
    for (g.tree = 0; g.tree < b->shape.trees; g.tree++) {
        for (int64_t t = 0; t < tokens; t++) {
            g.order[t] = (int32_t)t;
            g.node[t] = 0;
        }
        for (int64_t level = 0; level <= b->shape.depth; level += BLOCK_LEVELS) {
            const int64_t left = b->shape.depth + 1 - level, levels = left < BLOCK_LEVELS ? left : BLOCK_LEVELS;
            sort_by_node(&g, level, start);
            for (int64_t i = 0; i < tokens;) {
                const int32_t node = g.node[g.order[i]];
                int64_t end = i + 1;
                while (end < tokens && g.node[g.order[end]] == node) end++;
                multiply_group(&g, node, levels, g.order + i, end - i);
                if (trial->status) return;
                i = end;
            }
        }
    }
}

/* --- the shapes of the PyTorch variants -------------------------------------------------------------------------------------
 */

/* bmm: per level, copies of the rows of all tokens first, then the batch of products. */
static void bmm(const shares *s, int64_t first, int64_t end, int32_t thread) {
    const uffb_bench *b = s->trial->bench;
    const uffb_blas *blas = s->trial->blas;
    const int64_t h = b->shape.hidden;
    float *gathered = s->scratch + thread * s->scratch_size, *logits = gathered + (end - first) * h;
    int32_t *node = (int32_t *)(logits + (end - first));
    for (int64_t tree = 0; tree < b->shape.trees; tree++) {
        const int64_t root = tree * b->nodes;
        for (int64_t t = 0; t < end - first; t++) node[t] = 0;
        for (int64_t level = 0; level <= b->shape.depth; level++) {
            for (int64_t t = 0; t < end - first; t++)
                memcpy(gathered + t * h, b->in + (root + node[t]) * h, (size_t)h * sizeof(float));
            for (int64_t t = 0; t < end - first; t++) {
                logits[t] = blas->sdot((int)h, gathered + t * h, 1, b->x + (first + t) * h, 1) + b->bias[root + node[t]];
            }
            for (int64_t t = 0; t < end - first; t++)
                memcpy(gathered + t * h, b->out + (root + node[t]) * h, (size_t)h * sizeof(float));
            for (int64_t t = 0; t < end - first; t++) {
                blas->saxpy((int)h, uffb_bench_activate(b, logits[t]), gathered + t * h, 1, b->y + (first + t) * h, 1);
                node[t] = (int32_t)(2 * node[t] + 1 + (logits[t] > 0));
            }
        }
    }
}

void uffb_fff_bmm(uffb_trial *trial) {
    const uffb_bench *b = trial->bench;
    share_out(trial, (trial->tokens / b->shape.threads + 1) * (b->shape.hidden + 2), bmm);
}

/* sparse: the paths as a sparse [tokens, nodes] matrix of activations in CSR, times W2. */
static void sparse(const shares *s, int64_t first, int64_t end, int32_t thread) {
    const uffb_bench *b = s->trial->bench;
    const int64_t h = b->shape.hidden, size = path_size(b);
    float *values = s->scratch + thread * s->scratch_size;         /* [tokens, size] */
    int32_t *columns = (int32_t *)(values + (end - first) * size); /* [tokens, size] */
    walk_levels(s->trial, first, end, columns, values);
    for (int64_t i = 0; i < (end - first) * size; i++) values[i] = uffb_bench_activate(b, values[i]);
    for (int64_t t = first; t < end; t++) {
        for (int64_t i = (t - first) * size; i < (t - first + 1) * size; i++) {
            const float *row = b->out + columns[i] * h;
            for (int64_t j = 0; j < h; j++) b->y[t * h + j] += values[i] * row[j];
        }
    }
}

void uffb_fff_sparse(uffb_trial *trial) {
    const uffb_bench *b = trial->bench;
    share_out(trial, (trial->tokens / b->shape.threads + 1) * 2 * path_size(b), sparse);
}

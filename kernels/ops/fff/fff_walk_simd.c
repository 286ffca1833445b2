/* The way down a tree of the fast feedforward network. All tokens of a call take a level before any takes the next, those at
 * one node side by side: they share the loads of its row. */
#include "fff.h"

/* Bytes at the beginning of a row that are worth asking for before it is known whether the row is needed. */
#define HEAD 256

/* While one token on its own waits for memory, there is no other token to compute. Before its dot product runs, it asks for the
 * beginning of both children's rows, and of the output row that it will need at the end; then for the rest of its own row,
 * since more requests into L2 can be on their way than loads. */
UFFB_INLINE void walk_alone(int32_t dtype, const uffb_tree *tree, int64_t from, int64_t to, const float *x, int32_t *nodes,
                            float *logits) {
    const int64_t hidden = tree->hidden, out_bytes = row_bytes(tree->out.dtype, hidden), bytes = row_bytes(dtype, hidden);
    const int64_t head = bytes < HEAD ? bytes : HEAD, out_head = out_bytes < HEAD ? out_bytes : HEAD;
    int64_t node = from ? nodes[from] : 0;
    for (int64_t level = from; level < to; level++) {
        const char *row = node_row(dtype, tree->in.data, node, hidden), *left = row + (node + 1) * bytes;
        if (level + 1 < to) {
            prefetch(left, head);
            prefetch(left + bytes, head);
        }
        prefetch((const char *)tree->out.data + node * out_bytes, out_head);
        prefetch(row + head, bytes - head);
        dot(dtype, 1, hidden, row, &x, &logits[level]);
        if (tree->bias) logits[level] += tree->bias[node];
        nodes[level] = (int32_t)node;
        /* The barrier keeps this a branch: taken on a guess, right or wrong, it has loads of the next row on their way before
         * this row's sum is there. */
        if (logits[level] > 0) {
            node = 2 * node + 2;
        } else {
            __asm__ volatile("");
            node = 2 * node + 1;
        }
    }
    if (to <= tree->depth) nodes[to] = (int32_t)node;
}

/* What a level of a block works on. */
typedef struct {
    const uffb_tree *tree;
    int64_t level, ldx, ldp;
    const float *x;
    int32_t *nodes;
    float *logits;
    int32_t *order, *here;   /* the block's tokens, and the node that each has reached */
    const int32_t *ahead;    /* tokens of the next block: */
    int64_t part, part_size; /* this level asks for so many of their floats, from there */
} walk;

UFFB_INLINE void dot_and_ask(int32_t dtype, const walk *w, int tokens, int64_t at, const void *row, float *logits) {
    const float *x[VEC_FFF_TOKENS];
    for (int g = 0; g < tokens; g++) x[g] = w->x + w->order[at + g] * w->ldx;
    dot(dtype, tokens, w->tree->hidden, row, x, logits);
    for (int g = 0; w->ahead && g < tokens; g++) {
        prefetch(w->x + w->ahead[at + g] * w->ldx + w->part, w->part_size * (int64_t)sizeof(float));
    }
}

/* Takes the tokens from `first` on that share its node to their children: those that go left come first. Returns where the
 * next node's tokens begin. */
UFFB_INLINE int64_t visit(int32_t dtype, const walk *w, int64_t first, int64_t count) {
    const uffb_tree *tree = w->tree;
    const int32_t node = w->here[first];
    const void *row = node_row(dtype, tree->in.data, node, tree->hidden);
    float logits[UFFB_FFF_ROWS];
    int32_t right[UFFB_FFF_ROWS];
    int64_t end = first + 1, i = first, rights = 0, left = first;
    while (end < count && w->here[end] == node) end++;
    for (; i + VEC_FFF_TOKENS <= end; i += VEC_FFF_TOKENS) dot_and_ask(dtype, w, VEC_FFF_TOKENS, i, row, logits + i);
    for (; i < end; i++) dot_and_ask(dtype, w, 1, i, row, logits + i);

    for (i = first; i < end; i++) {
        const int32_t t = w->order[i];
        const float logit = tree->bias ? logits[i] + tree->bias[node] : logits[i];
        const int64_t at = t * w->ldp + w->level;
        const int goes_right = (tree->noise ? logit + tree->noise[at] : logit) > 0;
        w->nodes[at] = node;
        w->logits[at] = logit;
        w->order[left] = right[rights] = t; /* no branch: it would be mispredicted half of the time */
        left += !goes_right;
        rights += goes_right;
    }
    memcpy(w->order + left, right, (size_t)rights * sizeof *right);
    for (i = first; i < end; i++) w->here[i] = 2 * node + 1 + (i >= left);
    return end;
}

UFFB_INLINE void walk_rows(int32_t dtype, const uffb_tree *tree, int64_t from, int64_t to, uffb_rows rows, const float *x,
                           int64_t ldx, int32_t *nodes, float *logits, int64_t ldp, int32_t *arranged) {
    memcpy(arranged, rows.order, (size_t)rows.count * sizeof *arranged);
    if (rows.count == 1 && !tree->noise) {
        const int64_t t = rows.order[0];
        walk_alone(dtype, tree, from, to, x + t * ldx, nodes + t * ldp, logits + t * ldp);
        return;
    }
    int32_t here[UFFB_FFF_ROWS];
    for (int64_t i = 0; i < rows.count; i++) here[i] = from ? nodes[arranged[i] * ldp + from] : 0;
    walk w = {tree, from, ldx, ldp, x, nodes, logits, arranged, here, NULL, 0, 0};
    /* The next block is asked for in equal parts, one a level: at the first, this block's own rows may still be on their way.
     */
    if (rows.ahead >= rows.count && to - from > 1) {
        w.part_size = (tree->hidden + to - from - 2) / (to - from - 1);
        w.part = -w.part_size;
    }
    for (; w.level < to; w.level++) {
        if (w.part + w.part_size > tree->hidden) w.part_size = tree->hidden - w.part;
        for (int64_t i = 0; i < rows.count;) i = visit(dtype, &w, i, rows.count);
        w.ahead = w.part_size > 0 ? rows.order + rows.count : NULL;
        w.part += w.part_size;
    }
    for (int64_t i = 0; to <= tree->depth && i < rows.count; i++) nodes[arranged[i] * ldp + to] = here[i];
}

void KERNEL(fff_walk)(const uffb_tree *tree, int64_t from, int64_t to, uffb_rows rows, const float *x, int64_t ldx,
                      int32_t *nodes, float *logits, int64_t ldp, int32_t *arranged) {
    if (tree->in.dtype == UFFB_BF16) {
        walk_rows(UFFB_BF16, tree, from, to, rows, x, ldx, nodes, logits, ldp, arranged);
    } else {
        walk_rows(UFFB_F32, tree, from, to, rows, x, ldx, nodes, logits, ldp, arranged);
    }
}

/* ops.h: what a kernel is. One function type per op; implementations for an ISA are listed in table.inc and picked by
 * dispatch.c. Kernels take plain pointers, counts and row strides (ld*, in elements, >= the row's length); they allocate nothing,
 * keep no state and may read nothing outside the views they are given. The order in which an element is summed depends on its
 * own row and column only, never on how many rows or columns a call has: callers may split a call anywhere along rows, or along
 * multiples of UFFB_PANEL columns for gemm, and get the same bits. */
#ifndef UFFB_OPS_H
#define UFFB_OPS_H

#include <stdint.h>
#include "../uffb.h"

/* Rows of a weight matrix held together in one GEMM panel. */
#define UFFB_PANEL 16

/* c [m, n] = a [m, k] * w^T + bias, plus the old c if `accumulate`. w: [n, k] in panels, [ceil(n/16)][k][16].
 * bias [n] or NULL. */
typedef void uffb_gemm_fn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias,
                          float *c, int64_t ldc, int32_t accumulate);

/* w [rows, cols] to panels [ceil(rows/16)][cols][16], missing rows zero. `transposed`: w is given as [cols, rows]. */
typedef void uffb_pack_fn(int64_t rows, int64_t cols, const float *w, int64_t ldw, int32_t transposed, float *panels);

/* y [rows, cols] = (x - mean) / sqrt(variance + eps) * weight + bias per row; bias may be NULL; y may be x. */
typedef void uffb_norm_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias,
                          float eps, float *y, int64_t ldy);

/* x [rows, cols] = softmax(x * scale) per row, in place. */
typedef void uffb_softmax_fn(int64_t rows, int64_t cols, float scale, float *x, int64_t ldx);

/* x [rows, cols] = act(x), in place; `activation` is one of UFFB_GELU... */
typedef void uffb_activate_fn(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx);

/* x [rows, cols] = x * y, in place. */
typedef void uffb_multiply_fn(int64_t rows, int64_t cols, float *x, int64_t ldx, const float *y, int64_t ldy);

/* One tree of an FFF layer. */
typedef struct uffb_tree {
    int64_t depth, hidden;
    const float *weight; /* [2^(depth+1)-1, hidden], node-major */
    const float *bias;   /* [2^(depth+1)-1] or NULL */
} uffb_tree;

/* Walks each token of x [tokens, hidden] from the root: logit = weight[node] . x + bias[node], then child 2*node+1, or 2*node+2
 * if logit > 0. Writes the depth+1 nodes and logits of token t at nodes[t*ldp ...], logits[t*ldp ...]; nodes get
 * `first_node` added. */
typedef void uffb_fff_walk_fn(const uffb_tree *tree, int64_t tokens, const float *x, int64_t ldx, int32_t first_node,
                              int32_t *nodes, float *logits, int64_t ldp);

/* y [tokens, hidden] += sum over p < count of scale[t, p] * weight[nodes[t, p]], in that order. */
typedef void uffb_fff_sum_fn(int64_t tokens, int64_t count, int64_t hidden, const int32_t *nodes, const float *scale,
                             int64_t ldp, const float *weight, float *y, int64_t ldy);

/* The implementations chosen for one ISA. */
typedef struct uffb_ops {
#define UFFB_OP(op) uffb_##op##_fn *op;
#include "oplist.inc"
#undef UFFB_OP
} uffb_ops;

/* Instruction sets, worst first. */
typedef enum uffb_isa {
#define UFFB_ISA(name) UFFB_ISA_##name,
#include "isas.inc"
#undef UFFB_ISA
    UFFB_ISA_COUNT
} uffb_isa;

extern const char *const uffb_isa_names[UFFB_ISA_COUNT];

/* Whether this CPU and operating system can run `isa`, and this build holds kernels for it. */
int uffb_isa_available(uffb_isa isa);

/* The ops of `isa`: for each the best implementation that `isa` implies. */
const uffb_ops *uffb_ops_of(uffb_isa isa);

#endif

/* ops.h: what a kernel is. One function type per op; implementations for an ISA are listed in table.inc and
 * picked by dispatch.c. Kernels take plain pointers, counts and row strides (ld*, in elements, >= the row's
 * length); they allocate nothing, keep no state and may read nothing outside the views they are given. The
 * order in which an element is summed depends on its own row and column only, never on how many rows or
 * columns a call has: callers may split a call anywhere along rows, or along multiples of UFFB_PANEL columns
 * for gemm, and get the same bits. */
#ifndef UFFB_OPS_H
#define UFFB_OPS_H

#include <math.h>
#include <stdint.h>
#include "../uffb.h"

/* Rows of a weight matrix held together in one GEMM panel. */
#define UFFB_PANEL 16

/* Deepest tree there is. */
#define UFFB_MAX_DEPTH 24

/* Floats that gemm can use to its advantage: rows of `a` for L2. */
#define UFFB_GEMM_SCRATCH (192 << 10)

/* c [m, n] = a [m, k] * w^T + bias, plus the old c if `accumulate`. w: [n, k] in panels, [ceil(n/16)][k][16].
 * bias [n] or NULL. scratch [UFFB_GEMM_SCRATCH] or NULL, which may be slower and gives the same bits. */
typedef void uffb_gemm_fn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias,
                          float *c, int64_t ldc, int32_t accumulate, float *scratch);

/* Activations for gemm_i8: per row, scale = max|x| / 127 and q = 128 + round(x / scale), to nearest, ties to even. q [rows,
 * ldq] is filled up with 128, which stands for 0, to a multiple of 4 columns. A row that is not finite has the scale NaN, so
 * that its products are NaN (quantise.h). */
typedef void uffb_quantise_i8_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, uint8_t *q, int64_t ldq,
                                 float *scale);

/* A weight matrix of 8-bit integers, value q * scale. */
typedef struct uffb_weights_i8 {
    const int8_t *panels; /* UFFB_PANELS_I8: [ceil(n/16)][ceil(k/4)][16][4] */
    const float *scale;   /* [n] */
    const int32_t *sum;   /* [n] of the integers of a row */
} uffb_weights_i8;

/* c [m, n] = a * w^T + bias, plus the old c if `accumulate`; a [m, k] as `quantise_i8` gives it. The integers are exact and the
 * floating-point steps after them the same everywhere, so that every ISA gives the same bits. */
typedef void uffb_gemm_i8_fn(int64_t m, int64_t n, int64_t k, const uint8_t *a, int64_t lda, const float *a_scale,
                             const uffb_weights_i8 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate);

/* The same in 16 bits: scale = max|x| / uffb_most_i16(cols), q without an offset, filled up with 0 to an even number of
 * columns. */
typedef void uffb_quantise_i16_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, int16_t *q, int64_t ldq,
                                  float *scale);

typedef struct uffb_weights_i16 {
    const int16_t *panels; /* UFFB_PANELS_I16: [ceil(n/16)][ceil(k/2)][16][2], each at most uffb_most_i16(k) */
    const float *scale;    /* [n] */
} uffb_weights_i16;

typedef void uffb_gemm_i16_fn(int64_t m, int64_t n, int64_t k, const int16_t *a, int64_t lda, const float *a_scale,
                              const uffb_weights_i16 *w, const float *bias, float *c, int64_t ldc, int32_t accumulate);

/* The largest integer, up to 16 bits, of which sums over k products fit 32 bits. */
static inline int32_t uffb_most_i16(int64_t k) {
    const int32_t most = (int32_t)sqrt((double)(INT32_MAX / k));
    return most < INT16_MAX ? most : INT16_MAX;
}

/* Blocks of bf16: matrices as gemm_bf16 takes them, [ceil(rows/16)][ceil(cols/32)] blocks of 16 rows by 32 columns, filled up
 * with zeros. On the left of a product a block is [16 rows][32 columns], on the right [16 pairs of columns][16 rows][2]. */
#define UFFB_BLOCK_ROWS 16
#define UFFB_BLOCK_COLS 32
#define UFFB_LEFT 0
#define UFFB_RIGHT 1

/* Numbers of one row of blocks, of a matrix of `cols` columns. */
static inline int64_t uffb_block_row(int64_t cols) {
    return (cols + UFFB_BLOCK_COLS - 1) / UFFB_BLOCK_COLS * UFFB_BLOCK_COLS * UFFB_BLOCK_ROWS;
}

/* x [rows, cols] to blocks, rounded to nearest, ties to even; denormals become zero. `transposed`: x is given as [cols, rows].
 */
typedef void uffb_pack_bf16_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, int32_t transposed, int32_t side,
                               uint16_t *blocks);

/* c [m, n] = a * b^T + bias, plus the old c if `accumulate`: a [m, k] in left blocks, b [n, k] in right ones. Products are
 * exact and their sums f32. Calls may be split along rows of blocks of either. */
typedef void uffb_gemm_bf16_fn(int64_t m, int64_t n, int64_t k, const uint16_t *a, const uint16_t *b, const float *bias,
                               float *c, int64_t ldc, int32_t accumulate);

/* w [rows, cols] to panels [ceil(rows/16)][cols][16], missing rows zero. `transposed`: w is given as [cols,
 * rows]. */
typedef void uffb_pack_fn(int64_t rows, int64_t cols, const float *w, int64_t ldw, int32_t transposed, float *panels);

/* y [rows, cols] = (x - mean) / sqrt(variance + eps) * weight + bias per row; bias may be NULL; y may be x. A row of which the
 * variance overflows is NaN: its order of magnitude is lost, and 1 / sqrt(infinity) would make it zeros like any other. */
typedef void uffb_norm_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, const float *bias,
                          float eps, float *y, int64_t ldy);

static inline float uffb_norm_scale(float variance, float eps) {
    return variance < INFINITY ? 1.0f / sqrtf(variance + eps) : NAN;
}

/* x [rows, cols] = softmax(x * scale) per row, in place. A row in which a product is NaN, or the largest infinite, is NaN. */
typedef void uffb_softmax_fn(int64_t rows, int64_t cols, float scale, float *x, int64_t ldx);

/* x [rows, cols] = act(x), in place; `activation` is one of UFFB_GELU... */
typedef void uffb_activate_fn(int32_t activation, int64_t rows, int64_t cols, float *x, int64_t ldx);

/* x [rows, cols] = x * y, in place. */
typedef void uffb_multiply_fn(int64_t rows, int64_t cols, float *x, int64_t ldx, const float *y, int64_t ldy);

/* Weights of an FFF layer, [nodes, hidden]: a row a node, as UFFB_F32, or as UFFB_BF16, which is widened as it is read. */
typedef struct uffb_node_rows {
    const void *data;
    int32_t dtype;
} uffb_node_rows;

/* The rows from element `offset` on. */
static inline uffb_node_rows uffb_rows_from(uffb_node_rows rows, int64_t offset) {
    return (uffb_node_rows){(const char *)rows.data + offset * (rows.dtype == UFFB_BF16 ? 2 : 4), rows.dtype};
}

/* One tree of an FFF layer. Nodes are numbered breadth first: the children of n are 2n+1 and 2n+2. */
typedef struct uffb_tree {
    int64_t depth, hidden;
    uffb_node_rows in;  /* [2^(depth+1)-1, hidden] */
    const float *bias;  /* [2^(depth+1)-1] or NULL */
    uffb_node_rows out; /* [2^(depth+1)-1, hidden]: linear_out transposed */
    const float *noise; /* of branches, laid out as a walk's logits; or NULL */
} uffb_tree;

/* Most rows of one call. */
#define UFFB_FFF_ROWS 128

/* Rows order[0] to order[count-1] of x, y and the paths; and, for a walk, how many rows follow in `order` that will be walked
 * next and are worth asking memory for. */
typedef struct uffb_rows {
    int64_t count;
    const int32_t *order;
    int64_t ahead;
} uffb_rows;

/* Takes tokens down levels `from` to `to` - 1 (0 <= from < to <= depth+1): logit = in[node] . x + bias[node], then child
 * 2*node+1, or 2*node+2 if logit > 0 (with noise: if logit + noise > 0). nodes and logits [.., depth+1] lie ldp apart per
 * token. Starts at the root, or, where from > 0, at nodes[from]; writes logits and nodes of its levels, and the node it arrives
 * at if `to` <= depth. arranged [count] gets the rows of `order` in an order of the kernel's choice, best one in which those on
 * the same path are neighbours.
 */
typedef void uffb_fff_walk_fn(const uffb_tree *tree, int64_t from, int64_t to, uffb_rows rows, const float *x, int64_t ldx,
                              int32_t *nodes, float *logits, int64_t ldp, int32_t *arranged);

/* y += sum over levels p, in that order, of act(logits[p]) * out[nodes[p]]. Neighbours on the same path share its rows. */
typedef void uffb_fff_sum_fn(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes,
                             const float *logits, int64_t ldp, float *y, int64_t ldy);

/* --- training: gradients stand beside what they are the gradients of --------------------------------------------------------
 */

/* c [m, n] = a^T * b, plus the old c if `accumulate`: a [k, m], b [k, n] in panels [ceil(n/16)][k][16] (`pack`, transposed). */
typedef void uffb_outer_fn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, float *c, int64_t ldc,
                           int32_t accumulate);

/* The gradient dx [rows, cols] of x from that of LayerNorm's y, dy; dx, which may be dy, is added to if `accumulate`. Adds
 * those of weight and bias to dweight and dbias [cols]. */
typedef void uffb_norm_back_fn(int64_t rows, int64_t cols, const float *x, int64_t ldx, const float *weight, float eps,
                               const float *dy, int64_t lddy, float *dx, int64_t lddx, int32_t accumulate, float *dweight,
                               float *dbias);

/* d [rows, cols] = d * act'(x), in place; x is what the activation was applied to. */
typedef void uffb_activate_back_fn(int32_t activation, int64_t rows, int64_t cols, const float *x, int64_t ldx, float *d,
                                   int64_t ldd);

/* d [rows, cols] = scale * p * (d - sum of p * d), in place: the gradient of scores, of which p = softmax(scores * scale). */
typedef void uffb_softmax_back_fn(int64_t rows, int64_t cols, float scale, const float *p, int64_t ldp, float *d, int64_t ldd);

/* Returns log(sum(exp(x))) of a row; x [cols] = factor * softmax(x), in place. *top is the largest x. Shares are those of the
 * sum rounded to f32, as PyTorch's: a class that has all but 6e-8 has all. */
typedef double uffb_log_sum_fn(int64_t cols, float factor, float *x, float *top);

/* A stream of random words: word i depends on these and i alone. */
typedef struct uffb_random {
    uint64_t seed, counter;
    uint32_t stream;
    uint64_t block; /* of four words, to begin with */
} uffb_random;

/* x [rows, cols] = 0 with probability `rate` (0 to below 1), else x / (1 - rate), in place. A row takes ceil(cols/4) blocks of
 * the stream. Every ISA drops the same elements. */
typedef void uffb_dropout_fn(int64_t rows, int64_t cols, float rate, const uffb_random *random, float *x, int64_t ldx);

/* Gradients of the logits of paths from that of the output, dy: dlogits[p] = (out[nodes[p]] . dy) * act'(logits[p]). The rows
 * of the tree are f32. */
typedef void uffb_fff_back_fn(const uffb_tree *tree, int32_t activation, uffb_rows rows, const int32_t *nodes,
                              const float *logits, int64_t ldp, const float *dy, int64_t lddy, float *dlogits);

/* y [cols] = sum over i, in that order, of scale[order[i] * lds] * x[order[i]], plus the old y if `accumulate`. */
typedef void uffb_combine_fn(int64_t count, const int32_t *order, const float *scale, int64_t lds, const float *x, int64_t ldx,
                             int64_t cols, float *y, int32_t accumulate);

/* What one step of AdamW multiplies by; `first` is 1 - beta1, `second` 1 - beta2, `decay` 1 - lr * weight decay, `step` lr over
 * the first bias correction, `root` 1 over the root of the second. */
typedef struct uffb_adamw_factors {
    float gradient, first, beta2, second, decay, step, root, eps;
} uffb_adamw_factors;

/* d = g * gradient, or 0 where g is NULL; m += (d - m) * first; v = v * beta2 + d^2 * second;
 * w = w * decay - step * m / (sqrt(v) * root + eps). All [n]. Of moments, what is smaller than any normal number counts as 0:
 * a row that no token comes to any more gets there in some 700 steps, and CPUs take ten times as long for such numbers. No
 * weight can tell, as eps is far larger. */
typedef void uffb_adamw_fn(int64_t n, const uffb_adamw_factors *factors, const float *g, float *w, float *m, float *v);

/* The sum of the squares of x [n]. */
typedef double uffb_squares_fn(int64_t n, const float *x);

/* --- benchmarks: Level 1 of a BLAS, for machines without one ---------------------------------------------------------------
 */

/* The sum of x [n] * y [n]. */
typedef float uffb_dot_fn(int64_t n, const float *x, const float *y);

/* y [n] += a * x [n]. */
typedef void uffb_axpy_fn(int64_t n, float a, const float *x, float *y);

/* The implementations chosen for one ISA. */
typedef struct uffb_ops {
#define UFFB_OP(op) uffb_##op##_fn *op;
#include "oplist.inc"
#undef UFFB_OP
} uffb_ops;

/* The name of a kernel in a file that build.sh compiles for an instruction set, UFFB_TARGET: KERNEL(gemm) is uffb_gemm_avx512
 * for avx512. */
#define UFFB_JOIN3(a, b, c) a##b##c
#define UFFB_NAME(op, target) UFFB_JOIN3(uffb_##op, _, target)
#define KERNEL(op) UFFB_NAME(op, UFFB_TARGET)

/* What a CPU can do beyond the base of its architecture, a bit each; an instruction set is some of them. */
#define UFFB_CAN_AVX2 1u /* and FMA */
#define UFFB_CAN_AVXVNNI 2u
#define UFFB_CAN_AVX512 4u
#define UFFB_CAN_AVX512VNNI 8u
#define UFFB_CAN_NEON 16u
#define UFFB_CAN_NEONDOT 32u
#define UFFB_CAN_NEONI8MM 64u
#define UFFB_CAN_AVX512BF16 128u /* and BW */
#define UFFB_CAN_AMX 256u        /* tiles, and their products of bf16 */

/* Instruction sets, worst first. */
typedef enum uffb_isa {
#define UFFB_ISA(name, architecture, needs, flags) UFFB_ISA_##name,
#include "isas.inc"
#undef UFFB_ISA
    UFFB_ISA_COUNT
} uffb_isa;

extern const char *const uffb_isa_names[UFFB_ISA_COUNT];

/* Room for the names of all, with commas and the end. */
#define UFFB_ISA(name, architecture, needs, flags) +sizeof #name
enum {
    UFFB_ISA_NAMES = 1
#include "isas.inc"
};
#undef UFFB_ISA

/* Whether this CPU and operating system can run `isa`, and this build holds kernels for it. */
int uffb_isa_available(uffb_isa isa);

/* The best that is available. */
uffb_isa uffb_best_isa(void);

/* The names of those available, best first, separated by commas; `wanted`: only those for which it gives 1, or NULL. */
void uffb_list_isas(int (*wanted)(uffb_isa isa), char list[UFFB_ISA_NAMES]);

/* The ops of `isa`, as uffb_choose_ops gives them. */
const uffb_ops *uffb_ops_of(uffb_isa isa);

/* For each op, the last of its kernels in table.inc that needs no more than these. */
void uffb_choose_ops(uint32_t capabilities, uffb_ops *ops);

#endif

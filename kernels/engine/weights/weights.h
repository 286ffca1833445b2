/* weights.h: a weight matrix, whatever it is stored as. A kind of weight is a table of functions, in a file of this folder, and
 * a line of kinds.inc; nothing else in the engine asks what a matrix is stored as. */
#ifndef UFFB_WEIGHTS_H
#define UFFB_WEIGHTS_H

#include "../../ops/ops.h"

/* What a matrix is for. */
#define UFFB_FOR_PRODUCTS 1 /* y = weights x: projections, decoders */
#define UFFB_FOR_TREES 2    /* rows of an FFF layer that walks its trees; kernels know these dtypes (uffb_node_rows) */
#define UFFB_FOR_ROWS 4     /* rows of embeddings, each read on its own */
#define UFFB_FOR_EXACT 8    /* rows of a decoder that products know only roughly */

/* A matrix [rows, cols]. */
typedef struct uffb_weights {
    const struct uffb_kind *kind; /* NULL: there is none */
    const void *data;
    const float *scale; /* [rows], of integers */
    const int32_t *sum; /* [rows], where the kind derives it */
} uffb_weights;

/* c [m, n] = a [m, k] * w^T + bias, plus the old c if `accumulate`. */
typedef struct uffb_product {
    int64_t m, n, k;
    const void *a; /* f32, or what `quantise` made of it */
    int64_t lda;   /* elements */
    const float *a_scale;
    const float *bias; /* [n] or NULL */
    float *c;
    int64_t ldc;
    int32_t accumulate;
    float *scratch; /* [UFFB_GEMM_SCRATCH] or NULL */
} uffb_product;

typedef struct uffb_kind {
    int32_t purposes;      /* UFFB_FOR_... */
    int32_t dtype, layout; /* of the bytes that it is */
    int32_t boundary;      /* they are used in place where their address is a multiple of this */

    /* x [cols] += row `row` */
    void (*add_row)(const uffb_weights *w, int64_t cols, int64_t row, float *x);
    /* The sum of x [cols] * row `row`, in an order that is the same for every CPU; of UFFB_FOR_EXACT. */
    float (*dot_row)(const uffb_weights *w, int64_t cols, int64_t row, const float *x);
    /* All of it as a matrix of another dtype and layout, of uffb_tensor_bytes(rows, cols, dtype, layout). */
    int32_t (*unpack)(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out);

    /* Of UFFB_FOR_PRODUCTS: the product with the n rows from `first`, a multiple of UFFB_PANEL, on. */
    void (*multiply)(const uffb_ops *ops, const uffb_weights *w, int64_t first, const uffb_product *product);

    /* Of integers, which have a scale a row: bytes of a row; panels have a multiple of UFFB_PANEL rows. */
    uint64_t (*row_bytes)(int64_t cols);
    /* Row `row` of a matrix from f32, into data [uffb_tensor_bytes] that is zero, and its scale. */
    void (*pack_row)(int64_t cols, int64_t row, const float *values, void *data, float *scale);

    /* Of integers whose products take quantised inputs: `quantise` gives `input_bytes` an element, and fills rows up to a
     * multiple of `together` columns. */
    int32_t input_bytes, together;
    void (*quantise)(const uffb_ops *ops, int64_t rows, int64_t cols, const float *x, int64_t ldx, void *q, int64_t ldq,
                     float *scale);
    /* Bytes to allocate for what products need beside `data`, and making it; or NULL. 0 bytes: it has too many columns. */
    uint64_t (*derived_bytes)(int64_t rows, int64_t cols);
    void (*derive)(uffb_weights *w, int64_t rows, int64_t cols, void *derived);
} uffb_kind;

#define UFFB_KIND(name) extern const uffb_kind uffb_##name;
#include "kinds.inc"
#undef UFFB_KIND

/* The kind for a purpose that keeps `dtype` as it is, else the one that it is converted to. */
const uffb_kind *uffb_kind_for(int32_t purpose, int32_t dtype);

/* The kind of integers of a dtype in a layout; NULL when there is none. */
const uffb_kind *uffb_integer_kind(int32_t dtype, int32_t layout);

/* out [n] = values [n] of a dtype of plain numbers (tensor.c) */
void uffb_to_f32(int32_t dtype, int64_t n, const void *values, float *out);

static inline int uffb_has_scales(const uffb_weights *w) { return w->kind && w->kind->pack_row; }
static inline int uffb_is_quantised(const uffb_weights *w) { return w->kind && w->kind->quantise; }

/* Columns from one row of a product's inputs to the next, as the kind takes them. */
static inline int64_t uffb_input_cols(const uffb_kind *kind, int64_t cols) {
    return (cols + kind->together - 1) / kind->together * kind->together;
}

/* `unpack` of plain kinds: those whose dtype and layout uffb_tensor_convert knows. */
int32_t uffb_unpack_plain(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out);
/* `unpack` of integers, by `add_row`. */
int32_t uffb_unpack_integers(const uffb_weights *w, int64_t rows, int64_t cols, int32_t dtype, int32_t layout, void *out);

#endif

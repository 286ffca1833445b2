#ifndef UFFB_BENCH_LAYER_H
#define UFFB_BENCH_LAYER_H

#include "bench.h"
#include "blas.h"
#include "../engine/context.h"

/* One layer, its batch, and what the contenders share. Weights lie as rows: node n (or neuron n) of all trees has in [n,
 * hidden], bias [n], out [n, hidden]. */
struct uffb_bench {
    uffb_bench_shape shape;
    int64_t nodes;                 /* of one tree; dense: the width */
    int64_t rows;                  /* of all trees */
    float *in, *bias, *out;        /* of the copy in turn */
    float *in_copies, *out_copies; /* [shape.copies, rows, hidden] */
    /* [shape.copies, rows, hidden], the same numbers, where our kernels walk rows of 16 bits. */
    uint16_t *narrow_in, *narrow_out;
    int64_t turn;           /* of copies and inputs */
    float *x, *y;           /* the rows in turn */
    float *x_rows, *y_rows; /* [inputs, hidden] */
    float *elsewhere;       /* `evict` bytes */
    double *want;           /* [wanted, hidden]: the reference of the first inputs; NaN for ties */
    int64_t wanted;
    uffb_team *team;
    uffb_model model; /* one layer over the same weights, for our own kernels */
    uffb_layer layer;
    float *in_panels, *out_panels; /* [shape.copies, ..], where our kernels want panels */
    uffb_context *context;         /* of the ISA that ran last */
    int best_isa;                  /* 1: nobody named it, so it is the best one */
    int64_t scratch_size;
    float *scratch;
};

/* One call of a contender: y += layer(x) for the first `tokens` rows. */
typedef struct uffb_trial {
    uffb_bench *bench;
    const uffb_blas *blas;
    int64_t tokens;
    int32_t status; /* set by a contender that cannot go on */
} uffb_trial;

typedef void uffb_contender_fn(uffb_trial *trial);

/* At least `size` floats, or NULL. */
float *uffb_bench_scratch(uffb_bench *bench, int64_t size);

/* act(x) as the contenders written with BLAS calls compute it, one value at a time. */
float uffb_bench_activate(const uffb_bench *bench, float x);

/* Floats of one copy in panels. */
int64_t uffb_panel_floats(int64_t rows, int64_t cols);

/* fff_blas.c, dense_blas.c, ours.c */
uffb_contender_fn uffb_fff_level1, uffb_fff_level2, uffb_fff_level3, uffb_fff_bmm, uffb_fff_sparse, uffb_fff_level1_published,
    uffb_fff_level2_published;
uffb_contender_fn uffb_dense_level1, uffb_dense_level2, uffb_dense_level3, uffb_dense_level2_published;
uffb_contender_fn uffb_ours;

#endif

/* bench.h: what `uffb bench` times, in C, so that calls per token are C calls. Part of the library and its ABI; the
 * rules of uffb.h hold.
 *
 * A bench is one feedforward layer, FFF or dense, with its weights and a batch of inputs. A contender is one way of computing
 * y += layer(x) for the batch: a BLAS level, or our own kernels. All contenders of a bench compute the same thing from the same
 * numbers, and uffb_bench_check() holds the last one's result against a plain double-precision evaluation.
 */
#ifndef UFFB_BENCH_H
#define UFFB_BENCH_H

#include "../uffb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- a BLAS found at run time -------------------------------------------------------------------------------------------- */

typedef struct uffb_blas uffb_blas;

/* Opens a shared library that exports cblas_sdot, cblas_saxpy, cblas_sgemv and cblas_sgemm (OpenBLAS, BLIS, MKL, the reference
 * BLAS), or dnnl_sgemm (oneDNN: Level 3 alone). */
UFFB_API int32_t uffb_blas_open(const char *path, uffb_blas **blas);
/* The engine's own dot, axpy, gemv and gemm as a BLAS, with the best kernels of this CPU, for machines without a library. */
UFFB_API int32_t uffb_blas_own(uffb_blas **blas);
UFFB_API void uffb_blas_close(uffb_blas *blas);
/* What the library says of itself: name, version, the kernels it chose. */
UFFB_API const char *uffb_blas_version(const uffb_blas *blas);
/* Highest level with everything below it: 3; or 0 when it has Level 3 alone (oneDNN). */
UFFB_API int32_t uffb_blas_levels(const uffb_blas *blas);

/* --- one layer ------------------------------------------------------------------------------------------------------------ */

typedef struct uffb_bench uffb_bench;

typedef struct uffb_bench_shape {
    int64_t hidden;
    int64_t trees; /* FFF when > 0 */
    int64_t depth;
    int64_t width;  /* dense when trees = 0 */
    int64_t batch;  /* most tokens of a call */
    int64_t inputs; /* rows of input, at least `batch`: calls take turns with them, so that none finds its path in the caches */
    int64_t copies; /* of the weights, at least 1; 2 for cold runs; for rotated ones, more than the caches can hold */
    int64_t evict;  /* bytes read from elsewhere before each cold run, several times the last-level cache; 0: none is cold */
    int32_t activation;
    int32_t threads; /* 0: uffb_cpu_count() */
    int32_t dtype;   /* of the rows our own kernels walk: UFFB_F32, or UFFB_BF16; all compute with numbers that it can hold */
} uffb_bench_shape;

/* How weights and inputs are filled. */
#define UFFB_FILL_UNIFORM 0 /* random, every branch equally likely */
#define UFFB_FILL_SKEWED 1  /* random, nine in ten tokens turn left at a node */
#define UFFB_FILL_ZERO 2    /* all zero, as the published benchmark leaves them: every token takes the same path */

/* Bytes uffb_bench_new and the contenders of this shape will allocate at most; 0 when the shape is not valid. */
UFFB_API uint64_t uffb_bench_bytes(const uffb_bench_shape *shape);
UFFB_API int32_t uffb_bench_new(const uffb_bench_shape *shape, uffb_bench **bench);
UFFB_API void uffb_bench_free(uffb_bench *bench);
UFFB_API int32_t uffb_bench_fill(uffb_bench *bench, int32_t fill, uint64_t seed);
/* The weights of a model's layer, and `tokens` inputs [tokens, hidden], repeated. The shape must be the
 * model's. */
UFFB_API int32_t uffb_bench_fill_from(uffb_bench *bench, const uffb_model *model, int64_t layer, int64_t tokens,
                                      const float *input);

typedef struct uffb_contender {
    char name[32];
    int32_t fff;       /* 1: for FFF layers, 0: for dense ones */
    int32_t level;     /* BLAS level; 0: our own kernels */
    int32_t blas;      /* 1: needs a BLAS of that level */
    int32_t published; /* 1: the published benchmark's arithmetic, defects included; its result is not the layer's */
} uffb_contender;

UFFB_API int64_t uffb_contender_count(void);
UFFB_API int32_t uffb_contender_info(int64_t index, uffb_contender *info);

/* Of uffb_isas(), those with kernels of their own for a layer in f32 or bf16. */
UFFB_API const char *uffb_contender_isas(void);

/* What is in the caches before a call that is timed: the same for every contender, whichever ran before. */
#define UFFB_CACHE_WARM 0 /* the layer's weights were just read, so they are in the caches as far as they fit */
#define UFFB_CACHE_COLD 1 /* `evict` bytes were read from elsewhere: no weight is there, nor its page table entry */
/* calls take turns with the copies of the weights, as a model's layers do, and have done so for a while */
#define UFFB_CACHE_ROTATED 2

/* Runs a contender on `tokens` tokens, the next of the inputs, and gives the time of a call. `blas`: NULL where none is needed;
 * `isa`: for our own kernels, NULL for the best.
 * Warm and cold: one call, before which the contender ran on a few other tokens (cold: with another copy of the weights), as it
 * would have for the layer before. Rotated: the mean of one call with each copy. In all cases the inputs and outputs of a call,
 * which a model has just computed, were touched. */
UFFB_API int32_t uffb_bench_run(uffb_bench *bench, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens,
                                int32_t cache, double *seconds);
/* Runs it once on the first `tokens` inputs and compares: `error` is the largest difference over the largest value; `ties`
 * counts the tokens left out because a logit on their path was too close to 0 to call. */
UFFB_API int32_t uffb_bench_check(uffb_bench *bench, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens,
                                  double *error, int64_t *ties);
/* Leaves of tree 0 that the inputs reach, and the share of inputs at the busiest one. */
UFFB_API int32_t uffb_bench_leaves(uffb_bench *bench, int64_t *leaves, double *busiest);

/* --- what the machine can do --------------------------------------------------------------------------------------------- */

#define UFFB_PROBE_FLOPS 0  /* f32 multiply-adds, 2 flop each, from registers */
#define UFFB_PROBE_MEMORY 1 /* bytes read from memory */
#define UFFB_PROBE_L2 2     /* bytes read from L2 */
#define UFFB_PROBE_OPS_I8 3 /* multiply-adds of 8-bit integers, 2 operations each, from L1 */
#define UFFB_PROBE_BF16 4   /* multiply-adds of bf16, 2 flop each, from L1 */

/* The best rate seen in about `seconds`, per second, on `threads` threads. */
UFFB_API int32_t uffb_probe(int32_t probe, int32_t threads, double seconds, double *rate);

#ifdef __cplusplus
}
#endif
#endif

/* uffb_cuda.h: the C ABI of the CUDA library, which is built where there is an nvcc and loaded only when a device is asked for.
 * The rules of uffb.h hold, and its statuses: nothing is printed, no call exits, uffb_cuda_error() has one line about the last
 * failure on the calling thread. UFFB_UNSUPPORTED: no driver, no such device, or one too old. UFFB_NO_MEMORY: the device's.
 *
 * cuBLAS and cuBLASLt are opened at run time when they are there; without them dense layers run on kernels of our own, which
 * are slower and labelled as such.
 */
#ifndef UFFB_CUDA_H
#define UFFB_CUDA_H

#include "../uffb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever something below changes, or UFFB_ABI_VERSION does. */
#define UFFB_CUDA_ABI_VERSION 4

UFFB_API int32_t uffb_cuda_abi_version(void);
UFFB_API const char *uffb_cuda_error(void);

/* --- devices -------------------------------------------------------------------------------------------------------------- */

typedef struct uffb_cuda_info {
    char name[128];
    char cublas[64];         /* "cuBLAS 13.0.2", or "" when it was not found */
    int64_t memory;          /* bytes */
    int64_t l2;              /* bytes */
    int32_t capability;      /* 90 for 9.0 */
    int32_t multiprocessors; /* streaming multiprocessors */
    int32_t driver;          /* highest CUDA version that the driver runs: 13000 for 13.0 */
    int32_t runtime;         /* the CUDA version that the library was built with */
} uffb_cuda_info;

UFFB_API int32_t uffb_cuda_device_count(int32_t *count);
UFFB_API int32_t uffb_cuda_device_info(int32_t device, uffb_cuda_info *info);

/* --- encoder -------------------------------------------------------------------------------------------------------------- */

typedef struct uffb_cuda_encoder uffb_cuda_encoder;

/* Copies a ready model to a device, for matrices and activations of `dtype`: UFFB_F32, UFFB_F16 or UFFB_BF16 (sums, norms and
 * the residual stream are f32 in each; f32 uses no TF32). The model may be freed afterwards. 8-bit projections become `dtype`.
 */
UFFB_API int32_t uffb_cuda_encoder_new(const uffb_model *model, int32_t device, int32_t dtype, uffb_cuda_encoder **encoder);
UFFB_API void uffb_cuda_encoder_free(uffb_cuda_encoder *encoder);
/* One line about the encoder's last failure, for calls made on another thread. */
UFFB_API const char *uffb_cuda_encoder_error(const uffb_cuda_encoder *encoder);
/* From now on the encoder times what cuBLASLt offers for each size of product that is new, and keeps the fastest. The first
 * batch of a size takes long, so this is for many batches of few sizes. */
UFFB_API void uffb_cuda_encoder_tune(uffb_cuda_encoder *encoder);
/* The arguments of uffb_encode; final states [tokens, hidden] go to the caller's memory, for uffb_take_final and its heads. */
UFFB_API int32_t uffb_cuda_encode(uffb_cuda_encoder *encoder, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                                  const int32_t *types, float *final);
/* Seconds that the device itself took for the last encode, copies of ids and final states included. */
UFFB_API double uffb_cuda_encode_seconds(const uffb_cuda_encoder *encoder);

/* --- bench: one feedforward layer, as in kernels/bench/bench.h ------------------------------------------------------------ */

typedef struct uffb_cuda_bench uffb_cuda_bench;

typedef struct uffb_cuda_bench_shape {
    int64_t hidden;
    int64_t trees; /* FFF when > 0 */
    int64_t depth;
    int64_t width;  /* dense when trees = 0 */
    int64_t batch;  /* most tokens of a call */
    int64_t inputs; /* rows of input, at least `batch`; calls take turns with them */
    int32_t activation;
    int32_t dtype; /* UFFB_F32, UFFB_F16 or UFFB_BF16: weights, inputs and outputs; sums are f32 */
    int32_t device;
    int32_t cold; /* 1: no call finds its weights in L2; 0: calls have the same weights, which stay there if they fit */
} uffb_cuda_bench_shape;

typedef struct uffb_cuda_contender {
    char name[32];
    int32_t fff;     /* 1: for FFF layers, 0: for dense ones */
    int32_t library; /* 1: needs cuBLAS */
    int32_t dtypes;  /* bits 1 << UFFB_F32, 1 << UFFB_F16, 1 << UFFB_BF16 */
    int32_t tensor;  /* 1: f32 through TF32 tensor cores, whose results have 10 bits of mantissa */
} uffb_cuda_contender;

UFFB_API int64_t uffb_cuda_contender_count(void);
UFFB_API int32_t uffb_cuda_contender_info(int64_t index, uffb_cuda_contender *info);

/* Bytes of device memory that uffb_cuda_bench_new and the contenders of this shape allocate at most; 0: not a valid shape, or
 * no such device. */
UFFB_API uint64_t uffb_cuda_bench_bytes(const uffb_cuda_bench_shape *shape);
UFFB_API int32_t uffb_cuda_bench_new(const uffb_cuda_bench_shape *shape, uffb_cuda_bench **bench);
UFFB_API void uffb_cuda_bench_free(uffb_cuda_bench *bench);
/* UFFB_FILL_* of bench.h. The same numbers as uffb_bench_fill gives for the same seed, rounded to the bench's dtype. */
UFFB_API int32_t uffb_cuda_bench_fill(uffb_cuda_bench *bench, int32_t fill, uint64_t seed);
/* The weights of a model's layer, and `tokens` inputs [tokens, hidden], repeated. */
UFFB_API int32_t uffb_cuda_bench_fill_from(uffb_cuda_bench *bench, const uffb_model *model, int64_t layer, int64_t tokens,
                                           const float *input);
/* Runs a contender `calls` times on `tokens` tokens each, as one captured graph, and gives the seconds of a call by the
 * device's own clock. Each call takes the next inputs. Cold, the graph has a call for each of up to 64 copies of the weights,
 * as many as memory allows but at least two; it runs until there were `calls`, and before each run, untimed, L2 is filled with
 * something else. */
UFFB_API int32_t uffb_cuda_bench_run(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, int64_t calls, double *seconds);
/* Runs it once on the first `tokens` inputs, over poisoned outputs, and compares with a double-precision evaluation of the
 * rounded weights: `error` is the largest difference over the largest value; `ties` counts the tokens left out because a logit
 * on their path was too close to 0 to call. At most 256 tokens are compared, fewer of expensive layers, spread evenly from the
 * first to the last; rows after the last must be untouched. */
UFFB_API int32_t uffb_cuda_bench_check(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, double *error, int64_t *ties);

#ifdef __cplusplus
}
#endif
#endif

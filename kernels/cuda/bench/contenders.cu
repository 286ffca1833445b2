/* The ways of computing a layer that are compared. */
#include "layer.h"

/* --- FFF ------------------------------------------------------------------------------------------------------------------ */

static int32_t run_fff(const trial *t, int32_t (*way)(const uffb_cuda_fff_call *)) {
    const uffb_cuda_bench *b = t->bench;
    const uffb_cuda_bench_shape &s = b->shape;
    const uint64_t copy = (uint64_t)(t->turn % b->copies) * b->copy_bytes;
    const uffb_cuda_fff layer = {s.hidden,       s.trees,       s.depth,
                                 s.dtype,        s.activation,  b->device_in + copy,
                                 b->device_bias, b->typed_bias, b->device_out + copy};
    const uffb_cuda_fff_call call = {&layer, t->tokens, trial_x(t), trial_y(t), b->workspace, b->stream, b->blas};
    return way(&call);
}

static int32_t fff_ours(const trial *t) { return run_fff(t, uffb_cuda_fff_forward); } /* as the encoder does */
static int32_t fff_small(const trial *t) { return run_fff(t, uffb_cuda_fff_small); }
static int32_t fff_walk(const trial *t) { return run_fff(t, uffb_cuda_fff_walk); }
static int32_t fff_sorted(const trial *t) { return run_fff(t, uffb_cuda_fff_sorted); }
static int32_t fff_all_nodes(const trial *t) { /* there is no room for the logits of many */
    return run_fff(t, t->bench->rows <= MOST_ALL_NODES ? uffb_cuda_fff_all_nodes : uffb_cuda_fff_forward);
}
static int32_t fff_bmm(const trial *t) { return run_fff(t, uffb_cuda_fff_bmm); }
static int32_t fff_naive(const trial *t) { return run_fff(t, uffb_cuda_fff_naive); }

/* --- dense ---------------------------------------------------------------------------------------------------------------- */

/* The two products of a layer: to the hidden units, and from them. */
static void describe(const trial *t, int32_t activation, uffb_cuda_gemm *in, uffb_cuda_gemm *out) {
    const uffb_cuda_bench *b = t->bench;
    const uffb_cuda_bench_shape &s = b->shape;
    const uint64_t copy = (uint64_t)(t->turn % b->copies) * b->copy_bytes;
    *in = {t->tokens, s.width, s.hidden, s.dtype, activation, 0, trial_x(t), b->device_in + copy, b->typed_bias, b->workspace};
    *out = {t->tokens, s.hidden, s.width, s.dtype, UFFB_IDENTITY, 0, b->workspace, b->device_out + copy, NULL, trial_y(t)};
}

static int32_t run_cublas(const trial *t, int tensor) {
    uffb_cuda_gemm in, out;
    describe(t, t->bench->shape.activation, &in, &out);
    const int32_t status = uffb_cublas_gemm(t->bench->blas, &in, tensor, t->bench->stream);
    return status ? status : uffb_cublas_gemm(t->bench->blas, &out, tensor, t->bench->stream);
}

static int32_t run_cublaslt(const trial *t, int tensor) {
    const int32_t activation = t->bench->shape.activation;
    uffb_cuda_gemm in, out;
    describe(t, activation == UFFB_GELU ? UFFB_GELU_TANH : activation, &in, &out);
    const int32_t status = uffb_cublaslt_gemm(t->bench->blas, &in, tensor, t->bench->stream);
    return status ? status : uffb_cublaslt_gemm(t->bench->blas, &out, tensor, t->bench->stream);
}

static int32_t dense_own(const trial *t) {
    uffb_cuda_gemm in, out;
    describe(t, t->bench->shape.activation, &in, &out);
    const int32_t status = uffb_cuda_gemm_own(&in, t->bench->stream);
    return status ? status : uffb_cuda_gemm_own(&out, t->bench->stream);
}

static int32_t dense_cublas(const trial *t) { return run_cublas(t, 0); }
static int32_t dense_cublas_tf32(const trial *t) { return run_cublas(t, 1); }
static int32_t dense_lt(const trial *t) { return run_cublaslt(t, 0); }
static int32_t dense_lt_tf32(const trial *t) { return run_cublaslt(t, 1); }

/* --- the list ------------------------------------------------------------------------------------------------------------- */

#define F32 (1 << UFFB_F32)
#define ALL (1 << UFFB_F32 | 1 << UFFB_F16 | 1 << UFFB_BF16)

static const contender contenders[] = {
    {{"fff ours", 1, 0, ALL, 0}, 0, fff_ours}, /* the one of the next four that suits layer and batch */
    {{"fff ours small", 1, 0, ALL, 0}, 0, fff_small},
    {{"fff ours unsorted", 1, 0, ALL, 0}, 0, fff_walk},
    {{"fff ours sorted", 1, 0, ALL, 0}, 0, fff_sorted},
    {{"fff ours all nodes", 1, 0, ALL, 0}, 0, fff_all_nodes},
    {{"fff bmm", 1, 0, ALL, 0}, 0, fff_bmm},
    {{"fff naive", 1, 0, ALL, 0}, 0, fff_naive},
    {{"dense ours", 0, 0, ALL, 0}, 0, dense_own},
    {{"dense cublas", 0, 1, ALL, 0}, 0, dense_cublas},
    {{"dense cublas tf32", 0, 1, F32, 1}, 0, dense_cublas_tf32},
    {{"dense cublaslt", 0, 1, ALL, 0}, 1, dense_lt},
    {{"dense cublaslt tf32", 0, 1, F32, 1}, 1, dense_lt_tf32},
};

#define CONTENDERS (int64_t)(sizeof contenders / sizeof *contenders)

const contender *find_contender(int64_t index) { return index >= 0 && index < CONTENDERS ? &contenders[index] : NULL; }

int64_t uffb_cuda_contender_count(void) { return CONTENDERS; }

int32_t uffb_cuda_contender_info(int64_t index, uffb_cuda_contender *info) {
    const contender *c = find_contender(index);
    if (!c || !info) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_contender_info: no such contender");
    *info = c->info;
    return UFFB_OK;
}

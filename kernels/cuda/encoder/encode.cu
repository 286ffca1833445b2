/* From token ids to final states on a device; encode.c of the engine, kernel by kernel. Everything is enqueued on one stream.
 *
 * Launches: one for the embedding, one for the last norm, and in a block 5 plus those of the feedforward half: residual
 * addition with norm, qkv, attention, output projection, residual addition with norm. A walk of the trees is 1 (fff/fff.h; 3
 * for each tree and one more when tokens are sorted), computing all their nodes 3; dense layers are 2, gated ones 3. An
 * activation that cuBLASLt's epilogue cannot compute is one more.
 */
#include "encoder.h"

extern "C" {
#include "../../engine/batch.h"
#include "../../engine/positions.h"
}

#include <stdio.h>

/* Stages report errors of the runtime, or statuses. */
#define TRY(call)                                                                                                              \
    do {                                                                                                                       \
        const int32_t status_ = (call);                                                                                        \
        if (status_) return status_;                                                                                           \
    } while (0)
#define LAUNCHED(call) CUDA_TRY(call, "encoding")

struct device_batch {
    int64_t tokens, tiles;
    const int32_t *ids, *types, *positions;
    const uffb_cuda_tile *tile;
};

/* y [tokens, rows] = act(weight x + bias) */
static int32_t project(const uffb_cuda_encoder *e, int64_t tokens, const uffb_cuda_linear &l, int32_t activation, const void *x,
                       void *y) {
    uffb_cuda_gemm gemm = {};
    gemm.m = tokens;
    gemm.n = l.rows;
    gemm.k = l.cols;
    gemm.dtype = e->dtype;
    gemm.activation = activation;
    gemm.a = x;
    gemm.w = l.weight;
    gemm.bias = l.bias;
    gemm.c = y;
    return uffb_cuda_gemm_best(e->blas, &gemm, e->stream);
}

/* added = feedforward(input) */
template <class T> static int32_t feed_forward(uffb_cuda_encoder *e, const uffb_cuda_block &b, int64_t tokens) {
    const uffb_arch &a = e->arch;
    if (a.feedforward == UFFB_FFN_FFF) {
        const uffb_cuda_fff_call call = {&b.fff, tokens, e->input, e->added, e->workspace, e->stream, e->blas};
        return uffb_cuda_fff_forward(&call);
    }
    if (a.feedforward == UFFB_FFN_DENSE) {
        TRY(project(e, tokens, b.ffn_in, a.activation, e->input, e->wide));
        return project(e, tokens, b.ffn_out, UFFB_IDENTITY, e->wide, e->added);
    }
    TRY(project(e, tokens, b.ffn_in, UFFB_IDENTITY, e->input, e->wide));
    LAUNCHED(uffb_cuda_gate(tokens, a.width / 2, a.activation, (const T *)e->wide, (T *)e->gated, e->stream));
    return project(e, tokens, b.ffn_out, UFFB_IDENTITY, e->gated, e->added);
}

/* Pre-norm: x += f(norm(x)) for attention, then for the feedforward half; what the half before added is added on the way to the
 * next norm. Post-norm: x = norm(x + f(x)). */
template <class T> static int32_t run_block(uffb_cuda_encoder *e, const device_batch &d, int64_t l) {
    const uffb_arch &a = e->arch;
    const uffb_cuda_block &b = e->blocks[l];
    const bool pre = a.norm_position == UFFB_PRE_NORM;
    const T *added = (const T *)e->added;
    T *input = (T *)e->input;
    const uffb_cuda_rows<T> to_pre = {e->x, NULL, input}, to_post = {NULL, e->x, input};

    if (pre) LAUNCHED(uffb_cuda_add_norm(d.tokens, a.hidden, e->x, l ? added : NULL, b.norm1, to_pre, e->stream));
    TRY(project(e, d.tokens, b.qkv, UFFB_IDENTITY, input, e->wide));
    LAUNCHED(uffb_cuda_attend(d.tiles, d.tile, b.heads, a.head_size, b.scale, (const T *)e->wide, input, e->stream));
    TRY(project(e, d.tokens, b.out, UFFB_IDENTITY, input, e->added));
    LAUNCHED(uffb_cuda_add_norm(d.tokens, a.hidden, e->x, added, pre ? b.norm2 : b.norm1, pre ? to_pre : to_post, e->stream));
    TRY(feed_forward<T>(e, b, d.tokens));
    if (!pre) LAUNCHED(uffb_cuda_add_norm(d.tokens, a.hidden, e->x, added, b.norm2, to_post, e->stream));
    return UFFB_OK;
}

template <class T> static int32_t run_encoder(uffb_cuda_encoder *e, const device_batch &d) {
    const uffb_arch &a = e->arch;
    const bool pre = a.norm_position == UFFB_PRE_NORM;
    const uffb_cuda_rows<T> embedded = {NULL, e->x, (T *)e->input}, final = {NULL, e->x, NULL};
    LAUNCHED(uffb_cuda_embed(d.tokens, a.hidden, e->tables, d.ids, d.types, d.positions, e->embed_norm, embedded, e->stream));
    for (int64_t l = 0; l < a.layers; l++) TRY(run_block<T>(e, d, l));
    const T *added = pre && a.layers ? (const T *)e->added : NULL;
    LAUNCHED(uffb_cuda_add_norm(d.tokens, a.hidden, e->x, added, e->final_norm, final, e->stream));
    return UFFB_OK;
}

/* Fills the pinned copy of the batch and enqueues its way to the device. */
static int32_t send_batch(uffb_cuda_encoder *e, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                          const int32_t *types, int64_t tiles, device_batch *d) {
    const int64_t tokens = offsets[sequences], numbers = 3 * (tokens + tiles);
    int32_t *positions = e->host_batch + 2 * tokens;
    uffb_cuda_tile *tile = (uffb_cuda_tile *)(e->host_batch + 3 * tokens);
    memcpy(e->host_batch, ids, (size_t)tokens * sizeof *ids);
    if (types) memcpy(e->host_batch + tokens, types, (size_t)tokens * sizeof *types);
    for (int64_t s = 0; s < sequences; s++) {
        const int64_t start = offsets[s], length = offsets[s + 1] - start;
        int64_t counted = 0;
        for (int64_t t = start; t < start + length; t++)
            positions[t] = (int32_t)uffb_position_row(e->arch.position_offset, ids[t], &counted);
        for (int64_t row = 0; row < length; row += UFFB_CUDA_TILE) *tile++ = {(int32_t)start, (int32_t)length, (int32_t)row};
    }
    /* From here on it is the device's time. */
    CUDA_TRY(cudaEventRecord(e->start, e->stream), "timing");
    CUDA_TRY(cudaMemcpyAsync(e->batch, e->host_batch, (size_t)numbers * sizeof *e->batch, cudaMemcpyHostToDevice, e->stream),
             "copying a batch to the device");
    *d = {tokens,
          tiles,
          e->batch,
          types ? e->batch + tokens : NULL,
          e->batch + 2 * tokens,
          (const uffb_cuda_tile *)(e->batch + 3 * tokens)};
    return UFFB_OK;
}

static int32_t enqueue(uffb_cuda_encoder *e, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                       const int32_t *types, int64_t tiles) {
    device_batch d = {};
    TRY(send_batch(e, sequences, offsets, ids, types, tiles, &d));
    switch (e->dtype) {
    case UFFB_F32: TRY(run_encoder<float>(e, d)); break;
    case UFFB_F16: TRY(run_encoder<__half>(e, d)); break;
    default: TRY(run_encoder<__nv_bfloat16>(e, d)); break;
    }
    const size_t bytes = (size_t)(d.tokens * e->arch.hidden) * sizeof *e->x;
    CUDA_TRY(cudaMemcpyAsync(e->host_final, e->x, bytes, cudaMemcpyDeviceToHost, e->stream), "copying final states");
    CUDA_TRY(cudaEventRecord(e->end, e->stream), "timing");
    return UFFB_OK;
}

static int32_t encode(uffb_cuda_encoder *e, int64_t sequences, const int64_t *offsets, const int32_t *ids, const int32_t *types,
                      float *final) {
    const int64_t tokens = offsets[sequences];
    int64_t tiles = 0;
    for (int64_t s = 0; s < sequences; s++) tiles += (offsets[s + 1] - offsets[s] + UFFB_CUDA_TILE - 1) / UFFB_CUDA_TILE;
    if (tokens > INT32_MAX / 4 || tiles > INT32_MAX / 2 / e->arch.heads) {
        return uffb_cuda_fail(UFFB_INVALID, "a batch of %lld tokens is too large for a device", (long long)tokens);
    }
    CUDA_TRY(cudaSetDevice(e->device), "choosing the device");
    TRY(uffb_cuda_reserve(e, tokens, 3 * (tokens + tiles)));
    const int32_t status = enqueue(e, sequences, offsets, ids, e->arch.token_types ? types : NULL, tiles);
    const cudaError_t error = cudaStreamSynchronize(e->stream); /* even then: nothing is under way between calls */
    if (status) return status;
    CUDA_TRY(error, "encoding");
    float milliseconds = 0.0f;
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, e->start, e->end), "timing");
    e->seconds = milliseconds * 1e-3;
    memcpy(final, e->host_final, (size_t)(tokens * e->arch.hidden) * sizeof *final);
    return UFFB_OK;
}

int32_t uffb_cuda_encode(uffb_cuda_encoder *e, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                         const int32_t *types, float *final) {
    if (!e) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encode: no encoder");
    int32_t status = uffb_check_batch(&e->arch, sequences, offsets, ids, types, "uffb_cuda_encode");
    if (status) {
        uffb_cuda_fail(status, "%s", uffb_error());
    } else if (!final) {
        status = uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encode: nowhere to put the final states");
    } else {
        status = encode(e, sequences, offsets, ids, types, final);
    }
    if (status) snprintf(e->error, sizeof e->error, "%s", uffb_cuda_error());
    return status;
}

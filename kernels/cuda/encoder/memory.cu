/* The life of an encoder, and the memory it works in. */
#include "encoder.h"

extern "C" {
#include "../../engine/batch.h"
}

#include <stdio.h>
#include <stdlib.h>

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int32_t check_request(const uffb_model *m, int32_t dtype) {
    if (!m) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encoder_new: no model");
    if (m->layout != UFFB_MODEL_LAYOUT) return uffb_cuda_fail(UFFB_UNSUPPORTED, UFFB_CUDA_OTHER_BUILD);
    if (dtype != UFFB_F32 && dtype != UFFB_F16 && dtype != UFFB_BF16)
        return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encoder_new: no encoder computes in dtype %d", dtype);
    if (!uffb_has_feedforward(&m->arch))
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "models without feedforward layers do not run on a device");
    if (m->arch.feedforward == UFFB_FFN_FFF && m->arch.width)
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "models with a dense layer beside their trees do not run on a device");
    if (uffb_activates_sum(&m->arch))
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "models that activate the sum of their trees do not run on a device");
    const char *beyond = uffb_beyond_plain(&m->arch);
    if (beyond) return uffb_cuda_fail(UFFB_UNSUPPORTED, "models with %s do not run on a device", beyond);
    const int64_t head = m->arch.head_size;
    if (head > UFFB_CUDA_MAX_HEAD) {
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "attention heads of %lld units are too wide for a device: %d are the most",
                              (long long)head, UFFB_CUDA_MAX_HEAD);
    }
    if (!m->ready) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encoder_new: the model is not ready");
    return UFFB_OK;
}

static int32_t build(uffb_cuda_encoder *e, const uffb_model *m) {
    int32_t status = uffb_cuda_upload(e, m);
    if (!status) status = uffb_cublas_new(&e->blas);
    if (status) return status;
    CUDA_TRY(cudaStreamCreateWithFlags(&e->stream, cudaStreamNonBlocking), "creating a stream");
    CUDA_TRY(cudaEventCreate(&e->start), "creating an event");
    CUDA_TRY(cudaEventCreate(&e->end), "creating an event");
    return UFFB_OK;
}

int32_t uffb_cuda_encoder_new(const uffb_model *model, int32_t device, int32_t dtype, uffb_cuda_encoder **encoder) {
    if (!encoder) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_encoder_new: nowhere to put the encoder");
    *encoder = NULL;
    int32_t status = check_request(model, dtype);
    if (!status) status = uffb_cuda_use(device); /* before there is anything to free on it */
    if (status) return status;
    uffb_cuda_encoder *e = (uffb_cuda_encoder *)calloc(1, sizeof *e);
    uffb_cuda_block *blocks = (uffb_cuda_block *)calloc((size_t)model->arch.layers + 1, sizeof *blocks);
    if (!e || !blocks) {
        free(e);
        free(blocks);
        return uffb_cuda_fail(UFFB_NO_MEMORY, "no memory for an encoder");
    }
    e->arch = model->arch;
    e->arch.layer_heads = NULL; /* the model's memory; blocks have them */
    e->device = device;
    e->dtype = dtype;
    e->blocks = blocks;
    status = build(e, model);
    if (status) {
        uffb_cuda_encoder_free(e);
        return status;
    }
    *encoder = e;
    return UFFB_OK;
}

void uffb_cuda_encoder_free(uffb_cuda_encoder *e) {
    if (!e) return;
    cudaSetDevice(e->device);
    uffb_cublas_free(e->blas);
    if (e->start) cudaEventDestroy(e->start);
    if (e->end) cudaEventDestroy(e->end);
    if (e->stream) cudaStreamDestroy(e->stream);
    cudaFree(e->weights);
    cudaFree(e->memory);
    cudaFree(e->batch);
    cudaFreeHost(e->host_batch);
    cudaFreeHost(e->host_final);
    free(e->blocks);
    free(e);
}

void uffb_cuda_encoder_tune(uffb_cuda_encoder *e) {
    if (e) uffb_cublas_tune(e->blas, true);
}

const char *uffb_cuda_encoder_error(const uffb_cuda_encoder *e) { return e ? e->error : ""; }

double uffb_cuda_encode_seconds(const uffb_cuda_encoder *e) { return e ? e->seconds : 0.0; }

/* --- working memory ------------------------------------------------------------------------------------------------------- */

static int32_t reserve_batch(uffb_cuda_encoder *e, int64_t numbers) {
    cudaFreeHost(e->host_batch);
    cudaFree(e->batch);
    e->host_batch = e->batch = NULL;
    e->batch_capacity = 0;
    const size_t bytes = (size_t)numbers * sizeof *e->batch;
    CUDA_TRY(cudaMallocHost(&e->host_batch, bytes), "allocating pinned memory for a batch");
    CUDA_TRY(cudaMalloc(&e->batch, bytes), "allocating a batch on the device");
    e->batch_capacity = numbers;
    return UFFB_OK;
}

#define BOUNDARY 256

static int32_t reserve_tokens(uffb_cuda_encoder *e, int64_t tokens) {
    const uffb_arch *a = &e->arch;
    const int64_t element = uffb_dtype_bytes(e->dtype);
    int64_t widest = 3 * a->hidden;
    if (a->layers && a->feedforward != UFFB_FFN_FFF) widest = larger(widest, e->blocks[0].ffn_in.rows);
    struct {
        void **where;
        int64_t bytes;
    } parts[] = {
        {(void **)&e->x, tokens * a->hidden * (int64_t)sizeof(float)},
        {&e->input, tokens * a->hidden * element},
        {&e->added, tokens * a->hidden * element},
        {&e->wide, tokens * widest * element},
        {&e->gated, a->feedforward == UFFB_FFN_GLU ? tokens * (a->width / 2) * element : 0},
        {&e->workspace,
         a->layers && a->feedforward == UFFB_FFN_FFF ? (int64_t)uffb_cuda_fff_workspace(&e->blocks[0].fff, tokens) : 0},
    };
    int64_t total = 0;
    for (auto &part : parts) total += (part.bytes + BOUNDARY - 1) / BOUNDARY * BOUNDARY;
    cudaFree(e->memory);
    cudaFreeHost(e->host_final);
    e->memory = NULL;
    e->host_final = NULL;
    e->capacity = 0;
    char doing[112];
    snprintf(doing, sizeof doing, "device %d: allocating %lld bytes for a batch of %lld tokens", e->device, (long long)total,
             (long long)tokens);
    CUDA_TRY(cudaMalloc(&e->memory, (size_t)total), doing);
    CUDA_TRY(cudaMallocHost(&e->host_final, (size_t)(tokens * a->hidden) * sizeof(float)),
             "allocating pinned memory for states");
    int64_t used = 0;
    for (auto &part : parts) {
        *part.where = (uint8_t *)e->memory + used;
        used += (part.bytes + BOUNDARY - 1) / BOUNDARY * BOUNDARY;
    }
    e->capacity = tokens;
    return UFFB_OK;
}

int32_t uffb_cuda_reserve(uffb_cuda_encoder *e, int64_t tokens, int64_t numbers) {
    int32_t status = numbers > e->batch_capacity ? reserve_batch(e, numbers) : UFFB_OK;
    if (!status && tokens > e->capacity) status = reserve_tokens(e, tokens);
    return status;
}

/* From a ready model to weights on a device: every matrix row-major in the encoder's type, whatever the engine keeps it
 * as. The same walk over the model runs twice: first it counts bytes, then it fills the one block that was
 * allocated. */
#include "encoder.h"

#include <stdio.h>
#include <stdlib.h>

struct upload {
    uint8_t *block; /* NULL: only count */
    uint64_t used, largest;
    int32_t dtype;
    void *unpacked; /* room for the largest matrix, on the host */
    int32_t status;
};

#define BOUNDARY 256

/* A matrix as rows of a dtype, from where it is to the block; or transposed, as UFFB_COLUMNS. */
static const void *copy_weights(upload *u, int64_t rows, int64_t cols, const uffb_weights *w, int32_t dtype,
                                int32_t layout = UFFB_ROWS) {
    const uint64_t bytes = uffb_tensor_bytes(rows, cols, dtype, UFFB_ROWS), at = u->used;
    u->used += (bytes + BOUNDARY - 1) / BOUNDARY * BOUNDARY;
    if (bytes > u->largest) u->largest = bytes;
    if (!u->block) return NULL;
    const int32_t status = u->status ? UFFB_OK : w->kind->unpack(w, rows, cols, dtype, layout, u->unpacked);
    if (status) {
        u->status = uffb_cuda_fail(status, "a [%lld, %lld] matrix cannot be converted", (long long)rows, (long long)cols);
    }
    if (!u->status) {
        const cudaError_t error = cudaMemcpy(u->block + at, u->unpacked, bytes, cudaMemcpyHostToDevice);
        if (error != cudaSuccess) u->status = uffb_cuda_failed(error, "copying the model");
    }
    return u->block + at;
}

static const void *copy_rows(upload *u, int64_t rows, int64_t cols, const float *values, int32_t dtype) {
    const uffb_weights w = {&uffb_f32_rows, values, NULL, NULL};
    return copy_weights(u, rows, cols, &w, dtype);
}

static const float *copy_vector(upload *u, int64_t size, const float *values) {
    return values ? (const float *)copy_rows(u, 1, size, values, UFFB_F32) : NULL;
}

static uffb_cuda_linear copy_linear(upload *u, const uffb_linear *l) {
    const void *weight = copy_weights(u, l->rows, l->cols, &l->weights, u->dtype);
    return {l->rows, l->cols, weight, l->bias ? copy_rows(u, 1, l->rows, l->bias, u->dtype) : NULL};
}

static uffb_cuda_norm copy_norm(upload *u, const uffb_arch *a, const uffb_affine *n) {
    const float *weight = copy_vector(u, a->hidden, n->weight);
    return {weight, copy_vector(u, a->hidden, n->bias), (float)a->norm_eps};
}

static uffb_cuda_tables copy_tables(upload *u, const uffb_model *m) {
    const uffb_arch *a = &m->arch;
    const int64_t positions = a->max_length + a->position_offset;
    uffb_cuda_tables tables;
    tables.word = copy_weights(u, a->vocab, a->hidden, m->words, u->dtype);
    tables.position = (const float *)copy_weights(u, positions, a->hidden, &m->position, UFFB_F32);
    tables.type = m->type ? (const float *)copy_rows(u, a->token_types, a->hidden, m->type, UFFB_F32) : NULL;
    return tables;
}

/* Trees that the engine walks are rows there, too; shallow ones, all of whose nodes it computes, are two projections. */
static uffb_cuda_fff copy_trees(upload *u, const uffb_model *m, const uffb_layer *l) {
    const uffb_arch *a = &m->arch;
    const int64_t nodes = a->trees * m->nodes;
    uffb_cuda_fff fff = {};
    fff.hidden = a->hidden;
    fff.trees = a->trees;
    fff.depth = a->depth;
    fff.dtype = u->dtype;
    fff.activation = uffb_node_activation(a);
    const bool walks = l->fff_in.kind != NULL;
    const float *bias = walks ? l->fff_bias : l->nodes_in.bias;
    fff.in = copy_weights(u, nodes, a->hidden, walks ? &l->fff_in : &l->nodes_in.weights, u->dtype);
    fff.out = walks ? copy_weights(u, nodes, a->hidden, &l->fff_out, u->dtype)
                    : copy_weights(u, a->hidden, nodes, &l->nodes_out.weights, u->dtype, UFFB_COLUMNS);
    fff.bias = copy_vector(u, nodes, bias);
    fff.typed_bias = bias ? copy_rows(u, 1, nodes, bias, u->dtype) : NULL;
    return fff;
}

static uffb_cuda_block copy_block(upload *u, const uffb_model *m, const uffb_layer *l) {
    uffb_cuda_block b = {};
    b.norm1 = copy_norm(u, &m->arch, &l->norm1);
    b.norm2 = copy_norm(u, &m->arch, &l->norm2);
    b.qkv = copy_linear(u, &l->qkv);
    b.out = copy_linear(u, &l->out);
    b.heads = l->heads;
    b.scale = l->scale ? *l->scale : 1.0f / sqrtf((float)m->arch.head_size);
    if (m->arch.feedforward == UFFB_FFN_FFF) {
        b.fff = copy_trees(u, m, l);
    } else {
        b.ffn_in = copy_linear(u, &l->ffn_in);
        b.ffn_out = copy_linear(u, &l->ffn_out);
    }
    return b;
}

static void copy_model(upload *u, const uffb_model *m, uffb_cuda_encoder *e) {
    e->tables = copy_tables(u, m);
    e->embed_norm = copy_norm(u, &m->arch, &m->embed_norm);
    for (int64_t l = 0; l < m->arch.layers; l++) e->blocks[l] = copy_block(u, m, &m->layers[l]);
    e->final_norm = copy_norm(u, &m->arch, &m->final_norm);
}

int32_t uffb_cuda_upload(uffb_cuda_encoder *e, const uffb_model *m) {
    upload u = {};
    u.dtype = e->dtype;
    copy_model(&u, m, e);
    char doing[96];
    snprintf(doing, sizeof doing, "device %d: allocating %llu bytes for a model", e->device, (unsigned long long)u.used);
    CUDA_TRY(cudaMalloc(&e->weights, u.used), doing);

    u.block = (uint8_t *)e->weights;
    u.unpacked = malloc(u.largest);
    if (!u.unpacked) {
        u.status = uffb_cuda_fail(UFFB_NO_MEMORY, "no memory to convert a matrix of %llu bytes", (unsigned long long)u.largest);
    } else {
        u.used = 0;
        copy_model(&u, m, e);
        /* Streams that do not wait for the default one could otherwise run ahead of these copies. */
        const cudaError_t error = cudaDeviceSynchronize();
        if (!u.status && error != cudaSuccess) u.status = uffb_cuda_failed(error, "copying the model");
    }
    free(u.unpacked);
    return u.status;
}

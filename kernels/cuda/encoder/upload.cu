/* From a ready model to weights on a device: every matrix row-major in the encoder's type, wherever the engine keeps it in
 * panels or in 8 bits. The same walk over the model runs twice: first it counts bytes, then it fills the one block that was
 * allocated. */
#include "encoder.h"

#include <stdio.h>
#include <stdlib.h>

struct upload {
    uint8_t *block; /* NULL: only count */
    uint64_t used, largest;
    int32_t dtype;
    int32_t integers;          /* some weights are 8-bit or 16-bit integers */
    void *widened, *converted; /* room for the largest matrix, on the host */
    int32_t status;
};

#define BOUNDARY 256

static const void *copy_values(upload *u, int64_t rows, int64_t cols, const void *values, int32_t from, int32_t layout,
                               int32_t to) {
    const uint64_t bytes = uffb_tensor_bytes(rows, cols, to, UFFB_ROWS), at = u->used;
    const uint64_t wide = uffb_tensor_bytes(rows, cols, UFFB_F32, UFFB_ROWS);
    u->used += (bytes + BOUNDARY - 1) / BOUNDARY * BOUNDARY;
    if (wide > u->largest) u->largest = wide;
    if (!u->block) return NULL;
    const uint64_t source = uffb_tensor_bytes(rows, cols, from, layout);
    if (!u->status && uffb_tensor_convert(rows, cols, values, source, from, layout, u->converted, bytes, to, UFFB_ROWS)) {
        u->status = uffb_cuda_fail(UFFB_INVALID, "a [%lld, %lld] matrix cannot be converted", (long long)rows, (long long)cols);
    }
    if (!u->status) {
        const cudaError_t error = cudaMemcpy(u->block + at, u->converted, bytes, cudaMemcpyHostToDevice);
        if (error != cudaSuccess) u->status = uffb_cuda_failed(error, "copying the model");
    }
    return u->block + at;
}

static const void *copy_matrix(upload *u, int64_t rows, int64_t cols, const float *values, int32_t layout, int32_t dtype) {
    return copy_values(u, rows, cols, values, UFFB_F32, layout, dtype);
}

static const float *copy_vector(upload *u, int64_t size, const float *values) {
    return values ? (const float *)copy_matrix(u, 1, size, values, UFFB_ROWS, UFFB_F32) : NULL;
}

/* Panels of integers [ceil(rows/16)][ceil(cols/TOGETHER)][16][TOGETHER] to rows of what they stand for. */
template <int TOGETHER, class Q> static void widen(const uffb_linear *l, const Q *panels, float *rows) {
    const int64_t groups = (l->cols + TOGETHER - 1) / TOGETHER;
    for (int64_t r = 0; r < l->rows; r++) {
        const Q *q = panels + (r / UFFB_PANEL * groups * UFFB_PANEL + r % UFFB_PANEL) * TOGETHER;
        for (int64_t c = 0; c < l->cols; c++) {
            rows[r * l->cols + c] = (float)q[c / TOGETHER * UFFB_PANEL * TOGETHER + c % TOGETHER] * l->i8.scale[r];
        }
    }
}

static const void *copy_weights(upload *u, const uffb_linear *l) {
    if (l->weight) return copy_matrix(u, l->rows, l->cols, l->weight, UFFB_PANELS, u->dtype);
    u->integers = 1;
    if (u->block && l->i8.panels) widen<4>(l, l->i8.panels, (float *)u->widened);
    if (u->block && l->i16.panels) widen<2>(l, l->i16.panels, (float *)u->widened);
    return copy_matrix(u, l->rows, l->cols, (const float *)u->widened, UFFB_ROWS, u->dtype);
}

static uffb_cuda_linear copy_linear(upload *u, const uffb_linear *l) {
    const void *weight = copy_weights(u, l);
    return {l->rows, l->cols, weight, l->bias ? copy_matrix(u, 1, l->rows, l->bias, UFFB_ROWS, u->dtype) : NULL};
}

static uffb_cuda_norm copy_norm(upload *u, const uffb_arch *a, const uffb_affine *n) {
    const float *weight = copy_vector(u, a->hidden, n->weight);
    return {weight, copy_vector(u, a->hidden, n->bias), (float)a->norm_eps};
}

static uffb_cuda_tables copy_tables(upload *u, const uffb_model *m) {
    const uffb_arch *a = &m->arch;
    const int64_t positions = a->max_length + a->position_offset;
    uffb_cuda_tables tables;
    if (m->word) {
        tables.word = copy_matrix(u, a->vocab, a->hidden, m->word, UFFB_ROWS, u->dtype);
    } else if (m->decoder_rows && !m->decoder.weight) {
        tables.word = copy_values(u, a->vocab, a->hidden, m->decoder_rows, UFFB_F16, UFFB_ROWS, u->dtype);
    } else {
        tables.word = copy_weights(u, &m->decoder);
    }
    tables.position = (const float *)copy_matrix(u, positions, a->hidden, m->position, UFFB_ROWS, UFFB_F32);
    tables.type = m->type ? (const float *)copy_matrix(u, a->token_types, a->hidden, m->type, UFFB_ROWS, UFFB_F32) : NULL;
    return tables;
}

static uffb_cuda_fff copy_trees(upload *u, const uffb_model *m, const uffb_layer *l) {
    const uffb_arch *a = &m->arch;
    const int64_t nodes = a->trees * m->nodes;
    uffb_cuda_fff fff = {};
    fff.hidden = a->hidden;
    fff.trees = a->trees;
    fff.depth = a->depth;
    fff.dtype = u->dtype;
    fff.activation = a->activation;
    fff.in = copy_values(u, nodes, a->hidden, l->fff_in.data, l->fff_in.dtype, UFFB_ROWS, u->dtype);
    fff.bias = copy_vector(u, nodes, l->fff_bias);
    fff.out = copy_values(u, nodes, a->hidden, l->fff_out.data, l->fff_out.dtype, UFFB_ROWS, u->dtype);
    return fff;
}

static uffb_cuda_block copy_block(upload *u, const uffb_model *m, const uffb_layer *l) {
    uffb_cuda_block b = {};
    b.norm1 = copy_norm(u, &m->arch, &l->norm1);
    b.norm2 = copy_norm(u, &m->arch, &l->norm2);
    b.qkv = copy_linear(u, &l->qkv);
    b.out = copy_linear(u, &l->out);
    b.scale = l->scale ? *l->scale : 1.0f / sqrtf((float)(m->arch.hidden / m->arch.heads));
    if (l->fff_in.data) {
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
    e->walks = m->arch.layers > 0 && m->layers[0].fff_in.data != NULL;
}

int32_t uffb_cuda_upload(uffb_cuda_encoder *e, const uffb_model *m) {
    upload u = {};
    u.dtype = e->dtype;
    copy_model(&u, m, e);
    char doing[96];
    snprintf(doing, sizeof doing, "device %d: allocating %llu bytes for a model", e->device, (unsigned long long)u.used);
    CUDA_TRY(cudaMalloc(&e->weights, u.used), doing);

    u.block = (uint8_t *)e->weights;
    u.converted = malloc(u.largest);
    u.widened = u.integers ? malloc(u.largest) : NULL;
    if (!u.converted || (u.integers && !u.widened)) {
        u.status = uffb_cuda_fail(UFFB_NO_MEMORY, "no memory to convert a matrix of %llu bytes", (unsigned long long)u.largest);
    } else {
        u.used = 0;
        copy_model(&u, m, e);
        /* Streams that do not wait for the default one could otherwise run ahead of these copies. */
        const cudaError_t error = cudaDeviceSynchronize();
        if (!u.status && error != cudaSuccess) u.status = uffb_cuda_failed(error, "copying the model");
    }
    free(u.converted);
    free(u.widened);
    return u.status;
}

/* A bench's layer and inputs: making and filling them. Running contenders on them is trial.c. */
#include "layer.h"
#include "fill.h"
#include "../engine/memory.h"
#include "../ops/activate/scalar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- making ----------------------------------------------------------------------------------------------------------------
 */

static int fff(const uffb_bench_shape *s) { return s->trees > 0; }

static int64_t layer_rows(const uffb_bench_shape *s) { return fff(s) ? s->trees * (((int64_t)2 << s->depth) - 1) : s->width; }

static uffb_arch arch_of(const uffb_bench_shape *s) {
    return (uffb_arch){.layers = 1,
                       .hidden = s->hidden,
                       .heads = 1,
                       .vocab = 1,
                       .max_length = 1,
                       .width = fff(s) ? 0 : s->width,
                       .trees = s->trees,
                       .depth = s->depth,
                       .feedforward = fff(s) ? UFFB_FFN_FFF : UFFB_FFN_DENSE,
                       .activation = s->activation};
}

/* The engine's own checks of the shape. */
static int32_t check_shape(const uffb_bench_shape *s) {
    if (!s) return uffb_fail(UFFB_INVALID, "no shape");
    if (s->batch < 1 || s->batch > 1 << 24)
        return uffb_fail(UFFB_INVALID, "batch is %lld, but must be 1 to 16777216", (long long)s->batch);
    if (s->threads < 0 || s->threads > 1024) return uffb_fail(UFFB_INVALID, "threads is %d, but must be 0 to 1024", s->threads);
    if (!fff(s) && s->width < 1) return uffb_fail(UFFB_INVALID, "width is %lld, but must be 1 or more", (long long)s->width);
    if (s->inputs < s->batch || s->inputs > 1 << 24)
        return uffb_fail(UFFB_INVALID, "inputs is %lld, but must be batch to 16777216", (long long)s->inputs);
    if (s->copies < 1 || s->copies > 1 << 24)
        return uffb_fail(UFFB_INVALID, "copies is %lld, but must be 1 to 16777216", (long long)s->copies);
    if (s->evict < 0 || s->evict > (int64_t)1 << 40)
        return uffb_fail(UFFB_INVALID, "evict is %lld, but must be 0 to 2^40", (long long)s->evict);
    if (s->trees < 0) return uffb_fail(UFFB_INVALID, "trees is negative");
    const uffb_arch arch = arch_of(s);
    if (s->dtype != UFFB_F32 && !(uffb_fff_walks(&arch) && uffb_kind_for(UFFB_FOR_TREES, s->dtype)->dtype == s->dtype))
        return uffb_fail(UFFB_INVALID, "dtype %d is not for this layer; it must be f32, or bf16 for trees that are walked",
                         s->dtype);
    uffb_model *model;
    int32_t status = uffb_model_new(&arch, &model);
    if (!status) uffb_model_free(model);
    return status;
}

uint64_t uffb_bench_bytes(const uffb_bench_shape *s) {
    if (check_shape(s)) return 0;
    const uffb_arch arch = arch_of(s);
    const double weights = (double)layer_rows(s) * (double)s->hidden, panels = uffb_fff_walks(&arch) ? 0 : 2 * weights;
    const double narrow = s->dtype == UFFB_F32 ? 0 : weights;
    const double batch = (double)s->batch, hidden = (double)s->hidden, block = batch < 1024 ? batch : 1024;
    const double path = fff(s) ? (double)s->trees * ((double)s->depth + 1) : 0;
    const double threads = s->threads ? s->threads : uffb_cpu_count();
    /* Of FFF, Level 3 takes the most: x and y again. The other terms are paths, by token and by thread. */
    const double scratch = fff(s) ? batch * (2 * hidden + 10 + 2 * path) + threads * path * (hidden + 512)
                                  : (block + threads) * (double)layer_rows(s);
    const double floats = (double)s->copies * (2 * weights + panels + narrow) + (double)s->evict / 4 + scratch +
                          2 * (double)s->inputs * hidden + batch * (2 * hidden + (double)uffb_wide(&arch));
    return floats * 4 < 9e18 ? (uint64_t)(floats * 4) : UINT64_MAX;
}

static float *floats(int64_t n) { return uffb_allocate((uint64_t)n * sizeof(float)); }

int32_t uffb_bench_new(const uffb_bench_shape *shape, uffb_bench **bench) {
    if (!bench) return uffb_fail(UFFB_INVALID, "uffb_bench_new: nowhere to put the bench");
    *bench = NULL;
    int32_t status = check_shape(shape);
    if (status) return status;
    uffb_bench *b = uffb_bench_bytes(shape) <= INT64_MAX ? calloc(1, sizeof *b) : NULL;
    if (!b) return uffb_fail(UFFB_NO_MEMORY, "no memory for a bench");
    b->shape = *shape;
    if (!b->shape.threads) b->shape.threads = uffb_cpu_count();
    b->rows = layer_rows(shape);
    b->nodes = fff(shape) ? ((int64_t)2 << shape->depth) - 1 : shape->width;
    b->model.arch = arch_of(shape);
    b->model.nodes = fff(shape) ? b->nodes : 0;
    b->model.layers = &b->layer;
    b->model.ready = 1;
    b->in = b->in_copies = floats(shape->copies * b->rows * shape->hidden);
    b->out = b->out_copies = floats(shape->copies * b->rows * shape->hidden);
    if (shape->dtype != UFFB_F32) {
        b->narrow_in = uffb_allocate((uint64_t)(shape->copies * b->rows * shape->hidden) * sizeof *b->narrow_in);
        b->narrow_out = uffb_allocate((uint64_t)(shape->copies * b->rows * shape->hidden) * sizeof *b->narrow_out);
    }
    b->bias = floats(b->rows);
    b->x = b->x_rows = floats(shape->inputs * shape->hidden);
    b->y = b->y_rows = floats(shape->inputs * shape->hidden);
    b->elsewhere = shape->evict ? floats(shape->evict / (int64_t)sizeof(float)) : NULL;
    b->team = uffb_team_new(b->shape.threads);
    const int narrow = shape->dtype == UFFB_F32 || (b->narrow_in && b->narrow_out);
    if (!b->in || !b->out || !narrow || !b->bias || !b->x || !b->y || !b->team || (shape->evict && !b->elsewhere)) {
        uffb_bench_free(b);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a layer of %lld rows and a batch of %lld", (long long)layer_rows(shape),
                         (long long)shape->batch);
    }
    /* Pages that were never written are all the same one. */
    if (b->elsewhere) memset(b->elsewhere, 1, (size_t)shape->evict);
    status = uffb_bench_fill(b, UFFB_FILL_UNIFORM, 1);
    if (status) {
        uffb_bench_free(b);
        return status;
    }
    *bench = b;
    return UFFB_OK;
}

void uffb_bench_free(uffb_bench *b) {
    if (!b) return;
    uffb_context_free(b->context);
    uffb_team_free(b->team);
    free(b->in_copies);
    free(b->out_copies);
    free(b->narrow_in);
    free(b->narrow_out);
    free(b->bias);
    free(b->x_rows);
    free(b->y_rows);
    free(b->elsewhere);
    free(b->want);
    free(b->in_panels);
    free(b->out_panels);
    free(b->scratch);
    free(b);
}

float *uffb_bench_scratch(uffb_bench *b, int64_t size) {
    if (size < 1) size = 1;
    if (size > b->scratch_size) {
        free(b->scratch);
        b->scratch_size = 0;
        b->scratch = floats(size);
        if (!b->scratch) {
            uffb_fail(UFFB_NO_MEMORY, "no memory for %lld floats of scratch", (long long)size);
            return NULL;
        }
        b->scratch_size = size;
    }
    return b->scratch;
}

float uffb_bench_activate(const uffb_bench *b, float x) { return activate(b->shape.activation, x); }

/* --- filling ---------------------------------------------------------------------------------------------------------------
 */

int64_t uffb_panel_floats(int64_t rows, int64_t cols) {
    return (int64_t)(uffb_tensor_bytes(rows, cols, UFFB_F32, UFFB_PANELS) / sizeof(float));
}

static int32_t repack(int64_t rows, int64_t cols, const float *source, int32_t layout, int64_t copies, float **panels) {
    const int64_t n = uffb_panel_floats(rows, cols);
    if (!*panels) *panels = floats(copies * n);
    if (!*panels) return uffb_fail(UFFB_NO_MEMORY, "no memory for the panels of %lld rows", (long long)rows);
    int32_t status = uffb_tensor_convert(rows, cols, source, (uint64_t)(rows * cols) * sizeof(float), UFFB_F32, layout, *panels,
                                         (uint64_t)n * sizeof(float), UFFB_F32, UFFB_PANELS);
    for (int64_t i = 1; i < copies; i++) memcpy(*panels + i * n, *panels, (size_t)n * sizeof **panels);
    return status;
}

/* Rounds the first copy of a matrix to the bench's dtype, in place, and makes copies in that dtype. */
static int32_t narrow(const uffb_bench *b, float *wide, uint16_t *copies) {
    const int64_t h = b->shape.hidden, n = b->rows * h;
    const uint64_t wide_bytes = (uint64_t)n * sizeof *wide, bytes = (uint64_t)n * sizeof *copies;
    if (b->shape.dtype == UFFB_F32) return UFFB_OK;
    int32_t status =
        uffb_tensor_convert(b->rows, h, wide, wide_bytes, UFFB_F32, UFFB_ROWS, copies, bytes, b->shape.dtype, UFFB_ROWS);
    if (!status)
        status =
            uffb_tensor_convert(b->rows, h, copies, bytes, b->shape.dtype, UFFB_ROWS, wide, wide_bytes, UFFB_F32, UFFB_ROWS);
    for (int64_t i = 1; i < b->shape.copies; i++) memcpy(copies + i * n, copies, bytes);
    return status;
}

/* Makes the copies of the first one, and gives our own kernels the same weights in their layout. */
static int32_t share_weights(uffb_bench *b) {
    const int64_t h = b->shape.hidden, n = b->rows * h;
    b->wanted = 0;
    int32_t status = narrow(b, b->in_copies, b->narrow_in);
    if (!status) status = narrow(b, b->out_copies, b->narrow_out);
    if (status) return status;
    for (int64_t i = 1; i < b->shape.copies; i++) {
        memcpy(b->in_copies + i * n, b->in_copies, (size_t)n * sizeof *b->in);
        memcpy(b->out_copies + i * n, b->out_copies, (size_t)n * sizeof *b->out);
    }
    b->layer.fff_bias = b->bias;
    b->layer.fff_in.kind = b->layer.fff_out.kind = uffb_kind_for(UFFB_FOR_TREES, b->shape.dtype);
    b->layer.ffn_in = (uffb_linear){.rows = b->rows, .cols = h, .weights = {.kind = &uffb_f32_panels}, .bias = b->bias};
    b->layer.ffn_out = (uffb_linear){.rows = h, .cols = b->rows, .weights = {.kind = &uffb_f32_panels}};
    b->layer.nodes_in = b->layer.ffn_in;
    b->layer.nodes_out = b->layer.ffn_out;
    if (uffb_fff_walks(&b->model.arch)) return UFFB_OK;
    status = repack(b->rows, h, b->in_copies, UFFB_ROWS, b->shape.copies, &b->in_panels);
    return status ? status : repack(h, b->rows, b->out_copies, UFFB_COLUMNS, b->shape.copies, &b->out_panels);
}

int32_t uffb_bench_fill(uffb_bench *b, int32_t fill, uint64_t seed) {
    if (!b || fill < UFFB_FILL_UNIFORM || fill > UFFB_FILL_ZERO)
        return uffb_fail(UFFB_INVALID, "uffb_bench_fill: no bench or no such fill");
    const int64_t h = b->shape.hidden;
    uffb_fill_layer(fill, seed, b->rows, h, b->shape.inputs, b->in_copies, b->out_copies, b->x_rows, b->bias);
    memset(b->y_rows, 0, (size_t)(b->shape.inputs * h) * sizeof *b->y);
    return share_weights(b);
}

int32_t uffb_bench_fill_from(uffb_bench *b, const uffb_model *model, int64_t layer, int64_t tokens, const float *input) {
    if (!b || !model || !input || tokens < 1) return uffb_fail(UFFB_INVALID, "uffb_bench_fill_from: no bench, model or input");
    const uffb_arch *a = &model->arch;
    if (!model->ready || layer < 0 || layer >= a->layers || a->hidden != b->shape.hidden || a->feedforward != UFFB_FFN_FFF ||
        a->trees != b->shape.trees || a->depth != b->shape.depth || uffb_node_activation(a) != b->shape.activation) {
        return uffb_fail(UFFB_INVALID, "the model has no layer %lld of this shape", (long long)layer);
    }
    if (uffb_activates_sum(a))
        return uffb_fail(UFFB_UNSUPPORTED, "trees whose sum is activated are not measured as a layer; measure the whole model");
    const uffb_layer *l = &model->layers[layer];
    const int64_t h = a->hidden;
    const float *bias = l->fff_bias ? l->fff_bias : l->nodes_in.bias;
    const int walks = uffb_fff_walks(a);
    const uffb_weights *in = walks ? &l->fff_in : &l->nodes_in.weights, *out = walks ? &l->fff_out : &l->nodes_out.weights;
    if (uffb_is_quantised(in) || uffb_is_quantised(out))
        return uffb_fail(UFFB_UNSUPPORTED, "layer %lld is in integers; give the model in f32", (long long)layer);
    int32_t status = in->kind->unpack(in, b->rows, h, UFFB_F32, UFFB_ROWS, b->in_copies);
    if (!status && walks) status = out->kind->unpack(out, b->rows, h, UFFB_F32, UFFB_ROWS, b->out_copies);
    if (!status && !walks) status = out->kind->unpack(out, h, b->rows, UFFB_F32, UFFB_COLUMNS, b->out_copies);
    if (status) return status;
    for (int64_t i = 0; i < b->rows; i++) b->bias[i] = bias ? bias[i] : 0.0f;
    for (int64_t t = 0; t < b->shape.inputs; t++) memcpy(b->x_rows + t * h, input + t % tokens * h, (size_t)h * sizeof *b->x);
    memset(b->y_rows, 0, (size_t)(b->shape.inputs * h) * sizeof *b->y);
    return share_weights(b);
}

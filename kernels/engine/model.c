/* The model: a checked architecture and a table of the tensors it wants. */
#include "model.h"
#include "error.h"
#include "mapped.h"
#include "memory.h"
#include "../ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct uffb_slot {
    uffb_tensor_info info;
    const float **data;    /* where f32 goes; */
    uffb_weights *weights; /* or a matrix of any kind for `purpose` */
    int32_t purpose;       /* UFFB_FOR_... */
    void *owned, *derived;
} slot;

int uffb_fff_walks(const uffb_arch *arch) { return arch->feedforward == UFFB_FFN_FFF && arch->depth > 3; }

int uffb_fff_shallow(const uffb_arch *arch) { return arch->feedforward == UFFB_FFN_FFF && !uffb_fff_walks(arch); }

/* --- what can be ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    int64_t value, low, high;
} bound;

static int is_gated(const uffb_arch *a) { return a->feedforward == UFFB_FFN_GLU || a->feedforward == UFFB_FFN_GLU_FIRST; }

static int64_t head_size_of(const uffb_arch *a) { return a->head_size ? a->head_size : a->hidden / a->heads; }

static int32_t check_heads(const uffb_arch *a) {
    if (!a->head_size && a->hidden % a->heads)
        return uffb_fail(UFFB_INVALID, "hidden (%lld) is not a multiple of heads (%lld)", (long long)a->hidden,
                         (long long)a->heads);
    if (a->head_size > a->hidden / a->heads)
        return uffb_fail(UFFB_INVALID, "heads (%lld) of head_size %lld are more than hidden, %lld", (long long)a->heads,
                         (long long)a->head_size, (long long)a->hidden);
    if (!a->layer_heads) return UFFB_OK;
    if (a->distinct_layers || a->relative_buckets)
        return uffb_fail(UFFB_INVALID, "layer_heads must be NULL with distinct_layers or relative_buckets");
    for (int64_t l = 0; l < a->layers; l++) {
        if (a->layer_heads[l] < 1 || a->layer_heads[l] > a->heads)
            return uffb_fail(UFFB_INVALID, "layer_heads of layer %lld is %d, but must be 1 to %lld", (long long)l,
                             a->layer_heads[l], (long long)a->heads);
    }
    return UFFB_OK;
}

static int32_t check_arch(const uffb_arch *a) {
    const int fff = a->feedforward == UFFB_FFN_FFF, classifies = (a->heads_present & (UFFB_HEAD_CLASS | UFFB_HEAD_TOKENS)) != 0;
    const int64_t most = 1 << 24;
    const bound bounds[] = {
        {"feedforward", a->feedforward, UFFB_FFN_DENSE, UFFB_FFN_GLU_FIRST},
        {"layers", a->layers, 0, 4096},
        {"hidden", a->hidden, 1, 1 << 20},
        {"heads", a->heads, 1, a->hidden},
        {"head_size", a->head_size, 0, a->hidden},
        {"vocab", a->vocab, 1, most},
        {"max_length", a->max_length, 1, 1 << 20},
        {"position_offset", a->position_offset, 0, 1 << 20},
        {"token_types", a->token_types, 0, 1 << 20},
        {"width", a->width, is_gated(a), most},
        {"trees", a->trees, fff, most},
        {"depth", a->depth, 0, UFFB_MAX_DEPTH},
        {"pool_width", a->pool_width, 0, most},
        {"labels", a->labels, classifies, most},
        {"norm_position", a->norm_position, UFFB_PRE_NORM, UFFB_POST_NORM},
        {"positions", a->positions, UFFB_SINUSOIDAL, UFFB_ROTARY},
        {"activation", a->activation, 0, UFFB_ACTIVATION_COUNT - 1},
        {"pool_activation", a->pool_activation, 0, UFFB_ACTIVATION_COUNT - 1},
        {"pooling", a->pooling, UFFB_POOL_FIRST, UFFB_POOL_LSE},
        {"heads_present", a->heads_present, 0, UFFB_HEAD_MLM | UFFB_HEAD_CLASS | UFFB_HEAD_TOKENS},
        {"embed_norm", a->embed_norm, 0, 1},
        {"final_norm", a->final_norm, 0, 1},
        {"mlm_transform", a->mlm_transform, 0, 1},
        {"tied", a->tied, 0, 1},
        {"tree_output", a->tree_output, 0, fff ? UFFB_TREES_ACTIVATE_SUM : 0},
        {"embed_width", a->embed_width, 0, 1 << 20},
        {"distinct_layers", a->distinct_layers, 0, a->layers},
        {"relative_buckets", a->relative_buckets, 0, 1 << 16},
        {"window", a->window, 0, 1 << 20},
        {"global_every", a->global_every, 0, 4096},
        {"qkv_order", a->qkv_order, UFFB_QKV_BY_HEAD, UFFB_QKV_BY_PART},
        {"first_unnormed", a->first_unnormed, 0, a->norm_position == UFFB_PRE_NORM},
        {"pool_norm", a->pool_norm, 0, 1},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const bound *b = &bounds[i];
        if (b->value < b->low || b->value > b->high) {
            return uffb_fail(UFFB_INVALID, "%s is %lld, but must be %lld to %lld", b->name, (long long)b->value,
                             (long long)b->low, (long long)b->high);
        }
    }
    const int32_t status = check_heads(a);
    if (status) return status;
    if (is_gated(a) && a->width % 2) {
        return uffb_fail(UFFB_INVALID, "width is %lld, but a gated layer needs an even one", (long long)a->width);
    }
    if (fff && a->trees > INT32_MAX / (((int64_t)2 << a->depth) - 1)) {
        return uffb_fail(UFFB_INVALID, "%lld trees of depth %lld have too many nodes", (long long)a->trees,
                         (long long)a->depth);
    }
    if (!(a->norm_eps >= 0 && a->norm_eps <= 1)) return uffb_fail(UFFB_INVALID, "norm_eps must be 0 to 1");
    if (a->distinct_layers && a->layers % a->distinct_layers) {
        return uffb_fail(UFFB_INVALID, "layers (%lld) is not a multiple of distinct_layers (%lld)", (long long)a->layers,
                         (long long)a->distinct_layers);
    }
    if (a->relative_buckets % 4 || (a->relative_buckets && a->window))
        return uffb_fail(UFFB_INVALID, "relative_buckets must be a multiple of 4, and 0 with a window");
    if (a->positions == UFFB_ROTARY) {
        if (head_size_of(a) % 2) return uffb_fail(UFFB_INVALID, "rotary positions need heads of an even size");
        const double most = 1e300;
        if (!(a->rotary_base > 0 && a->rotary_base < most) ||
            (a->window && !(a->rotary_base_local > 0 && a->rotary_base_local < most)))
            return uffb_fail(UFFB_INVALID, "rotary positions need bases above 0");
    }
    if (a->embed_width && (a->heads_present & UFFB_HEAD_MLM) && !a->mlm_transform)
        return uffb_fail(UFFB_INVALID, "a decoder of embed_width needs mlm_transform");
    return UFFB_OK;
}

/* --- what there is -------------------------------------------------------------------------------------------------------- */

enum { REQUIRED = 1 };

/* One more tensor, named by `format` with the layer's number where it asks for one. The first pass only
 * counts. */
static void add(uffb_model *m, slot *table, int64_t layer, const char *format, int64_t rows, int64_t cols, int32_t layout,
                int32_t required, const float **data) {
    if (table) {
        slot *s = &table[m->slots];
        if (strchr(format, '%')) {
            char prefix[20];
            snprintf(prefix, sizeof prefix, "layer.%d", (int)layer);
            snprintf(s->info.name, sizeof s->info.name, "%s%s", prefix, format + 1);
        } else {
            snprintf(s->info.name, sizeof s->info.name, "%s", format);
        }
        s->info.rows = rows;
        s->info.cols = cols;
        s->info.layout = layout;
        s->info.required = required;
        s->data = data;
    }
    m->slots++;
}

static void add_vector(uffb_model *m, slot *table, int64_t layer, const char *format, int64_t size, int32_t required,
                       const float **data) {
    add(m, table, layer, format, 1, size, UFFB_ROWS, required, data);
}

static void add_weights(uffb_model *m, slot *table, int64_t layer, const char *format, int64_t rows, int64_t cols,
                        int32_t required, int32_t purpose, uffb_weights *weights) {
    add(m, table, layer, format, rows, cols, uffb_kind_for(purpose, -1)->layout, required, NULL);
    if (!table) return;
    table[m->slots - 1].weights = weights;
    table[m->slots - 1].purpose = purpose;
}

/* A matrix that can be given as integers, and their scales. */
static void add_matrix(uffb_model *m, slot *table, int64_t layer, const char *format, int64_t rows, int64_t cols,
                       int32_t purpose, uffb_weights *weights) {
    char scale[40];
    add_weights(m, table, layer, format, rows, cols, REQUIRED, purpose, weights);
    snprintf(scale, sizeof scale, "%s.scale", format);
    add_vector(m, table, layer, scale, rows, !REQUIRED, &weights->scale);
}

static void add_linear(uffb_model *m, slot *table, int64_t layer, const char *weight, const char *bias, int64_t rows,
                       int64_t cols, uffb_linear *linear) {
    linear->rows = rows;
    linear->cols = cols;
    add_matrix(m, table, layer, weight, rows, cols, UFFB_FOR_PRODUCTS, &linear->weights);
    if (bias) add_vector(m, table, layer, bias, rows, !REQUIRED, &linear->bias);
}

static void add_decoder(uffb_model *m, slot *table, const char *weight) {
    char rows[40];
    add_linear(m, table, 0, weight, NULL, m->arch.vocab, m->embed_width, &m->decoder);
    snprintf(rows, sizeof rows, "%s.rows", weight);
    add_weights(m, table, 0, rows, m->arch.vocab, m->embed_width, !REQUIRED, UFFB_FOR_EXACT, &m->decoder_rows);
}

static void add_nodes(uffb_model *m, slot *table, int64_t layer, const char *format, uffb_weights *nodes) {
    add_weights(m, table, layer, format, m->arch.trees * m->nodes, m->arch.hidden, REQUIRED, UFFB_FOR_TREES, nodes);
}

static void add_norm(uffb_model *m, slot *table, int64_t layer, const char *weight, const char *bias, int64_t size,
                     uffb_affine *norm) {
    add_vector(m, table, layer, weight, size, REQUIRED, &norm->weight);
    add_vector(m, table, layer, bias, size, !REQUIRED, &norm->bias);
}

static void add_feedforward(uffb_model *m, slot *table, int64_t l, uffb_layer *layer) {
    const uffb_arch *a = &m->arch;
    const int64_t nodes = a->trees * m->nodes;
    if (a->width) {
        const int64_t inner = is_gated(a) ? a->width / 2 : a->width;
        add_linear(m, table, l, "%.ffn.in.weight", "%.ffn.in.bias", a->width, a->hidden, &layer->ffn_in);
        add_linear(m, table, l, "%.ffn.out.weight", "%.ffn.out.bias", a->hidden, inner, &layer->ffn_out);
    }
    if (uffb_fff_walks(a)) {
        add_nodes(m, table, l, "%.fff.in.weight", &layer->fff_in);
        add_vector(m, table, l, "%.fff.in.bias", nodes, !REQUIRED, &layer->fff_bias);
        add_nodes(m, table, l, "%.fff.out.weight", &layer->fff_out);
    } else if (uffb_fff_shallow(a)) {
        add_linear(m, table, l, "%.fff.in.weight", "%.fff.in.bias", nodes, a->hidden, &layer->nodes_in);
        add_linear(m, table, l, "%.fff.out.weight", NULL, a->hidden, nodes, &layer->nodes_out);
    }
}

static void add_tensors(uffb_model *m, slot *table) {
    const uffb_arch *a = &m->arch;
    const int64_t h = a->hidden, e = m->embed_width, distinct = a->distinct_layers ? a->distinct_layers : a->layers;
    m->slots = 0;
    if (a->tied) {
        add_decoder(m, table, "embed.word");
    } else {
        add_matrix(m, table, 0, "embed.word", a->vocab, e, UFFB_FOR_ROWS, &m->word);
    }
    if (a->positions == UFFB_LEARNED) {
        add_matrix(m, table, 0, "embed.position", a->max_length + a->position_offset, e, UFFB_FOR_ROWS, &m->position);
    } else if (a->positions == UFFB_SINUSOIDAL) {
        add_vector(m, table, 0, "embed.position.scale", 1, !REQUIRED, &m->position_scale);
    }
    if (a->token_types) add(m, table, 0, "embed.type", a->token_types, e, UFFB_ROWS, REQUIRED, &m->type);
    if (a->embed_norm) add_norm(m, table, 0, "embed.norm.weight", "embed.norm.bias", e, &m->embed_norm);
    if (a->embed_width) add_linear(m, table, 0, "embed.project.weight", "embed.project.bias", h, e, &m->embed_project);
    if (a->relative_buckets)
        add(m, table, 0, "attn.relative", a->relative_buckets, a->heads, UFFB_ROWS, REQUIRED, &m->relative);
    for (int64_t l = 0; l < distinct; l++) {
        uffb_layer *layer = &m->layers[l];
        if (l > 0 || !a->first_unnormed) add_norm(m, table, l, "%.norm1.weight", "%.norm1.bias", h, &layer->norm1);
        layer->heads = a->layer_heads ? a->layer_heads[l] : a->heads;
        const int64_t attended = layer->heads * a->head_size;
        add_linear(m, table, l, "%.attn.qkv.weight", "%.attn.qkv.bias", 3 * attended, h, &layer->qkv);
        if (!a->relative_buckets) add_vector(m, table, l, "%.attn.scale", 1, !REQUIRED, &layer->scale);
        add_linear(m, table, l, "%.attn.out.weight", "%.attn.out.bias", h, attended, &layer->out);
        if (uffb_has_feedforward(a)) add_norm(m, table, l, "%.norm2.weight", "%.norm2.bias", h, &layer->norm2);
        add_feedforward(m, table, l, layer);
    }
    if (a->final_norm) add_norm(m, table, 0, "final_norm.weight", "final_norm.bias", h, &m->final_norm);
    if (a->heads_present & UFFB_HEAD_MLM) {
        if (a->mlm_transform) {
            add_linear(m, table, 0, "head.mlm.dense.weight", "head.mlm.dense.bias", e, h, &m->mlm_dense);
            add_norm(m, table, 0, "head.mlm.norm.weight", "head.mlm.norm.bias", e, &m->mlm_norm);
        }
        if (!a->tied) add_decoder(m, table, "head.mlm.decoder.weight");
        add_vector(m, table, 0, "head.mlm.decoder.bias", a->vocab, !REQUIRED, &m->decoder.bias);
    }
    if (a->heads_present & UFFB_HEAD_CLASS) {
        const int64_t pooled = a->pool_width ? a->pool_width : h;
        if (a->pool_width) add_linear(m, table, 0, "head.pool.dense.weight", "head.pool.dense.bias", pooled, h, &m->pool_dense);
        if (a->pool_norm) add_norm(m, table, 0, "head.pool.norm.weight", "head.pool.norm.bias", pooled, &m->pool_norm);
        add_linear(m, table, 0, "head.class.weight", "head.class.bias", a->labels, pooled, &m->classes);
    }
    if (a->heads_present & UFFB_HEAD_TOKENS)
        add_linear(m, table, 0, "head.token.weight", "head.token.bias", a->labels, h, &m->token_classes);
}

/* Whether there was memory for it. */
static int copy_layer_heads(uffb_model *m) {
    if (!m->arch.layer_heads) return 1;
    const size_t count = (size_t)m->arch.layers;
    m->layer_heads = malloc((count + 1) * sizeof *m->layer_heads);
    if (m->layer_heads) memcpy(m->layer_heads, m->arch.layer_heads, count * sizeof *m->layer_heads);
    m->arch.layer_heads = m->layer_heads;
    return m->layer_heads != NULL;
}

int32_t uffb_model_new(const uffb_arch *arch, uffb_model **model) {
    if (!arch || !model) return uffb_fail(UFFB_INVALID, "uffb_model_new: no arch or nowhere to put the model");
    *model = NULL;
    int32_t status = check_arch(arch);
    if (status) return status;
    uffb_model *m = calloc(1, sizeof *m);
    if (!m) return uffb_fail(UFFB_NO_MEMORY, "no memory for a model");
    m->layout = UFFB_MODEL_LAYOUT;
    m->lost_before = uffb_lost_pages();
    m->arch = *arch;
    m->arch.head_size = head_size_of(arch);
    m->embed_width = arch->embed_width ? arch->embed_width : arch->hidden;
    m->nodes = arch->feedforward == UFFB_FFN_FFF ? ((int64_t)2 << arch->depth) - 1 : 0;
    m->layers = calloc((size_t)arch->layers + 1, sizeof *m->layers);
    if (m->layers && copy_layer_heads(m)) {
        add_tensors(m, NULL);
        m->slot = calloc((size_t)m->slots, sizeof *m->slot);
    }
    if (!m->slot) {
        uffb_model_free(m);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a model of %lld layers", (long long)arch->layers);
    }
    add_tensors(m, m->slot);
    for (int64_t i = 0; i < m->slots; i++) {
        const uffb_tensor_info *info = &m->slot[i].info;
        if (!uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, info->layout)) {
            status = uffb_fail(UFFB_INVALID, "%s would be too large: [%lld, %lld]", info->name, (long long)info->rows,
                               (long long)info->cols);
            uffb_model_free(m);
            return status;
        }
    }
    *model = m;
    return UFFB_OK;
}

void uffb_model_free(uffb_model *m) {
    if (!m) return;
    for (int64_t i = 0; m->slot && i < m->slots; i++) {
        free(m->slot[i].owned);
        free(m->slot[i].derived);
    }
    free(m->slot);
    free(m->layers);
    free(m->layer_heads);
    free(m->sinusoids);
    free(m->rotary[0]);
    free(m->rotary[1]);
    free(m->distances);
    free(m);
}

static int is_present(const slot *s) { return s->weights ? s->weights->kind != NULL : *s->data != NULL; }

int64_t uffb_model_tensor_count(const uffb_model *m) { return m ? m->slots : 0; }

int32_t uffb_model_tensor_info(const uffb_model *m, int64_t index, uffb_tensor_info *info) {
    if (!m || !info || index < 0 || index >= m->slots) return uffb_fail(UFFB_INVALID, "uffb_model_tensor_info: no such tensor");
    *info = m->slot[index].info;
    info->present = is_present(&m->slot[index]);
    return UFFB_OK;
}

static slot *find(uffb_model *m, const char *name) {
    for (int64_t i = 0; i < m->slots; i++) {
        if (!strcmp(m->slot[i].info.name, name)) return &m->slot[i];
    }
    return NULL;
}

static void put(slot *s, const uffb_kind *kind, const void *data) {
    if (s->weights) {
        s->weights->kind = kind;
        s->weights->data = data;
        s->weights->sum = NULL;
    } else {
        *s->data = data;
    }
}

static int32_t derive(slot *s) {
    const uffb_tensor_info *info = &s->info;
    const uint64_t bytes = s->weights->kind->derived_bytes(info->rows, info->cols);
    if (!bytes) {
        put(s, NULL, NULL);
        return uffb_fail(UFFB_INVALID, "%s has too many columns, %lld, for integers of this width", info->name,
                         (long long)info->cols);
    }
    s->derived = uffb_allocate(bytes);
    if (!s->derived) {
        put(s, NULL, NULL);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for the sums of %s", info->name);
    }
    s->weights->kind->derive(s->weights, info->rows, info->cols, s->derived);
    return UFFB_OK;
}

int32_t uffb_model_tensor_set(uffb_model *m, const char *name, const void *data, uint64_t bytes, int32_t dtype,
                              int32_t layout) {
    if (!m || !name || !data) return uffb_fail(UFFB_INVALID, "uffb_model_tensor_set: no model, name or data");
    if (m->ready) return uffb_fail(UFFB_INVALID, "%.64s: the model is ready and takes no more tensors", name);
    slot *s = find(m, name);
    if (!s) return uffb_fail(UFFB_INVALID, "%.64s: this model has no such tensor", name);
    const uffb_tensor_info *info = &s->info;
    uint64_t want = uffb_tensor_bytes(info->rows, info->cols, dtype, layout);
    if (!want) return uffb_fail(UFFB_INVALID, "%s: unknown dtype %d or layout %d", info->name, dtype, layout);
    if (want != bytes) {
        return uffb_fail(UFFB_INVALID, "%s: [%lld, %lld] needs %llu bytes, not %llu", info->name, (long long)info->rows,
                         (long long)info->cols, (unsigned long long)want, (unsigned long long)bytes);
    }
    const uffb_kind *kind = s->weights ? uffb_kind_for(s->purpose, dtype) : NULL, *integers = uffb_integer_kind(dtype, layout);
    if (integers && kind != integers) return uffb_fail(UFFB_INVALID, "%s cannot be given as such integers", info->name);
    put(s, NULL, NULL);
    free(s->owned);
    free(s->derived);
    s->owned = s->derived = NULL;
    const int32_t wanted = kind ? kind->dtype : UFFB_F32, wanted_layout = kind ? kind->layout : info->layout;
    const int same = dtype == wanted && layout == wanted_layout;
    if (dtype == UFFB_F64 || (wanted == UFFB_F16 && dtype != wanted)) {
        const double value = uffb_out_of_range(bytes, data, dtype, wanted);
        if (value != 0) {
            return uffb_fail(UFFB_INVALID, "%s: a weight of %g is out of the range of %s", info->name, value,
                             wanted == UFFB_F16 ? "f16" : "f32");
        }
    }
    if (!same || (uintptr_t)data % (uintptr_t)(kind ? kind->boundary : 4)) {
        const uint64_t size = uffb_tensor_bytes(info->rows, info->cols, wanted, wanted_layout);
        s->owned = uffb_allocate(size);
        if (!s->owned) return uffb_fail(UFFB_NO_MEMORY, "no memory for %s: %llu bytes", info->name, (unsigned long long)size);
        if (same) {
            memcpy(s->owned, data, size);
        } else {
            const int32_t status =
                uffb_tensor_convert(info->rows, info->cols, data, bytes, dtype, layout, s->owned, size, wanted, wanted_layout);
            if (status) return status;
        }
    }
    put(s, kind, s->owned ? s->owned : data);
    return kind && kind->derive ? derive(s) : UFFB_OK;
}

void uffb_model_tensor_move(uffb_model *m, const char *name, const void *data) { find(m, name)->weights->data = data; }

/* The table of "Attention is all you need", section 3.5. */
void uffb_sinusoids(int64_t positions, int64_t hidden, float *table) {
    for (int64_t i = 0; i < hidden; i += 2) {
        const double frequency = exp(-(double)i * log(10000.0) / (double)hidden);
        for (int64_t p = 0; p < positions; p++) {
            table[p * hidden + i] = (float)sin((double)p * frequency);
            if (i + 1 < hidden) table[p * hidden + i + 1] = (float)cos((double)p * frequency);
        }
    }
}

static int32_t make_sinusoids(uffb_model *m) {
    const int64_t positions = m->arch.max_length + m->arch.position_offset, size = positions * m->embed_width;
    m->sinusoids = malloc((size_t)size * sizeof *m->sinusoids);
    if (!m->sinusoids) return uffb_fail(UFFB_NO_MEMORY, "no memory for %lld positions", (long long)positions);
    uffb_sinusoids(positions, m->embed_width, m->sinusoids);
    if (m->position_scale) {
        for (int64_t i = 0; i < size; i++) m->sinusoids[i] *= *m->position_scale;
    }
    m->position = (uffb_weights){.kind = &uffb_f32_rows, .data = m->sinusoids};
    return UFFB_OK;
}

/* Cosines and sines of RoFormer (arXiv 2104.09864, section 3.2.2), [max_length, head size]. Frequencies and angles are rounded
 * to f32 where `transformers` has them in f32, or far positions would differ from its. */
static float *make_rotary(const uffb_model *m, double base) {
    const int64_t positions = m->arch.max_length, size = m->arch.head_size, half = size / 2;
    float *table = malloc((size_t)(positions * size) * sizeof *table);
    for (int64_t i = 0; table && i < half; i++) {
        const float frequency = 1.0f / (float)pow(base, (double)((float)(2 * i) / (float)size));
        for (int64_t p = 0; p < positions; p++) {
            const double angle = (float)p * frequency;
            table[p * size + i] = (float)cos(angle);
            table[p * size + half + i] = (float)sin(angle);
        }
    }
    return table;
}

/* The row of `attn.relative` for a key so far behind the query. */
static int64_t bucket_of(int64_t distance, int64_t buckets) {
    const int64_t side = buckets / 2, exact = side / 2, start = distance > 0 ? side : 0;
    const int64_t length = distance < 0 ? -distance : distance;
    if (length < exact) return start + length;
    /* So much more than rounding may take from a whole number. */
    const double step = log((double)length / (double)exact) / log(128.0 / (double)exact) * (double)(side - exact) + 1e-9;
    return start + (step < (double)(side - exact - 1) ? exact + (int64_t)step : side - 1);
}

static float *make_distances(const uffb_model *m) {
    const uffb_arch *a = &m->arch;
    const int64_t count = 2 * a->max_length - 1;
    const float scale = 1.0f / sqrtf((float)a->head_size);
    float *table = malloc((size_t)(a->heads * count) * sizeof *table);
    for (int64_t i = 0; table && i < count; i++) {
        const float *row = m->relative + bucket_of(i - (a->max_length - 1), a->relative_buckets) * a->heads;
        for (int64_t head = 0; head < a->heads; head++) table[head * count + i] = row[head] / scale;
    }
    return table;
}

/* What attention reads beside its tensors. */
static int32_t make_attention(uffb_model *m) {
    const uffb_arch *a = &m->arch;
    const int rotary = a->positions == UFFB_ROTARY;
    if (rotary && !m->rotary[0]) m->rotary[0] = make_rotary(m, a->rotary_base);
    if (rotary && a->window && !m->rotary[1]) m->rotary[1] = make_rotary(m, a->rotary_base_local);
    if (m->relative && !m->distances) m->distances = make_distances(m);
    if ((rotary && !m->rotary[0]) || (rotary && a->window && !m->rotary[1]) || (m->relative && !m->distances))
        return uffb_fail(UFFB_NO_MEMORY, "no memory for %lld positions", (long long)a->max_length);
    return UFFB_OK;
}

/* Gives every layer its tensors and what attention needs. From the back, so that a layer is read before it is overwritten. */
static void finish_layers(uffb_model *m) {
    const uffb_arch *a = &m->arch;
    for (int64_t l = a->layers - 1; l >= 0; l--) {
        const int local = a->window && !(a->global_every && l % a->global_every == 0);
        uffb_layer *layer = &m->layers[l];
        if (a->distinct_layers) *layer = m->layers[l / (a->layers / a->distinct_layers)];
        layer->window = local ? a->window : 0;
        layer->rotary = m->rotary[local];
    }
}

int32_t uffb_model_ready(uffb_model *m) {
    if (!m) return uffb_fail(UFFB_INVALID, "uffb_model_ready: no model");
    if (m->ready) return UFFB_OK;
    for (int64_t i = 0; i < m->slots; i++) {
        const slot *s = &m->slot[i];
        if (s->info.required && !is_present(s)) return uffb_fail(UFFB_INVALID, "the model lacks %s", s->info.name);
        if (!s->weights || !uffb_has_scales(s->weights)) continue;
        if (!s->weights->scale) return uffb_fail(UFFB_INVALID, "the model lacks %s.scale", s->info.name);
        if (!uffb_is_quantised(s->weights)) continue;
        const uffb_kind *kind = s->weights->kind;
        const int64_t input_bytes = uffb_input_cols(kind, s->info.cols) * kind->input_bytes;
        if (input_bytes > m->input_bytes) m->input_bytes = input_bytes;
    }
    m->words = !m->arch.tied ? &m->word : &m->decoder.weights;
    if (m->arch.tied && uffb_is_quantised(m->words) && m->decoder_rows.kind) m->words = &m->decoder_rows;
    if (m->arch.positions == UFFB_SINUSOIDAL) {
        int32_t status = make_sinusoids(m);
        if (status) return status;
    }
    int32_t status = make_attention(m);
    if (!status) status = uffb_check_lost(m->lost_before);
    if (!status) finish_layers(m);
    m->ready = !status;
    return status;
}

/* Random models, batches and runs for the engine's tests. */
#include "engine_test.h"
#include "check.h"
#include "../ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(int64_t count, size_t size) {
    void *data = calloc((size_t)(count > 0 ? count : 1), size);
    if (!data) {
        printf("out of memory\n");
        exit(EXIT_FAILURE);
    }
    return data;
}

static void require(int32_t status, const char *what) {
    if (status == UFFB_OK) return;
    printf("%s: status %d, %s\n", what, status, uffb_error());
    exit(EXIT_FAILURE);
}

/* --- models --------------------------------------------------------------------------------------------------------------- */

static int ends_in(const char *name, const char *end) {
    size_t a = strlen(name), b = strlen(end);
    return a >= b && strcmp(name + a - b, end) == 0;
}

/* Sizes that keep activations near 1, so that an error shows and nothing saturates. NAME.rows has the values of NAME. */
static void draw_values(const uffb_arch *arch, const uffb_tensor_info *info, float *values) {
    uint64_t seed = 14695981039346656037u;
    for (const char *c = info->name; *c && strcmp(c, ".rows") != 0; c++) seed = (seed ^ (uint8_t)*c) * 1099511628211u;
    random_seed(seed);
    int is_norm = strstr(info->name, "norm") != NULL, is_bias = ends_in(info->name, ".bias");
    float low, high;
    if (is_bias) {
        low = -0.2f, high = 0.2f;
    } else if (is_norm || ends_in(info->name, ".scale")) {
        low = 0.4f, high = 1.2f;
    } else {
        double terms = ends_in(info->name, "fff.out.weight") ? (double)(arch->trees * (arch->depth + 1)) : (double)info->cols;
        const int looked_up = strncmp(info->name, "embed.", 6) == 0 && strncmp(info->name, "embed.project", 13) != 0;
        high = looked_up ? 1.0f : (float)sqrt(3 / terms);
        low = -high;
    }
    int64_t count = info->rows * info->cols;
    for (int64_t i = 0; i < count; i++) values[i] = random_between(low, high);
    int of_vocab = strncmp(info->name, "embed.word", 10) == 0 || strncmp(info->name, "head.mlm.decoder", 16) == 0;
    int64_t period = VOCAB_PERIOD * count / arch->vocab;
    for (int64_t i = period; of_vocab && i < count; i++) values[i] = values[i - period];
}

/* Gives tensor i in `dtype` and `layout`. */
static void give(random_model *m, int64_t i, int32_t dtype, int32_t layout) {
    const uffb_tensor_info *info = &m->infos[i];
    int32_t how = layout < 0 ? info->layout : layout;
    int64_t count = info->rows * info->cols;
    uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, dtype, how);
    m->values[i] = allocate(count, sizeof(float));
    m->given[i] = allocate((int64_t)bytes + 1, 1);
    uint8_t *given = (uint8_t *)m->given[i] + (layout == AS_ASKED_UNALIGNED);
    draw_values(&m->arch, info, m->values[i]);
    require(uffb_tensor_convert(info->rows, info->cols, m->values[i], (uint64_t)count * sizeof(float), UFFB_F32, UFFB_ROWS,
                                given, bytes, dtype, how),
            "uffb_tensor_convert");
    if (layout == AS_WIDENED) {
        const uint64_t wide = uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, how);
        void *rounded = given;
        given = m->given[i] = allocate((int64_t)wide, 1);
        require(uffb_tensor_convert(info->rows, info->cols, rounded, bytes, dtype, how, given, wide, UFFB_F32, how),
                "widening");
        free(rounded);
        bytes = wide;
        dtype = UFFB_F32;
    }
    require(uffb_model_tensor_set(m->model, info->name, given, bytes, dtype, how), info->name);
}

/* Whether tensor i is the scales of another one. */
static int is_scale(const random_model *m, int64_t i) {
    const char *name = m->infos[i].name;
    return ends_in(name, "weight.scale") || ends_in(name, "word.scale") ||
           (ends_in(name, "position.scale") && m->arch.positions == UFFB_LEARNED);
}

/* The layout in which a tensor can be given as integers, or -1. */
static int32_t integer_layout(const uffb_tensor_info *info, int32_t dtype) {
    const int looked_up = strcmp(info->name, "embed.word") == 0 || strcmp(info->name, "embed.position") == 0;
    if (info->layout == UFFB_PANELS) return dtype == UFFB_I8 ? UFFB_PANELS_I8 : UFFB_PANELS_I16;
    return looked_up && dtype == UFFB_I8 ? UFFB_ROWS : -1;
}

/* Gives tensor i as integers with their scales where it can be, else as f32. */
static void give_integers(random_model *m, int64_t i, int32_t dtype) {
    const uffb_tensor_info *info = &m->infos[i];
    const int32_t layout = integer_layout(info, dtype);
    if (is_scale(m, i)) return; /* comes with its weight */
    if (layout < 0) {
        give(m, i, UFFB_F32, AS_ASKED);
        return;
    }
    char scale_name[80];
    uint64_t count = (uint64_t)(info->rows * info->cols), bytes = uffb_tensor_bytes(info->rows, info->cols, dtype, layout);
    float *values = m->values[i] = allocate((int64_t)count, sizeof(float));
    m->given[i] = allocate((int64_t)bytes + info->rows * (int64_t)sizeof(float), 1);
    float *scale = m->given[i];
    void *integers = scale + info->rows;
    draw_values(&m->arch, info, values);
    require(uffb_tensor_quantise(info->rows, info->cols, values, count * sizeof(float), UFFB_F32, UFFB_ROWS, dtype, layout,
                                 integers, bytes, scale),
            "uffb_tensor_quantise");
    require(uffb_model_tensor_set(m->model, info->name, integers, bytes, dtype, layout), info->name);
    snprintf(scale_name, sizeof scale_name, "%s.scale", info->name);
    require(uffb_model_tensor_set(m->model, scale_name, scale, (uint64_t)info->rows * sizeof(float), UFFB_F32, UFFB_ROWS),
            scale_name);
}

random_model *random_model_new(const uffb_arch *arch, int optional, int32_t dtype, int32_t layout) {
    random_model *m = allocate(1, sizeof *m);
    m->arch = *arch;
    require(uffb_model_new(arch, &m->model), "uffb_model_new");
    m->count = uffb_model_tensor_count(m->model);
    m->infos = allocate(m->count, sizeof *m->infos);
    m->values = allocate(m->count, sizeof *m->values);
    m->given = allocate(m->count, sizeof *m->given);
    for (int64_t i = 0; i < m->count; i++) {
        uffb_tensor_info *info = &m->infos[i];
        require(uffb_model_tensor_info(m->model, i, info), "uffb_model_tensor_info");
        if (!info->required && !optional) continue;
        if (dtype == UFFB_I8 || dtype == UFFB_I16) {
            give_integers(m, i, dtype);
        } else {
            give(m, i, dtype, layout);
        }
    }
    require(uffb_model_ready(m->model), "uffb_model_ready");
    return m;
}

void random_model_free(random_model *m) {
    uffb_model_free(m->model);
    for (int64_t i = 0; i < m->count; i++) {
        free(m->values[i]);
        free(m->given[i]);
    }
    free(m->infos);
    free(m->values);
    free(m->given);
    free(m);
}

const float *tensor_of(const random_model *m, const char *name) {
    for (int64_t i = 0; i < m->count; i++) {
        if (strcmp(m->infos[i].name, name) == 0) return m->values[i];
    }
    return NULL;
}

const float *layer_tensor(const random_model *m, int64_t layer, const char *name) {
    char full[96];
    const int64_t distinct = m->arch.distinct_layers;
    if (distinct) layer /= m->arch.layers / distinct;
    snprintf(full, sizeof full, "layer.%lld.%s", (long long)layer, name);
    return tensor_of(m, full);
}

/* --- batches -------------------------------------------------------------------------------------------------------------- */

static batch *batch_of(int64_t sequences, int64_t tokens) {
    batch *b = allocate(1, sizeof *b);
    *b = (batch){sequences, tokens, allocate(sequences + 1, 8), allocate(tokens, 4), allocate(tokens, 4)};
    return b;
}

batch *batch_new(const uffb_arch *arch, int64_t sequences, const int64_t *lengths) {
    int64_t tokens = 0;
    for (int64_t s = 0; s < sequences; s++) tokens += lengths[s];
    batch *b = batch_of(sequences, tokens);
    for (int64_t s = 0; s < sequences; s++) b->offsets[s + 1] = b->offsets[s] + lengths[s];
    random_seed(2);
    for (int64_t t = 0; t < tokens; t++) {
        b->ids[t] = (int32_t)random_below(arch->vocab);
        b->types[t] = arch->token_types ? (int32_t)random_below(arch->token_types) : 0;
    }
    return b;
}

batch *batch_pick(const batch *from, int64_t sequences, const int64_t *chosen) {
    int64_t tokens = 0;
    for (int64_t s = 0; s < sequences; s++) tokens += from->offsets[chosen[s] + 1] - from->offsets[chosen[s]];
    batch *b = batch_of(sequences, tokens);
    for (int64_t s = 0; s < sequences; s++) {
        int64_t first = from->offsets[chosen[s]], length = from->offsets[chosen[s] + 1] - first;
        memcpy(b->ids + b->offsets[s], from->ids + first, (size_t)length * 4);
        memcpy(b->types + b->offsets[s], from->types + first, (size_t)length * 4);
        b->offsets[s + 1] = b->offsets[s] + length;
    }
    return b;
}

void batch_free(batch *b) {
    free(b->offsets);
    free(b->ids);
    free(b->types);
    free(b);
}

/* --- runs ----------------------------------------------------------------------------------------------------------------- */

/* FINAL and later count from the end of the list. */
output *run_output(const run *r, int64_t which) { return &r->outputs[which < 0 ? r->count + 1 + which : which]; }

static output output_of(const char *name, int64_t rows, int64_t cols, int per_sequence) {
    output o = {"", rows, cols, per_sequence, allocate(rows * cols, 4)};
    snprintf(o.name, sizeof o.name, "%s", name);
    return o;
}

static void tap(uffb_taps *taps, int32_t kind, int64_t layer, const output *o) {
    if (o->rows)
        check(uffb_taps_add(taps, kind, layer, o->data, (uint64_t)(o->rows * o->cols) * 4) == UFFB_OK, "%s", uffb_error());
}

static void run_heads(const random_model *m, uffb_context *context, const batch *b, run *r) {
    if (m->arch.heads_present & UFFB_HEAD_MLM) {
        int64_t *positions = allocate(b->tokens, sizeof *positions);
        for (int64_t t = 0; t < b->tokens; t++) positions[t] = t;
        int32_t status = uffb_mlm_logits(context, b->tokens, positions, run_output(r, MLM)->data);
        check(status == UFFB_OK, "uffb_mlm_logits: %s", uffb_error());
        free(positions);
    }
    for (int32_t pooling = UFFB_POOL_FIRST; pooling <= UFFB_POOL_WEIGHTED; pooling++) {
        int32_t status = uffb_pool(context, pooling, 0, run_output(r, POOL_FIRST + pooling)->data);
        check(status == UFFB_OK, "uffb_pool: %s", uffb_error());
    }
    if (m->arch.heads_present & UFFB_HEAD_CLASS) {
        int32_t status = uffb_classify(context, run_output(r, CLASSES)->data);
        check(status == UFFB_OK, "uffb_classify: %s", uffb_error());
    }
    if (m->arch.heads_present & UFFB_HEAD_TOKENS) {
        int32_t status = uffb_classify_tokens(context, run_output(r, TOKEN_CLASSES)->data);
        check(status == UFFB_OK, "uffb_classify_tokens: %s", uffb_error());
    }
}

static int64_t qk_width(const uffb_arch *arch, int64_t layer) {
    const int64_t size = arch->head_size ? arch->head_size : arch->hidden / arch->heads;
    return 2 * size * (arch->layer_heads ? arch->layer_heads[layer] : arch->heads);
}

/* Room for every output. */
static run *run_new(const random_model *m, const batch *b, int with_taps) {
    const uffb_arch *arch = &m->arch;
    int64_t tapped = with_taps ? b->tokens : 0, path = arch->trees * (arch->depth + 1);
    int64_t path_rows = arch->feedforward == UFFB_FFN_FFF ? tapped : 0, mlm = arch->heads_present & UFFB_HEAD_MLM;
    int64_t qk_rows = arch->relative_buckets || arch->window ? 0 : tapped;
    run *r = allocate(1, sizeof *r);
    r->count = 1 + 4 * arch->layers + 11;
    r->outputs = allocate(r->count, sizeof *r->outputs);
    *run_output(r, EMBEDDING) = output_of("embedding", tapped, arch->hidden, 0);
    *run_output(r, FINAL) = output_of("final", tapped, arch->hidden, 0);
    *run_output(r, MLM) = output_of("mlm logits", mlm ? b->tokens : 0, arch->vocab, 0);
    static const char *const pools[] = {"pool first", "pool mean",      "pool max",     "pool lse",
                                        "pool last",  "pool mean_sqrt", "pool weighted"};
    for (int p = 0; p < 7; p++) *run_output(r, POOL_FIRST + p) = output_of(pools[p], b->sequences, arch->hidden, 1);
    int64_t classified = arch->heads_present & UFFB_HEAD_CLASS ? b->sequences : 0;
    *run_output(r, CLASSES) = output_of("class logits", classified, arch->labels, 1);
    classified = arch->heads_present & UFFB_HEAD_TOKENS ? b->tokens : 0;
    *run_output(r, TOKEN_CLASSES) = output_of("token logits", classified, arch->labels, 0);
    for (int64_t l = 0; l < arch->layers; l++) {
        char name[48];
        snprintf(name, sizeof name, "layer.%lld", (long long)l);
        *run_output(r, LAYER(l, 0)) = output_of(name, tapped, arch->hidden, 0);
        snprintf(name, sizeof name, "path.%lld", (long long)l);
        *run_output(r, LAYER(l, 1)) = output_of(name, path_rows, path, 0);
        snprintf(name, sizeof name, "path logits.%lld", (long long)l);
        *run_output(r, LAYER(l, 2)) = output_of(name, path_rows, path, 0);
        snprintf(name, sizeof name, "q and k.%lld", (long long)l);
        *run_output(r, LAYER(l, 3)) = output_of(name, qk_rows, qk_width(arch, l), 0);
    }
    return r;
}

run *run_batch(const random_model *m, uffb_context *context, const batch *b, int with_taps) {
    const uffb_arch *arch = &m->arch;
    run *r = run_new(m, b, with_taps);
    uffb_taps *taps = NULL;
    if (with_taps) {
        check(uffb_taps_new(&taps) == UFFB_OK, "uffb_taps_new: %s", uffb_error());
        tap(taps, UFFB_TAP_EMBEDDING, 0, run_output(r, EMBEDDING));
        tap(taps, UFFB_TAP_FINAL, 0, run_output(r, FINAL));
        for (int64_t l = 0; l < arch->layers; l++) {
            tap(taps, UFFB_TAP_LAYER, l, run_output(r, LAYER(l, 0)));
            tap(taps, UFFB_TAP_PATH, l, run_output(r, LAYER(l, 1)));
            tap(taps, UFFB_TAP_PATH_LOGITS, l, run_output(r, LAYER(l, 2)));
            tap(taps, UFFB_TAP_QK, l, run_output(r, LAYER(l, 3)));
        }
    }
    const int32_t *types = arch->token_types ? b->types : NULL;
    int32_t status = uffb_encode(context, b->sequences, b->offsets, b->ids, types, taps);
    check(status == UFFB_OK, "uffb_encode: %s", uffb_error());
    uffb_taps_free(taps);
    run_heads(m, context, b, r);
    return r;
}

run *run_taken(const random_model *m, uffb_context *context, const batch *b, const run *whole) {
    run *r = run_new(m, b, 0);
    int32_t status = uffb_take_final(context, b->sequences, b->offsets, run_output(whole, FINAL)->data);
    check(status == UFFB_OK, "uffb_take_final: %s", uffb_error());
    run_heads(m, context, b, r);
    return r;
}

void run_free(run *r) {
    for (int64_t i = 0; i < r->count; i++) free(r->outputs[i].data);
    free(r->outputs);
    free(r);
}

void run_check_same(const run *a, const batch *batch_a, int64_t s, const run *b, const batch *batch_b, int64_t t) {
    for (int64_t i = 0; i < a->count; i++) {
        const output *x = &a->outputs[i], *y = &b->outputs[i];
        if (!x->rows || !y->rows) continue;
        int64_t x_row = x->per_sequence ? s : batch_a->offsets[s], y_row = y->per_sequence ? t : batch_b->offsets[t];
        int64_t rows = x->per_sequence ? 1 : batch_a->offsets[s + 1] - batch_a->offsets[s];
        int same = memcmp(output_row(x, x_row), output_row(y, y_row), (size_t)(rows * x->cols) * 4) == 0;
        check(same, "%s of sequence %lld is not the same bits", x->name, (long long)s);
    }
}

uffb_context *context_new(const random_model *m, int32_t threads, const char *isa) {
    uffb_context *context = NULL;
    require(uffb_context_new(m->model, threads, isa, &context), "uffb_context_new");
    return context;
}

const char *isa_name(int number) {
    static char names[UFFB_ISA_COUNT + 1][32];
    const char *at = uffb_isas();
    for (int i = 0; i <= number; i++) {
        size_t length = strcspn(at, ",");
        snprintf(names[number], sizeof names[number], "%.*s", (int)length, at);
        if (!*at || length == 0) return NULL;
        at += length + (at[length] == ',');
    }
    return names[number];
}

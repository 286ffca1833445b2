/* A trainer's life: made of an architecture, given weights, made ready. */
#include "trainer.h"
#include "../engine/batch.h"
#include "../engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t uffb_train_abi_version(void) { return UFFB_TRAIN_ABI_VERSION; }

int32_t uffb_trainer_fail(uffb_trainer *t, int32_t status) {
    if (t) strncpy(t->error, uffb_error(), sizeof t->error - 1);
    return status;
}

const char *uffb_trainer_error(const uffb_trainer *t) { return t ? t->error : ""; }

const char *uffb_trainer_isa(const uffb_trainer *t) { return t ? uffb_context_isa(t->context) : ""; }

int32_t uffb_trainer_threads(const uffb_trainer *t) { return t ? uffb_context_threads(t->context) : 0; }

int uffb_trainer_grow(float **buffer, int64_t *size, int64_t want) {
    if (want <= *size) return 1;
    free(*buffer);
    *size = 0;
    *buffer = uffb_allocate((uint64_t)want * sizeof(float));
    if (*buffer) *size = want;
    return *buffer != NULL;
}

/* --- the table of parameters ---------------------------------------------------------------------------------------------- */

/* Scales of integers and rows in half precision, which stand beside a tensor and bear its name, are not for training. */
static int is_companion(const uffb_model *m, const char *name) {
    const char *dot = strrchr(name, '.');
    if (!dot || (strcmp(dot, ".scale") && strcmp(dot, ".rows"))) return 0;
    for (int64_t i = 0; i < uffb_model_tensor_count(m); i++) {
        uffb_tensor_info info;
        uffb_model_tensor_info(m, i, &info);
        if (strlen(info.name) == (size_t)(dot - name) && !strncmp(info.name, name, (size_t)(dot - name))) return 1;
    }
    return 0;
}

static int ends_with(const char *name, const char *end) {
    const size_t length = strlen(name), size = strlen(end);
    return length >= size && !strcmp(name + length - size, end);
}

static void add_parameter(uffb_trainer *t, const uffb_tensor_info *tensor) {
    uffb_parameter_info *p = &t->parameter[t->parameters++].info;
    memcpy(p->name, tensor->name, sizeof p->name);
    p->rows = tensor->rows;
    p->cols = tensor->cols;
    p->layout = tensor->layout;
    p->required = tensor->required;
    p->constant = ends_with(p->name, ".attn.scale");
    p->trainable = !p->constant;
    p->decays = !strstr(p->name, "bias") && !strstr(p->name, "norm");
}

static int32_t list_parameters(uffb_trainer *t) {
    const int64_t tensors = uffb_model_tensor_count(t->model);
    t->parameter = calloc((size_t)tensors, sizeof *t->parameter);
    t->layers = calloc((size_t)t->arch.layers + 1, sizeof *t->layers);
    if (!t->parameter || !t->layers) return uffb_fail(UFFB_NO_MEMORY, "no memory for a trainer");
    for (int64_t i = 0; i < tensors; i++) {
        uffb_tensor_info info;
        uffb_model_tensor_info(t->model, i, &info);
        if (!is_companion(t->model, info.name)) add_parameter(t, &info);
    }
    return UFFB_OK;
}

int32_t uffb_trainer_new(const uffb_arch *arch, int32_t padding, uffb_trainer **trainer) {
    if (!arch || !trainer) return uffb_fail(UFFB_INVALID, "uffb_trainer_new: no arch or nowhere to put the trainer");
    *trainer = NULL;
    if (padding < -1 || padding >= arch->vocab)
        return uffb_fail(UFFB_INVALID, "padding is token %d, but there are 0 to %lld, and -1 for none", padding,
                         (long long)arch->vocab - 1);
    const char *beyond = uffb_beyond_plain(arch);
    if (beyond) return uffb_fail(UFFB_UNSUPPORTED, "models with %s cannot be trained", beyond);
    uffb_trainer *t = calloc(1, sizeof *t);
    if (!t) return uffb_fail(UFFB_NO_MEMORY, "no memory for a trainer");
    t->padding = padding;
    int32_t status = uffb_model_new(arch, &t->model);
    if (!status) t->arch = t->model->arch;
    if (!status) status = list_parameters(t);
    if (status) {
        uffb_trainer_free(t);
        return status;
    }
    *trainer = t;
    return UFFB_OK;
}

void uffb_trainer_free(uffb_trainer *t) {
    if (!t) return;
    uffb_context_free(t->context);
    uffb_model_free(t->model);
    if (t->parameter) uffb_free_parameters(t);
    for (int64_t l = 0; t->layers && l < t->arch.layers; l++) {
        free(t->layers[l].visits);
        free(t->layers[l].balanced);
    }
    free(t->layers);
    free(t->table);
    free(t->kept);
    free(t->scratch);
    free(t->packed);
    free(t->left);
    free(t->right);
    free(t->partial);
    free(t->head);
    free(t->segment);
    free(t->outcome);
    uffb_free_guides(t);
    free(t->block);
    free(t);
}

int32_t uffb_trainer_compute(uffb_trainer *t, int32_t dtype) {
    if (!t || t->context) return uffb_fail(UFFB_INVALID, "uffb_trainer_compute: no trainer, or one that is ready");
    if (dtype != UFFB_F32 && dtype != UFFB_BF16) return uffb_fail(UFFB_INVALID, "products are of UFFB_F32 or UFFB_BF16");
    t->compute = dtype;
    return UFFB_OK;
}

int32_t uffb_trainer_multiplies_bf16(const uffb_trainer *t) {
    return t && t->ops && t->ops->gemm_bf16 != uffb_ops_of(UFFB_ISA_generic)->gemm_bf16;
}

/* --- ready ---------------------------------------------------------------------------------------------------------------- */

/* The parameter of that name, of a layer where it has one; NULL when the model does not have it. */
static uffb_parameter *named(const uffb_trainer *t, int64_t layer, const char *name) {
    char full[96];
    if (layer < 0) {
        snprintf(full, sizeof full, "%s", name);
    } else {
        snprintf(full, sizeof full, "layer.%lld.%s", (long long)layer, name);
    }
    uffb_parameter *p = uffb_find_parameter(t, full);
    return p && p->weight ? p : NULL;
}

static uffb_train_norm norm_of(const uffb_trainer *t, int64_t layer, const char *weight, const char *bias,
                               const uffb_affine *affine) {
    return (uffb_train_norm){named(t, layer, weight), named(t, layer, bias), affine};
}

static uffb_train_linear linear_of(const uffb_trainer *t, int64_t layer, const char *weight, const char *bias,
                                   const uffb_linear *linear) {
    return (uffb_train_linear){named(t, layer, weight), named(t, layer, bias), linear};
}

static void wire_layer(const uffb_trainer *t, int64_t l) {
    const uffb_layer *of = &t->model->layers[l];
    uffb_train_layer *layer = &t->layers[l];
    layer->norm1 = norm_of(t, l, "norm1.weight", "norm1.bias", &of->norm1);
    layer->norm2 = norm_of(t, l, "norm2.weight", "norm2.bias", &of->norm2);
    layer->qkv = linear_of(t, l, "attn.qkv.weight", "attn.qkv.bias", &of->qkv);
    layer->out = linear_of(t, l, "attn.out.weight", "attn.out.bias", &of->out);
    if (uffb_fff_walks(&t->arch)) {
        layer->tree_in = named(t, l, "fff.in.weight");
        layer->tree_bias = named(t, l, "fff.in.bias");
        layer->tree_out = named(t, l, "fff.out.weight");
    }
    if (uffb_fff_shallow(&t->arch)) {
        layer->nodes_in = linear_of(t, l, "fff.in.weight", "fff.in.bias", &of->nodes_in);
        layer->nodes_out = linear_of(t, l, "fff.out.weight", "", &of->nodes_out);
    }
    if (t->arch.width) {
        layer->ffn_in = linear_of(t, l, "ffn.in.weight", "ffn.in.bias", &of->ffn_in);
        layer->ffn_out = linear_of(t, l, "ffn.out.weight", "ffn.out.bias", &of->ffn_out);
    }
}

static void wire(uffb_trainer *t) {
    const uffb_model *m = t->model;
    t->word = named(t, -1, "embed.word");
    if (t->arch.positions == UFFB_LEARNED) t->position = named(t, -1, "embed.position");
    t->position_scale = named(t, -1, "embed.position.scale");
    t->type = named(t, -1, "embed.type");
    t->embed_norm = norm_of(t, -1, "embed.norm.weight", "embed.norm.bias", &m->embed_norm);
    t->final_norm = norm_of(t, -1, "final_norm.weight", "final_norm.bias", &m->final_norm);
    t->mlm_dense = linear_of(t, -1, "head.mlm.dense.weight", "head.mlm.dense.bias", &m->mlm_dense);
    t->mlm_norm = norm_of(t, -1, "head.mlm.norm.weight", "head.mlm.norm.bias", &m->mlm_norm);
    const char *decoder = t->arch.tied ? "embed.word" : "head.mlm.decoder.weight";
    t->decoder = linear_of(t, -1, decoder, "head.mlm.decoder.bias", &m->decoder);
    t->pool_dense = linear_of(t, -1, "head.pool.dense.weight", "head.pool.dense.bias", &m->pool_dense);
    t->classes = linear_of(t, -1, "head.class.weight", "head.class.bias", &m->classes);
    for (int64_t l = 0; l < t->arch.layers; l++) wire_layer(t, l);
}

/* Whether a parameter whose name begins so, or any embedding, is trained. */
static int any_trains(const uffb_trainer *t, const char *prefix) {
    for (int64_t i = 0; i < t->parameters; i++) {
        const uffb_parameter *p = &t->parameter[i];
        if (uffb_trains(p) && !strncmp(p->info.name, prefix, strlen(prefix))) return 1;
    }
    return 0;
}

static void find_lowest(uffb_trainer *t) {
    t->lowest = t->arch.layers;
    for (int64_t l = t->arch.layers - 1; l >= 0; l--) {
        char prefix[40];
        snprintf(prefix, sizeof prefix, "layer.%lld.", (long long)l);
        t->layers[l].trains = any_trains(t, prefix);
        if (t->layers[l].trains) t->lowest = l;
    }
    /* A tied embedding that is frozen, or one that is not, has its own name. */
    if (any_trains(t, "embed.")) t->lowest = -1;
}

/* Positions are given in the model as a table times its scale, which changes as it is trained. */
static int32_t make_table(uffb_trainer *t) {
    const int64_t positions = t->arch.max_length + t->arch.position_offset;
    if (t->arch.positions != UFFB_SINUSOIDAL) return UFFB_OK;
    t->table = uffb_allocate((uint64_t)(positions * t->arch.hidden) * sizeof *t->table);
    if (!t->table) return uffb_fail(UFFB_NO_MEMORY, "no memory for %lld positions", (long long)positions);
    uffb_sinusoids(positions, t->arch.hidden, t->table);
    return UFFB_OK;
}

/* Rows of walked trees may wait for updates. */
static int32_t make_waiting(uffb_trainer *t) {
    for (int64_t l = 0; l < t->arch.layers; l++) {
        uffb_parameter *of[] = {t->layers[l].tree_in, t->layers[l].tree_out};
        for (int i = 0; i < 2; i++) {
            if (!uffb_trains(of[i]) || of[i]->made) continue;
            of[i]->made = calloc((size_t)of[i]->info.rows, sizeof *of[i]->made);
            if (!of[i]->made) return uffb_fail(UFFB_NO_MEMORY, "no memory for the updates of %s", of[i]->info.name);
        }
    }
    return UFFB_OK;
}

static int32_t make_visits(uffb_trainer *t) {
    if (t->arch.feedforward != UFFB_FFN_FFF) return UFFB_OK;
    for (int64_t l = 0; l < t->arch.layers; l++) {
        t->layers[l].visits = calloc((size_t)(t->arch.trees * t->model->nodes), sizeof(int64_t));
        t->layers[l].balanced = calloc((size_t)(t->arch.trees * t->model->nodes), sizeof(int64_t));
        if (!t->layers[l].visits || !t->layers[l].balanced) return uffb_fail(UFFB_NO_MEMORY, "no memory to count visits");
    }
    return UFFB_OK;
}

int32_t uffb_trainer_ready(uffb_trainer *t, int32_t threads, const char *isa) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_ready: no trainer");
    if (t->context) return UFFB_OK;
    int32_t status = uffb_model_ready(t->model);
    if (!status) status = uffb_make_gradients(t);
    if (!status) status = uffb_make_blocks(t);
    if (!status) status = uffb_list_blocks(t);
    if (!status) status = make_table(t);
    if (!status) status = make_visits(t);
    if (!status) wire(t);
    if (!status) status = make_waiting(t);
    if (!status) status = uffb_context_new(t->model, threads, isa, &t->context);
    if (status) return uffb_trainer_fail(t, status);
    t->ops = t->context->ops;
    uffb_free_panels(t);
    find_lowest(t);
    t->stale = t->behind = 1;
    uffb_trainer_refresh(t);
    return UFFB_OK;
}

int32_t uffb_trainer_model(uffb_trainer *t, uffb_model **model) {
    if (!t || !model) return uffb_fail(UFFB_INVALID, "uffb_trainer_model: no trainer or nowhere to put the model");
    if (!t->context) return uffb_trainer_fail(t, uffb_fail(UFFB_INVALID, "uffb_trainer_model: the trainer is not ready"));
    uffb_make_up_all(t);
    uffb_trainer_refresh(t);
    /* What steps need is free meanwhile, so that the two are never there at once. */
    uffb_trainer_release(t);
    const int32_t status = uffb_make_panels(t);
    if (status) return uffb_trainer_fail(t, status);
    *model = t->model;
    return UFFB_OK;
}

/* --- small things --------------------------------------------------------------------------------------------------------- */

int64_t uffb_trainer_updates(const uffb_trainer *t) { return t ? t->updates : 0; }

int32_t uffb_trainer_set_updates(uffb_trainer *t, int64_t updates) {
    if (!t || updates < 0) return uffb_fail(UFFB_INVALID, "uffb_trainer_set_updates: no trainer, or a negative number");
    uffb_make_up_all(t);
    t->updates = updates;
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        for (int64_t r = 0; p->made && r < p->info.rows; r++) p->made[r] = updates;
    }
    return UFFB_OK;
}

int32_t uffb_trainer_cancel(uffb_trainer *t) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_cancel: no trainer");
    atomic_store(&t->cancel, 1);
    return UFFB_OK;
}

static int64_t node_count(const uffb_trainer *t) { return t->arch.trees * t->model->nodes; }

int32_t uffb_trainer_visits(const uffb_trainer *t, int64_t layer, int64_t *visits) {
    if (!t || !visits) return uffb_fail(UFFB_INVALID, "uffb_trainer_visits: no trainer or nowhere to put the counts");
    if (layer < 0 || layer >= t->arch.layers || !t->layers[layer].visits)
        return uffb_fail(UFFB_INVALID, "layer %lld has no trees, or the trainer is not ready", (long long)layer);
    memcpy(visits, t->layers[layer].visits, (size_t)node_count(t) * sizeof *visits);
    return UFFB_OK;
}

int32_t uffb_trainer_clear_visits(uffb_trainer *t) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_clear_visits: no trainer");
    for (int64_t l = 0; l < t->arch.layers; l++) {
        for (int64_t n = 0; t->layers[l].visits && n < node_count(t); n++) {
            t->layers[l].balanced[n] -= t->layers[l].visits[n]; /* what is still to be balanced stays so */
            t->layers[l].visits[n] = 0;
        }
    }
    return UFFB_OK;
}

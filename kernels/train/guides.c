/* Guides: what a step is pulled towards: states at the embedding, after layers, or at the end, or attention (attention.c). */
#include "trainer.h"
#include "../engine/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int of_layer(int32_t kind) { return kind == UFFB_TAP_LAYER || kind == UFFB_TAP_QK; }

/* Heads of the layer that a guide of attention is of. */
static int64_t heads_of(const uffb_trainer *t, int64_t layer) { return t->model->layers[layer].heads; }

static int32_t check_guide(const uffb_trainer *t, int32_t kind, int64_t layer, double weight, int64_t width) {
    if (kind != UFFB_TAP_EMBEDDING && kind != UFFB_TAP_FINAL && !of_layer(kind))
        return uffb_fail(UFFB_INVALID,
                         "a guide is of the embedding, a layer, its attention or the final states, not of kind %d", kind);
    if (of_layer(kind) && (layer < 0 || layer >= t->arch.layers))
        return uffb_fail(UFFB_INVALID, "a guide of layer %lld of %lld", (long long)layer, (long long)t->arch.layers);
    if (!(weight >= 0 && weight <= 1e30)) return uffb_fail(UFFB_INVALID, "the weight of a guide must be a number, 0 or more");
    if (kind == UFFB_TAP_QK && (width < 1 || width % (2 * heads_of(t, layer))))
        return uffb_fail(UFFB_INVALID, "q and k of %lld numbers a token are not those of %lld heads", (long long)width,
                         (long long)heads_of(t, layer));
    if (kind != UFFB_TAP_QK && width != t->arch.hidden)
        return uffb_fail(UFFB_INVALID, "a guide has states of %lld numbers, and the model of %lld", (long long)width,
                         (long long)t->arch.hidden);
    if (uffb_guide_at(t, kind, layer))
        return uffb_fail(UFFB_INVALID, "there is a guide of kind %d and layer %lld already", kind, (long long)layer);
    return t->guides < UFFB_MAX_GUIDES ? UFFB_OK : uffb_fail(UFFB_INVALID, "more than %d guides", UFFB_MAX_GUIDES);
}

int32_t uffb_trainer_guide(uffb_trainer *t, int32_t kind, int64_t layer, double weight, const float *states, int64_t tokens,
                           int64_t width) {
    if (!t || !states || tokens < 1) return uffb_fail(UFFB_INVALID, "uffb_trainer_guide: no trainer or no states");
    if (!of_layer(kind)) layer = 0;
    const int32_t status = check_guide(t, kind, layer, weight, width);
    if (status) return status;
    uffb_guide *guide = &t->guide[t->guides];
    int64_t floats;
    if (__builtin_mul_overflow(tokens, width, &floats) || !uffb_trainer_grow(&guide->states, &guide->size, floats))
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a guide of %lld tokens", (long long)tokens);
    memcpy(guide->states, states, (size_t)floats * sizeof *states);
    guide->kind = kind;
    guide->layer = layer;
    guide->tokens = tokens;
    guide->width = width;
    guide->weight = weight;
    t->guides++;
    return UFFB_OK;
}

const uffb_guide *uffb_guide_at(const uffb_trainer *t, int32_t kind, int64_t layer) {
    for (int64_t i = 0; i < t->guides; i++) {
        if (t->guide[i].kind == kind && t->guide[i].layer == layer) return &t->guide[i];
    }
    return NULL;
}

int64_t uffb_guided_head(const uffb_trainer *t) {
    int64_t most = 0;
    for (int64_t i = 0; i < t->guides; i++) {
        const uffb_guide *guide = &t->guide[i];
        if (guide->kind != UFFB_TAP_QK) continue;
        const int64_t size = guide->width / (2 * heads_of(t, guide->layer));
        most = size > most ? size : most;
    }
    return most;
}

void uffb_free_guides(uffb_trainer *t) {
    for (int64_t i = 0; i < UFFB_MAX_GUIDES; i++) free(t->guide[i].states);
}

int32_t uffb_guides_check(const uffb_trainer *t, int64_t tokens) {
    for (int64_t i = 0; i < t->guides; i++) {
        if (t->guide[i].tokens != tokens)
            return uffb_fail(UFFB_INVALID, "a guide of %lld tokens, but the batch has %lld", (long long)t->guide[i].tokens,
                             (long long)tokens);
    }
    return UFFB_OK;
}

/* What the forward pass left at the place of a guide. */
static const float *states_at(const uffb_trainer *t, int32_t kind, int64_t layer) {
    if (kind == UFFB_TAP_FINAL) return t->final;
    const int64_t next = kind == UFFB_TAP_EMBEDDING ? 0 : layer + 1;
    return next < t->arch.layers ? t->layers[next].input : t->last;
}

typedef struct {
    const float *states, *to;
    int64_t hidden;
    double *squares; /* [tokens] */
    float factor;
    float *stream;
} pulling;

static void squares_task(void *arg, int64_t token, int32_t thread) {
    (void)thread;
    const pulling *p = arg;
    const float *x = p->states + token * p->hidden, *to = p->to + token * p->hidden;
    double sum = 0;
    for (int64_t i = 0; i < p->hidden; i++) {
        const double off = (double)x[i] - (double)to[i];
        sum += off * off;
    }
    p->squares[token] = sum;
}

int32_t uffb_squared_distance(uffb_trainer *t, int64_t tokens, const float *states, const float *to, double *sum) {
    double *squares = malloc((size_t)tokens * sizeof *squares);
    if (!squares) return uffb_fail(UFFB_NO_MEMORY, "no memory for the distances of %lld tokens", (long long)tokens);
    pulling p = {states, to, t->arch.hidden, squares, 0, NULL};
    uffb_parallel(t->context->team, tokens, squares_task, &p);
    *sum = 0;
    for (int64_t token = 0; token < tokens; token++) *sum += squares[token];
    free(squares);
    return UFFB_OK;
}

double uffb_guide_share(const uffb_trainer *t, const uffb_guide *guide) {
    const int64_t each = guide->kind == UFFB_TAP_QK ? heads_of(t, guide->layer) : guide->width;
    return guide->weight / ((double)guide->tokens * (double)each);
}

int32_t uffb_guides_loss(uffb_trainer *t, const uffb_train_call *call, double *loss) {
    *loss = 0;
    for (int64_t i = 0; i < t->guides; i++) {
        const uffb_guide *guide = &t->guide[i];
        double sum = 0;
        const int32_t status =
            guide->kind == UFFB_TAP_QK
                ? uffb_attention_divergence(t, call, guide, &sum)
                : uffb_squared_distance(t, call->tokens, states_at(t, guide->kind, guide->layer), guide->states, &sum);
        if (status) return status;
        *loss += uffb_guide_share(t, guide) * sum;
    }
    return UFFB_OK;
}

static void pull_task(void *arg, int64_t token, int32_t thread) {
    (void)thread;
    const pulling *p = arg;
    const float *x = p->states + token * p->hidden, *to = p->to + token * p->hidden;
    float *d = p->stream + token * p->hidden;
    for (int64_t i = 0; i < p->hidden; i++) d[i] += p->factor * (x[i] - to[i]);
}

void uffb_pull(uffb_trainer *t, int64_t tokens, const float *states, const float *to, float factor, float *stream) {
    pulling p = {states, to, t->arch.hidden, NULL, factor, stream};
    uffb_parallel(t->context->team, tokens, pull_task, &p);
}

void uffb_guide_back(uffb_trainer *t, const uffb_train_call *call, int32_t kind, int64_t layer) {
    const uffb_guide *guide = uffb_guide_at(t, kind, layer);
    if (!guide) return;
    uffb_pull(t, call->tokens, states_at(t, kind, layer), guide->states, (float)(2 * uffb_guide_share(t, guide)), t->stream);
}

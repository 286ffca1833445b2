/* Guides: states that a step is pulled towards, at the embedding, after layers, or at the end. */
#include "trainer.h"
#include "../engine/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int32_t uffb_trainer_guide(uffb_trainer *t, int32_t kind, int64_t layer, double weight, const float *states, int64_t tokens) {
    if (!t || !states || tokens < 1) return uffb_fail(UFFB_INVALID, "uffb_trainer_guide: no trainer or no states");
    if (kind != UFFB_TAP_EMBEDDING && kind != UFFB_TAP_LAYER && kind != UFFB_TAP_FINAL)
        return uffb_fail(UFFB_INVALID, "a guide is of the embedding, a layer or the final states, not of kind %d", kind);
    if (kind != UFFB_TAP_LAYER) layer = 0;
    if (kind == UFFB_TAP_LAYER && (layer < 0 || layer >= t->arch.layers))
        return uffb_fail(UFFB_INVALID, "a guide of layer %lld of %lld", (long long)layer, (long long)t->arch.layers);
    if (!(weight >= 0 && weight <= 1e30)) return uffb_fail(UFFB_INVALID, "the weight of a guide must be a number, 0 or more");
    for (int64_t i = 0; i < t->guides; i++) {
        if (t->guide[i].kind == kind && t->guide[i].layer == layer)
            return uffb_fail(UFFB_INVALID, "there is a guide of kind %d and layer %lld already", kind, (long long)layer);
    }
    if (t->guides == UFFB_MAX_GUIDES) return uffb_fail(UFFB_INVALID, "more than %d guides", UFFB_MAX_GUIDES);
    uffb_guide *guide = &t->guide[t->guides];
    int64_t floats;
    if (__builtin_mul_overflow(tokens, t->arch.hidden, &floats) || !uffb_trainer_grow(&guide->states, &guide->size, floats))
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a guide of %lld tokens", (long long)tokens);
    memcpy(guide->states, states, (size_t)floats * sizeof *states);
    guide->kind = kind;
    guide->layer = layer;
    guide->tokens = tokens;
    guide->weight = weight;
    t->guides++;
    return UFFB_OK;
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

static double mean_of(const uffb_guide *guide, int64_t hidden) {
    return guide->weight / ((double)guide->tokens * (double)hidden);
}

int32_t uffb_guides_loss(uffb_trainer *t, const uffb_train_call *call, double *loss) {
    *loss = 0;
    for (int64_t i = 0; i < t->guides; i++) {
        const uffb_guide *guide = &t->guide[i];
        double sum = 0;
        const int32_t status =
            uffb_squared_distance(t, call->tokens, states_at(t, guide->kind, guide->layer), guide->states, &sum);
        if (status) return status;
        *loss += mean_of(guide, t->arch.hidden) * sum;
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
    for (int64_t i = 0; i < t->guides; i++) {
        const uffb_guide *guide = &t->guide[i];
        if (guide->kind != kind || guide->layer != layer) continue;
        uffb_pull(t, call->tokens, states_at(t, kind, layer), guide->states, (float)(2 * mean_of(guide, t->arch.hidden)),
                  t->stream);
    }
}

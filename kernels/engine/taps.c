#include "taps.h"
#include "context.h"
#include "error.h"

#include <stdlib.h>

typedef struct {
    int32_t kind;
    int64_t layer;
    void *buffer;
    uint64_t bytes;
} tap;

struct uffb_taps {
    int64_t count, capacity;
    tap *tap;
};

static int has_layer(int32_t kind) { return kind != UFFB_TAP_EMBEDDING && kind != UFFB_TAP_FINAL; }

int32_t uffb_taps_new(uffb_taps **taps) {
    if (!taps) return uffb_fail(UFFB_INVALID, "uffb_taps_new: nowhere to put the taps");
    *taps = calloc(1, sizeof **taps);
    return *taps ? UFFB_OK : uffb_fail(UFFB_NO_MEMORY, "no memory for taps");
}

void uffb_taps_free(uffb_taps *taps) {
    if (!taps) return;
    free(taps->tap);
    free(taps);
}

int32_t uffb_taps_add(uffb_taps *taps, int32_t kind, int64_t layer, void *buffer, uint64_t bytes) {
    if (!taps || !buffer) return uffb_fail(UFFB_INVALID, "uffb_taps_add: no taps or no buffer");
    if (kind < UFFB_TAP_EMBEDDING || kind > UFFB_TAP_QK) return uffb_fail(UFFB_INVALID, "no tap of kind %d", kind);
    if (!has_layer(kind)) layer = 0;
    if (uffb_tap(taps, kind, layer))
        return uffb_fail(UFFB_INVALID, "there is a tap of kind %d and layer %lld already", kind, (long long)layer);
    if (taps->count == taps->capacity) {
        int64_t capacity = taps->capacity * 2 + 8;
        tap *grown = realloc(taps->tap, (size_t)capacity * sizeof *grown);
        if (!grown) return uffb_fail(UFFB_NO_MEMORY, "no memory for taps");
        taps->tap = grown;
        taps->capacity = capacity;
    }
    taps->tap[taps->count++] = (tap){kind, layer, buffer, bytes};
    return UFFB_OK;
}

void *uffb_tap(const uffb_taps *taps, int32_t kind, int64_t layer) {
    for (int64_t i = 0; taps && i < taps->count; i++) {
        if (taps->tap[i].kind == kind && taps->tap[i].layer == layer) return taps->tap[i].buffer;
    }
    return NULL;
}

static int64_t width_of(const tap *t, const uffb_arch *a) {
    switch (t->kind) {
    case UFFB_TAP_PATH:
    case UFFB_TAP_PATH_LOGITS: return a->trees * (a->depth + 1);
    case UFFB_TAP_FFN_UNITS: return uffb_ffn_units(a);
    case UFFB_TAP_QK: return 2 * a->head_size * (a->layer_heads ? a->layer_heads[t->layer] : a->heads);
    default: return a->hidden;
    }
}

int32_t uffb_taps_check(const uffb_taps *taps, const uffb_arch *arch, int64_t tokens) {
    for (int64_t i = 0; taps && i < taps->count; i++) {
        const tap *t = &taps->tap[i];
        const int path = t->kind == UFFB_TAP_PATH || t->kind == UFFB_TAP_PATH_LOGITS;
        if (has_layer(t->kind) && (t->layer < 0 || t->layer >= arch->layers)) {
            return uffb_fail(UFFB_INVALID, "a tap asks for layer %lld of %lld", (long long)t->layer, (long long)arch->layers);
        }
        if (path && arch->feedforward != UFFB_FFN_FFF)
            return uffb_fail(UFFB_INVALID, "a tap asks for paths, but this model has no trees");
        if (t->kind == UFFB_TAP_FFN_UNITS && !arch->width)
            return uffb_fail(UFFB_INVALID, "a tap asks for units, but this model has no dense feedforward layers");
        if (t->kind == UFFB_TAP_QK && (arch->relative_buckets || arch->window))
            return uffb_fail(UFFB_INVALID,
                             "a tap asks for q and k, but attention of this model goes by distances or windows, too");
        const uint64_t want = (uint64_t)tokens * (uint64_t)width_of(t, arch) * 4;
        if (t->bytes != want) {
            return uffb_fail(UFFB_INVALID, "a tap of kind %d has %llu bytes, but %lld tokens need %llu", t->kind,
                             (unsigned long long)t->bytes, (long long)tokens, (unsigned long long)want);
        }
    }
    return UFFB_OK;
}

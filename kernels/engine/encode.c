/* From token ids to final states. The hot path of the library reads from top to bottom here: embed, blocks, final norm. */
#include "batch.h"
#include "context.h"
#include "positions.h"
#include "taps.h"

#include <string.h>

static void add_row(int64_t n, const float *row, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] += row[i];
}

/* rows [tokens, embed_width] = word + position (+ type). */
static void embed(uffb_context *c, const int32_t *ids, const int32_t *types, float *rows) {
    const uffb_model *m = c->model;
    const int64_t width = m->embed_width;
    for (int64_t s = 0; s < c->sequences; s++) {
        int64_t counted = 0;
        for (int64_t t = c->offsets[s]; t < c->offsets[s + 1]; t++) {
            float *x = rows + t * width;
            memset(x, 0, (size_t)width * sizeof *x);
            if (m->position.kind) {
                const int64_t row = uffb_position_row(m->arch.position_offset, ids[t], &counted);
                m->position.kind->add_row(&m->position, width, row, x);
            }
            m->words->kind->add_row(m->words, width, ids[t], x);
            if (m->type) add_row(width, m->type + (types ? types[t] : 0) * width, x);
        }
    }
}

static void fill_tap(const uffb_context *c, const uffb_taps *taps, int32_t kind, int64_t layer, const float *states) {
    void *buffer = uffb_tap(taps, kind, layer);
    if (buffer) memcpy(buffer, states, (size_t)(c->tokens * c->model->arch.hidden) * sizeof *states);
}

/* Pre-norm: x += f(norm(x)) for attention, then for the feedforward layer. Post-norm: x = norm(x + f(x)). */
static void run_block(uffb_context *c, int64_t l, const uffb_taps *taps) {
    const uffb_layer *layer = &c->model->layers[l];
    const int64_t h = c->model->arch.hidden, attended = layer->out.cols, tokens = c->tokens;
    const int pre = c->model->arch.norm_position == UFFB_PRE_NORM;

    const int norm_first = pre && layer->norm1.weight;
    if (norm_first) uffb_normalise(c, tokens, h, &layer->norm1, c->x, c->normed);
    uffb_project(c, tokens, &layer->qkv, norm_first ? c->normed : c->x, h, c->wide, 3 * attended, 0);
    uffb_attend(c, layer, c->wide, c->normed);
    float *qk = uffb_tap(taps, UFFB_TAP_QK, l);
    if (qk) uffb_tap_qk(c, layer, c->wide, qk);
    uffb_project(c, tokens, &layer->out, c->normed, attended, c->x, h, 1);
    if (!pre) uffb_normalise(c, tokens, h, &layer->norm1, c->x, c->x);
    if (!uffb_has_feedforward(&c->model->arch)) return;

    if (pre) {
        uffb_normalise(c, tokens, h, &layer->norm2, c->x, c->normed);
    } else { /* trees add to x one after the other, and each reads what came before the first */
        memcpy(c->normed, c->x, (size_t)(tokens * h) * sizeof *c->x);
    }
    fill_tap(c, taps, UFFB_TAP_FFN_INPUT, l, c->normed);
    uffb_feed_forward(c, l, c->normed, c->x, taps);
    if (!pre) uffb_normalise(c, tokens, h, &layer->norm2, c->x, c->x);
}

static int32_t run_encoder(uffb_context *c, const int32_t *ids, const int32_t *types, const uffb_taps *taps) {
    const uffb_model *m = c->model;
    float *rows = m->arch.embed_width ? c->wide : c->x;
    embed(c, ids, types, rows);
    if (m->arch.embed_norm) uffb_normalise(c, c->tokens, m->embed_width, &m->embed_norm, rows, rows);
    if (m->arch.embed_width) uffb_project(c, c->tokens, &m->embed_project, rows, m->embed_width, c->x, m->arch.hidden, 0);
    fill_tap(c, taps, UFFB_TAP_EMBEDDING, 0, c->x);
    for (int64_t l = 0; l < m->arch.layers; l++) {
        int32_t status = uffb_check_cancel(c);
        if (status) return status;
        run_block(c, l, taps);
        fill_tap(c, taps, UFFB_TAP_LAYER, l, c->x);
    }
    if (m->arch.final_norm) uffb_normalise(c, c->tokens, m->arch.hidden, &m->final_norm, c->x, c->normed);
    c->final = m->arch.final_norm ? c->normed : c->x;
    fill_tap(c, taps, UFFB_TAP_FINAL, 0, c->final);
    return UFFB_OK;
}

/* Makes a batch that there is room for the current one. */
static void take_batch(uffb_context *c, int64_t sequences, const int64_t *offsets) {
    c->sequences = sequences;
    c->tokens = offsets[sequences];
    memcpy(c->offsets, offsets, ((size_t)sequences + 1) * sizeof *offsets);
}

int32_t uffb_encode(uffb_context *c, int64_t sequences, const int64_t *offsets, const int32_t *ids, const int32_t *types,
                    const uffb_taps *taps) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_encode: no context");
    c->final = NULL;
    int32_t status = uffb_check_batch(&c->model->arch, sequences, offsets, ids, types, "uffb_encode");
    if (!status) status = uffb_check_ready(c, "uffb_encode");
    if (status) return uffb_context_fail(c, status);
    int64_t longest = 0;
    for (int64_t s = 0; s < sequences; s++) {
        if (offsets[s + 1] - offsets[s] > longest) longest = offsets[s + 1] - offsets[s];
    }
    status = uffb_taps_check(taps, &c->model->arch, offsets[sequences]);
    if (!status) status = uffb_context_reserve(c, sequences, offsets[sequences], longest);
    if (status) return uffb_context_fail(c, status);
    take_batch(c, sequences, offsets);
    status = run_encoder(c, ids, types, taps);
    if (!status) status = uffb_check_lost(c->model->lost_before);
    if (!status) return UFFB_OK;
    c->final = NULL;
    return uffb_context_fail(c, status);
}

int32_t uffb_take_final(uffb_context *c, int64_t sequences, const int64_t *offsets, const float *final) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_take_final: no context");
    c->final = NULL;
    int32_t status = uffb_check_offsets(&c->model->arch, sequences, offsets, "uffb_take_final");
    if (!status && !final) status = uffb_fail(UFFB_INVALID, "uffb_take_final: no final states");
    if (!status) status = uffb_context_reserve_states(c, sequences, offsets[sequences]);
    if (status) return uffb_context_fail(c, status);
    take_batch(c, sequences, offsets);
    memcpy(c->normed, final, (size_t)(c->tokens * c->model->arch.hidden) * sizeof *final);
    c->final = c->normed;
    return UFFB_OK;
}

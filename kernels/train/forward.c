/* From token ids to final states, keeping what the backward pass needs. The same stages as the engine's encode, on the same
 * kernels: without dropout the final states are the same bits. */
#include "trainer.h"
#include "../engine/positions.h"
#include "../engine/taps.h"

#include <string.h>

#define TASK_ROWS 32

/* --- rows ----------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t tokens, hidden, add;
    const float *x; /* NULL for zeros */
    float *y;
} moving;

static void move_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const moving *m = arg;
    const int64_t first = task * TASK_ROWS, rows = m->tokens - first < TASK_ROWS ? m->tokens - first : TASK_ROWS;
    const int64_t count = rows * m->hidden;
    float *y = m->y + first * m->hidden;
    if (!m->x) {
        memset(y, 0, (size_t)count * sizeof *y);
        return;
    }
    const float *x = m->x + first * m->hidden;
    if (!m->add) {
        memcpy(y, x, (size_t)count * sizeof *y);
        return;
    }
    for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

static void move(uffb_trainer *t, int64_t tokens, const float *x, float *y, int64_t add) {
    moving m = {tokens, t->arch.hidden, add, x, y};
    uffb_parallel(t->context->team, (tokens + TASK_ROWS - 1) / TASK_ROWS, move_task, &m);
}

void uffb_clear_rows(uffb_trainer *t, int64_t tokens, float *y) { move(t, tokens, NULL, y, 0); }

void uffb_copy_rows(uffb_trainer *t, int64_t tokens, const float *x, float *y) { move(t, tokens, x, y, 0); }

void uffb_add_rows(uffb_trainer *t, int64_t tokens, const float *x, float *y) { move(t, tokens, x, y, 1); }

int32_t uffb_trainer_cancelled(uffb_trainer *t) {
    return atomic_exchange(&t->cancel, 0) ? uffb_fail(UFFB_CANCELLED, "cancelled") : UFFB_OK;
}

/* --- embedding ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const uffb_trainer *trainer;
    const uffb_train_call *call;
    float *x;
} embedding;

static void add_row(int64_t n, const float *row, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] += row[i];
}

static void embed_task(void *arg, int64_t sequence, int32_t thread) {
    (void)thread;
    const embedding *e = arg;
    const uffb_trainer *t = e->trainer;
    const uffb_train_call *c = e->call;
    const int64_t h = t->arch.hidden, start = c->offsets[sequence];
    const float *positions = t->model->position.data; /* what is trained is in f32 */
    int64_t counted = 0;
    for (int64_t i = start; i < c->offsets[sequence + 1]; i++) {
        float *x = e->x + i * h;
        memcpy(x, positions + uffb_position_row(t->arch.position_offset, c->ids[i], &counted) * h, (size_t)h * sizeof *x);
        add_row(h, t->word->weight + c->ids[i] * h, x);
        if (t->type) add_row(h, t->type->weight + (c->types ? c->types[i] : 0) * h, x);
    }
}

void uffb_train_embed(uffb_trainer *t, const uffb_train_call *call, float *x) {
    embedding e = {t, call, x};
    uffb_parallel(t->context->team, call->step->sequences, embed_task, &e);
}

/* --- taps ----------------------------------------------------------------------------------------------------------------- */

static void fill_tap(const uffb_trainer *t, const uffb_train_call *call, int32_t kind, int64_t layer, const float *states) {
    void *buffer = uffb_tap(call->taps, kind, layer);
    if (buffer) memcpy(buffer, states, (size_t)(call->tokens * t->arch.hidden) * sizeof *states);
}

static void fill_path_taps(const uffb_trainer *t, const uffb_train_call *call, int64_t l) {
    const uffb_train_layer *layer = &t->layers[l];
    const int64_t levels = t->arch.depth + 1, size = call->tokens * t->arch.trees * levels;
    int32_t *path = uffb_tap(call->taps, UFFB_TAP_PATH, l);
    float *logits = uffb_tap(call->taps, UFFB_TAP_PATH_LOGITS, l);
    if (path) memcpy(path, layer->nodes, (size_t)size * sizeof *path);
    for (int64_t i = 0; logits && i < size; i++) {
        const int64_t token = i / levels / t->arch.trees, tree = i / levels % t->arch.trees;
        logits[i] = uffb_fff_walks(&t->arch)
                        ? layer->logits[i]
                        : layer->shallow[token * uffb_node_stride(&t->arch) + tree * t->model->nodes + layer->nodes[i]];
    }
}

/* --- blocks --------------------------------------------------------------------------------------------------------------- */

/* out = base + dropout(attention x weight), of what the layer kept of it. Without dropout the projection adds to the stream
 * itself, as in the engine. */
static void add_attention(uffb_trainer *t, const uffb_train_call *call, int64_t l, const float *base, float *out) {
    const uffb_train_layer *layer = &t->layers[l];
    const int64_t h = t->arch.hidden;
    const double rate = call->step->block_dropout;
    uffb_copy_rows(t, call->tokens, base, out);
    float *to = rate > 0 ? t->branch : out;
    uffb_train_project(t, call->tokens, &layer->out, layer->attended, layer->out.linear->cols, to, h, rate == 0);
    if (rate == 0) return;
    uffb_drop_rows(t, call->step, uffb_drop_place(l, UFFB_DROP_ATTENDED), rate, call->tokens, h, to);
    uffb_add_rows(t, call->tokens, to, out);
}

/* out = base + dropout(feedforward(input)), likewise. */
static void add_feed_forward(uffb_trainer *t, const uffb_train_call *call, int64_t l, const float *input, const float *base,
                             float *out) {
    const int64_t h = t->arch.hidden;
    const double rate = call->step->block_dropout;
    float *units = uffb_tap(call->taps, UFFB_TAP_FFN_UNITS, l);
    uffb_copy_rows(t, call->tokens, base, out);
    if (rate == 0) {
        uffb_train_feed_forward(t, call->tokens, l, input, out, units);
        return;
    }
    uffb_clear_rows(t, call->tokens, t->branch);
    uffb_train_feed_forward(t, call->tokens, l, input, t->branch, units);
    uffb_drop_rows(t, call->step, uffb_drop_place(l, UFFB_DROP_FEEDFORWARD), rate, call->tokens, h, t->branch);
    uffb_add_rows(t, call->tokens, t->branch, out);
}

static void run_block(uffb_trainer *t, const uffb_train_call *call, int64_t l, float *out) {
    const uffb_train_layer *layer = &t->layers[l];
    const int64_t h = t->arch.hidden, tokens = call->tokens;
    const int pre = t->arch.norm_position == UFFB_PRE_NORM;

    if (pre) uffb_normalise(t->context, tokens, t->arch.hidden, layer->norm1.affine, layer->input, t->normed);
    const float *input = pre ? t->normed : layer->input;
    uffb_train_project(t, tokens, &layer->qkv, input, h, layer->qkv_rows, layer->qkv.linear->rows, 0);
    uffb_train_attend(t, call, l);
    float *qk = uffb_tap(call->taps, UFFB_TAP_QK, l);
    if (qk) uffb_tap_qk(t->context, &t->model->layers[l], layer->qkv_rows, qk);
    add_attention(t, call, l, layer->input, layer->middle);
    if (!uffb_has_feedforward(&t->arch)) {
        if (pre) uffb_copy_rows(t, tokens, layer->middle, out);
        if (!pre) uffb_normalise(t->context, tokens, t->arch.hidden, layer->norm1.affine, layer->middle, out);
        return;
    }
    uffb_normalise(t->context, tokens, t->arch.hidden, pre ? layer->norm2.affine : layer->norm1.affine, layer->middle,
                   t->normed);

    fill_tap(t, call, UFFB_TAP_FFN_INPUT, l, t->normed);
    uffb_make_noise(t, call->step, l, tokens);
    if (pre) {
        add_feed_forward(t, call, l, t->normed, layer->middle, out);
    } else {
        add_feed_forward(t, call, l, t->normed, t->normed, layer->sum);
        uffb_normalise(t->context, tokens, t->arch.hidden, layer->norm2.affine, layer->sum, out);
    }
    if (t->arch.feedforward == UFFB_FFN_FFF) fill_path_taps(t, call, l);
}

static float *input_of(uffb_trainer *t, int64_t l) { return l < t->arch.layers ? t->layers[l].input : t->last; }

int32_t uffb_train_forward(uffb_trainer *t, const uffb_train_call *call) {
    const uffb_arch *a = &t->arch;
    float *x = input_of(t, 0);
    uffb_train_embed(t, call, x);
    if (a->embed_norm) uffb_normalise(t->context, call->tokens, t->arch.hidden, t->embed_norm.affine, x, x);
    uffb_drop_rows(t, call->step, UFFB_DROP_EMBEDDING, call->step->embedding_dropout, call->tokens, a->hidden, x);
    fill_tap(t, call, UFFB_TAP_EMBEDDING, 0, x);
    for (int64_t l = 0; l < a->layers; l++) {
        const int32_t status = uffb_trainer_cancelled(t);
        if (status) return status;
        run_block(t, call, l, input_of(t, l + 1));
        fill_tap(t, call, UFFB_TAP_LAYER, l, input_of(t, l + 1));
    }
    if (a->final_norm) {
        uffb_normalise(t->context, call->tokens, t->arch.hidden, t->final_norm.affine, t->last, t->final);
    } else {
        t->final = t->last;
    }
    fill_tap(t, call, UFFB_TAP_FINAL, 0, t->final);
    return UFFB_OK;
}

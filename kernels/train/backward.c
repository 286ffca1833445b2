/* From the gradient of the final states down to the lowest layer that is trained. trainer->stream is the gradient of the
 * residual stream; each half of a block adds to it what comes through that half. */
#include "trainer.h"
#include "../engine/positions.h"

/* The gradient of what a half added to the stream: the stream's, or a copy with the mask of its dropout. */
static const float *branch_of(uffb_trainer *t, const uffb_train_call *call, int64_t l, int place) {
    if (call->step->block_dropout == 0) return t->stream;
    uffb_copy_rows(t, call->tokens, t->stream, t->branch);
    uffb_drop_rows(t, call->step, uffb_drop_place(l, place), call->step->block_dropout, call->tokens, t->arch.hidden,
                   t->branch);
    return t->branch;
}

static void swap(float **a, float **b) {
    float *c = *a;
    *a = *b;
    *b = c;
}

/* trainer->stream += through what the feedforward half read; trainer->normed is that. */
static int32_t feed_forward_half(uffb_trainer *t, const uffb_train_call *call, int64_t l) {
    const uffb_train_layer *layer = &t->layers[l];
    const int pre = t->arch.norm_position == UFFB_PRE_NORM;
    const int64_t tokens = call->tokens;
    if (!uffb_has_feedforward(&t->arch))
        return pre ? UFFB_OK : uffb_norm_gradient(t, &layer->norm1, tokens, layer->middle, t->stream, t->stream, 0);
    if (!pre) { /* y = norm2(x1 + f(x1)), x1 = norm1(middle): x1 reaches y both ways */
        const int32_t status = uffb_norm_gradient(t, &layer->norm2, tokens, layer->sum, t->stream, t->stream, 0);
        if (status) return status;
    }
    uffb_normalise(t->context, tokens, t->arch.hidden, pre ? layer->norm2.affine : layer->norm1.affine, layer->middle,
                   t->normed);
    const float *dy = branch_of(t, call, l, UFFB_DROP_FEEDFORWARD);
    if (pre) {
        uffb_clear_rows(t, tokens, t->inner);
    } else {
        uffb_copy_rows(t, tokens, t->stream, t->inner);
    }
    const int32_t status = uffb_feed_forward_back(t, l, tokens, t->normed, dy, t->inner);
    if (status) return status;
    if (pre) return uffb_norm_gradient(t, &layer->norm2, tokens, layer->middle, t->inner, t->stream, 1);
    swap(&t->stream, &t->inner);
    return uffb_norm_gradient(t, &layer->norm1, tokens, layer->middle, t->stream, t->stream, 0);
}

static int32_t attention_half(uffb_trainer *t, const uffb_train_call *call, int64_t l) {
    const uffb_train_layer *layer = &t->layers[l];
    const int pre = t->arch.norm_position == UFFB_PRE_NORM;
    const int64_t tokens = call->tokens, h = t->arch.hidden, width = layer->out.linear->cols;
    const float *dy = branch_of(t, call, l, UFFB_DROP_ATTENDED);
    int32_t status = uffb_linear_gradient(t, &layer->out, tokens, dy, h, layer->attended, width);
    if (!status) status = uffb_linear_back(t, &layer->out, tokens, dy, h, t->inner, width, 0);
    if (status) return status;
    uffb_attend_back(t, call, l, t->inner, t->wide);
    if (pre) uffb_normalise(t->context, tokens, t->arch.hidden, layer->norm1.affine, layer->input, t->normed);
    status = uffb_linear_gradient(t, &layer->qkv, tokens, t->wide, 3 * width, pre ? t->normed : layer->input, h);
    if (status) return status;
    if (!pre) return uffb_linear_back(t, &layer->qkv, tokens, t->wide, 3 * width, t->stream, h, 1);
    status = uffb_linear_back(t, &layer->qkv, tokens, t->wide, 3 * width, t->inner, h, 0);
    return status ? status : uffb_norm_gradient(t, &layer->norm1, tokens, layer->input, t->inner, t->stream, 1);
}

int32_t uffb_train_backward(uffb_trainer *t, const uffb_train_call *call) {
    int32_t status = UFFB_OK;
    uffb_guide_back(t, call, UFFB_TAP_FINAL, 0);
    if (t->arch.final_norm) status = uffb_norm_gradient(t, &t->final_norm, call->tokens, t->last, t->stream, t->stream, 0);
    for (int64_t l = t->arch.layers - 1; !status && l >= 0 && l >= t->lowest; l--) {
        status = uffb_trainer_cancelled(t);
        uffb_guide_back(t, call, UFFB_TAP_LAYER, l);
        if (!status) status = feed_forward_half(t, call, l);
        if (!status) status = attention_half(t, call, l);
    }
    if (status || t->lowest >= 0) return status;
    uffb_guide_back(t, call, UFFB_TAP_EMBEDDING, 0);
    return uffb_embed_back(t, call);
}

/* --- embedding ------------------------------------------------------------------------------------------------------------ */

/* The factor of fixed positions: a sum over all tokens, in double precision. */
static void scale_gradient(uffb_trainer *t, const uffb_train_call *call) {
    const int64_t h = t->arch.hidden;
    double sum = 0;
    for (int64_t s = 0; s < call->step->sequences; s++) {
        for (int64_t i = call->offsets[s]; i < call->offsets[s + 1]; i++) {
            const float *row = t->table + (t->arch.position_offset + i - call->offsets[s]) * h, *d = t->stream + i * h;
            for (int64_t j = 0; j < h; j++) sum += (double)row[j] * (double)d[j];
        }
    }
    float *gradient = t->position_scale->gradient;
    *gradient = uffb_gradient_accumulates(t->position_scale) ? *gradient + (float)sum : (float)sum;
}

int32_t uffb_embed_back(uffb_trainer *t, const uffb_train_call *call) {
    static const float one = 1.0f;
    const int64_t h = t->arch.hidden, tokens = call->tokens;
    int32_t status = UFFB_OK;
    uffb_drop_rows(t, call->step, UFFB_DROP_EMBEDDING, call->step->embedding_dropout, tokens, h, t->stream);
    if (t->arch.embed_norm) {
        uffb_train_embed(t, call, t->normed);
        status = uffb_norm_gradient(t, &t->embed_norm, tokens, t->normed, t->stream, t->stream, 0);
    }
    if (!status && uffb_trains(t->word)) {
        const uffb_addend words = {t->word, &one, t->stream, h};
        status = uffb_scatter(t, tokens, call->ids, t->arch.vocab, t->padding, &words);
    }
    int32_t *keys = t->sort + 2 * tokens;
    if (!status && uffb_trains(t->position)) {
        const uffb_addend positions = {t->position, &one, t->stream, h};
        /* The row of positions that the padding token alone has is left out, too, as RoBERTa does. */
        const int32_t skipped = t->padding >= 0 && t->arch.position_offset == t->padding + 1 ? t->padding : -1;
        for (int64_t s = 0; s < call->step->sequences; s++) {
            int64_t counted = 0;
            for (int64_t i = call->offsets[s]; i < call->offsets[s + 1]; i++)
                keys[i] = (int32_t)uffb_position_row(t->arch.position_offset, call->ids[i], &counted);
        }
        status = uffb_scatter(t, tokens, keys, t->position->info.rows, skipped, &positions);
    }
    if (!status && uffb_trains(t->type)) {
        const uffb_addend types = {t->type, &one, t->stream, h};
        for (int64_t i = 0; i < tokens; i++) keys[i] = call->types ? call->types[i] : 0;
        status = uffb_scatter(t, tokens, keys, t->arch.token_types, -1, &types);
    }
    if (!status && uffb_trains(t->position_scale)) scale_gradient(t, call);
    return status;
}

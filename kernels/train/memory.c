/* What a step needs beside parameters, said beforehand and then allocated. */
#include "trainer.h"
#include "../engine/memory.h"

#include <stdlib.h>

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t path_size(const uffb_arch *a) { return a->feedforward == UFFB_FFN_FFF ? a->trees * (a->depth + 1) : 0; }

static int64_t logit_size(const uffb_arch *a) { return uffb_fff_walks(a) ? path_size(a) : 0; }

static int64_t sum_size(const uffb_arch *a) { return uffb_activates_sum(a) ? a->hidden : 0; }

/* Floats that a token takes in each layer for the backward pass, in sequences of up to `longest`. */
static int64_t kept_per_layer(const uffb_arch *a, int64_t longest) {
    const int64_t states = a->norm_position == UFFB_PRE_NORM ? 6 : 7; /* input, middle, (sum,) q, k, v, attended */
    return states * a->hidden + a->heads * uffb_kept_keys(a, longest) + uffb_hidden_stride(a->width) + uffb_node_stride(a) +
           path_size(a) + logit_size(a) + sum_size(a);
}

static int64_t kept_per_token(const uffb_arch *a, int64_t longest) {
    return a->layers * kept_per_layer(a, longest) + 2 * a->hidden;
}

/* Two streams of gradients, logits of paths, noise of branches, and the places of tokens in a sort; three more buffers are the
 * context's. */
static int64_t scratch_per_token(const uffb_arch *a) { return 2 * a->hidden + logit_size(a) + path_size(a) + 5; }

static float *take(float **at, int64_t tokens, int64_t width) {
    float *rows = *at;
    *at += tokens * width;
    return rows;
}

static void place(uffb_trainer *t, int64_t tokens, int64_t longest) {
    const uffb_arch *a = &t->arch;
    float *at = t->kept;
    t->kept_keys = uffb_kept_keys(a, longest);
    for (int64_t l = 0; l < a->layers; l++) {
        uffb_train_layer *layer = &t->layers[l];
        layer->input = take(&at, tokens, a->hidden);
        layer->middle = take(&at, tokens, a->hidden);
        layer->sum = a->norm_position == UFFB_PRE_NORM ? NULL : take(&at, tokens, a->hidden);
        layer->qkv_rows = take(&at, tokens, 3 * a->hidden);
        layer->attended = take(&at, tokens, a->hidden);
        layer->shares = take(&at, tokens, a->heads * t->kept_keys);
        layer->units = take(&at, tokens, uffb_hidden_stride(a->width));
        layer->shallow = take(&at, tokens, uffb_node_stride(a));
        layer->nodes = (int32_t *)take(&at, tokens, path_size(a));
        layer->logits = take(&at, tokens, logit_size(a));
        layer->tree_sum = take(&at, tokens, sum_size(a));
    }
    t->last = take(&at, tokens, a->hidden);
    t->final = take(&at, tokens, a->hidden);
    t->stream = take(&at, tokens, a->hidden);
    t->inner = take(&at, tokens, a->hidden);
    t->branch = t->context->x;
    t->normed = t->context->normed;
    t->wide = t->context->wide;
    t->dlogits = take(&at, tokens, logit_size(a));
    t->noise = take(&at, tokens, path_size(a));
    t->sort = (int32_t *)take(&at, tokens, 5);
}

static int64_t thread_scratch(const uffb_arch *a, int64_t longest, int64_t guided_head) {
    const int64_t attention = uffb_attend_back_scratch(a, longest) + uffb_guided_attention_scratch(guided_head, longest);
    return larger(attention, UFFB_OUTER_SCRATCH);
}

/* Panels for any product of a step; those of heads have no more rows than there are tokens. */
static int64_t packed_size(const uffb_trainer *t, int64_t tokens) {
    int64_t size = 0;
    for (int64_t i = 0; i < t->parameters; i++) {
        const uffb_parameter_info *p = &t->parameter[i].info;
        if ((!p->present && !p->required) || p->layout != UFFB_PANELS || uffb_blocks_size(t, p)) continue;
        size = larger(size, uffb_packed_size(tokens, p->rows, p->cols));
    }
    return size;
}

void uffb_trainer_release(uffb_trainer *t) {
    free(t->kept);
    t->kept = NULL;
    t->capacity = 0;
}

int32_t uffb_trainer_reserve(uffb_trainer *t, int64_t sequences, int64_t tokens, int64_t longest) {
    const uffb_arch *a = &t->arch;
    uffb_free_panels(t);
    int32_t status = uffb_context_reserve(t->context, sequences, tokens, longest);
    if (status) return status;
    int64_t per_token = kept_per_token(a, longest) + scratch_per_token(a), floats;
    if (__builtin_mul_overflow(per_token, tokens, &floats) || floats > INT64_MAX / 8 ||
        !uffb_trainer_grow(&t->kept, &t->capacity, floats) ||
        !uffb_trainer_grow(&t->packed, &t->packed_size, packed_size(t, tokens)) ||
        !uffb_trainer_grow(&t->scratch, &t->scratch_size,
                           t->context->threads * thread_scratch(a, longest, uffb_guided_head(t)))) {
        return uffb_fail(UFFB_NO_MEMORY, "no memory to train on %lld tokens at once; take smaller micro-batches",
                         (long long)tokens);
    }
    t->thread_scratch = t->scratch_size / t->context->threads;
    place(t, tokens, longest);
    return UFFB_OK;
}

static int is_size(const uffb_train_size *s) {
    return s && s->sequences >= 1 && s->tokens >= s->sequences && s->longest >= 1 && s->longest <= s->tokens &&
           s->targets >= 0 && s->guided >= 0 && s->guided_head >= 0 && s->threads >= 1;
}

int32_t uffb_trainer_memory(const uffb_trainer *t, const uffb_train_size *size, uffb_train_memory *memory) {
    if (!t || !memory) return uffb_fail(UFFB_INVALID, "uffb_trainer_memory: no trainer or nowhere to put the answer");
    if (!is_size(size)) return uffb_fail(UFFB_INVALID, "uffb_trainer_memory: no such step");
    const uffb_arch *a = &t->arch;
    const int64_t tokens = size->tokens, longest = size->longest;
    int64_t most = 0; /* rows or columns of a weight */
    *memory = (uffb_train_memory){0};
    for (int64_t i = 0; i < t->parameters; i++) {
        const uffb_parameter_info *p = &t->parameter[i].info;
        const uint64_t bytes = uffb_tensor_bytes(p->rows, p->cols, UFFB_F32, UFFB_ROWS);
        if (!p->present && !p->required) continue;
        memory->weights += bytes;
        if (p->layout == UFFB_PANELS) most = larger(most, larger(p->rows, p->cols));
        memory->weights += (uint64_t)uffb_blocks_size(t, p) * sizeof(uint16_t);
        if (!p->trainable) continue;
        memory->gradients += bytes;
        memory->moments += 2 * bytes;
    }
    const uint64_t f = sizeof(float), n = (uint64_t)tokens;
    memory->kept_per_token = (uint64_t)(kept_per_token(a, longest) + size->guided) * f;
    memory->kept = memory->kept_per_token * n;
    memory->scratch = (uint64_t)scratch_per_token(a) * f * n;
    memory->scratch += (uint64_t)(2 * a->hidden + uffb_wide(a)) * f * n; /* the forward stages' own */
    const int64_t each = thread_scratch(a, longest, size->guided_head) + uffb_thread_scratch(a, longest);
    memory->scratch += (uint64_t)each * f * (uint64_t)size->threads;
    memory->scratch += (uint64_t)packed_size(t, tokens) * f;
    if (t->compute == UFFB_BF16)
        memory->scratch += (uint64_t)(uffb_left_size(most) + uffb_right_size(tokens, most)) * sizeof(uint16_t);
    memory->scratch += (uint64_t)uffb_head_size(a, size->sequences, size->targets) * f;
    const uint64_t released = (uint64_t)(kept_per_token(a, longest) + scratch_per_token(a)) * f * n,
                   panels = uffb_panels_size(t);
    if (panels > released) memory->scratch += panels - released;
    memory->total = memory->weights + memory->gradients + memory->moments + memory->kept + memory->scratch;
    return UFFB_OK;
}

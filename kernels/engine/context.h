/* context.h: the working state of one engine instance, and the stages of an encode. */
#ifndef UFFB_CONTEXT_H
#define UFFB_CONTEXT_H

#include "error.h"
#include "mapped.h"
#include "model.h"
#include "threads.h"
#include "../ops/ops.h"

#include <stdatomic.h>

struct uffb_context {
    const uffb_model *model;
    const uffb_ops *ops;
    uffb_isa isa;
    int32_t threads;
    uffb_team *team;
    atomic_int cancel;
    char error[UFFB_ERROR_SIZE];

    /* The batch encoded last: T tokens in `sequences` sequences. */
    int64_t sequences, tokens;
    int64_t *offsets;   /* [sequences + 1] */
    const float *final; /* [T, hidden], NULL before the first encode */

    /* Buffers, each for as many tokens, sequences or rows as its capacity says. */
    int64_t capacity, state_capacity, sequence_capacity, quantised_capacity;
    float *x;      /* [T, hidden] residual stream */
    float *normed; /* [T, hidden] input of a sublayer, and room for its attention output; of `state_capacity` */
    float *wide;   /* [T, uffb_wide(arch)] q, k, v; then feedforward hidden units, or paths */

    /* Quantised inputs, at least UFFB_HEAD_ROWS; only where the model's weights take such. */
    void *quantised; /* [rows, model->input_bytes] bytes */
    float *quantised_scale;

    /* Scratch of each thread. */
    int64_t scratch_size; /* floats a thread */
    float *scratch;

    /* Scratch of the heads. */
    int64_t head_size;
    float *head;
};

/* Rows that the MLM head works on at once. */
#define UFFB_HEAD_ROWS 64

/* Computes the largest logits [count, vocab] of a quantised decoder again, from exact states [count, hidden] and the
 * decoder's rows in half precision, where the model has these (rescore.c). */
void uffb_rescore(uffb_context *context, int64_t count, const float *states, float *logits);

/* Floats a token needs in `wide`, and the part of them that trees work in. */
int64_t uffb_wide(const uffb_arch *arch);
int64_t uffb_trees_wide(const uffb_arch *arch);
/* Floats from one row of dense hidden units [T, width] to the next. */
int64_t uffb_hidden_stride(int64_t width);
/* Columns of `ffn.out`: dense hidden units behind the activation and the gate. */
int64_t uffb_ffn_units(const uffb_arch *arch);
/* The same of the nodes of shallow trees [T, trees, nodes]; 0 without such. */
int64_t uffb_node_stride(const uffb_arch *arch);

/* Makes room for a batch and for every thread's scratch; grows only. */
int32_t uffb_context_reserve(uffb_context *context, int64_t sequences, int64_t tokens, int64_t longest);
/* The same for the final states alone, and the heads on them. */
int32_t uffb_context_reserve_states(uffb_context *context, int64_t sequences, int64_t tokens);

/* At least `size` floats for a head, or NULL. */
float *uffb_head_scratch(uffb_context *context, int64_t size);

/* Keeps the thread's message for uffb_context_error and returns `status`. */
int32_t uffb_context_fail(uffb_context *context, int32_t status);

/* Refuses a trainer's model whose panels a step has freed. */
int32_t uffb_check_ready(const uffb_context *context, const char *function);

/* UFFB_CANCELLED, once, after uffb_context_cancel. */
int32_t uffb_check_cancel(uffb_context *context);

/* The stages. Each runs over all tokens of the batch, on all threads. */

/* c [tokens, rows] = a [tokens, cols] x weight^T + bias, plus the old c if `accumulate`. */
void uffb_project(uffb_context *context, int64_t tokens, const uffb_linear *linear, const float *a, int64_t lda, float *c,
                  int64_t ldc, int32_t accumulate);
/* y = norm(x), both [tokens, cols] */
void uffb_normalise(uffb_context *context, int64_t tokens, int64_t cols, const uffb_affine *norm, const float *x, float *y);
void uffb_activate_all(uffb_context *context, int32_t activation, int64_t tokens, int64_t cols, float *x, int64_t ldx);
/* attended [T, w] from qkv [T, 3 w], which it may change; w is the layer's heads times their size */
void uffb_attend(uffb_context *context, const uffb_layer *layer, float *qkv, float *attended);
/* UFFB_TAP_QK of that qkv, after uffb_attend: positions are turned there. */
void uffb_tap_qk(uffb_context *context, const uffb_layer *layer, float *qkv, float *tap);
/* Floats of scratch attention needs a thread for sequences of up to `longest` tokens. */
int64_t uffb_attention_scratch(const uffb_arch *arch, int64_t longest);
/* Floats of scratch a thread has for such. */
int64_t uffb_thread_scratch(const uffb_arch *arch, int64_t longest);
/* x += feedforward(input); taps get the paths of layer `l`. */
void uffb_feed_forward(uffb_context *context, int64_t l, const float *input, float *x, const uffb_taps *taps);
/* Zeroes the logits [trees, nodes] of nodes that a token does not visit, of trees that are too shallow to be walked. noise of
 * the branches, path and path_logits [trees, depth+1] or NULL. */
void uffb_keep_path(const uffb_arch *arch, int64_t nodes, float *logits, const float *noise, int32_t *path, float *path_logits);
/* x += what walked trees make of input (fff.c); noise of the branches, path and path_logits [T, trees, depth+1] or NULL. */
void uffb_fff_layer(uffb_context *context, const uffb_layer *layer, const float *input, float *x, const float *noise,
                    int32_t *path, float *path_logits);
int64_t uffb_fff_wide(const uffb_arch *arch);
/* Tree `k` of a layer, without noise. */
uffb_tree uffb_tree_of(const uffb_model *model, const uffb_layer *layer, int64_t k);

#endif

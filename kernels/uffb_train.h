/* uffb_train.h: the C ABI of training, beside that of the encoder (uffb.h). This header is the manual.
 *
 * Everything that the encoder runs can be trained: what uffb_arch describes, with the losses below. All is f32, but for
 * products that uffb_trainer_compute asks for in bf16.
 *
 *     uffb_trainer_new(&arch, padding, &trainer);
 *     uffb_trainer_set(trainer, UFFB_WEIGHT, name, data, ...);      each parameter, named as the tensors of a model
 *     uffb_trainer_ready(trainer, threads, NULL);
 *     uffb_trainer_step(trainer, &step, offsets, ids, ...);         forward and backward: adds to the gradients
 *     uffb_trainer_update(trainer, &adamw, &update);                AdamW; the gradients are zero again
 *     uffb_trainer_model(trainer, &model);                          the weights as they are now, for uffb_context_new
 *     uffb_trainer_get(trainer, UFFB_WEIGHT, name, data, ...);
 *
 * The rules of uffb.h hold: a status from every call, one line about a failure, caller-owned buffers, row-major shapes, ragged
 * batches without padding. A trainer belongs to one call at a time; uffb_trainer_cancel alone may come from another thread.
 *
 * Every sum has one order, which batch and ISA decide and the number of threads does not: any number of threads gives the same
 * bits. What a run is consists of weights, moments, the number of updates, and what the caller passes to each step; a trainer
 * given these again goes on with the same bits (accumulated gradients can be given back, too).
 *
 * What the backward pass needs: per token and layer are kept, in f32, the block's input and the sum after attention (post-norm:
 * also the sum after the feedforward half), each [hidden]; q, k and v [3 hidden] and attention's output, [hidden]; for each
 * head attention's probabilities, as far as 2 head_size a token have room for them, which is all of sequences no longer than
 * that; and of the feedforward layer the values before its activation, [width], or nodes and logits of each path, 2 [trees,
 * depth+1]. All else is computed again: other probabilities, normalised rows, activations, and dropout masks, which a
 * counter-based generator gives. uffb_trainer_memory says beforehand what that comes to.
 */
#ifndef UFFB_TRAIN_H
#define UFFB_TRAIN_H

#include "uffb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a signature, a struct or a value below changes; the loader refuses another version. */
#define UFFB_TRAIN_ABI_VERSION 8

/* What uffb_trainer_get and uffb_trainer_set move. All have the shape of the parameter. */
#define UFFB_WEIGHT 0
#define UFFB_GRADIENT 1      /* the sum of the steps since the last update, times their scales */
#define UFFB_FIRST_MOMENT 2  /* AdamW's exp_avg */
#define UFFB_SECOND_MOMENT 3 /* AdamW's exp_avg_sq */

/* Heads that training alone knows, beside UFFB_HEAD_MLM and UFFB_HEAD_CLASS. */
#define UFFB_HEAD_NONE 0   /* no prediction: guides alone (uffb_trainer_guide) */
#define UFFB_HEAD_VECTOR 4 /* the pooled final states of a sequence, as sentence vectors */

/* Losses. A target is one prediction: a position of the MLM head, or a sequence of the other heads. */
#define UFFB_CROSS_ENTROPY 0        /* targets i32 [targets]: a class or token id each; a negative one counts for nothing */
#define UFFB_BINARY_CROSS_ENTROPY 1 /* targets f32 [targets, labels], each 0 to 1; of the logistic function of each logit */
#define UFFB_SQUARED_ERROR 2        /* targets f32 [targets, labels] */
#define UFFB_SOFT_CROSS_ENTROPY 3   /* targets f32 [targets, classes]: a distribution each, a teacher's say; see temperature */
#define UFFB_COSINE 4               /* targets f32 [targets, hidden]: 1 - the cosine of each with the vector head's */

typedef struct uffb_trainer uffb_trainer;

/* One parameter. */
typedef struct uffb_parameter_info {
    char name[64];
    int64_t rows; /* logical shape; vectors have rows = 1 */
    int64_t cols;
    int32_t layout;    /* of uffb.h: in which the encoder wants it; any may be given and asked for here */
    int32_t required;  /* whether the model cannot do without it */
    int32_t present;   /* whether it was set; an optional one that was not is not part of the model */
    int32_t constant;  /* 1: no parameter but a number that is given, such as a factor of attention scores */
    int32_t trainable; /* 1 unless uffb_trainer_mark said otherwise; 0 for constants */
    int32_t decays;    /* whether weight decay applies: by default where the name has neither `bias` nor `norm` */
} uffb_parameter_info;

/* The largest steps that are to come. */
typedef struct uffb_train_size {
    int64_t sequences;
    int64_t tokens;
    int64_t longest; /* tokens of a sequence */
    int64_t targets;
    int64_t guided;      /* floats a token of all guides of a step: the sum of their widths */
    int64_t guided_head; /* largest head size of a guide of attention; 0 without any */
    int32_t threads;
    int32_t reserved;
} uffb_train_size;

/* What a trainer takes, in bytes, for steps of a given size. */
typedef struct uffb_train_memory {
    uint64_t weights;        /* with what they are rounded to in bf16 */
    uint64_t gradients;      /* of trainable parameters */
    uint64_t moments;        /* two a trainable parameter */
    uint64_t kept;           /* for the backward pass, of all tokens of a step, and of its guides */
    uint64_t scratch;        /* all else, and what uffb_trainer_model takes beyond what it frees */
    uint64_t total;          /* the sum of these */
    uint64_t kept_per_token; /* part of `kept` that a token takes */
} uffb_train_memory;

/* One step: a batch, its targets and how they count. Its gradients are those of `scale` times the sum of weighted losses. With
 * several steps an update, give 1 / (the sum of the weights of all of them); 0 stands for 1 / (the sum of this one's), the
 * mean. Dropout rates are 0 to below 1; a mask depends on seed, counter, place in the model and place in the batch alone, so
 * that no two steps of a run should have the same counter. Of the vector head, `similarity` times the mean, over the other
 * sequences of the batch, of the squared difference between the cosine with that one and the cosine of their targets is added
 * to the loss of each target. Noise of branches, nearly normal and from seed and counter as dropout, decides which way a token
 * goes at a node; what the node puts out is that of its logit alone. */
typedef struct uffb_train_step {
    int64_t sequences;
    int64_t targets;          /* MLM: how many positions are predicted; no head: 0; else the number of sequences */
    int32_t head;             /* UFFB_HEAD_... */
    int32_t loss;             /* MLM takes the two cross-entropies, vectors take UFFB_COSINE, and classes all others */
    double scale;             /* of the gradients */
    double label_smoothing;   /* 0 to 1: this share of each class's target is spread evenly over all classes */
    double embedding_dropout; /* of the embedding, after its norm */
    double attention_dropout; /* of attention probabilities */
    double block_dropout;     /* of what attention and feedforward add to the stream */
    double head_dropout;      /* of the input of `head.class` */
    uint64_t seed;            /* of dropout and noise */
    uint64_t counter;         /* of these: which step of the run this is */
    int32_t causal;           /* 1: a token attends to itself and those before it */
    int32_t backward;         /* 0: the loss alone, and no gradient */
    int32_t pooling;          /* of the vector head: UFFB_POOL_... */
    int32_t reserved;
    double similarity;   /* of the vector head: what similarities within the batch count for */
    double temperature;  /* of soft cross-entropy: logits are divided by it; 0 stands for 1 */
    double branch_noise; /* of trees: standard deviation of what is added to logits where tokens choose their ways */
} uffb_train_step;

/* What a step came to. */
typedef struct uffb_train_result {
    double loss;        /* the sum of weighted losses */
    double weight;      /* the sum of weights: loss / weight is the mean */
    int64_t correct;    /* cross-entropy: targets whose largest logit is their class */
    int64_t not_finite; /* targets whose loss is not a number or infinite; `losses` tells which */
    double guided;      /* the sum of what guides ask for, which `loss` has not */
} uffb_train_result;

/* AdamW as PyTorch's: decoupled decay, bias correction, eps outside the root. Clipping is that of clip_grad_norm_: the gradient
 * times clip / (norm + 1e-6) where that is below 1. eps must be above 0. */
typedef struct uffb_adamw {
    double lr;
    double beta1;
    double beta2;
    double eps;
    double weight_decay;
    double clip; /* largest norm of the whole gradient; 0 does not clip */
} uffb_adamw;

typedef struct uffb_update_result {
    double norm;    /* of the whole gradient, before clipping */
    double factor;  /* that clipping multiplied it by */
    int64_t step;   /* updates made so far, this one included */
    int32_t finite; /* 0: the norm is not a number or infinite; nothing was updated, and the gradients are zero again */
    int32_t reserved;
} uffb_update_result;

UFFB_API int32_t uffb_train_abi_version(void);

/* --- what a trainer is made of -------------------------------------------------------------------------------------------- */

/* padding: the id of the padding token, or -1. Where a text holds it, its row of `embed.word` gets no gradient from there, nor
 * does the row of `embed.position` that it alone has, as of PyTorch's Embedding(padding_idx); from a tied decoder its row of
 * `embed.word` does. UFFB_INVALID names the impossible field. */
UFFB_API int32_t uffb_trainer_new(const uffb_arch *arch, int32_t padding, uffb_trainer **trainer);
UFFB_API void uffb_trainer_free(uffb_trainer *trainer);
/* One line about the last failure of a step, an update or a copy of this trainer. */
UFFB_API const char *uffb_trainer_error(const uffb_trainer *trainer);
UFFB_API const char *uffb_trainer_isa(const uffb_trainer *trainer);
UFFB_API int32_t uffb_trainer_threads(const uffb_trainer *trainer);

UFFB_API int64_t uffb_trainer_parameter_count(const uffb_trainer *trainer);
UFFB_API int32_t uffb_trainer_parameter_info(const uffb_trainer *trainer, int64_t index, uffb_parameter_info *info);

/* Copies `bytes` bytes of `dtype` (UFFB_F32, UFFB_F16, UFFB_BF16, UFFB_F64) in `layout` (UFFB_ROWS, UFFB_COLUMNS, UFFB_PANELS)
 * into what `kind` says of parameter `name`. Weights before uffb_trainer_ready say which optional parameters there are; after
 * it, all kinds can be set again. Moments and gradients only then, of trainable parameters. */
UFFB_API int32_t uffb_trainer_set(uffb_trainer *trainer, int32_t kind, const char *name, const void *data, uint64_t bytes,
                                  int32_t dtype, int32_t layout);
/* The reverse: of a parameter that is present. Gradients and moments of one that is not trainable are zero. */
UFFB_API int32_t uffb_trainer_get(uffb_trainer *trainer, int32_t kind, const char *name, void *data, uint64_t bytes,
                                  int32_t dtype, int32_t layout);
/* Says whether `name` is trained and decays, before uffb_trainer_ready. What is below the lowest trainable layer then gets no
 * backward pass, and costs none. A layer is frozen by marking each of its parameters. */
UFFB_API int32_t uffb_trainer_mark(uffb_trainer *trainer, const char *name, int32_t trainable, int32_t decays);

/* What linear layers multiply, before uffb_trainer_ready: UFFB_F32, or UFFB_BF16. Then both sides of the three products of each
 * weight of 16 rows or more (the layer's, and the gradients of input and weight) are rounded to bf16, nearest and ties to even,
 * denormals to zero; sums are f32. So is all else: weights, moments, gradients, norms, attention's scores and probabilities,
 * activations, trees that are walked, losses, and the model of uffb_trainer_model. */
UFFB_API int32_t uffb_trainer_compute(uffb_trainer *trainer, int32_t dtype);
/* Whether a trainer that is ready has instructions for that. If 0, UFFB_BF16 is much slower than UFFB_F32. */
UFFB_API int32_t uffb_trainer_multiplies_bf16(const uffb_trainer *trainer);

/* Bytes for steps of up to that size. Asked for before uffb_trainer_ready, and so before anything but weights is allocated. */
UFFB_API int32_t uffb_trainer_memory(const uffb_trainer *trainer, const uffb_train_size *size, uffb_train_memory *memory);

/* Checks that every required tensor is there and makes room for gradients and moments (zero). `threads` and `isa` are those of
 * uffb_context_new. */
UFFB_API int32_t uffb_trainer_ready(uffb_trainer *trainer, int32_t threads, const char *isa);

/* --- training ------------------------------------------------------------------------------------------------------------- */

/* Runs a batch forward and, if step.backward, backward, and adds to the gradients.
 *
 * offsets [sequences + 1], ids [tokens], types [tokens] or NULL: as uffb_encode. final [tokens, hidden] or NULL: final states
 * computed elsewhere; the encoder is then left out of both passes, `ids` may be NULL, and only the head is trained (features
 * once, then the head: sequences of one token each, whose final state is the pooled vector).
 * positions [targets]: token rows of the batch that the MLM head predicts, each at most once; NULL for classification.
 * targets: as the loss says. weights [targets] or NULL for 1: of each target. class_weights [classes] or NULL for 1:
 * cross-entropy multiplies a target's loss and weight by its class's (as PyTorch); binary cross-entropy multiplies the loss of
 * a label that is 1. The loss of a target over several labels (binary cross-entropy, squared error) is their mean. taps or
 * NULL: as uffb_encode, filled on the way; with dropout they show states after it. losses [targets] or NULL: each one's loss
 * before weights. logits [targets, classes] or NULL.
 *
 * After UFFB_CANCELLED or another failure gradients hold a part of the step: call uffb_trainer_zero_gradients. Weights are
 * never touched. */
UFFB_API int32_t uffb_trainer_step(uffb_trainer *trainer, const uffb_train_step *step, const int64_t *offsets,
                                   const int32_t *ids, const int32_t *types, const float *final, const int64_t *positions,
                                   const void *targets, const float *weights, const float *class_weights, const uffb_taps *taps,
                                   uffb_train_result *result, float *losses, float *logits);

/* Asks the next step to pull states, or attention, towards another model's, a teacher's say: adds to what is minimised,
 * whatever the step's scale, `weight` times
 * - for UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER (with its layer) or UFFB_TAP_FINAL the mean squared difference of states, whose
 *   `width` is hidden;
 * - for UFFB_TAP_QK (with its layer) the divergence of attention's probabilities from the other's, KL(other || own), in nats,
 *   mean over tokens and heads, before dropout. That layer of the other model has as many heads as this one's; their size,
 *   width / (2 heads), may be another. Probabilities are computed from q and k block by block, so that memory grows with tokens
 *   and not with the square of their number.
 * `states` [tokens, width], which are copied, of all tokens of the batch. One for each place. After the step, however it ends,
 * there are none. */
UFFB_API int32_t uffb_trainer_guide(uffb_trainer *trainer, int32_t kind, int64_t layer, double weight, const float *states,
                                    int64_t tokens, int64_t width);

/* Fits the feedforward half of one layer of a post-norm model alone, to what another model's does: `input` [tokens, hidden],
 * what the half reads (UFFB_TAP_FFN_INPUT), becomes norm2(input + feedforward(input)), whose mean squared difference from
 * `output` [tokens, hidden], the other's UFFB_TAP_LAYER, times `weight` is result->guided. If `backward`, its gradients are
 * added to those of the layer's feedforward half, `norm2` included. No other part of the model is read. Failures are those of a
 * step. */
UFFB_API int32_t uffb_trainer_fit(uffb_trainer *trainer, int64_t layer, int64_t tokens, const float *input, const float *output,
                                  double weight, int32_t backward, uffb_train_result *result);

/* One step of AdamW with the gradients as they are, which then are zero. Rows of trees that have none may get theirs later, but
 * before anything reads them, and with the same bits. */
UFFB_API int32_t uffb_trainer_update(uffb_trainer *trainer, const uffb_adamw *adamw, uffb_update_result *result);
UFFB_API int32_t uffb_trainer_zero_gradients(uffb_trainer *trainer);

/* Evens out which way tokens go: the bias of each inner node of trees loses rate * (right - left) / (right + left + 8), of the
 * tokens that went right and left there in steps with a backward pass since the last call. The bias is the running estimate, so
 * that a run has no more state; loss and gradients stay as they are (as arXiv 2408.15664 does for experts). After each update,
 * or not at all. UFFB_INVALID where a layer has no trees, or no biases. */
UFFB_API int32_t uffb_trainer_balance(uffb_trainer *trainer, double rate);

/* Updates made so far, which bias correction depends on; set when a run is resumed, after the moments. */
UFFB_API int64_t uffb_trainer_updates(const uffb_trainer *trainer);
UFFB_API int32_t uffb_trainer_set_updates(uffb_trainer *trainer, int64_t updates);

/* The weights as they are now, as a model that contexts can be made of, to evaluate between updates. It belongs to the trainer
 * and lives as long, and it is the same one every time. After a step, an update or a set, ask for it again before a context of
 * it is used: that brings it up to date, and in the form that the encoder reads, whose room the next step takes back. No
 * context of it may run during a call on the trainer. */
UFFB_API int32_t uffb_trainer_model(uffb_trainer *trainer, uffb_model **model);

/* Makes the running step, or else the next one, return UFFB_CANCELLED. From any thread. */
UFFB_API int32_t uffb_trainer_cancel(uffb_trainer *trainer);

/* visits [trees, nodes]: how many tokens came to each node of `layer` in the steps since the last uffb_trainer_clear_visits. */
UFFB_API int32_t uffb_trainer_visits(const uffb_trainer *trainer, int64_t layer, int64_t *visits);
UFFB_API int32_t uffb_trainer_clear_visits(uffb_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif

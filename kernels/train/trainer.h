/* trainer.h: what a trainer is made of, and the stages of a step. */
#ifndef UFFB_TRAINER_H
#define UFFB_TRAINER_H

#include "../engine/context.h"
#include "../uffb_train.h"

/* --- parameters ----------------------------------------------------------------------------------------------------------- */

/* A tensor of the model and what training keeps of it, all [rows, cols] row-major. */
typedef struct uffb_parameter {
    uffb_parameter_info info;
    float *weight;                    /* NULL until set */
    float *panels;                    /* the same as the encoder's GEMMs read it, between uffb_make_panels and _free_panels */
    uint16_t *blocks;                 /* the same rounded, where the trainer multiplies it in bf16; else NULL */
    float *gradient, *first, *second; /* from ready on, if trainable */
    /* What of the gradient holds something: all of it, or the rows marked here. The rest is zero, whatever lies there: so no
     * pass over a large tensor is needed to clear it, and rows of trees and embeddings that nothing visits cost nothing. */
    int32_t filled;
    uint8_t *touched; /* [rows] */
    uint8_t *moving;  /* [rows] whether its moments are not all zero */
    int64_t *made;    /* [rows] of walked trees: the last update that was made to each; NULL: all were (waiting.c) */
} uffb_parameter;

/* Updates that a row without a gradient may wait for. */
#define UFFB_WAITING 64

/* What an update multiplies by, for parameters that decay and for those that do not. */
typedef struct uffb_factors {
    uffb_adamw_factors decaying, plain;
} uffb_factors;

/* y = weight x + bias; parameters that the model lacks are NULL. */
typedef struct uffb_train_linear {
    uffb_parameter *weight, *bias;
    const uffb_linear *linear; /* of the model */
} uffb_train_linear;

typedef struct uffb_train_norm {
    uffb_parameter *weight, *bias;
    const uffb_affine *affine; /* of the model */
} uffb_train_norm;

typedef struct uffb_train_layer {
    uffb_train_norm norm1, norm2;
    uffb_train_linear qkv, out, ffn_in, ffn_out;
    uffb_train_linear nodes_in, nodes_out;          /* of shallow trees */
    uffb_parameter *tree_in, *tree_bias, *tree_out; /* of walked trees */
    int64_t *visits;                                /* [trees, nodes] */
    int64_t *balanced;                /* [trees, nodes] of these, those that uffb_trainer_balance has seen or need not see */
    int32_t attention_trains, trains; /* whether a parameter of its attention half, or any, is trainable */

    /* Kept from the forward pass, of T tokens. */
    float *input;    /* [T, hidden] the stream as it comes in */
    float *middle;   /* [T, hidden] after attention; post-norm: before norm1 */
    float *sum;      /* [T, hidden] post-norm: before norm2 */
    float *qkv_rows; /* [T, 3 hidden] */
    float *attended; /* [T, hidden] what attention puts out, before its projection */
    float *shares;   /* [T, heads, kept_keys] attention's probabilities before dropout, as far as they find room */
    float *units;    /* [T, uffb_hidden_stride(width)] before the activation */
    float *shallow;  /* [T, uffb_node_stride] of shallow trees, likewise; zero off the path */
    int32_t *nodes;  /* [T, trees, depth+1] that tokens came to */
    float *logits;   /* [T, trees, depth+1] of walked trees */
    float *tree_sum; /* [T, hidden] of all trees, where its activation is the output */
} uffb_train_layer;

/* States, or q and k, that a step is to be pulled towards; its buffer is kept for the next step's. */
typedef struct uffb_guide {
    int32_t kind;
    int64_t layer, tokens, width, size;
    double weight;
    float *states; /* [tokens, width] */
} uffb_guide;

#define UFFB_MAX_GUIDES 256

struct uffb_trainer {
    uffb_arch arch;
    int32_t padding;       /* id of the padding token, -1 for none */
    uffb_model *model;     /* whose tensors are the parameters' weights, and panels where there are some */
    uffb_context *context; /* threads and scratch of the forward stages */
    const uffb_ops *ops;
    atomic_int cancel;
    char error[UFFB_ERROR_SIZE];

    int64_t parameters;
    uffb_parameter *parameter;
    uffb_train_layer *layers;
    uffb_parameter *word, *position, *position_scale, *type;
    uffb_train_norm embed_norm, final_norm, mlm_norm;
    uffb_train_linear mlm_dense, decoder, pool_dense, classes;
    int64_t lowest; /* first layer that the backward pass must reach; -1 for the embedding; `layers` for none */
    float *table;   /* [positions, hidden] sinusoids before their scale */
    int64_t updates;
    int32_t learning; /* whether the step has a backward pass */
    int32_t compute;  /* UFFB_F32 or UFFB_BF16 */
    int32_t stale;    /* what a step reads in place of weights is older than these: blocks, positions */
    int32_t behind;   /* so are panels, which only the encoder reads */

    /* Buffers for `capacity` tokens, and what a step of T tokens finds there. */
    int64_t capacity;
    int64_t kept_keys; /* of this step */
    float *kept;
    float *last;    /* [T, hidden] the stream after the last layer */
    float *final;   /* [T, hidden] */
    float *stream;  /* [T, hidden] the gradient that goes down */
    float *branch;  /* [T, hidden] of a block's half, after its dropout; this and the two below are the context's own */
    float *normed;  /* [T, hidden] what a half reads; computed again */
    float *wide;    /* [T, uffb_wide] of q, k and v, or of units */
    float *inner;   /* [T, hidden] of what a half reads */
    float *dlogits; /* [T, trees, depth+1] of paths */
    float *noise;   /* the same, of the branches of the layer that runs forward, which counts where `noisy` */
    int32_t noisy;
    int64_t scratch_size, thread_scratch;
    float *scratch; /* `thread_scratch` floats of each thread */
    int32_t *sort;  /* [5 T] of uffb_sort_tokens */

    /* Buffers that grow as they are needed. */
    int64_t packed_size, partial_size, head_size, segment_size, right_size;
    uint16_t *left, *right; /* of products in bf16; the left has one size for all */
    float *packed;          /* panels of what is multiplied: activations, or some rows of a weight or of its transpose */
    float *partial;         /* sums of each chunk of tokens, before they are added up in order */
    float *head;
    struct uffb_segment *segment;
    int64_t outcome_size;
    struct uffb_outcome *outcome;
    int64_t guides; /* of the next step */
    uffb_guide guide[UFFB_MAX_GUIDES];

    /* What an update works through: blocks of rows, and the sum of squares of each one's gradient. */
    int64_t blocks;
    struct uffb_block *block;
    uffb_factors factors[UFFB_WAITING]; /* of the last updates: update u is at u % UFFB_WAITING */
};

typedef struct uffb_block {
    uffb_parameter *parameter;
    int64_t row, rows;
    double squares;
} uffb_block;

/* Lists the blocks of all trainable parameters. */
int32_t uffb_list_blocks(uffb_trainer *trainer);
/* One update of a row; gradient NULL: it has none. */
void uffb_update_row(const uffb_trainer *trainer, int64_t update, uffb_parameter *p, int64_t row, const float *gradient);

/* Makes the updates that rows wait for, up to `last`: of one, of those listed (no row twice), of all of a parameter, and of all
 * parameters. Nothing else may read or write such rows before. */
void uffb_make_up_row(const uffb_trainer *trainer, uffb_parameter *p, int64_t row, int64_t last);
void uffb_make_up_rows(uffb_trainer *trainer, uffb_parameter *p, int64_t count, const int32_t *rows);
void uffb_make_up(uffb_trainer *trainer, uffb_parameter *p);
void uffb_make_up_all(uffb_trainer *trainer);

/* NULL where there is none. */
uffb_parameter *uffb_find_parameter(const uffb_trainer *trainer, const char *name);
static inline int uffb_trains(const uffb_parameter *p) { return p && p->gradient; }
/* Whether what is written to all of a gradient must be added; from here on all of it holds something. */
int32_t uffb_gradient_accumulates(uffb_parameter *p);
int32_t uffb_make_gradients(uffb_trainer *trainer);
void uffb_free_parameters(uffb_trainer *trainer);
/* Brings what steps read up to date with the weights. */
void uffb_trainer_refresh(uffb_trainer *trainer);
/* Panels for the encoder, up to date: their bytes, making them, and freeing them, whereafter the model cannot run. */
uint64_t uffb_panels_size(const uffb_trainer *trainer);
int32_t uffb_make_panels(uffb_trainer *trainer);
void uffb_free_panels(uffb_trainer *trainer);
/* The part of uffb_trainer_refresh which a changed scale of fixed positions asks for. */
void uffb_trainer_rescale(uffb_trainer *trainer);

int32_t uffb_trainer_fail(uffb_trainer *trainer, int32_t status);
/* At least `size` floats in place of *buffer, whose contents are not kept; 0 when out of memory. */
int uffb_trainer_grow(float **buffer, int64_t *size, int64_t want);

/* Makes room for blocks, where products are of bf16 and the matrix fills some. */
int32_t uffb_make_blocks(uffb_trainer *trainer);
/* Numbers of the blocks of a parameter; 0 for none. */
int64_t uffb_blocks_size(const uffb_trainer *trainer, const uffb_parameter_info *parameter);

/* --- memory --------------------------------------------------------------------------------------------------------------- */

/* Room for a step; every buffer that depends on the number of tokens is set to its place for `tokens`. */
int32_t uffb_trainer_reserve(uffb_trainer *trainer, int64_t sequences, int64_t tokens, int64_t longest);
/* Frees the largest of it. */
void uffb_trainer_release(uffb_trainer *trainer);

/* --- the stages of a step ------------------------------------------------------------------------------------------------- */

typedef struct uffb_train_call {
    const uffb_train_step *step;
    int64_t tokens;
    const int64_t *offsets;
    const int32_t *ids, *types;
    const uffb_taps *taps;
} uffb_train_call;

/* Streams of dropout: one for each place in the model. */
enum { UFFB_DROP_ATTENTION, UFFB_DROP_ATTENDED, UFFB_DROP_FEEDFORWARD, UFFB_DROP_PLACES };
#define UFFB_DROP_EMBEDDING 0x80000000u
#define UFFB_DROP_HEAD 0x80000001u
#define UFFB_BRANCH_NOISE 0x40000000u /* plus the layer */
uffb_random uffb_drop_stream(const uffb_train_step *step, uint32_t stream);
static inline uint32_t uffb_drop_place(int64_t layer, int place) { return (uint32_t)(layer * UFFB_DROP_PLACES + place); }
/* x [rows, cols], in place; nothing where `rate` is 0. Masks of the forward pass are those of the backward pass. */
void uffb_drop_rows(uffb_trainer *trainer, const uffb_train_step *step, uint32_t stream, double rate, int64_t rows,
                    int64_t cols, float *x);

/* Makes trainer->noise, if the step has any, for a layer's way forward. */
void uffb_make_noise(uffb_trainer *trainer, const uffb_train_step *step, int64_t layer, int64_t tokens);

/* Token ids to final states, which trainer->final points to. */
int32_t uffb_train_forward(uffb_trainer *trainer, const uffb_train_call *call);
/* y = 0, y = x, and y += x; [tokens, hidden] */
void uffb_clear_rows(uffb_trainer *trainer, int64_t tokens, float *y);
void uffb_copy_rows(uffb_trainer *trainer, int64_t tokens, const float *x, float *y);
void uffb_add_rows(uffb_trainer *trainer, int64_t tokens, const float *x, float *y);
/* UFFB_CANCELLED, once, after uffb_trainer_cancel. */
int32_t uffb_trainer_cancelled(uffb_trainer *trainer);
/* x [T, hidden] = word + position + type */
void uffb_train_embed(uffb_trainer *trainer, const uffb_train_call *call, float *x);
/* From what the layer kept of q, k and v to what it keeps of attention's output. */
void uffb_train_attend(uffb_trainer *trainer, const uffb_train_call *call, int64_t layer);
/* out [T, hidden] += feedforward(input); keeps what its gradient needs. units: a tap, or NULL. */
void uffb_train_feed_forward(uffb_trainer *trainer, int64_t tokens, int64_t layer, const float *input, float *out,
                             float *units);

/* uffb_fff_layer for trees whose rows may wait for updates: these are made before a row is read. */
void uffb_walk_trees(uffb_trainer *trainer, int64_t tokens, int64_t layer, const float *input, float *out);

/* trainer->stream holds the gradient of the final states. */
int32_t uffb_train_backward(uffb_trainer *trainer, const uffb_train_call *call);
int32_t uffb_embed_back(uffb_trainer *trainer, const uffb_train_call *call);
/* dqkv [T, 3 hidden] from that of the attention's output, [T, hidden] */
void uffb_attend_back(uffb_trainer *trainer, const uffb_train_call *call, int64_t layer, const float *dattended, float *dqkv);
/* Floats of a token and head that probabilities are kept in: of each sequence, those of its first queries. */
int64_t uffb_kept_keys(const uffb_arch *arch, int64_t longest);
int64_t uffb_attend_back_scratch(const uffb_arch *arch, int64_t longest);
/* Floats of scratch a thread needs besides for the keys of a guide of attention with heads of that size. */
int64_t uffb_guided_attention_scratch(int64_t head_size, int64_t longest);
/* Of all rows of the layer's probabilities: the sum of their divergence from those of the guide. */
int32_t uffb_attention_divergence(uffb_trainer *trainer, const uffb_train_call *call, const uffb_guide *guide, double *sum);
/* Adds to dinput [T, hidden], if that is not NULL, the gradient of `input` from that of the output, dy. What the layer kept is
 * used up. */
int32_t uffb_feed_forward_back(uffb_trainer *trainer, int64_t layer, int64_t tokens, const float *input, const float *dy,
                               float *dinput);
int32_t uffb_trees_back(uffb_trainer *trainer, int64_t layer, int64_t tokens, const float *input, const float *dy,
                        float *dinput); /* walked trees */

/* What became of a target. */
typedef struct uffb_outcome {
    double loss; /* times weights */
    double weight;
    float plain; /* before weights */
    int32_t correct;
} uffb_outcome;

/* Loss and gradient of a head: from trainer->final to trainer->stream. */
typedef struct uffb_train_targets {
    const int64_t *positions;
    const void *targets;
    const float *weights, *class_weights;
    double scale;
    uffb_outcome *outcomes; /* [targets] */
    float *logits;
} uffb_train_targets;
int32_t uffb_train_mlm(uffb_trainer *trainer, const uffb_train_call *call, const uffb_train_targets *targets);
int32_t uffb_train_class(uffb_trainer *trainer, const uffb_train_call *call, const uffb_train_targets *targets);
int32_t uffb_train_vector(uffb_trainer *trainer, const uffb_train_call *call, const uffb_train_targets *targets);
/* The gradient of the final states, into trainer->stream, from that of what they were pooled to: [sequences, hidden] each. */
void uffb_pool_back(uffb_trainer *trainer, const uffb_train_call *call, int32_t pooling, const float *pooled,
                    const float *dpooled);
/* From the logits of target i to their gradient, in place, times scale and weights. */
uffb_outcome uffb_loss(const uffb_trainer *trainer, const uffb_train_step *step, const uffb_train_targets *targets, int64_t i,
                       int64_t classes, float *logits);
/* Floats of scratch that the heads need. */
int64_t uffb_head_size(const uffb_arch *arch, int64_t sequences, int64_t targets);
/* The weight of target i: the caller's, times that of its class. */
double uffb_target_weight(const uffb_train_step *step, const uffb_train_targets *targets, int64_t i);

/* --- guides --------------------------------------------------------------------------------------------------------------- */

int32_t uffb_guides_check(const uffb_trainer *trainer, int64_t tokens);
/* After the forward pass: the sum of all guides' losses. */
int32_t uffb_guides_loss(uffb_trainer *trainer, const uffb_train_call *call, double *loss);
/* Adds to trainer->stream, the gradient of the states at that place, what a guide of it asks for. */
void uffb_guide_back(uffb_trainer *trainer, const uffb_train_call *call, int32_t kind, int64_t layer);
/* The guide of that place, or NULL. */
const uffb_guide *uffb_guide_at(const uffb_trainer *trainer, int32_t kind, int64_t layer);
/* What a squared difference, or a row's divergence, counts for. */
double uffb_guide_share(const uffb_trainer *trainer, const uffb_guide *guide);
/* Largest head size of the guides of attention; 0 without any. */
int64_t uffb_guided_head(const uffb_trainer *trainer);
void uffb_free_guides(uffb_trainer *trainer);
/* Of states and others, [tokens, hidden] each: the sum of squared differences; and stream += factor * (states - to). */
int32_t uffb_squared_distance(uffb_trainer *trainer, int64_t tokens, const float *states, const float *to, double *sum);
void uffb_pull(uffb_trainer *trainer, int64_t tokens, const float *states, const float *to, float factor, float *stream);

/* --- gradients shared by all stages (linear.c, rows.c) -------------------------------------------------------------------- */

/* Floats of scratch a thread needs for uffb_linear_gradient, and of panels for the three products of a weight [rows, cols] and
 * as many tokens. */
#define UFFB_OUTER_TOKENS 1024
#define UFFB_OUTER_ROWS 112
#define UFFB_OUTER_SCRATCH (UFFB_OUTER_TOKENS * UFFB_OUTER_ROWS)
int64_t uffb_packed_size(int64_t tokens, int64_t rows, int64_t cols);

/* c [rows, linear.rows] = a weight^T + bias, plus the old c if `accumulate`: uffb_project, or the same in bf16. */
void uffb_train_project(uffb_trainer *trainer, int64_t rows, const uffb_train_linear *linear, const float *a, int64_t lda,
                        float *c, int64_t ldc, int32_t accumulate);
/* Gradients of weight and bias from dy [rows, linear.rows] and x [rows, linear.cols]. */
int32_t uffb_linear_gradient(uffb_trainer *trainer, const uffb_train_linear *linear, int64_t rows, const float *dy,
                             int64_t lddy, const float *x, int64_t ldx);
/* dx [rows, linear.cols] = dy * weight, plus the old dx if `accumulate`. */
int32_t uffb_linear_back(uffb_trainer *trainer, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                         float *dx, int64_t lddx, int32_t accumulate);
/* dx [rows, hidden] from dy, which it may be; and the gradients of weight and bias. */
int32_t uffb_norm_gradient(uffb_trainer *trainer, const uffb_train_norm *norm, int64_t rows, const float *x, const float *dy,
                           float *dx, int32_t accumulate);

/* --- products in bf16 (products.c) ---------------------------------------------------------------------------------------- */

/* Numbers of the buffers trainer->left and, for steps of `tokens` tokens, trainer->right, of matrices as wide and high as
 * `widest` at most. */
int64_t uffb_left_size(int64_t widest);
int64_t uffb_right_size(int64_t tokens, int64_t widest);
/* Blocks of `rows` rows from `row` on, both multiples of UFFB_PANEL where the matrix does not end. */
void uffb_repack_blocks(const uffb_trainer *trainer, const uffb_parameter *p, int64_t row, int64_t rows);
/* uffb_train_project, and of uffb_linear_gradient and uffb_linear_back the products, of a weight that has blocks. */
void uffb_project_bf16(uffb_trainer *trainer, int64_t rows, const uffb_train_linear *linear, const float *a, int64_t lda,
                       float *c, int64_t ldc, int32_t accumulate);
int32_t uffb_gradient_bf16(uffb_trainer *trainer, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                           const float *x, int64_t ldx);
int32_t uffb_back_bf16(uffb_trainer *trainer, const uffb_train_linear *linear, int64_t rows, const float *dy, int64_t lddy,
                       float *dx, int64_t lddx, int32_t accumulate);

/* Adds rows to the gradient of a parameter: row keys[t] gets scale[t * lds] * x[t] for each t. Several parameters, each with
 * its own x and scale, share the sorting. */
typedef struct uffb_addend {
    uffb_parameter *parameter; /* NULL for none */
    const float *scale;
    const float *x; /* [tokens, ldx]; NULL for a vector: scale alone is added */
    int64_t ldx;
} uffb_addend;

typedef struct uffb_segment {
    int64_t row;
    int32_t start, end; /* of the sorted tokens */
    int32_t column;     /* of the scales */
} uffb_segment;

/* Sorts tokens by key (stable) into trainer->sort and returns it; keys [T], lying ldk apart, are below `limit`. */
int32_t *uffb_sort_tokens(uffb_trainer *trainer, int64_t tokens, const int32_t *keys, int64_t ldk, int64_t limit);
/* Each segment adds its tokens to its row; no two have the same row. */
int32_t uffb_add_segments(uffb_trainer *trainer, int64_t count, const uffb_segment *segments, const int32_t *order, int64_t lds,
                          int64_t addends, const uffb_addend *addend);
/* Room for `count` segments, or NULL. */
uffb_segment *uffb_segment_room(uffb_trainer *trainer, int64_t count);
/* One parameter's rows by key, all scaled alike; tokens whose key is `skipped` add nothing. */
int32_t uffb_scatter(uffb_trainer *trainer, int64_t tokens, const int32_t *keys, int64_t limit, int32_t skipped,
                     const uffb_addend *addend);

#endif

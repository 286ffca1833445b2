/* uffb.h: the C ABI of the uffb engine. This header is the manual.
 *
 * The engine runs encoders whose feedforward layers are dense or fast feedforward networks (FFF: balanced binary trees of
 * neurons of which each token visits one root-to-leaf path; arXiv 2311.10770). It owns everything per token; files, JSON and
 * text are the caller's business.
 *
 *     uffb_model_new(&arch, &model);                       what shape the model has
 *     uffb_model_tensor_info(model, i, &info);             which tensors it wants, and how
 *     uffb_model_tensor_set(model, name, data, ...);       give each one, used in place where it can be
 *     uffb_model_ready(model);
 *     uffb_context_new(model, threads, NULL, &context);    scratch and threads; several may share a model
 *     uffb_encode(context, ...);                           a ragged batch, once, to final states
 *     uffb_mlm_top_k(context, ...);                        and any head on those states
 *
 * Rules. Every function that can fail returns a status; uffb_error() then gives one line about the last failure on the calling
 * thread, uffb_context_error() about the last failure of a context (for calls made on another thread). The library never
 * prints, exits or aborts, and keeps no caller pointer after a call, except tensors given to uffb_model_tensor_set, which must
 * outlive the model. A model is read-only once ready and may be shared by threads; a context or taps belongs to one call at a
 * time.
 *
 * Shapes are row-major. Sequences of a batch are concatenated without padding: `tokens` rows in all, sequence s holding rows
 * offsets[s] to offsets[s+1]-1. Neither the other sequences of a batch nor the number of threads ever changes a result.
 */
#ifndef UFFB_H
#define UFFB_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UFFB_API __attribute__((visibility("default")))

/* Raised whenever a signature, a struct or a value below changes; the loader refuses another version. */
#define UFFB_ABI_VERSION 8

/* Statuses. */
#define UFFB_OK 0
#define UFFB_INVALID 1     /* an argument or a tensor is not what this header asks for */
#define UFFB_UNSUPPORTED 2 /* this CPU or build cannot do it */
#define UFFB_NO_MEMORY 3
#define UFFB_CANCELLED 4 /* uffb_context_cancel was called */
#define UFFB_LOST 5      /* a mapped file was cut short while a model was in use; see uffb_catch_sigbus */

/* Element types of tensor data. Computation is f32; others are converted when the tensor is set. */
#define UFFB_F32 0
#define UFFB_F16 1
#define UFFB_BF16 2
#define UFFB_F64 3
#define UFFB_I8 4  /* integers with a scale a row; made by uffb_tensor_quantise, in UFFB_PANELS_I8 or UFFB_ROWS */
#define UFFB_I16 5 /* the same in 16 bits, in UFFB_PANELS_I16 alone */

/* How bytes represent a logical [rows, cols] matrix. */
#define UFFB_ROWS 0       /* row-major */
#define UFFB_COLUMNS 1    /* column-major: the transpose, row-major */
#define UFFB_PANELS 2     /* GEMM panels: [ceil(rows/16)][cols][16], rows padded with zeros; the one layout of every CPU ISA */
#define UFFB_PANELS_I8 3  /* of UFFB_I8: [ceil(rows/16)][ceil(cols/4)][16][4], padded with zeros */
#define UFFB_PANELS_I16 4 /* of UFFB_I16: [ceil(rows/16)][ceil(cols/2)][16][2], padded with zeros */

/* Activations, UFFB_GELU and so on: a constant for each line of activations.inc. */
enum {
#define UFFB_ACTIVATION(CONSTANT, name, torch, transformers) UFFB_##CONSTANT,
#include "activations.inc"
#undef UFFB_ACTIVATION
    UFFB_ACTIVATION_COUNT
};

/* Where a block normalises. */
#define UFFB_PRE_NORM 0  /* x += f(norm(x)); UltraFastBERT, crammedBERT */
#define UFFB_POST_NORM 1 /* x = norm(x + f(x)); BERT */

/* Positions. */
#define UFFB_SINUSOIDAL 0 /* fixed table times `embed.position.scale` (1 when absent) */
#define UFFB_LEARNED 1    /* `embed.position` [max_length + position_offset, hidden] */
#define UFFB_ROTARY 2     /* none in the embedding: queries and keys are turned by their position (arXiv 2104.09864) */

/* Feedforward layers. Trees may have a dense layer beside them, and a model of `width` 0 without trees has no feedforward
 * layers: its blocks end with attention, and lack `norm2`. */
#define UFFB_FFN_DENSE 0     /* out(act(in(x))) */
#define UFFB_FFN_GLU 1       /* h = in(x); out(h[:half] * act(h[half:])) */
#define UFFB_FFN_FFF 2       /* `trees` trees of `depth` + 1 levels, plus out(act(in(x))) where `width` is not 0 */
#define UFFB_FFN_GLU_FIRST 3 /* h = in(x); out(act(h[:half]) * h[half:]) */

/* What becomes of the logits along the paths of trees. */
#define UFFB_TREES_ACTIVATE 0     /* a node puts out its logit's activation times its row */
#define UFFB_TREES_LINEAR 1       /* its logit, sign and all, times its row */
#define UFFB_TREES_ACTIVATE_SUM 2 /* the same; and the layer the activation of the sum of all nodes of all trees */

/* Rows of `attn.qkv`, and what the columns of `attn.out` stand for: [heads][head size], the heads of their layer. */
#define UFFB_QKV_BY_HEAD 0 /* each head's q, k and v lie together: [heads][3][head size] */
#define UFFB_QKV_BY_PART 1 /* q of all heads, then k, then v: [3][heads][head size] */

/* Pooling of a sequence's final states to one vector. All of them read real tokens only; the original code averages over
 * padding as well, which gives the same result for an unpadded input. */
#define UFFB_POOL_FIRST 0
#define UFFB_POOL_MEAN 1
#define UFFB_POOL_MAX 2
#define UFFB_POOL_LSE 3 /* log of the sum of exponentials, per hidden unit */
/* These are for uffb_pool alone, not for a classification head. */
#define UFFB_POOL_LAST 4
#define UFFB_POOL_MEAN_SQRT 5 /* the sum divided by the square root of the number of tokens */
#define UFFB_POOL_WEIGHTED 6  /* the mean with the weights 1, 2, 3 and so on, by position */

/* Heads, as bits of uffb_arch.heads_present. */
#define UFFB_HEAD_MLM 1
#define UFFB_HEAD_CLASS 2
#define UFFB_HEAD_TOKENS 4 /* classification of each token */

/* What a model is. Everything about a block is data here. Sizes are counts of elements.
 *
 * Distances of `attn.relative` are those of T5 (arXiv 1910.10683, section 2.1), as MPNet has them: the first half of the rows
 * is for keys before the query or at it, the second half for those behind; of each, the first half for distances 0, 1, 2 and so
 * on, the rest for distances that grow by the same factor, up to 128.
 *
 * Layers of different numbers of heads share no tensors, and have no biases by distance. */
typedef struct uffb_arch {
    int64_t layers;
    int64_t hidden;
    int64_t heads;              /* of each layer, or the most of any where layer_heads tells */
    int64_t head_size;          /* heads * head_size is at most hidden. 0: hidden / heads */
    const int32_t *layer_heads; /* [layers], 1 to heads, read by the call alone. NULL: all layers have `heads` */
    int64_t vocab;
    int64_t max_length;      /* most tokens in a sequence */
    int64_t position_offset; /* first row of learned positions in use (RoBERTa: 2) */
    int64_t token_types;     /* rows of `embed.type`; 0 without token types */
    int64_t width;           /* dense feedforward: rows of `ffn.in` (GLU: both halves); 0 without one */
    int64_t trees;           /* FFF: number of trees */
    int64_t depth;           /* FFF: depth >= 0; a tree has 2^(depth+1)-1 nodes and a path depth+1 */
    int64_t pool_width;      /* classification: rows of `head.pool.dense`; 0 without that layer */
    int64_t labels;          /* classification: rows of `head.class` or, of tokens, of `head.token` */
    int64_t embed_width; /* columns of embeddings and decoder; `embed.project` leads to `hidden`. 0: hidden, no projection */
    int64_t distinct_layers;  /* layers with tensors of their own, used layers / distinct_layers times in turn. 0: all have */
    int64_t relative_buckets; /* rows of `attn.relative` [relative_buckets, heads], added to scores by distance. 0: none */
    int64_t window;           /* tokens on each side that attention looks at. 0: all */
    int64_t global_every;     /* layers whose number is a multiple of this look at all tokens, `window` or not. 0: none */
    double rotary_base;       /* UFFB_ROTARY: of layers that look at all tokens */
    double rotary_base_local; /* of the others */
    double norm_eps;
    int32_t norm_position;   /* UFFB_PRE_NORM, UFFB_POST_NORM */
    int32_t positions;       /* UFFB_SINUSOIDAL, UFFB_LEARNED, UFFB_ROTARY */
    int32_t feedforward;     /* UFFB_FFN_* */
    int32_t activation;      /* of the feedforward layers and the MLM transform: UFFB_GELU... */
    int32_t pool_activation; /* after `head.pool.dense`, or on the pooled vector without it */
    int32_t pooling;         /* of the classification head: UFFB_POOL_* */
    int32_t embed_norm;      /* 1: LayerNorm on the embedding */
    int32_t final_norm;      /* 1: LayerNorm after the last layer */
    int32_t heads_present;   /* UFFB_HEAD_* bits */
    int32_t mlm_transform;   /* 1: norm(act(dense(x))) before the decoder */
    int32_t tied;            /* 1: the decoder is `embed.word`, held once, in panels */
    int32_t tree_output;     /* FFF: UFFB_TREES_* */
    int32_t qkv_order;       /* UFFB_QKV_* */
    int32_t first_unnormed;  /* 1: the first layer has no `norm1` (of pre-norm) */
    int32_t pool_norm;       /* 1: LayerNorm after `pool_activation` */
} uffb_arch;

/* One tensor a model can hold: its name, logical shape (vectors have rows = 1), the layout in which it is used in place, and
 * whether the model cannot do without it. */
typedef struct uffb_tensor_info {
    char name[64];
    int64_t rows;
    int64_t cols;
    int32_t layout;
    int32_t required;
    int32_t present;
    int32_t reserved;
} uffb_tensor_info;

typedef struct uffb_model uffb_model;
typedef struct uffb_context uffb_context;
typedef struct uffb_taps uffb_taps;

/* --- library ------------------------------------------------------------------------------------------------------------- */

UFFB_API int32_t uffb_abi_version(void);
/* One line about the last failure on this thread; "" when there was none. Valid until the next call on this thread. */
UFFB_API const char *uffb_error(void);
/* The instruction sets this CPU and build can run, best first, separated by commas: "avx512,avx2,generic". */
UFFB_API const char *uffb_isas(void);
/* CPUs this process may really use: affinity mask and cgroup quota, at least 1. */
UFFB_API int32_t uffb_cpu_count(void);
/* Has SIGBUS, which ends a process that reads a mapped file behind its end, caught from now on: where somebody cuts such a file
 * short, readers find zeros, and calls with a model that was made before return UFFB_LOST. Once per process; a handler that
 * there was before gets the signals that are not about a file. UFFB_UNSUPPORTED when none can be installed. */
UFFB_API int32_t uffb_catch_sigbus(void);
/* The compiler that built the library, for reports. */
UFFB_API const char *uffb_compiler(void);
/* Ends the process when SIGINT, SIGTERM, SIGHUP or SIGQUIT asks for it, whatever its threads are doing: the handler that is
 * there when this is called runs first; where the process is still there after so many milliseconds, or at the second signal,
 * what uffb_interrupt_remove named is removed and it exits with 128 plus the signal's number. A signal that is ignored stays
 * so. Takes SIGALRM and the real-time interval timer. Nothing else in this library ends a process. */
UFFB_API int32_t uffb_interrupt_watch(int32_t milliseconds);
/* Says that the signal was heard and that the caller ends its work in its own time: the process is not ended for it, and the
 * next signal is as the first. */
UFFB_API int32_t uffb_interrupt_heard(void);
/* Names a file or an empty folder to be removed then, at most 16 at a time; with `remove` 0 it is to stay. Not for two threads
 * at once. */
UFFB_API int32_t uffb_interrupt_remove(const char *path, int32_t remove);

/* --- model --------------------------------------------------------------------------------------------------------------- */

/* UFFB_INVALID names the impossible field. */
UFFB_API int32_t uffb_model_new(const uffb_arch *arch, uffb_model **model);
UFFB_API void uffb_model_free(uffb_model *model);
UFFB_API int64_t uffb_model_tensor_count(const uffb_model *model);
UFFB_API int32_t uffb_model_tensor_info(const uffb_model *model, int64_t index, uffb_tensor_info *info);
/* Gives the tensor `name` as `bytes` bytes of `dtype` in `layout`, any of the ones above. F32 data in the layout that
 * uffb_model_tensor_info asks for, BF16 rows of an FFF layer that walks its trees (depth above 3), and F16 rows of `embed.word`
 * that is not tied or of `embed.position`, are used in place and must outlive the model; anything else is converted into memory
 * of the model, where a finite number must not become infinite. `bytes` must match the shape exactly. A tensor wanted in panels
 * (projections, a tied embedding) may also be given as UFFB_I8 in UFFB_PANELS_I8 or UFFB_I16 in UFFB_PANELS_I16, used in place;
 * its scales [rows] are then the tensor `name`.scale, and activations are quantised token by token, to as many bits. 16 bits
 * take twice the time and memory of 8. `embed.word` that is not tied, and `embed.position`, may be given as UFFB_I8 in
 * UFFB_ROWS, used in place, with scales in the same way: an element is then its integer times its row's scale, rounded to f32.
 * Beside a decoder in integers (`embed.word` when tied, else `head.mlm.decoder.weight`) may stand its rows, [vocab, hidden], as
 * the tensor `name`.rows: held as UFFB_F16, and used in place when given so. Embeddings are then read from them, and the 8
 * largest logits of a position, found in integers, are computed again from its exact state and these rows. */
UFFB_API int32_t uffb_model_tensor_set(uffb_model *model, const char *name, const void *data, uint64_t bytes, int32_t dtype,
                                       int32_t layout);
/* Checks that every required tensor is there (the error names the first that is not) and freezes the model. */
UFFB_API int32_t uffb_model_ready(uffb_model *model);

/* Bytes of a [rows, cols] matrix of `dtype` in `layout`; 0 when the arguments are not valid or the size overflows. */
UFFB_API uint64_t uffb_tensor_bytes(int64_t rows, int64_t cols, int32_t dtype, int32_t layout);
/* Rewrites a [rows, cols] matrix in another dtype and layout. Bit-exact when both dtypes are the same. */
UFFB_API int32_t uffb_tensor_convert(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes,
                                     int32_t source_dtype, int32_t source_layout, void *target, uint64_t target_bytes,
                                     int32_t target_dtype, int32_t target_layout);

/* A [rows, cols] matrix as integers: per row, scale = max|w| / most and q = round(w / scale), to nearest, ties to even. `most`
 * is 127 for UFFB_I8, and for UFFB_I16 the largest of which sums over `cols` products fit 32 bits: at most 32,767,
 * 1,672 for 768 columns. A row with NaNs or infinities has the scale NaN. `layout` is one that the dtype can have, `target` has
 * uffb_tensor_bytes(rows, cols, dtype, layout) bytes, `scale` [rows]. */
UFFB_API int32_t uffb_tensor_quantise(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes,
                                      int32_t source_dtype, int32_t source_layout, int32_t dtype, int32_t layout, void *target,
                                      uint64_t target_bytes, float *scale);

/* --- context ------------------------------------------------------------------------------------------------------------- */

/* `threads`: 0 for uffb_cpu_count(). `isa`: one of uffb_isas(), or NULL for the environment's UFFB_ISA, else the best. */
UFFB_API int32_t uffb_context_new(const uffb_model *model, int32_t threads, const char *isa, uffb_context **context);
UFFB_API void uffb_context_free(uffb_context *context);
UFFB_API const char *uffb_context_error(const uffb_context *context);
UFFB_API const char *uffb_context_isa(const uffb_context *context);
UFFB_API int32_t uffb_context_threads(const uffb_context *context);
/* Makes the running encode or MLM head, or else the next one, return UFFB_CANCELLED, after the layer or the 64 positions that
 * it is at. From any thread. */
UFFB_API int32_t uffb_context_cancel(uffb_context *context);

/* Encodes a batch to final states, which the context keeps for the heads below until the next uffb_encode.
 * offsets [sequences + 1], offsets[0] = 0, each sequence 1 to max_length tokens; ids [tokens], below vocab; types [tokens] or
 * NULL for all 0; taps or NULL. */
UFFB_API int32_t uffb_encode(uffb_context *context, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                             const int32_t *types, const uffb_taps *taps);
/* Takes final states [tokens, hidden] computed elsewhere, on another device say, as if uffb_encode had just computed them. They
 * are copied; offsets are those of uffb_encode. */
UFFB_API int32_t uffb_take_final(uffb_context *context, int64_t sequences, const int64_t *offsets, const float *final);

/* Heads, on the batch encoded last. `positions` are token rows of that batch, 0 to tokens - 1. */

/* logits [count, vocab] */
UFFB_API int32_t uffb_mlm_logits(uffb_context *context, int64_t count, const int64_t *positions, float *logits);
/* The k most probable tokens at each position, best first, equal ones by id: ids [count, k], probabilities [count, k]. */
UFFB_API int32_t uffb_mlm_top_k(uffb_context *context, int64_t count, const int64_t *positions, int64_t k, int32_t *ids,
                                float *probabilities);
/* vectors [sequences, hidden]. The first `skip` tokens of each sequence are left out, 0 for none; weights by position still
 * count them. A sequence with no other tokens has a vector of zeros. */
UFFB_API int32_t uffb_pool(uffb_context *context, int32_t pooling, int64_t skip, float *vectors);
/* logits [sequences, labels] */
UFFB_API int32_t uffb_classify(uffb_context *context, float *logits);
/* logits [tokens, labels] */
UFFB_API int32_t uffb_classify_tokens(uffb_context *context, float *logits);

/* --- taps: buffers of the caller that an encode fills on its way ---------------------------------------------------------- */

#define UFFB_TAP_EMBEDDING 0   /* f32 [tokens, hidden]; layer ignored */
#define UFFB_TAP_LAYER 1       /* f32 [tokens, hidden]: the output of that layer */
#define UFFB_TAP_FINAL 2       /* f32 [tokens, hidden]; layer ignored */
#define UFFB_TAP_PATH 3        /* i32 [tokens, trees, depth+1]: the nodes visited, each 0 to 2^(depth+1)-2 */
#define UFFB_TAP_PATH_LOGITS 4 /* f32 [tokens, trees, depth+1]: their logits, before the activation */
#define UFFB_TAP_FFN_INPUT 5   /* f32 [tokens, hidden]: what that layer's feedforward half reads */
#define UFFB_TAP_FFN_UNITS 6   /* f32 [tokens, width; GLU: half of it]: what `ffn.out` reads */
/* f32 [tokens, heads of the layer, 2, head size]: each head's q, times the factor of scores, and k: attention's probabilities
 * are the softmax of their products. UFFB_INVALID where biases by distance or windows have a say, too. */
#define UFFB_TAP_QK 7

UFFB_API int32_t uffb_taps_new(uffb_taps **taps);
UFFB_API void uffb_taps_free(uffb_taps *taps);
/* One buffer for each kind and layer. `bytes` is checked against the shape at each encode. */
UFFB_API int32_t uffb_taps_add(uffb_taps *taps, int32_t kind, int64_t layer, void *buffer, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif

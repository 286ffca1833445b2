/* model.h: what an encoder is made of, as the engine reads it. */
#ifndef UFFB_MODEL_H
#define UFFB_MODEL_H

#include "weights/weights.h"

#include <stddef.h>

/* A dense projection of [cols] to [rows]: y = weight x + bias. */
typedef struct uffb_linear {
    int64_t rows, cols;
    uffb_weights weights;
    const float *bias; /* [rows] or NULL */
} uffb_linear;

typedef struct uffb_affine {
    const float *weight, *bias; /* LayerNorm's, [hidden]; bias may be NULL */
} uffb_affine;

typedef struct uffb_layer {
    uffb_affine norm1, norm2;
    int64_t heads;
    uffb_linear qkv, out; /* qkv rows: by uffb_arch.qkv_order; columns of out: [heads][head size] */
    const float *scale;   /* [1] factor of the attention scores, or NULL for 1/sqrt(head size) */
    const float *rotary;  /* [max_length, head size]: per position cosines, then sines; or NULL */
    int64_t window;       /* tokens on each side that it looks at, or 0 for all */
    uffb_linear ffn_in, ffn_out;
    /* FFF, when it walks its trees (uffb_fff_walks): node-major rows. */
    uffb_weights fff_in, fff_out;
    const float *fff_bias;
    uffb_linear nodes_in, nodes_out; /* shallow trees: [trees*nodes, hidden] and [hidden, trees*nodes] */
} uffb_layer;

struct uffb_model {
    uint64_t layout;      /* UFFB_MODEL_LAYOUT of the build that made it */
    uffb_arch arch;       /* head_size is not 0 here; layer_heads is the model's own */
    int32_t *layer_heads; /* or NULL */
    int64_t nodes;        /* of one tree */
    int32_t ready;
    uint32_t lost_before;      /* uffb_lost_pages() when it was made */
    int64_t input_bytes;       /* the longest row of quantised inputs that its weights take; 0: none do */
    uffb_weights word;         /* [vocab, hidden], unless it is tied: then the decoder has them */
    const uffb_weights *words; /* what embeddings are read from; once ready */
    int64_t embed_width;       /* columns of the embeddings */
    uffb_weights position;     /* learned, or the sinusoid table times its scale: [max_length + position_offset, embed_width] */
    const float *position_scale, *type;
    const float *relative; /* [relative_buckets, heads] or NULL */
    /* Made when it becomes ready: sinusoids; rotary tables of global and of local layers; relative biases over the default
     * scale, [heads, 2 * max_length - 1], by the key's position - the query's + max_length - 1. */
    float *sinusoids, *rotary[2], *distances;
    uffb_affine embed_norm, final_norm, mlm_norm, pool_norm;
    uffb_layer *layers; /* [layers]; those that share tensors are alike once it is ready */
    uffb_linear embed_project, mlm_dense, decoder, pool_dense, classes, token_classes;
    uffb_weights decoder_rows; /* [vocab, hidden], beside a quantised decoder */
    int64_t slots;
    struct uffb_slot *slot;
};

/* Another library, that of kernels/cuda, reads models that the engine made. Builds whose models differ differ here, too. */
#define UFFB_MODEL_LAYOUT                                                                                                      \
    (((uint64_t)sizeof(struct uffb_model) * 8191 + sizeof(uffb_layer)) * 8191 + sizeof(uffb_linear) * 31 +                     \
     sizeof(uffb_kind) * 31 + offsetof(uffb_layer, fff_in))

/* Whether FFF layers walk their trees token by token. Up to depth 3 it is faster to compute all nodes in one GEMM and keep the
 * path: 15 nodes in a GEMM cost less than 4 that are walked (kernels/PERFORMANCE.md). */
int uffb_fff_walks(const uffb_arch *arch);
/* Whether all nodes of its trees are computed. */
int uffb_fff_shallow(const uffb_arch *arch);

/* Whether its blocks have a feedforward half. */
static inline int uffb_has_feedforward(const uffb_arch *arch) { return arch->width > 0 || arch->feedforward == UFFB_FFN_FFF; }
/* Of the nodes of trees. */
static inline int32_t uffb_node_activation(const uffb_arch *arch) {
    return arch->tree_output == UFFB_TREES_ACTIVATE ? arch->activation : UFFB_IDENTITY;
}
/* Whether what its trees add up to goes through the activation. */
static inline int uffb_activates_sum(const uffb_arch *arch) {
    return arch->feedforward == UFFB_FFN_FFF && arch->tree_output == UFFB_TREES_ACTIVATE_SUM;
}

/* Of a model that is ready: a tensor that it uses in place lies at `data` from now on, in the same form. NULL: nowhere, so that
 * the model cannot run. */
void uffb_model_tensor_move(uffb_model *model, const char *name, const void *data);

/* Fixed positions, before their scale: table [positions, hidden]. */
void uffb_sinusoids(int64_t positions, int64_t hidden, float *table);

/* A finite number among elements of `dtype` that is infinite in `target`, UFFB_F32 or UFFB_F16; 0 without one. */
double uffb_out_of_range(uint64_t bytes, const void *data, int32_t dtype, int32_t target);

/* Rows of trees as kernels take them. */
static inline uffb_node_rows uffb_nodes_of(const uffb_weights *w) { return (uffb_node_rows){w->data, w->kind->dtype}; }

#endif

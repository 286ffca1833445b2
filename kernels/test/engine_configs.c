/* The models that the engine is tested on: each kind of layer, shape, position, head. */
#include "engine_test.h"

#include <stdio.h>

/* What differs from `base` in each model. */
static const uffb_arch base = {.layers = 2,
                               .hidden = 48,
                               .heads = 3,
                               .vocab = 101,
                               .max_length = MAX_LENGTH,
                               .trees = 1,
                               .depth = 5,
                               .norm_eps = 1e-12,
                               .feedforward = UFFB_FFN_FFF,
                               .embed_norm = 1,
                               .final_norm = 1,
                               .heads_present = UFFB_HEAD_MLM,
                               .tied = 1};

static uffb_arch fff(int64_t trees, int64_t depth, int64_t hidden, int64_t heads) {
    uffb_arch arch = base;
    arch.trees = trees;
    arch.depth = depth;
    arch.hidden = hidden;
    arch.heads = heads;
    return arch;
}

static uffb_arch dense(int32_t feedforward, int64_t width, int32_t activation) {
    uffb_arch arch = base;
    arch.feedforward = feedforward;
    arch.trees = arch.depth = 0;
    arch.width = width;
    arch.activation = activation;
    return arch;
}

/* Trees with a dense layer beside them, or of another output. */
static uffb_arch beside(uffb_arch arch, int64_t width, int32_t tree_output) {
    arch.width = width;
    arch.tree_output = tree_output;
    return arch;
}

/* BERT: post-norm, learned positions from an offset, two token types, an MLM head with its own decoder. */
static uffb_arch bert(int64_t pool_width) {
    uffb_arch arch = dense(UFFB_FFN_DENSE, 160, UFFB_GELU);
    arch.norm_position = UFFB_POST_NORM;
    arch.positions = UFFB_LEARNED;
    arch.position_offset = 2;
    arch.token_types = 2;
    arch.final_norm = arch.tied = 0;
    arch.mlm_transform = 1;
    arch.heads_present = UFFB_HEAD_MLM | UFFB_HEAD_CLASS;
    arch.pool_width = pool_width;
    arch.pool_activation = UFFB_TANH;
    arch.labels = 3;
    return arch;
}

/* Heads of another size than hidden / heads, or not as many in every layer. */
static uffb_arch pruned(uffb_arch arch, int64_t head_size, const int32_t *layer_heads) {
    arch.head_size = head_size;
    arch.layer_heads = layer_heads;
    return arch;
}

static uffb_arch token_classifier(int64_t labels) {
    uffb_arch arch = bert(0);
    arch.heads_present = UFFB_HEAD_TOKENS;
    arch.labels = labels;
    return arch;
}

static uffb_arch classifier(int32_t pooling, int64_t pool_width, int32_t pool_activation, int64_t labels) {
    uffb_arch arch = base;
    arch.heads_present = UFFB_HEAD_CLASS;
    arch.pooling = pooling;
    arch.pool_width = pool_width;
    arch.pool_activation = pool_activation;
    arch.labels = labels;
    arch.tied = 0;
    return arch;
}

/* MPNet: biases by distance. Its heads have a norm, as ModernBERT's. */
static uffb_arch relative(int64_t buckets) {
    uffb_arch arch = bert(48);
    arch.token_types = 0;
    arch.relative_buckets = buckets;
    arch.pool_norm = 1;
    return arch;
}

/* ALBERT: four layers of two sets of tensors, behind embeddings of another width. */
static uffb_arch shared(int64_t embed_width) {
    uffb_arch arch = bert(48);
    arch.layers = 4;
    arch.distinct_layers = 2;
    arch.embed_width = embed_width;
    arch.tied = 1;
    return arch;
}

/* ModernBERT: rotary positions, windows, gates in the second half, no norm before the first attention. */
static uffb_arch modern(int64_t window, int64_t global_every) {
    uffb_arch arch = dense(UFFB_FFN_GLU_FIRST, 96, UFFB_GELU);
    arch.layers = 3;
    arch.positions = UFFB_ROTARY;
    arch.rotary_base = 1000;
    arch.rotary_base_local = 50;
    arch.window = window;
    arch.global_every = global_every;
    arch.qkv_order = UFFB_QKV_BY_PART;
    arch.first_unnormed = arch.mlm_transform = arch.pool_norm = 1;
    arch.heads_present = UFFB_HEAD_MLM | UFFB_HEAD_CLASS;
    arch.pool_width = 48;
    arch.labels = 3;
    return arch;
}

const config *test_configs(int64_t *count) {
    static config list[64];
    int64_t n = 0;
#define CONFIG(text, with, ...)                                                                                                \
    list[n++] = (config) { text, with, __VA_ARGS__ }
    /* Shallow trees (one GEMM over all nodes) and deep ones (a walk). */
    for (int64_t depth = 0; depth <= 6; depth++) {
        static char names[7][40];
        snprintf(names[depth], sizeof names[depth], "fff 1x%lld", (long long)depth);
        CONFIG(names[depth], depth % 2, fff(1, depth, 48, 3));
    }
    CONFIG("fff 1x16, hidden 8", 1, fff(1, 16, 8, 2));
    CONFIG("fff 1x4, hidden 128", 1, fff(1, 4, 128, 2));
    /* Large enough for the whole batch, but not for its pieces, to be sorted by subtree. */
    CONFIG("fff 1x11, hidden 48, sorted", 1, fff(1, 11, 48, 4));
    CONFIG("fff 2x8, hidden 100, sorted", 0, fff(2, 8, 100, 4));
    CONFIG("fff 2x6, hidden 40", 1, fff(2, 6, 40, 5));
    CONFIG("fff 3x2, hidden 49", 1, fff(3, 2, 49, 7));
    CONFIG("fff 3x4, hidden 1", 1, fff(3, 4, 1, 1));
    CONFIG("fff 9x5, hidden 5", 0, fff(9, 5, 5, 1));
    CONFIG("fff 9x1", 1, fff(9, 1, 48, 3));
    CONFIG("fff 128x3", 1, fff(128, 3, 24, 3));
    CONFIG("fff 128x4", 0, fff(128, 4, 8, 1));
    CONFIG("fff 3072x0", 1, fff(3072, 0, 8, 2));
    CONFIG("fff 1536x1", 0, fff(1536, 1, 8, 2));
    CONFIG("dense gelu", 1, dense(UFFB_FFN_DENSE, 160, UFFB_GELU));
    CONFIG("dense relu, no biases", 0, dense(UFFB_FFN_DENSE, 7, UFFB_RELU));
    CONFIG("dense identity", 1, dense(UFFB_FFN_DENSE, 48, UFFB_IDENTITY));
    CONFIG("glu gelu_tanh", 1, dense(UFFB_FFN_GLU, 96, UFFB_GELU_TANH));
    CONFIG("glu tanh, no biases", 0, dense(UFFB_FFN_GLU, 34, UFFB_TANH));
    CONFIG("no feedforward", 1, dense(UFFB_FFN_DENSE, 0, UFFB_GELU));
    uffb_arch bare = bert(0);
    bare.width = 0;
    CONFIG("no feedforward, post-norm", 1, bare);
    CONFIG("dense 24 + 2x5", 1, beside(fff(2, 5, 48, 3), 24, UFFB_TREES_ACTIVATE));
    CONFIG("dense 7 + 3x2, linear nodes, no biases", 0, beside(fff(3, 2, 48, 3), 7, UFFB_TREES_LINEAR));
    CONFIG("dense 16 + 1x4, linear nodes", 1, beside(fff(1, 4, 40, 5), 16, UFFB_TREES_LINEAR));
    CONFIG("fff 1x6, linear nodes", 1, beside(fff(1, 6, 48, 3), 0, UFFB_TREES_LINEAR));
    CONFIG("fff 2x5, sum activated", 1, beside(fff(2, 5, 49, 1), 0, UFFB_TREES_ACTIVATE_SUM));
    CONFIG("dense 7 + 3x2, sum activated", 1, beside(fff(3, 2, 48, 3), 7, UFFB_TREES_ACTIVATE_SUM));
    CONFIG("bert", 1, bert(48));
    CONFIG("bert, no pool layer", 1, bert(0));
    CONFIG("bert, classifier of tokens", 1, token_classifier(9));
    static const int32_t falling[] = {3, 1}, rising[] = {1, 2};
    CONFIG("bert, heads of 9", 1, pruned(bert(48), 9, NULL));
    CONFIG("bert, 3 heads, then 1", 1, pruned(bert(0), 0, falling));
    CONFIG("dense gelu, 1 head of 7, then 2, no biases", 0, pruned(dense(UFFB_FFN_DENSE, 160, UFFB_GELU), 7, rising));
    CONFIG("fff 2x5, 3 heads of 10, then 1", 1, pruned(fff(2, 5, 48, 3), 10, falling));
    CONFIG("classifier, first", 1, classifier(UFFB_POOL_FIRST, 64, UFFB_TANH, 2));
    CONFIG("classifier, mean, no pool layer", 1, classifier(UFFB_POOL_MEAN, 0, UFFB_TANH, 17));
    CONFIG("classifier, max, no biases", 0, classifier(UFFB_POOL_MAX, 33, UFFB_GELU, 1));
    CONFIG("classifier, lse", 1, classifier(UFFB_POOL_LSE, 48, UFFB_IDENTITY, 5));
    uffb_arch odd = fff(2, 4, 48, 3);
    odd.activation = UFFB_RELU;
    odd.norm_position = UFFB_POST_NORM;
    odd.positions = UFFB_LEARNED;
    odd.embed_norm = odd.final_norm = odd.tied = 0;
    odd.norm_eps = 1e-5;
    odd.layers = 3;
    CONFIG("fff relu, post-norm, learned, untied", 0, odd);
    odd = fff(1, 4, 48, 3);
    odd.layers = 0;
    CONFIG("no layers", 1, odd);
#undef CONFIG
    *count = n;
    return list;
}

const config *test_further_configs(int64_t *count) {
    static config list[16];
    int64_t n = 0;
    list[n++] = (config){"relative biases", 1, relative(32)};
    list[n++] = (config){"relative biases, few, no biases", 0, relative(8)};
    list[n++] = (config){"shared layers, narrow embedding", 1, shared(20)};
    list[n++] = (config){"shared layers, wide embedding", 0, shared(200)};
    list[n++] = (config){"rotary, windows of 5, every second global", 0, modern(5, 2)};
    list[n++] = (config){"rotary, windows of 1", 1, modern(1, 0)};
    list[n++] = (config){"rotary, windows of 16", 1, modern(16, 0)};
    list[n++] = (config){"rotary, windows as long as texts", 0, modern(MAX_LENGTH - 1, 0)};
    list[n++] = (config){"rotary, no windows", 1, modern(0, 0)};
    static const int32_t heads[] = {2, 3, 1};
    list[n++] = (config){"rotary, windows of 5, 2, 3 and 1 heads of 6", 1, pruned(modern(5, 2), 6, heads)};
    uffb_arch odd = fff(1, 5, 48, 3);
    odd.embed_width = 7;
    odd.mlm_transform = 1;
    odd.window = 2;
    list[n++] = (config){"fff 1x5, sinusoids in a narrow embedding, windows", 1, odd};
    *count = n;
    return list;
}

/* Tests of what must be refused while a model is made: impossible shapes, bad tensors, bad conversions. */
#include "engine_refused.h"
#include "../ops/ops.h"

#include <math.h>

static void test_library(void) {
    test_begin("library");
    test_case("facts");
    check(uffb_abi_version() == UFFB_ABI_VERSION, "ABI %d", uffb_abi_version());
    check(uffb_cpu_count() >= 1, "%d CPUs", uffb_cpu_count());
    check(uffb_compiler()[0] != '\0', "no compiler");
    int isas = 0;
    while (isa_name(isas)) isas++;
    check(isas > 0 && strcmp(isa_name(isas - 1), uffb_isa_names[0]) == 0, "the reference is not last in %s", uffb_isas());
    test_end();
}

static void test_bad_arch(void) {
    test_begin("impossible models");
    uffb_model *model = NULL;
    uffb_arch arch;
    REFUSED(UFFB_INVALID, uffb_model_new(NULL, &model));
    REFUSED(UFFB_INVALID, uffb_model_new(&small, NULL));
#define BAD(field, value)                                                                                                      \
    arch = small;                                                                                                              \
    arch.field = value;                                                                                                        \
    mark(#field " = " #value);                                                                                                 \
    check_refused(uffb_model_new(&arch, &model), UFFB_INVALID);                                                                \
    NAMES(#field);                                                                                                             \
    check(model == NULL, "a model all the same")
    BAD(layers, -1);
    BAD(layers, INT64_MAX);
    BAD(hidden, 0);
    BAD(hidden, -8);
    BAD(hidden, INT64_MAX);
    BAD(heads, 0);
    BAD(heads, -2);
    BAD(heads, 3);
    BAD(heads, 16);
    BAD(head_size, -1);
    BAD(head_size, 5);
    BAD(head_size, 1000000000);
    BAD(head_size, INT64_MAX);
    for (int64_t l = 0; l < small.layers; l++) {
        static const int32_t wrong[] = {0, -1, 3, INT32_MAX, INT32_MIN};
        for (int64_t i = 0; i < COUNT_OF(wrong); i++) {
            int32_t heads[] = {2, 1};
            heads[l] = wrong[i];
            BAD(layer_heads, heads);
        }
    }
    BAD(vocab, 0);
    BAD(vocab, -1);
    BAD(vocab, INT64_MAX);
    BAD(max_length, 0);
    BAD(max_length, -5);
    BAD(max_length, INT64_MAX);
    BAD(position_offset, -1);
    BAD(position_offset, INT64_MAX);
    BAD(token_types, -1);
    BAD(token_types, INT64_MAX);
    BAD(trees, 0);
    BAD(trees, -1);
    BAD(trees, INT64_MAX);
    BAD(depth, -1);
    BAD(depth, 40);
    BAD(depth, 64);
    BAD(depth, INT64_MAX);
    BAD(pool_width, -1);
    BAD(labels, 0);
    BAD(labels, -1);
    BAD(norm_eps, -1);
    BAD(norm_eps, NAN);
    BAD(norm_eps, INFINITY);
    BAD(norm_position, 2);
    BAD(positions, -1);
    BAD(feedforward, 4);
    BAD(activation, UFFB_ACTIVATION_COUNT);
    BAD(pool_activation, -1);
    BAD(pooling, 4);
    BAD(heads_present, 8);
    BAD(embed_norm, 2);
    BAD(final_norm, -1);
    BAD(mlm_transform, 2);
    BAD(tied, 2);
    BAD(embed_width, -1);
    BAD(embed_width, INT64_MAX);
    BAD(distinct_layers, -1);
    BAD(distinct_layers, small.layers + 1);
    BAD(relative_buckets, -4);
    BAD(relative_buckets, 6);
    BAD(relative_buckets, INT64_MAX - 3);
    BAD(window, -1);
    BAD(global_every, -1);
    BAD(qkv_order, 2);
    BAD(first_unnormed, 2);
    BAD(pool_norm, -1);
    static const int32_t fewer[] = {2, 1};
    arch = small;
    arch.layer_heads = fewer;
    arch.distinct_layers = 1;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("layer_heads");
    arch.distinct_layers = 0;
    arch.relative_buckets = 8;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("layer_heads");
    arch = small;
    arch.layers = 3;
    arch.distinct_layers = 2;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("distinct_layers");
    arch = small;
    arch.positions = UFFB_ROTARY;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("bases");
    arch.rotary_base = INFINITY;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("bases");
    arch.rotary_base = 10;
    arch.hidden = 3 * arch.heads;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("even size");
    arch.hidden = 4 * arch.heads;
    arch.head_size = 3;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("even size");
    arch = small;
    arch.relative_buckets = 8;
    arch.window = 1;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("relative_buckets");
    arch = small;
    arch.embed_width = 4;
    arch.mlm_transform = 0;
    arch.heads_present = UFFB_HEAD_MLM;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("mlm_transform");
    arch = small;
    arch.feedforward = UFFB_FFN_GLU;
    arch.width = 7;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("width");
    arch.width = 0;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("width");
    arch.feedforward = UFFB_FFN_GLU_FIRST;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("width");
    arch.feedforward = UFFB_FFN_DENSE;
    arch.tree_output = UFFB_TREES_LINEAR;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    NAMES("tree_output");
    arch = small; /* 2^24 trees of 2^25 nodes */
    arch.trees = 1 << 24;
    arch.depth = 24;
    REFUSED(UFFB_INVALID, uffb_model_new(&arch, &model));
    test_end();
}

/* Gives every tensor but one (-1: all) and returns what readying the model says. */
static int32_t ready_without(const random_model *from, int64_t left_out) {
    uffb_model *model;
    if (uffb_model_new(&from->arch, &model) != UFFB_OK) return -1;
    for (int64_t i = 0; i < from->count; i++) {
        const uffb_tensor_info *info = &from->infos[i];
        uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, info->layout);
        if (i != left_out) uffb_model_tensor_set(model, info->name, from->given[i], bytes, UFFB_F32, info->layout);
    }
    int32_t status = uffb_model_ready(model);
    uffb_model_free(model);
    return status;
}

static void test_bad_tensors(void) {
    test_begin("bad tensors");
    random_model *good = random_model_new(&small, 1, UFFB_F32, AS_ASKED);
    uffb_model *model = NULL;
    uffb_tensor_info info;
    float scale = 1;
    uffb_model_new(&small, &model);
    check(uffb_model_tensor_count(NULL) == 0, "tensors of no model");
    REFUSED(UFFB_INVALID, uffb_model_tensor_info(NULL, 0, &info));
    REFUSED(UFFB_INVALID, uffb_model_tensor_info(model, 0, NULL));
    REFUSED(UFFB_INVALID, uffb_model_tensor_info(model, -1, &info));
    REFUSED(UFFB_INVALID, uffb_model_tensor_info(model, uffb_model_tensor_count(model), &info));
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(NULL, "embed.position.scale", &scale, 4, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, NULL, &scale, 4, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, "embed.position.scale", NULL, 4, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, "no.such.tensor", &scale, 4, UFFB_F32, UFFB_ROWS));
    NAMES("no.such.tensor");
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, "", &scale, 4, UFFB_F32, UFFB_ROWS));
    static const uint64_t wrong_bytes[] = {0, 3, 5, 8, UINT64_MAX};
    for (int64_t i = 0; i < COUNT_OF(wrong_bytes); i++) {
        REFUSED(UFFB_INVALID,
                uffb_model_tensor_set(model, "embed.position.scale", &scale, wrong_bytes[i], UFFB_F32, UFFB_ROWS));
        NAMES("embed.position.scale");
    }
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, "embed.position.scale", &scale, 4, 9, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(model, "embed.position.scale", &scale, 4, UFFB_F32, 9));
    static const double doubles[][2] = {
        {1e300, 0}, {-3.5e38, 0}, {0x1.ffffffp127, 0}, {0x1.fffffefffffffp127, 1}, {INFINITY, 1}};
    for (int64_t i = 0; i < COUNT_OF(doubles); i++) { /* infinity itself is what the caller asked for */
        test_case("f64 %a", doubles[i][0]);
        const int32_t status = uffb_model_tensor_set(model, "embed.position.scale", &doubles[i][0], 8, UFFB_F64, UFFB_ROWS);
        check((status == UFFB_OK) == (doubles[i][1] != 0), "status %d: %s", status, uffb_error());
    }
    REFUSED(UFFB_INVALID, uffb_model_ready(NULL));
    REFUSED(UFFB_INVALID, uffb_model_ready(model));
    uffb_context *context = (uffb_context *)&scale;
    REFUSED(UFFB_INVALID, uffb_context_new(model, 1, NULL, &context));
    check(context == NULL, "a context of a model that is not ready");
    uffb_model_free(model);

    check(ready_without(good, -1) == UFFB_OK, "all tensors given: %s", uffb_error());
    for (int64_t i = 0; i < good->count; i++) {
        mark(good->infos[i].name);
        int32_t status = ready_without(good, i);
        if (good->infos[i].required) {
            check_refused(status, UFFB_INVALID);
            NAMES(good->infos[i].name);
        } else {
            check(status == UFFB_OK, "an optional tensor is missed: %s", uffb_error());
        }
        uffb_model_tensor_info(good->model, i, &info);
        check(info.present == 1, "not present");
    }
    const uffb_tensor_info *first = &good->infos[0];
    uint64_t bytes = uffb_tensor_bytes(first->rows, first->cols, UFFB_F32, first->layout);
    REFUSED(UFFB_INVALID, uffb_model_tensor_set(good->model, first->name, good->given[0], bytes, UFFB_F32, first->layout));
    random_model_free(good);
    uffb_model_free(NULL);
    test_end();
}

/* Integers that a tensor cannot be, and integers without their scales. */
static void test_bad_integers(void) {
    test_begin("bad integers");
    uffb_arch arch = small;
    arch.positions = UFFB_LEARNED;
    static const struct {
        const char *name;
        int32_t dtype, layout, taken;
    } given[] = {{"embed.word", UFFB_I8, UFFB_ROWS, 1},
                 {"embed.position", UFFB_I8, UFFB_ROWS, 1},
                 {"embed.word", UFFB_I8, UFFB_PANELS_I8, 0},
                 {"embed.word", UFFB_I16, UFFB_PANELS_I16, 0},
                 {"embed.position", UFFB_I8, UFFB_PANELS_I8, 0},
                 {"embed.type", UFFB_I8, UFFB_ROWS, 0},
                 {"layer.0.fff.in.weight", UFFB_I8, UFFB_ROWS, 0},
                 {"layer.0.attn.qkv.weight", UFFB_I8, UFFB_ROWS, 0},
                 {"final_norm.bias", UFFB_I8, UFFB_ROWS, 0}};
    random_model *good = random_model_new(&arch, 1, UFFB_F32, AS_ASKED);
    for (int64_t i = 0; i < COUNT_OF(given); i++) {
        uffb_model *model;
        check(uffb_model_new(&arch, &model) == UFFB_OK, "%s", uffb_error());
        for (int64_t t = 0; t < good->count; t++) {
            const uffb_tensor_info *info = &good->infos[t];
            const int chosen = strcmp(info->name, given[i].name) == 0;
            const int32_t dtype = chosen ? given[i].dtype : UFFB_F32, layout = chosen ? given[i].layout : info->layout;
            const uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, dtype, layout);
            if (strstr(info->name, ".scale")) continue;
            mark(info->name);
            const int32_t status = uffb_model_tensor_set(model, info->name, good->given[t], bytes, dtype, layout);
            check((status == UFFB_OK) == (!chosen || given[i].taken), "%s in layout %d: status %d", info->name, layout, status);
            if (status) NAMES(given[i].name);
        }
        if (given[i].taken) {
            REFUSED(UFFB_INVALID, uffb_model_ready(model));
            NAMES("lacks");
            NAMES(".scale");
        }
        uffb_model_free(model);
    }
    random_model_free(good);
    test_end();
}

static void test_bad_conversions(void) {
    test_begin("bad conversions");
    float a[4] = {0}, b[4];
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, NULL, 16, UFFB_F32, UFFB_ROWS, b, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 16, UFFB_F32, UFFB_ROWS, NULL, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 15, UFFB_F32, UFFB_ROWS, b, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 16, UFFB_F32, UFFB_ROWS, b, 12, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 16, UFFB_F32, UFFB_ROWS, b, 16, UFFB_F32, UFFB_PANELS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 16, 7, UFFB_ROWS, b, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(1, 4, a, 16, UFFB_F32, -3, b, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(0, 4, a, 0, UFFB_F32, UFFB_ROWS, b, 0, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(-1, -4, a, 16, UFFB_F32, UFFB_ROWS, b, 16, UFFB_F32, UFFB_ROWS));
    REFUSED(UFFB_INVALID, uffb_tensor_convert(INT64_MAX, INT64_MAX, a, 16, UFFB_F32, UFFB_ROWS, b, 16, UFFB_F32, UFFB_ROWS));
    test_end();
}

void test_bad_models(void) {
    test_library();
    test_bad_arch();
    test_bad_tensors();
    test_bad_integers();
    test_bad_conversions();
}

/* Tests guides of attention: probabilities that are pulled towards another model's, given its q and k. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t lengths[] = {1, 7, 16, 5, 3};

/* Attention in blocks of queries. */
#define LONG 150

static int64_t heads_of(const uffb_arch *a, int64_t layer) { return a->layer_heads ? a->layer_heads[layer] : a->heads; }

static int64_t head_size_of(const uffb_arch *a) { return a->head_size ? a->head_size : a->hidden / a->heads; }

/* Floats of q and k of all layers before `layer`, in heads of `size`. */
static int64_t qk_before(const uffb_arch *a, int64_t layer, int64_t tokens, int64_t size) {
    int64_t floats = 0;
    for (int64_t l = 0; l < layer; l++) floats += 2 * heads_of(a, l) * size * tokens;
    return floats;
}

static float *room(const uffb_arch *a, int64_t tokens, int64_t size) {
    return calloc((size_t)qk_before(a, a->layers, tokens, size) + 1, sizeof(float));
}

/* Guides of each layer's attention alone. */
static example *guided_example(const uffb_arch *a, const batch *b, int64_t qk_head) {
    example *e = example_new(a, b, UFFB_HEAD_VECTOR, UFFB_COSINE);
    e->step.head = UFFB_HEAD_NONE;
    e->step.targets = 0;
    e->arch = a;
    e->qk_head = qk_head;
    e->qk = room(a, b->tokens, qk_head);
    for (int64_t i = 0; i < qk_before(a, a->layers, b->tokens, qk_head); i++) e->qk[i] = random_between(-1.5f, 1.5f);
    return e;
}

/* Runs a step and returns each layer's own q and k, which the caller frees. */
static float *own_qk(uffb_trainer *t, const example *e, uffb_train_result *result) {
    const int64_t size = head_size_of(e->arch), tokens = e->batch->tokens;
    float *qk = room(e->arch, tokens, size);
    uffb_taps *taps;
    if (uffb_taps_new(&taps)) exit(2);
    for (int64_t l = 0; l < e->layers; l++) {
        const int64_t floats = 2 * heads_of(e->arch, l) * size * tokens;
        uffb_taps_add(taps, UFFB_TAP_QK, l, qk + qk_before(e->arch, l, tokens, size), (uint64_t)floats * sizeof *qk);
    }
    *result = run_step(t, e, 0, taps, NULL, NULL);
    uffb_taps_free(taps);
    return qk;
}

/* log softmax of the products of a query with `seen` keys, in double precision */
static void log_shares(const float *q, const float *keys, int64_t ld, int64_t size, int64_t seen, double *to) {
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < seen; k++) {
        to[k] = 0;
        for (int64_t i = 0; i < size; i++) to[k] += (double)q[i] * (double)keys[k * ld + i];
        top = fmax(top, to[k]);
    }
    for (int64_t k = 0; k < seen; k++) sum += exp(to[k] - top);
    for (int64_t k = 0; k < seen; k++) to[k] -= top + log(sum);
}

/* The divergence of a layer's probabilities, mean over tokens and heads, by its definition. */
static double divergence(const example *e, int64_t heads, const float *own, int64_t size, const float *guide,
                         int64_t guide_size) {
    const batch *b = e->batch;
    const int64_t ld = 2 * heads * size, guide_ld = 2 * heads * guide_size;
    double p[LONG], g[LONG], sum = 0;
    for (int64_t s = 0; s < b->sequences; s++) {
        const int64_t start = b->offsets[s], length = b->offsets[s + 1] - start;
        for (int64_t query = 0; query < length * heads; query++) {
            const int64_t token = query / heads, head = query % heads, seen = e->step.causal ? token + 1 : length;
            const float *q = own + start * ld + head * 2 * size, *h = guide + start * guide_ld + head * 2 * guide_size;
            log_shares(q + token * ld, q + size, ld, size, seen, p);
            log_shares(h + token * guide_ld, h + guide_size, guide_ld, guide_size, seen, g);
            for (int64_t k = 0; k < seen; k++) sum += exp(g[k]) * (g[k] - p[k]);
        }
    }
    return sum / (double)(b->tokens * heads);
}

/* What guides come to is what their definition says. */
static void test_value(const random_model *m, const example *e) {
    for (int isa = 0; isa_name(isa); isa++) {
        test_case("value%s, %s", e->step.causal ? ", causal" : "", isa_name(isa));
        uffb_trainer *t = trainer_new(m, 2, isa_name(isa));
        uffb_train_result result;
        const int64_t size = head_size_of(e->arch), tokens = e->batch->tokens;
        float *own = own_qk(t, e, &result);
        double expected = 0;
        for (int64_t l = 0; l < e->layers; l++)
            expected += guide_weight(l) * divergence(e, heads_of(e->arch, l), own + qk_before(e->arch, l, tokens, size), size,
                                                     e->qk + qk_before(e->arch, l, tokens, e->qk_head), e->qk_head);
        check(expected > 0 && fabs(result.guided - expected) <= 1e-5 * expected, "%.9g in place of %.9g", result.guided,
              expected);
        uffb_trainer_free(t);
        free(own);
    }
}

/* A model whose own q and k guide it has nothing to learn; nor has it from guides of no weight. */
static void test_own(const random_model *m, const batch *b) {
    test_case("its own attention");
    example *e = guided_example(&m->arch, b, head_size_of(&m->arch));
    uffb_trainer *t = trainer_new(m, 2, NULL);
    uffb_train_result result;
    float *others = e->qk;
    e->qk = own_qk(t, e, &result);
    check(result.guided > 1e-3, "other attention costs %g", result.guided);
    const uffb_train_result own = run_step(t, e, 1, NULL, NULL, NULL);
    check(fabs(own.guided) < 1e-6, "its own attention costs %g", own.guided);
    double sum = 0;
    for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
        uffb_parameter_info p;
        uffb_trainer_parameter_info(t, i, &p);
        if (!p.present || p.constant) continue;
        float *gradient = values_of(t, &p, UFFB_GRADIENT);
        for (int64_t j = 0; j < p.rows * p.cols; j++) sum = fmax(sum, fabs((double)gradient[j]));
        free(gradient);
    }
    check(sum < 1e-5, "its own attention has a gradient of %g", sum);
    free(others);
    uffb_trainer_free(t);
    example_free(e);
}

/* The bytes that are told before are those of guides. */
static void test_memory(const random_model *m) {
    test_case("memory");
    uffb_trainer *t = trainer_new(m, 2, NULL);
    uffb_train_size size = {.sequences = 2, .tokens = 40, .longest = 33, .threads = 2};
    uffb_train_memory without, with;
    check(uffb_trainer_memory(t, &size, &without) == UFFB_OK, "%s", uffb_error());
    size.guided = 100;
    check(uffb_trainer_memory(t, &size, &with) == UFFB_OK, "%s", uffb_error());
    check(with.kept == without.kept + 40 * 100 * 4 && with.kept_per_token == without.kept_per_token + 400 &&
              with.total == without.total + 40 * 100 * 4,
          "%llu bytes, and without guides %llu", (unsigned long long)with.kept, (unsigned long long)without.kept);
    size.guided_head = 4096;
    check(uffb_trainer_memory(t, &size, &with) == UFFB_OK && with.scratch > without.scratch, "keys of a guide take no room");
    uffb_trainer_free(t);
}

static uint64_t kept_per_token(const uffb_trainer *t, int64_t longest) {
    const uffb_train_size size = {.sequences = 1, .tokens = 1000, .longest = longest, .threads = 2};
    uffb_train_memory memory;
    check(uffb_trainer_memory(t, &size, &memory) == UFFB_OK, "%s", uffb_error());
    return memory.kept_per_token;
}

/* Probabilities take a panel's width of room for each head, and no more than two numbers for each of its own. */
static void test_kept(const random_model *m) {
    test_case("probabilities that are kept");
    uffb_trainer *t = trainer_new(m, 2, NULL);
    const int64_t most = 2 * head_size_of(&m->arch), lengths_of[] = {1, 16, 17, 33, most, most + 1, 1000};
    const uint64_t none = kept_per_token(t, 1) - (uint64_t)(m->arch.layers * m->arch.heads * (most < 16 ? most : 16)) * 4;
    for (size_t i = 0; i < sizeof lengths_of / sizeof *lengths_of; i++) {
        const int64_t wide = (lengths_of[i] + 15) / 16 * 16, keys = wide < most ? wide : most;
        const uint64_t expected = (uint64_t)(m->arch.layers * m->arch.heads * keys) * 4;
        check(kept_per_token(t, lengths_of[i]) == none + expected, "of %lld tokens %llu bytes in place of %llu",
              (long long)lengths_of[i], (unsigned long long)(kept_per_token(t, lengths_of[i]) - none),
              (unsigned long long)expected);
    }
    uffb_trainer_free(t);
}

static void test_refused(const random_model *m, const batch *b) {
    test_case("refused");
    uffb_trainer *t = trainer_new(m, 1, NULL);
    const int64_t width = 2 * heads_of(&m->arch, 0) * 4;
    float *qk = calloc((size_t)(b->tokens * width), sizeof *qk);
    check(uffb_trainer_guide(t, UFFB_TAP_QK, m->arch.layers, 1, qk, b->tokens, width) == UFFB_INVALID, "no such layer");
    check(uffb_trainer_guide(t, UFFB_TAP_QK, 0, 1, qk, b->tokens, width + 1) == UFFB_INVALID, "a part of a head");
    check(uffb_trainer_guide(t, UFFB_TAP_QK, 0, 1, qk, b->tokens, 0) == UFFB_INVALID, "no heads");
    check(uffb_trainer_guide(t, UFFB_TAP_QK, 0, 1, qk, b->tokens, width) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_guide(t, UFFB_TAP_QK, 0, 1, qk, b->tokens, width) == UFFB_INVALID, "two of one layer");
    uffb_trainer_free(t);
    free(qk);
}

static void test_gradients(const random_model *m, example *e) {
    test_case("slopes");
    test_slopes(m, e);
    e->step.attention_dropout = e->step.block_dropout = 0.2;
    e->step.causal = 1;
    test_case("slopes, dropout, causal");
    test_slopes(m, e);
    for (int isa = 0; isa_name(isa); isa++) {
        test_case("threads, %s", isa_name(isa));
        test_threads_agree(m, e, isa_name(isa));
    }
}

static void test_long(const config *c) {
    uffb_arch arch = c->arch;
    arch.max_length = LONG;
    const int64_t both[] = {LONG, 2};
    random_model *m = random_model_new(&arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&arch, COUNT_OF(both), both);
    test_begin("attention's guides, %d tokens", LONG);
    example *e = guided_example(&m->arch, b, 40);
    test_value(m, e);
    test_gradients(m, e);
    test_end();
    example_free(e);
    batch_free(b);
    random_model_free(m);
}

void test_attention_guides(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        if (!configs[i].arch.layers) continue;
        random_model *m = random_model_new(&configs[i].arch, configs[i].optional, UFFB_F32, UFFB_ROWS);
        batch *b = batch_new(&configs[i].arch, COUNT_OF(lengths), lengths);
        test_begin("attention's guides, %s", configs[i].name);
        example *e = guided_example(&m->arch, b, i % 2 ? 5 : 40);
        test_value(m, e);
        e->step.causal = 1;
        test_value(m, e);
        e->step.causal = 0;
        test_gradients(m, e);
        test_own(m, b);
        if (!strcmp(configs[i].name, "bert")) {
            test_memory(m);
            test_kept(m);
            test_refused(m, b);
        }
        test_end();
        example_free(e);
        batch_free(b);
        random_model_free(m);
        if (!strcmp(configs[i].name, "bert")) test_long(&configs[i]);
    }
}

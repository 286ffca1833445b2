/* Tests what teaches a model from another: the vector head, and guides of its states. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t lengths[] = {1, 7, 16, 5, 3};

static float *random_states(int64_t count) {
    float *states = malloc((size_t)count * sizeof *states);
    for (int64_t i = 0; i < count; i++) states[i] = random_between(-1, 1);
    return states;
}

static example *vector_example(const uffb_arch *arch, const batch *b, int32_t pooling) {
    example *e = example_new(arch, b, UFFB_HEAD_VECTOR, UFFB_COSINE);
    e->step.pooling = pooling;
    return e;
}

static void test_vectors(const random_model *m, const batch *b) {
    static const int32_t poolings[] = {UFFB_POOL_FIRST, UFFB_POOL_MEAN, UFFB_POOL_MAX, UFFB_POOL_LSE};
    for (int64_t i = 0; i < COUNT_OF(poolings); i++) {
        example *e = vector_example(&m->arch, b, poolings[i]);
        test_case("cosines, pooling %d", poolings[i]);
        test_slopes(m, e);
        e->step.similarity = 0.5;
        e->weighted = 1;
        test_case("similarities, pooling %d", poolings[i]);
        test_slopes(m, e);
        for (int isa = 0; isa_name(isa); isa++) test_threads_agree(m, e, isa_name(isa));
        example_free(e);
    }
}

static void test_guides(const random_model *m, const batch *b) {
    example *e = vector_example(&m->arch, b, UFFB_POOL_MEAN);
    e->guides = random_states((m->arch.layers + 2) * b->tokens * m->arch.hidden);
    e->step.block_dropout = 0.2;
    test_case("guides beside a head");
    test_slopes(m, e);
    e->step.head = UFFB_HEAD_NONE;
    e->step.targets = 0;
    test_case("guides alone");
    test_slopes(m, e);
    for (int isa = 0; isa_name(isa); isa++) test_threads_agree(m, e, isa_name(isa));
    example_free(e);
}

/* A model that is its own teacher has nothing to learn. */
static void test_own_teacher(const random_model *m, const batch *b) {
    test_case("its own teacher");
    example *e = vector_example(&m->arch, b, UFFB_POOL_MEAN);
    uffb_trainer *t = trainer_new(m, 2, NULL);
    e->step.similarity = 1;
    run_step(t, e, 0, NULL, NULL, e->shares);
    const int64_t size = b->tokens * m->arch.hidden;
    float *states = malloc((size_t)size * sizeof *states);
    uffb_taps *taps;
    if (uffb_taps_new(&taps)) exit(2);
    uffb_taps_add(taps, UFFB_TAP_LAYER, 0, states, (uint64_t)size * sizeof *states);
    run_step(t, e, 0, taps, NULL, NULL);
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, 0, 1, states, b->tokens, m->arch.hidden) == UFFB_OK, "%s", uffb_error());
    const uffb_train_result result = run_step(t, e, 1, NULL, NULL, NULL);
    check(result.guided == 0, "its own states cost %g", result.guided);
    check(result.loss < 1e-5 * result.weight, "its own vectors cost %g", result.loss);
    check(run_step(t, e, 0, NULL, NULL, NULL).guided == 0, "a guide outlived its step");
    uffb_taps_free(taps);
    uffb_trainer_free(t);
    example_free(e);
    free(states);
}

static int of_half(const uffb_parameter_info *p, int64_t layer) {
    char prefix[32];
    const int size = snprintf(prefix, sizeof prefix, "layer.%d.", (int)layer);
    const char *rest = p->name + size;
    return !strncmp(p->name, prefix, (size_t)size) && (!strncmp(rest, "ff", 2) || !strncmp(rest, "norm2", 5));
}

/* A half alone has the gradients that it has in the whole model with a guide behind it, and no other part gets any. */
static void test_fit(const random_model *m, const batch *b) {
    const uffb_arch *a = &m->arch;
    test_case("a feedforward half alone");
    const int64_t size = b->tokens * a->hidden;
    float *output = random_states(size), *input = calloc((size_t)size, sizeof *input);
    uffb_trainer *whole = trainer_new(m, 2, NULL), *alone = trainer_new(m, 3, NULL);
    if (a->norm_position != UFFB_POST_NORM || !(a->width || a->trees)) {
        uffb_train_result result;
        check(uffb_trainer_fit(alone, 0, b->tokens, input, output, 1, 1, &result) == UFFB_INVALID, "there is no such half");
    }
    for (int64_t l = 0; a->norm_position == UFFB_POST_NORM && (a->width || a->trees) && l < a->layers; l++) {
        example *e = vector_example(a, b, UFFB_POOL_MEAN);
        e->step.head = UFFB_HEAD_NONE;
        e->step.targets = 0;
        uffb_taps *taps;
        if (uffb_taps_new(&taps)) exit(2);
        uffb_taps_add(taps, UFFB_TAP_FFN_INPUT, l, input, (uint64_t)size * sizeof *input);
        check(uffb_trainer_guide(whole, UFFB_TAP_LAYER, l, 0.75, output, b->tokens, a->hidden) == UFFB_OK, "%s", uffb_error());
        const uffb_train_result expected = run_step(whole, e, 1, taps, NULL, NULL);
        uffb_train_result result = {0};
        check(uffb_trainer_fit(alone, l, b->tokens, input, output, 0.75, 0, &result) == UFFB_OK, "%s", uffb_error());
        check(uffb_trainer_fit(alone, l, b->tokens, input, output, 0.75, 1, &result) == UFFB_OK, "%s", uffb_error());
        check(result.guided > 0 && result.guided == expected.guided, "%g in place of %g", result.guided, expected.guided);
        for (int64_t i = 0; i < uffb_trainer_parameter_count(whole); i++) {
            uffb_parameter_info p;
            uffb_trainer_parameter_info(whole, i, &p);
            if (!p.present || p.constant) continue;
            float *gradient = values_of(alone, &p, UFFB_GRADIENT), *of_whole = values_of(whole, &p, UFFB_GRADIENT);
            double sum = 0;
            for (int64_t j = 0; j < p.rows * p.cols; j++) sum += fabs((double)gradient[j]);
            check((sum > 0) == of_half(&p, l), "%s has gradients of %g", p.name, sum);
            if (of_half(&p, l))
                check(!memcmp(gradient, of_whole, (size_t)(p.rows * p.cols) * sizeof *gradient), "%s has others", p.name);
            free(gradient);
            free(of_whole);
        }
        uffb_trainer_zero_gradients(whole);
        uffb_trainer_zero_gradients(alone);
        uffb_taps_free(taps);
        example_free(e);
    }
    uffb_trainer_free(whole);
    uffb_trainer_free(alone);
    free(input);
    free(output);
}

/* What `ffn.out` reads is the same in a step as in an encode. */
static void test_units(const random_model *m, const batch *b) {
    const uffb_arch *a = &m->arch;
    const int gated = a->feedforward == UFFB_FFN_GLU || a->feedforward == UFFB_FFN_GLU_FIRST;
    const int64_t units = gated ? a->width / 2 : a->width, size = b->tokens * units;
    if (!size) return;
    test_case("units of a feedforward layer");
    float *encoded = calloc((size_t)size, sizeof *encoded), *stepped = calloc((size_t)size, sizeof *stepped);
    uffb_taps *taps[2];
    for (int i = 0; i < 2; i++) {
        if (uffb_taps_new(&taps[i])) exit(2);
        uffb_taps_add(taps[i], UFFB_TAP_FFN_UNITS, 0, i ? stepped : encoded, (uint64_t)size * sizeof(float));
    }
    uffb_trainer *t = trainer_new(m, 2, NULL);
    example *e = vector_example(a, b, UFFB_POOL_MEAN);
    uffb_model *model;
    uffb_context *c;
    check(uffb_trainer_model(t, &model) == UFFB_OK && uffb_context_new(model, 1, NULL, &c) == UFFB_OK, "%s", uffb_error());
    check(uffb_encode(c, b->sequences, b->offsets, b->ids, b->types, taps[0]) == UFFB_OK, "%s", uffb_error());
    uffb_context_free(c);
    run_step(t, e, 0, taps[1], NULL, NULL);
    double sum = 0;
    for (int64_t i = 0; i < size; i++) sum += fabs((double)encoded[i]);
    check(sum > 0, "no units");
    check(!memcmp(encoded, stepped, (size_t)size * sizeof *encoded), "a step has other units");
    for (int i = 0; i < 2; i++) uffb_taps_free(taps[i]);
    uffb_trainer_free(t);
    example_free(e);
    free(encoded);
    free(stepped);
}

static void test_refused(const random_model *m, const batch *b) {
    test_case("refused");
    uffb_trainer *t = trainer_new(m, 1, NULL);
    float *states = random_states(b->tokens * m->arch.hidden);
    uffb_train_result result;
    check(uffb_trainer_fit(NULL, 0, 1, states, states, 1, 1, &result) == UFFB_INVALID, "no trainer");
    check(uffb_trainer_fit(t, m->arch.layers, 1, states, states, 1, 1, &result) == UFFB_INVALID, "a fit of no layer");
    check(uffb_trainer_fit(t, 0, 0, states, states, 1, 1, &result) == UFFB_INVALID, "a fit of no tokens");
    check(uffb_trainer_fit(t, 0, 1, states, NULL, 1, 1, &result) == UFFB_INVALID, "a fit to nothing");
    check(uffb_trainer_fit(t, 0, 1, states, states, -1, 1, &result) == UFFB_INVALID, "a fit of negative weight");
    check(uffb_trainer_guide(NULL, UFFB_TAP_FINAL, 0, 1, states, 1, m->arch.hidden) == UFFB_INVALID, "no trainer");
    check(uffb_trainer_guide(t, UFFB_TAP_FINAL, 0, 1, NULL, 1, m->arch.hidden) == UFFB_INVALID, "no states");
    check(uffb_trainer_guide(t, UFFB_TAP_PATH, 0, 1, states, 1, m->arch.hidden) == UFFB_INVALID, "paths");
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, m->arch.layers, 1, states, 1, m->arch.hidden) == UFFB_INVALID, "no such layer");
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, 0, -1, states, 1, m->arch.hidden) == UFFB_INVALID, "a negative weight");
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, 0, 1, states, 1, m->arch.hidden - 1) == UFFB_INVALID, "narrower states");
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, 0, 1, states, b->tokens - 1, m->arch.hidden) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_guide(t, UFFB_TAP_LAYER, 0, 1, states, b->tokens, m->arch.hidden) == UFFB_INVALID, "two of one place");
    const uffb_train_step none = {.sequences = b->sequences, .head = UFFB_HEAD_NONE};
    check(uffb_trainer_step(t, &none, b->offsets, b->ids, b->types, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) ==
              UFFB_INVALID,
          "a guide of too few tokens");
    uffb_train_step vector = {.sequences = b->sequences, .targets = b->sequences, .head = UFFB_HEAD_VECTOR};
    check(uffb_trainer_step(t, &vector, b->offsets, b->ids, b->types, NULL, NULL, states, NULL, NULL, NULL, NULL, NULL, NULL) ==
              UFFB_INVALID,
          "vectors with a cross-entropy");
    vector.loss = UFFB_COSINE;
    vector.pooling = 99;
    check(uffb_trainer_step(t, &vector, b->offsets, b->ids, b->types, NULL, NULL, states, NULL, NULL, NULL, NULL, NULL, NULL) ==
              UFFB_INVALID,
          "no such pooling");
    uffb_trainer_free(t);
    free(states);
}

void test_distil(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        random_model *m = random_model_new(&configs[i].arch, configs[i].optional, UFFB_F32, UFFB_ROWS);
        batch *b = batch_new(&configs[i].arch, COUNT_OF(lengths), lengths);
        test_begin("distil, %s", configs[i].name);
        test_guides(m, b);
        if (configs[i].arch.layers) test_own_teacher(m, b);
        if (configs[i].arch.layers) test_units(m, b);
        if (configs[i].arch.layers) test_fit(m, b);
        if (!strcmp(configs[i].name, "bert")) {
            test_vectors(m, b);
            test_refused(m, b);
        }
        test_end();
        batch_free(b);
        random_model_free(m);
    }
}

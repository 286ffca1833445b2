/* What a trainer refuses, and that it goes on after that. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *last;

static void refused(int32_t status, int32_t expected, const char *words) {
    last = uffb_error();
    check(status == expected && strstr(last, words), "status %d, \"%s\"; expected %d, \"%s\"", status, last, expected, words);
}

static int32_t step_with(uffb_trainer *t, const example *e, const uffb_train_step *step) {
    const int mlm = step->head == UFFB_HEAD_MLM;
    return uffb_trainer_step(t, step, e->batch->offsets, e->batch->ids, e->batch->types, NULL, mlm ? e->positions : NULL,
                             e->labels, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void test_steps(uffb_trainer *t, example *e) {
    uffb_train_step s;
#define REFUSED(words, ...)                                                                                                    \
    test_case("%s", #__VA_ARGS__);                                                                                             \
    s = e->step;                                                                                                               \
    __VA_ARGS__;                                                                                                               \
    refused(step_with(t, e, &s), UFFB_INVALID, words)
    REFUSED("dropout rate", s.attention_dropout = 1);
    REFUSED("dropout rate", s.embedding_dropout = -0.1);
    REFUSED("dropout rate", s.head_dropout = NAN);
    REFUSED("temperature", s.temperature = -1);
    REFUSED("noise of branches", s.branch_noise = NAN);
    REFUSED("noise of branches", s.branch_noise = -1);
    REFUSED("label smoothing", s.label_smoothing = 1.5);
    REFUSED("scale", s.scale = INFINITY);
    REFUSED("head must be", s.head = 3);
    REFUSED("no such loss", s.loss = 9);
    REFUSED("cross-entropies alone", s.head = UFFB_HEAD_MLM; s.loss = UFFB_SQUARED_ERROR);
    REFUSED("one target a sequence", s.targets = 1);
    REFUSED("negative number", s.head = UFFB_HEAD_MLM; s.targets = -1);
    REFUSED("no sequences", s.sequences = 0);
#undef REFUSED
    s = e->step;
    test_case("labels and positions");
    e->labels[2] = 3;
    refused(step_with(t, e, &s), UFFB_INVALID, "target 2 is class 3, but there are 0 to 2");
    e->labels[2] = 0;
    s.head = UFFB_HEAD_MLM;
    s.targets = 2;
    e->positions[0] = e->batch->tokens;
    refused(step_with(t, e, &s), UFFB_INVALID, "position 30 of a batch of 30 tokens");
    e->positions[0] = e->positions[1] = 4;
    refused(step_with(t, e, &s), UFFB_INVALID, "position 4 is predicted twice");
    refused(uffb_trainer_step(t, &s, e->batch->offsets, e->batch->ids, NULL, NULL, NULL, e->labels, NULL, NULL, NULL, NULL,
                              NULL, NULL),
            UFFB_INVALID, "no positions");
    refused(uffb_trainer_step(t, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), UFFB_INVALID,
            "no step");
    check(!strcmp(uffb_trainer_error(t), uffb_error()), "the trainer says \"%s\"", uffb_trainer_error(t));
    test_case("a context of its model, after a step");
    uffb_model *model;
    uffb_context *c;
    float classes[3 * 3];
    check(uffb_trainer_model(t, &model) == UFFB_OK && uffb_context_new(model, 1, NULL, &c) == UFFB_OK, "%s", uffb_error());
    const batch *b = e->batch;
    for (int round = 0; round < 2; round++) {
        check(uffb_encode(c, b->sequences, b->offsets, b->ids, b->types, NULL) == UFFB_OK, "%s", uffb_error());
        check(step_with(t, e, &e->step) == UFFB_OK, "%s", uffb_error());
        refused(uffb_classify(c, classes), UFFB_INVALID, "ask it for its model again");
        refused(uffb_encode(c, b->sequences, b->offsets, b->ids, b->types, NULL), UFFB_INVALID, "ask it for its model again");
        uffb_model *again;
        check(uffb_trainer_model(t, &again) == UFFB_OK && again == model, "%s", uffb_error());
    }
    uffb_context_free(c);
    test_case("cancelled");
    check(uffb_trainer_cancel(t) == UFFB_OK, "%s", uffb_error());
    refused(step_with(t, e, &e->step), UFFB_CANCELLED, "cancelled");
    check(uffb_trainer_zero_gradients(t) == UFFB_OK && step_with(t, e, &e->step) == UFFB_OK, "%s", uffb_error());
}

static void test_settings(uffb_trainer *t) {
    const uffb_adamw good = {1e-3, 0.9, 0.98, 1e-6, 0.01, 0.5};
    uffb_adamw o;
#define REFUSED(words, field, value)                                                                                           \
    test_case("%s", #field);                                                                                                   \
    o = good;                                                                                                                  \
    o.field = value;                                                                                                           \
    refused(uffb_trainer_update(t, &o, NULL), UFFB_INVALID, words)
    REFUSED("lr", lr, NAN);
    REFUSED("beta1", beta1, 1);
    REFUSED("beta2", beta2, -0.5);
    REFUSED("eps", eps, 0);
    REFUSED("weight decay", weight_decay, INFINITY);
    REFUSED("clip", clip, -1);
#undef REFUSED
    test_case("no settings");
    refused(uffb_trainer_update(t, NULL, NULL), UFFB_INVALID, "no settings");
}

static void test_parameters(uffb_trainer *t, int64_t hidden) {
    float *row = calloc((size_t)hidden, sizeof *row);
    const uint64_t bytes = (uint64_t)hidden * sizeof *row;
    test_case("parameters");
    refused(uffb_trainer_set(t, UFFB_WEIGHT, "no.such", row, bytes, UFFB_F32, UFFB_ROWS), UFFB_INVALID, "no such parameter");
    refused(uffb_trainer_set(t, 7, "layer.0.norm1.weight", row, bytes, UFFB_F32, UFFB_ROWS), UFFB_INVALID, "no kind 7");
    refused(uffb_trainer_set(t, UFFB_WEIGHT, "layer.0.norm1.weight", row, bytes - 4, UFFB_F32, UFFB_ROWS), UFFB_INVALID,
            "needs");
    refused(uffb_trainer_set(t, UFFB_WEIGHT, "layer.0.norm1.weight", row, bytes / 4, UFFB_I8, UFFB_ROWS), UFFB_INVALID,
            "cannot be trained");
    refused(uffb_trainer_get(t, UFFB_GRADIENT, "layer.0.norm1.weight", row, bytes, UFFB_F32, 9), UFFB_INVALID,
            "cannot be trained");
    refused(uffb_trainer_mark(t, "layer.0.norm1.weight", 0, 0), UFFB_INVALID, "is ready");
    refused(uffb_trainer_set(t, UFFB_FIRST_MOMENT, "layer.0.attn.scale", row, 4, UFFB_F32, UFFB_ROWS), UFFB_INVALID,
            "not trainable");
    check(uffb_trainer_get(t, UFFB_GRADIENT, "layer.0.attn.scale", row, 4, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s", uffb_error());
    int64_t visits;
    refused(uffb_trainer_visits(t, 0, &visits), UFFB_INVALID, "no trees");
    refused(uffb_trainer_balance(t, 0.1), UFFB_INVALID, "no biases of trees");
    refused(uffb_trainer_balance(t, NAN), UFFB_INVALID, "rate");
    refused(uffb_trainer_balance(NULL, 0.1), UFFB_INVALID, "no trainer");
    uffb_train_memory memory;
    const uffb_train_size good = {.sequences = 1, .tokens = 9, .longest = 9, .threads = 1};
    uffb_train_size size;
#define REFUSED(field, value)                                                                                                  \
    test_case("%s", #field);                                                                                                   \
    size = good;                                                                                                               \
    size.field = value;                                                                                                        \
    refused(uffb_trainer_memory(t, &size, &memory), UFFB_INVALID, "no such step")
    REFUSED(tokens, 0);
    REFUSED(longest, 10);
    REFUSED(guided, -1);
    REFUSED(guided_head, -1);
    REFUSED(threads, 0);
#undef REFUSED
    refused(uffb_trainer_memory(t, NULL, &memory), UFFB_INVALID, "no such step");
    refused(uffb_trainer_set_updates(t, -1), UFFB_INVALID, "negative");
    free(row);
}

void test_train_misuse(void) {
    static const int64_t lengths[] = {9, 1, 20};
    int64_t count;
    const config *configs = test_configs(&count), *bert = NULL;
    for (int64_t i = 0; i < count; i++) bert = strcmp(configs[i].name, "bert") ? bert : &configs[i];
    test_begin("trainer, misuse");
    test_case("before it is ready");
    uffb_trainer *t = NULL;
    uffb_arch bad = bert->arch;
    bad.heads = 5;
    refused(uffb_trainer_new(&bad, -1, &t), UFFB_INVALID, "heads");
    refused(uffb_trainer_new(&bert->arch, -2, &t), UFFB_INVALID, "padding is token -2");
    refused(uffb_trainer_new(&bert->arch, (int32_t)bert->arch.vocab, &t), UFFB_INVALID, "and -1 for none");
    check(uffb_trainer_new(&bert->arch, -1, &t) == UFFB_OK, "%s", uffb_error());
    refused(uffb_trainer_ready(t, 1, NULL), UFFB_INVALID, "lacks");
    uffb_model *model;
    refused(uffb_trainer_model(t, &model), UFFB_INVALID, "not ready");
    refused(uffb_trainer_update(t, &(uffb_adamw){0}, NULL), UFFB_INVALID, "not ready");
    uffb_trainer_free(t);
    uffb_trainer_free(NULL);

    const config *further = test_further_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        test_case("%s", further[i].name);
        refused(uffb_trainer_new(&further[i].arch, -1, &t), UFFB_UNSUPPORTED, "cannot be trained");
    }

    random_model *m = random_model_new(&bert->arch, 1, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&bert->arch, COUNT_OF(lengths), lengths);
    example *e = example_new(&bert->arch, b, UFFB_HEAD_CLASS, UFFB_CROSS_ENTROPY);
    t = trainer_new(m, 2, NULL);
    test_steps(t, e);
    test_settings(t);
    test_parameters(t, bert->arch.hidden);
    uffb_trainer_free(t);
    example_free(e);
    batch_free(b);
    random_model_free(m);
    test_end();
}

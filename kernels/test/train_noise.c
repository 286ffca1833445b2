/* Noise on the branches of trees: what it changes, and what it does not. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE 0.5

static const int64_t lengths[] = {16, MAX_LENGTH, 9};

/* How many tokens go left where the logit is above 0, or right where it is not; and that none does so far from 0. */
static int64_t turned(const uffb_arch *a, int64_t tokens, const int32_t *nodes, const float *logits) {
    int64_t count = 0;
    for (int64_t i = 0; i < tokens * a->trees; i++, nodes += a->depth + 1, logits += a->depth + 1) {
        check(nodes[0] == 0, "a path begins at %d", nodes[0]);
        for (int64_t p = 0; p < a->depth; p++) {
            const int right = nodes[p + 1] == 2 * nodes[p] + 2;
            check(right || nodes[p + 1] == 2 * nodes[p] + 1, "%d is no child of %d", nodes[p + 1], nodes[p]);
            if (right == (logits[p] > 0)) continue;
            count++;
            check(fabsf(logits[p]) < 3.5f * (float)NOISE, "a logit of %g was turned", (double)logits[p]);
        }
    }
    return count;
}

/* Of the first layer; `count` numbers of 32 bits. */
static void add_tap(uffb_taps *taps, int32_t kind, void *buffer, int64_t count) {
    check(uffb_taps_add(taps, kind, 0, buffer, (uint64_t)count * 4) == UFFB_OK, "%s", uffb_error());
}

static void test_ways(const random_model *m, example *e) {
    const uffb_arch *a = &m->arch;
    const int64_t tokens = e->batch->tokens, size = tokens * a->trees * (a->depth + 1);
    int32_t *nodes = calloc((size_t)size, sizeof *nodes), *again = calloc((size_t)size, sizeof *again);
    float *logits = calloc((size_t)size, sizeof *logits);
    uffb_taps *taps, *others;
    check(uffb_taps_new(&taps) == UFFB_OK && uffb_taps_new(&others) == UFFB_OK, "%s", uffb_error());
    add_tap(taps, UFFB_TAP_PATH, nodes, size);
    add_tap(taps, UFFB_TAP_PATH_LOGITS, logits, size);
    add_tap(others, UFFB_TAP_PATH, again, size);
    uffb_trainer *t = trainer_new(m, 1, NULL);
    e->step.branch_noise = 0;
    run_step(t, e, 0, taps, NULL, NULL);
    check(turned(a, tokens, nodes, logits) == 0, "tokens turn without noise");
    e->step.branch_noise = NOISE;
    run_step(t, e, 0, taps, NULL, NULL);
    check(turned(a, tokens, nodes, logits) > 0, "noise turns no token");
    run_step(t, e, 0, others, NULL, NULL);
    check(!memcmp(nodes, again, (size_t)size * sizeof *nodes), "the same step takes other ways");
    e->step.counter++;
    run_step(t, e, 0, others, NULL, NULL);
    check(memcmp(nodes, again, (size_t)size * sizeof *nodes), "another step has the same noise");
    uffb_taps_free(taps);
    uffb_taps_free(others);
    free(nodes);
    free(again);
    free(logits);
    uffb_trainer_free(t);
}

static void test_model(const config *c) {
    test_begin("noise %s", c->name);
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    example *e = example_new(&c->arch, b, UFFB_HEAD_MLM, UFFB_CROSS_ENTROPY);
    test_case("ways");
    test_ways(m, e);
    test_case("slopes");
    test_slopes(m, e);
    for (int i = 0; isa_name(i); i++) {
        test_case("threads, %s", isa_name(i));
        test_threads_agree(m, e, isa_name(i));
    }
    example_free(e);
    batch_free(b);
    random_model_free(m);
    test_end();
}

void test_noise(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    static const char *const names[] = {"fff 1x5", "fff 3x2, hidden 49", "dense 24 + 2x5"};
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < COUNT_OF(names); j++) {
            if (!strcmp(configs[i].name, names[j])) test_model(&configs[i]);
        }
    }
}

/* Balance of trees: what a call does to each bias, which tokens it counts, and that it evens out where tokens go. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE 0.05

static uffb_parameter_info bias_info(uffb_trainer *t, int64_t layer) {
    uffb_parameter_info p;
    char name[64];
    snprintf(name, sizeof name, "layer.%lld.fff.in.bias", (long long)layer);
    for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
        uffb_trainer_parameter_info(t, i, &p);
        if (!strcmp(p.name, name)) break;
    }
    return p;
}

/* The larger side's share of the tokens that come to a root, over all trees of a layer. */
static double larger_side(const int64_t *visits, int64_t trees, int64_t nodes) {
    double larger = 0, all = 0;
    for (int64_t k = 0; k < trees; k++, visits += nodes) {
        larger += (double)(visits[1] > visits[2] ? visits[1] : visits[2]);
        all += (double)visits[0];
    }
    return larger / all;
}

static void test_model(const config *c) {
    static const int64_t lengths[] = {5, 16, 9};
    test_begin("balance %s", c->name);
    random_model *m = random_model_new(&c->arch, 1, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    example *e = example_new(&c->arch, b, UFFB_HEAD_MLM, UFFB_CROSS_ENTROPY);
    uffb_trainer *t = trainer_new(m, 2, NULL);
    const int64_t trees = c->arch.trees, nodes = ((int64_t)2 << c->arch.depth) - 1;
    int64_t *visits = calloc((size_t)(trees * nodes), sizeof *visits);
    const uffb_parameter_info p = bias_info(t, 1);

    run_step(t, e, 1, NULL, NULL, NULL);
    check(uffb_trainer_visits(t, 1, visits) == UFFB_OK, "%s", uffb_error());
    run_step(t, e, 0, NULL, NULL, NULL); /* a score: not to be balanced */
    check(uffb_trainer_clear_visits(t) == UFFB_OK, "%s", uffb_error());
    const double before = larger_side(visits, trees, nodes);
    float *old = values_of(t, &p, UFFB_WEIGHT);
    check(uffb_trainer_balance(t, RATE) == UFFB_OK, "%s", uffb_error());
    float *new = values_of(t, &p, UFFB_WEIGHT);
    for (int64_t i = 0; i < trees * nodes; i++) {
        const int64_t n = i % nodes, *tree = visits + i - n;
        double moved = 0;
        if (2 * n + 2 < nodes) {
            const double left = (double)tree[2 * n + 1], right = (double)tree[2 * n + 2];
            moved = RATE * (right - left) / (right + left + 8);
        }
        check(fabs((double)old[i] - (double)new[i] - moved) <= 1e-6, "node %lld moved by %g, not %g", (long long)i,
              (double)old[i] - (double)new[i], moved);
    }
    check(uffb_trainer_balance(t, RATE) == UFFB_OK, "%s", uffb_error());
    float *again = values_of(t, &p, UFFB_WEIGHT);
    check(!memcmp(new, again, (size_t)(trees * nodes) * sizeof *new), "the same tokens count twice");
    uffb_trainer_zero_gradients(t);

    for (int i = 0; i < 60; i++) {
        run_step(t, e, 1, NULL, NULL, NULL);
        uffb_trainer_balance(t, RATE);
    }
    uffb_trainer_zero_gradients(t);
    uffb_trainer_clear_visits(t);
    run_step(t, e, 0, NULL, NULL, NULL);
    uffb_trainer_visits(t, 1, visits);
    const double after = larger_side(visits, trees, nodes);
    check(after < 0.65 && after < before, "the larger side of a root has %g of the tokens, before balance %g", after, before);
    free(old);
    free(new);
    free(again);
    free(visits);
    uffb_trainer_free(t);
    example_free(e);
    batch_free(b);
    random_model_free(m);
    test_end();
}

void test_balance(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    static const char *const names[] = {"fff 1x5", "fff 3x2, hidden 49", "dense 24 + 2x5"};
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < COUNT_OF(names); j++) {
            if (!strcmp(configs[i].name, names[j])) test_model(&configs[i]);
        }
    }
}

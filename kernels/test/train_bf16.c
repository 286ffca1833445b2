/* Tests of training with products in bf16: near f32, and not the same; the same on any number of threads; and whatever is
 * beside those products as it is in f32. */
#include "train_test.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uffb_trainer *trainer_of(const random_model *m, int32_t compute, int32_t threads, const char *isa) {
    trainer_compute = compute;
    uffb_trainer *t = trainer_new(m, threads, isa);
    trainer_compute = UFFB_F32;
    return t;
}

static double norm_of(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += ((double)x[i] - (y ? (double)y[i] : 0)) * ((double)x[i] - (y ? (double)y[i] : 0));
    return sqrt(sum);
}

/* Gradients of one batch: each tensor's is that of f32, but for a small part of the whole gradient's length. */
static void check_near(uffb_trainer *narrow, uffb_trainer *wide) {
    double whole = 0, off = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < uffb_trainer_parameter_count(wide); i++) {
            uffb_parameter_info p;
            uffb_trainer_parameter_info(wide, i, &p);
            if (!p.present || !p.trainable) continue;
            float *got = values_of(narrow, &p, UFFB_GRADIENT), *exact = values_of(wide, &p, UFFB_GRADIENT);
            const int64_t n = p.rows * p.cols;
            const double length = norm_of(n, exact, NULL), error = norm_of(n, got, exact);
            if (!pass) whole = hypot(whole, length);
            if (pass) check(error <= 0.03 * length + 0.003 * whole, "%s is off by %g of %g", p.name, error, length);
            if (pass) off = hypot(off, error);
            free(got);
            free(exact);
        }
    }
    check(off > 1e-6 * whole, "nothing was rounded: off by %g of %g", off, whole);
}

/* Whether no token took another path. */
static int same_paths(uffb_trainer *a, uffb_trainer *b, const uffb_arch *arch) {
    if (arch->feedforward != UFFB_FFN_FFF) return 1;
    const int64_t count = arch->trees * (((int64_t)2 << arch->depth) - 1);
    int64_t *one = malloc((size_t)count * sizeof *one), *other = malloc((size_t)count * sizeof *other);
    int same = 1;
    for (int64_t l = 0; l < arch->layers; l++) {
        check(uffb_trainer_visits(a, l, one) == UFFB_OK && uffb_trainer_visits(b, l, other) == UFFB_OK, "%s", uffb_error());
        same &= !memcmp(one, other, (size_t)count * sizeof *one);
    }
    free(one);
    free(other);
    return same;
}

static void test_near(const random_model *m, const example *e, const char *isa) {
    uffb_trainer *narrow = trainer_of(m, UFFB_BF16, 2, isa), *wide = trainer_of(m, UFFB_F32, 2, isa);
    const uffb_train_result a = run_step(narrow, e, 1, NULL, NULL, NULL), b = run_step(wide, e, 1, NULL, NULL, NULL);
    if (same_paths(narrow, wide, &m->arch)) {
        check(fabs(a.loss - b.loss) <= 0.02 * b.loss, "loss %g, in f32 %g", a.loss, b.loss);
        check_near(narrow, wide);
    }
    uffb_trainer_free(narrow);
    uffb_trainer_free(wide);
}

/* The model of a trainer is that of its weights in f32, after each update. */
static void test_model(const random_model *m, const example *e, const char *isa) {
    uffb_trainer *t = trainer_of(m, UFFB_BF16, 1, isa);
    for (int update = 0; update < 3; update++) {
        const uffb_adamw adamw = {1e-2, 0.9, 0.98, 1e-8, 0.1, 0};
        run_step(t, e, 1, NULL, NULL, NULL);
        check(uffb_trainer_update(t, &adamw, NULL) == UFFB_OK, "%s", uffb_error());
        uffb_trainer *plain = trainer_of(m, UFFB_F32, 1, isa);
        for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
            uffb_parameter_info p;
            uffb_trainer_parameter_info(t, i, &p);
            if (!p.present) continue;
            float *values = values_of(t, &p, UFFB_WEIGHT);
            const uint64_t bytes = uffb_tensor_bytes(p.rows, p.cols, UFFB_F32, UFFB_ROWS);
            check(uffb_trainer_set(plain, UFFB_WEIGHT, p.name, values, bytes, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s",
                  uffb_error());
            free(values);
        }
        uffb_model *models[2];
        float *states[2];
        const int64_t size = e->batch->sequences * m->arch.hidden;
        check(uffb_trainer_model(t, &models[0]) == UFFB_OK && uffb_trainer_model(plain, &models[1]) == UFFB_OK, "%s",
              uffb_error());
        for (int i = 0; i < 2; i++) {
            uffb_context *c;
            check(uffb_context_new(models[i], 1, isa, &c) == UFFB_OK, "%s", uffb_error());
            states[i] = malloc((size_t)size * sizeof **states);
            check(uffb_encode(c, e->batch->sequences, e->batch->offsets, e->batch->ids, e->batch->types, NULL) == UFFB_OK, "%s",
                  uffb_error());
            check(uffb_pool(c, UFFB_POOL_MEAN, 0, states[i]) == UFFB_OK, "%s", uffb_error());
            uffb_context_free(c);
        }
        check(!memcmp(states[0], states[1], (size_t)size * sizeof **states), "update %d: another model", update);
        free(states[0]);
        free(states[1]);
        uffb_trainer_free(plain);
    }
    uffb_trainer_free(t);
}

static const int64_t lengths[] = {1, 7, 16, MAX_LENGTH, 3};

static void test_config(const config *c) {
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int32_t head = UFFB_HEAD_MLM; head <= UFFB_HEAD_CLASS; head++) {
        if (!(c->arch.heads_present & head)) continue;
        test_begin("train in bf16 %s, head %d", c->name, head);
        example *e = example_new(&c->arch, b, head, UFFB_CROSS_ENTROPY);
        for (int i = 0; isa_name(i); i++) {
            test_case("near f32, %s", isa_name(i));
            test_near(m, e, isa_name(i));
            test_case("model, %s", isa_name(i));
            test_model(m, e, isa_name(i));
            test_case("threads, %s", isa_name(i));
            trainer_compute = UFFB_BF16;
            test_threads_agree(m, e, isa_name(i));
            trainer_compute = UFFB_F32;
        }
        test_end();
        example_free(e);
    }
    batch_free(b);
    random_model_free(m);
}

/* Both learn one batch by heart. */
static void test_learning(const config *c) {
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    example *e = example_new(&c->arch, b, UFFB_HEAD_CLASS, UFFB_CROSS_ENTROPY);
    test_begin("learning in bf16: %s", c->name);
    uffb_trainer *narrow = trainer_of(m, UFFB_BF16, 2, NULL), *wide = trainer_of(m, UFFB_F32, 2, NULL);
    const uffb_adamw adamw = {3e-3, 0.9, 0.98, 1e-8, 0.01, 1};
    double first = 0, last = 0;
    for (int update = 0; update < 30; update++) {
        test_case("update %d", update);
        const double got = run_step(narrow, e, 1, NULL, NULL, NULL).loss,
                     expected = run_step(wide, e, 1, NULL, NULL, NULL).loss;
        if (!update) first = expected;
        last = got;
        check(fabs(got - expected) <= 0.02 * first, "loss %g, in f32 %g", got, expected);
        check(uffb_trainer_update(narrow, &adamw, NULL) == UFFB_OK && uffb_trainer_update(wide, &adamw, NULL) == UFFB_OK, "%s",
              uffb_error());
    }
    check(last < 0.1 * first, "from %g to %g", first, last);
    uffb_trainer_free(narrow);
    uffb_trainer_free(wide);
    test_end();
    example_free(e);
    batch_free(b);
    random_model_free(m);
}

static void test_choice(const config *c) {
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    test_begin("choice of bf16");
    uffb_trainer *t;
    uffb_train_memory wide, narrow;
    const uffb_train_size size = {.sequences = 4, .tokens = 64, .longest = 16, .targets = 4, .threads = 2};
    check(uffb_trainer_new(&c->arch, -1, &t) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_memory(t, &size, &wide) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_compute(t, UFFB_I8) == UFFB_INVALID && uffb_trainer_compute(NULL, UFFB_BF16) == UFFB_INVALID, "taken");
    check(uffb_trainer_compute(t, UFFB_BF16) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_memory(t, &size, &narrow) == UFFB_OK, "%s", uffb_error());
    check(narrow.weights > wide.weights && narrow.scratch > wide.scratch && narrow.gradients == wide.gradients &&
              narrow.moments == wide.moments && narrow.kept == wide.kept,
          "memory of weights %llu, in f32 %llu", (unsigned long long)narrow.weights, (unsigned long long)wide.weights);
    uffb_trainer_free(t);
    t = trainer_new(m, 1, "generic");
    check(uffb_trainer_compute(t, UFFB_BF16) == UFFB_INVALID, "taken when it was ready");
    check(!uffb_trainer_multiplies_bf16(t) && !uffb_trainer_multiplies_bf16(NULL), "plain C has no instructions for bf16");
    uffb_trainer_free(t);
    random_model_free(m);
    test_end();
}

void test_bf16(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    static const char *const names[] = {"bert",     "dense gelu",     "glu tanh, no biases", "classifier, first",
                                        "fff 9x1",  "dense 24 + 2x5", "fff 3072x0",          "fff 1x11, hidden 48, sorted",
                                        "no layers"};
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < COUNT_OF(names); j++) {
            if (!strcmp(configs[i].name, names[j])) test_config(&configs[i]);
        }
        if (!strcmp(configs[i].name, "classifier, first")) test_learning(&configs[i]);
        if (!strcmp(configs[i].name, "bert")) test_choice(&configs[i]);
    }
}

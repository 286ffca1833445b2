/* Tests of the optimiser: what is left out for rows without a gradient changes nothing, and what cannot be is refused. */
#include "train_test.h"
#include "check.h"
#include "../ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A parameter, and the same under AdamW as it is written down: every row, every time. */
typedef struct {
    uffb_parameter_info info;
    float *weight, *first, *second;
} plain;

static const uffb_ops *ops_named(const char *isa) {
    for (int i = 0; i < UFFB_ISA_COUNT; i++) {
        if (!strcmp(uffb_isa_names[i], isa)) return uffb_ops_of((uffb_isa)i);
    }
    return NULL;
}

static void plain_step(const uffb_ops *ops, plain *p, const float *gradient, const uffb_adamw *o, double factor, int64_t step) {
    const float decay = (float)(1 - o->lr * o->weight_decay);
    const uffb_adamw_factors f = {.gradient = (float)factor,
                                  .first = (float)(1 - o->beta1),
                                  .beta2 = (float)o->beta2,
                                  .second = (float)(1 - o->beta2),
                                  .decay = p->info.decays ? decay : 1,
                                  .step = (float)(o->lr / (1 - pow(o->beta1, (double)step))),
                                  .root = (float)(1 / sqrt(1 - pow(o->beta2, (double)step))),
                                  .eps = (float)o->eps};
    for (int64_t r = 0; r < p->info.rows; r++) {
        const int64_t at = r * p->info.cols;
        ops->adamw(p->info.cols, &f, gradient + at, p->weight + at, p->first + at, p->second + at);
    }
}

static double squares_of(const plain *p, const float *gradient) {
    double sum = 0;
    for (int64_t i = 0; i < p->info.rows * p->info.cols; i++) sum += (double)gradient[i] * (double)gradient[i];
    return sum;
}

static void check_plain(uffb_trainer *t, const plain *p) {
    const float *expected[] = {[UFFB_WEIGHT] = p->weight, [UFFB_FIRST_MOMENT] = p->first, [UFFB_SECOND_MOMENT] = p->second};
    for (int32_t kind = UFFB_WEIGHT; kind <= UFFB_SECOND_MOMENT; kind++) {
        if (kind == UFFB_GRADIENT) continue;
        float *got = values_of(t, &p->info, kind);
        check(!memcmp(got, expected[kind], (size_t)(p->info.rows * p->info.cols) * sizeof *got),
              "%s, kind %d, is not plain AdamW's", p->info.name, kind);
        free(got);
    }
}

/* A trainer with all that a run is made of, copied from another. */
static uffb_trainer *resumed(const random_model *m, uffb_trainer *from, const char *isa) {
    uffb_trainer *t = trainer_new(m, 1, isa);
    for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
        uffb_parameter_info p;
        uffb_trainer_parameter_info(t, i, &p);
        for (int32_t kind = UFFB_WEIGHT; p.present && p.trainable && kind <= UFFB_SECOND_MOMENT; kind++) {
            if (kind == UFFB_GRADIENT) continue;
            float *values = values_of(from, &p, kind);
            const uint64_t bytes = (uint64_t)(p.rows * p.cols) * sizeof *values;
            check(uffb_trainer_set(t, kind, p.name, values, bytes, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s", uffb_error());
            free(values);
        }
    }
    check(uffb_trainer_set_updates(t, uffb_trainer_updates(from)) == UFFB_OK, "%s", uffb_error());
    return t;
}

/* Enough for rows to wait as long as they may, twice; the weights are looked at now and then, which ends all waiting. */
#define STEPS 140
#define LOOK_EVERY 47
#define RESUMED_AT 70

static void test_plain(const config *c, int32_t head, const char *isa) {
    test_begin("update %s, %s", c->name, isa);
    static const int64_t lengths[] = {5, 3, 1};
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    uffb_trainer *t = trainer_new(m, 2, isa), *twin = trainer_new(m, 3, isa); /* the twin's rows never wait */
    plain *all = calloc((size_t)uffb_trainer_parameter_count(t), sizeof *all);
    int64_t count = 0;
    for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
        uffb_parameter_info info;
        uffb_trainer_parameter_info(t, i, &info);
        if (!info.present || !info.trainable) continue;
        all[count++] = (plain){info, values_of(t, &info, UFFB_WEIGHT), values_of(t, &info, UFFB_FIRST_MOMENT),
                               values_of(t, &info, UFFB_SECOND_MOMENT)};
    }
    for (int64_t step = 1; step <= STEPS; step++) {
        test_case("step %lld", (long long)step);
        /* other tokens each time, so that other nodes and words are visited */
        batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
        for (int64_t i = 0; i < b->tokens; i++) b->ids[i] = (int32_t)((b->ids[i] + 7 * step) % c->arch.vocab);
        example *e = example_new(&c->arch, b, head, UFFB_CROSS_ENTROPY);
        const uffb_adamw adamw = {1e-2 / (double)(1 + step % 6), 0.9, 0.98, 1e-8, 0.1, step % 2 ? 0 : 0.25};
        const uffb_train_result ours = run_step(t, e, 1, NULL, NULL, NULL), theirs = run_step(twin, e, 1, NULL, NULL, NULL);
        check(ours.loss == theirs.loss, "loss %.17g, not %.17g", ours.loss, theirs.loss);
        float **gradients = calloc((size_t)count, sizeof *gradients);
        double squares = 0;
        for (int64_t i = 0; i < count; i++) {
            gradients[i] = values_of(t, &all[i].info, UFFB_GRADIENT);
            squares += squares_of(&all[i], gradients[i]);
        }
        const double norm = sqrt(squares), factor = adamw.clip > 0 ? fmin(1, adamw.clip / (norm + 1e-6)) : 1;
        uffb_update_result result;
        check(uffb_trainer_update(t, &adamw, &result) == UFFB_OK, "%s", uffb_error());
        uffb_model *model;
        check(uffb_trainer_update(twin, &adamw, NULL) == UFFB_OK && uffb_trainer_model(twin, &model) == UFFB_OK, "%s",
              uffb_error());
        check(fabs(result.norm / norm - 1) < 1e-6 && fabs(result.factor / factor - 1) < 1e-6, "norm %g, not %g", result.norm,
              norm);
        check(result.step == step && uffb_trainer_updates(t) == step, "step %lld", (long long)result.step);
        for (int64_t i = 0; i < count; i++) {
            plain_step(ops_named(isa), &all[i], gradients[i], &adamw, result.factor, step);
            if (step % LOOK_EVERY == 1 || step == STEPS) check_plain(t, &all[i]);
            free(gradients[i]);
        }
        if (step == RESUMED_AT) {
            uffb_trainer *copy = resumed(m, t, isa);
            uffb_trainer_free(t);
            t = copy;
        }
        free(gradients);
        example_free(e);
        batch_free(b);
    }
    for (int64_t i = 0; i < count; i++) {
        free(all[i].weight);
        free(all[i].first);
        free(all[i].second);
    }
    free(all);
    uffb_trainer_free(twin);
    uffb_trainer_free(t);
    random_model_free(m);
    test_end();
}

void test_update(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    static const char *const names[] = {"fff 1x11, hidden 48, sorted", "bert", "classifier, first"};
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < COUNT_OF(names); j++) {
            if (strcmp(configs[i].name, names[j])) continue;
            for (int k = 0; isa_name(k); k++)
                test_plain(&configs[i], configs[i].arch.heads_present & UFFB_HEAD_CLASS ? UFFB_HEAD_CLASS : UFFB_HEAD_MLM,
                           isa_name(k));
        }
    }
}

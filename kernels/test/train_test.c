/* Tests training through its public ABI: models of every kind, losses of every kind, every ISA of this machine, any threads. A
 * tensor's gradient is held against the loss itself: along its direction, the loss must change by its length. */
#include "engine_test.h"
#include "check.h"
#include "train_test.h"
#include "../uffb_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- trainers ------------------------------------------------------------------------------------------------------------- */

int32_t trainer_compute = UFFB_F32, trainer_padding = -1;

uffb_trainer *trainer_new(const random_model *m, int32_t threads, const char *isa) {
    uffb_trainer *t;
    if (uffb_trainer_new(&m->arch, trainer_padding, &t)) exit(2);
    for (int64_t i = 0; i < m->count; i++) {
        const uffb_tensor_info *info = &m->infos[i];
        const uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, UFFB_ROWS);
        const size_t length = strlen(info->name);
        if (!m->values[i]) continue;
        /* what stands beside integers is no parameter */
        if (length > 5 && !strcmp(info->name + length - 5, ".rows")) continue;
        if (length > 6 && !strcmp(info->name + length - 6, ".scale") && !strstr(info->name, "attn.scale") &&
            (strcmp(info->name, "embed.position.scale") || m->arch.positions == UFFB_LEARNED))
            continue;
        check(uffb_trainer_set(t, UFFB_WEIGHT, info->name, m->values[i], bytes, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s: %s",
              info->name, uffb_error());
    }
    check(uffb_trainer_compute(t, trainer_compute) == UFFB_OK, "%s", uffb_error());
    check(uffb_trainer_ready(t, threads, isa) == UFFB_OK, "%s", uffb_error());
    return t;
}

float *values_of(uffb_trainer *t, const uffb_parameter_info *p, int32_t kind) {
    const uint64_t bytes = uffb_tensor_bytes(p->rows, p->cols, UFFB_F32, UFFB_ROWS);
    float *values = malloc(bytes);
    check(uffb_trainer_get(t, kind, p->name, values, bytes, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s", uffb_error());
    return values;
}

static void give(uffb_trainer *t, const uffb_parameter_info *p, const float *values) {
    const uint64_t bytes = uffb_tensor_bytes(p->rows, p->cols, UFFB_F32, UFFB_ROWS);
    check(uffb_trainer_set(t, UFFB_WEIGHT, p->name, values, bytes, UFFB_F32, UFFB_ROWS) == UFFB_OK, "%s", uffb_error());
}

/* --- examples ------------------------------------------------------------------------------------------------------------- */

example *example_new(const uffb_arch *arch, const batch *b, int32_t head, int32_t loss) {
    example *e = calloc(1, sizeof *e);
    const int mlm = head == UFFB_HEAD_MLM;
    const int64_t classes = mlm                        ? arch->vocab
                            : head == UFFB_HEAD_VECTOR ? arch->hidden
                                                       : arch->labels,
                  most = mlm ? b->tokens : b->sequences;
    e->batch = b;
    e->layers = arch->layers;
    e->hidden = arch->hidden;
    e->positions = calloc((size_t)most, sizeof *e->positions);
    e->labels = calloc((size_t)most, sizeof *e->labels);
    e->shares = calloc((size_t)(most * classes), sizeof *e->shares);
    e->weights = calloc((size_t)most, sizeof *e->weights);
    e->class_weights = calloc((size_t)classes, sizeof *e->class_weights);
    e->step = (uffb_train_step){.sequences = b->sequences, .head = head, .loss = loss, .backward = 1, .seed = 5, .counter = 9};
    int64_t count = 0;
    for (int64_t i = 0; i < most; i++) {
        if (!mlm || random_below(3) == 0 || i == 0) e->positions[count++] = i;
    }
    e->step.targets = count;
    for (int64_t i = 0; i < count; i++) {
        e->labels[i] = (int32_t)random_below(classes);
        e->weights[i] = random_between(0.5f, 2);
        float sum = 0;
        for (int64_t j = 0; j < classes; j++) sum += e->shares[i * classes + j] = random_between(0, 1);
        for (int64_t j = 0; loss == UFFB_SOFT_CROSS_ENTROPY && j < classes; j++) e->shares[i * classes + j] /= sum;
    }
    if (count > 2) e->labels[1] = -100; /* counts for nothing */
    for (int64_t j = 0; j < classes; j++) e->class_weights[j] = random_between(0.5f, 2);
    return e;
}

void example_free(example *e) {
    free(e->positions);
    free(e->labels);
    free(e->shares);
    free(e->weights);
    free(e->class_weights);
    free(e->guides);
    free(e->qk);
    free(e);
}

static void guide_attention(uffb_trainer *t, const example *e) {
    const float *qk = e->qk;
    for (int64_t l = 0; l < e->layers; l++) {
        const uffb_arch *a = e->arch;
        const int64_t width = 2 * (a->layer_heads ? a->layer_heads[l] : a->heads) * e->qk_head;
        check(uffb_trainer_guide(t, UFFB_TAP_QK, l, guide_weight(l), qk, e->batch->tokens, width) == UFFB_OK, "%s",
              uffb_error());
        qk += e->batch->tokens * width;
    }
}

static void guide(uffb_trainer *t, const example *e) {
    const int64_t size = e->batch->tokens * e->hidden;
    for (int64_t i = 0; i < e->layers + 2; i++) {
        const int32_t kind = i < e->layers ? UFFB_TAP_LAYER : i == e->layers ? UFFB_TAP_EMBEDDING : UFFB_TAP_FINAL;
        check(uffb_trainer_guide(t, kind, i, 0.5 + (double)i, e->guides + i * size, e->batch->tokens, e->hidden) == UFFB_OK,
              "%s", uffb_error());
    }
}

uffb_train_result run_step(uffb_trainer *t, const example *e, int backward, const uffb_taps *taps, float *losses,
                           float *logits) {
    uffb_train_result result = {0};
    uffb_train_step step = e->step;
    step.backward = backward;
    if (e->guides) guide(t, e);
    if (e->qk) guide_attention(t, e);
    const void *targets = step.loss == UFFB_CROSS_ENTROPY ? (const void *)e->labels : e->shares;
    const int32_t status = uffb_trainer_step(
        t, &step, e->batch->offsets, e->batch->ids, e->batch->types, NULL, step.head == UFFB_HEAD_MLM ? e->positions : NULL,
        targets, e->weighted ? e->weights : NULL, e->weighted ? e->class_weights : NULL, taps, &result, losses, logits);
    check(status == UFFB_OK, "%s", uffb_error());
    return result;
}

/* --- gradients against the loss ------------------------------------------------------------------------------------------- */

static int64_t flips, slopes;

/* The paths of all layers of a step without gradients, and its loss. */
static double loss_along(uffb_trainer *t, const example *e, const uffb_parameter_info *p, const float *weight,
                         const float *direction, double length, double scale, const uffb_taps *taps) {
    const int64_t size = p->rows * p->cols;
    float *moved = malloc((size_t)size * sizeof *moved);
    for (int64_t i = 0; i < size; i++) moved[i] = (float)((double)weight[i] + length * (double)direction[i]);
    give(t, p, moved);
    free(moved);
    const uffb_train_result result = run_step(t, e, 0, taps, NULL, NULL);
    return result.loss * scale + result.guided;
}

static void check_slope(uffb_trainer *t, const example *e, const uffb_parameter_info *p, double scale, uffb_taps *taps,
                        int32_t *paths, int64_t path_size) {
    float *weight = values_of(t, p, UFFB_WEIGHT), *gradient = values_of(t, p, UFFB_GRADIENT);
    double squares = 0;
    for (int64_t i = 0; i < p->rows * p->cols; i++) squares += (double)gradient[i] * (double)gradient[i];
    const double length = sqrt(squares);
    const size_t bytes = (size_t)path_size * sizeof *paths;
    int32_t *before = malloc(bytes + 1);
    /* A step that flips a branch of a token jumps, and tells nothing: a shorter one then. */
    for (double by = 5e-3; by > 2e-4 && length > 1e-4; by /= 4) {
        const double high = loss_along(t, e, p, weight, gradient, by / length, scale, taps);
        memcpy(before, paths, bytes);
        const double low = loss_along(t, e, p, weight, gradient, -by / length, scale, taps);
        if (memcmp(before, paths, bytes)) {
            flips++;
            continue;
        }
        const double slope = (high - low) / (2 * by);
        slopes++;
        check(fabs(slope - length) <= 2e-2 * length + 5e-4,
              "%s: along its gradient the loss changes by %g, but that is %g long", p->name, slope, length);
        break;
    }
    give(t, p, weight);
    free(before);
    free(weight);
    free(gradient);
}

void test_slopes(const random_model *m, const example *e) {
    uffb_trainer *t = trainer_new(m, 2, NULL);
    const int64_t path = m->arch.feedforward == UFFB_FFN_FFF ? m->arch.trees * (m->arch.depth + 1) * e->batch->tokens : 0;
    int32_t *paths = calloc((size_t)(path * m->arch.layers + 1), sizeof *paths);
    uffb_taps *taps;
    if (uffb_taps_new(&taps)) exit(2);
    for (int64_t l = 0; path && l < m->arch.layers; l++)
        uffb_taps_add(taps, UFFB_TAP_PATH, l, paths + l * path, (uint64_t)path * 4);
    const uffb_train_result result = run_step(t, e, 1, NULL, NULL, NULL);
    for (int64_t i = 0; i < uffb_trainer_parameter_count(t); i++) {
        uffb_parameter_info p;
        uffb_trainer_parameter_info(t, i, &p);
        if (p.present && p.trainable)
            check_slope(t, e, &p, result.weight > 0 ? 1 / result.weight : 0, taps, paths, path * m->arch.layers);
    }
    uffb_taps_free(taps);
    uffb_trainer_free(t);
    free(paths);
}

/* --- the same everywhere -------------------------------------------------------------------------------------------------- */

/* Logits and losses of a step without dropout are those of the encoder's heads, and a run is the same bits on any threads. */
void test_threads_agree(const random_model *m, const example *e, const char *isa) {
    const uffb_adamw adamw = {1e-3, 0.9, 0.98, 1e-6, 0.01, 0.5};
    uffb_trainer *one = trainer_new(m, 1, isa), *three = trainer_new(m, 3, isa);
    for (int i = 0; i < 2; i++) {
        example each = *e;
        each.step.counter = (uint64_t)i;
        const uffb_train_result a = run_step(one, &each, 1, NULL, NULL, NULL), b = run_step(three, &each, 1, NULL, NULL, NULL);
        check(!memcmp(&a, &b, sizeof a), "step %d: loss %.17g on one thread, %.17g on three", i, a.loss, b.loss);
        uffb_update_result x, y;
        check(uffb_trainer_update(one, &adamw, &x) == UFFB_OK && uffb_trainer_update(three, &adamw, &y) == UFFB_OK, "%s",
              uffb_error());
        check(x.norm == y.norm && x.finite, "step %d: norms %.17g and %.17g", i, x.norm, y.norm);
    }
    for (int64_t i = 0; i < uffb_trainer_parameter_count(one); i++) {
        uffb_parameter_info p;
        uffb_trainer_parameter_info(one, i, &p);
        for (int32_t kind = UFFB_WEIGHT; p.present && kind <= UFFB_SECOND_MOMENT; kind++) {
            float *a = values_of(one, &p, kind), *b = values_of(three, &p, kind);
            check(!memcmp(a, b, (size_t)(p.rows * p.cols) * sizeof *a), "%s, kind %d", p.name, kind);
            free(a);
            free(b);
        }
    }
    uffb_trainer_free(one);
    uffb_trainer_free(three);
}

static void test_logits(const random_model *m, const example *e, const char *isa) {
    const int mlm = e->step.head == UFFB_HEAD_MLM;
    const int64_t size = e->step.targets * (mlm ? m->arch.vocab : m->arch.labels);
    float *logits = malloc((size_t)size * sizeof *logits), *expected = malloc((size_t)size * sizeof *expected);
    uffb_trainer *t = trainer_new(m, 2, isa);
    uffb_model *model;
    uffb_context *c;
    run_step(t, e, 0, NULL, NULL, logits);
    check(uffb_trainer_model(t, &model) == UFFB_OK, "%s", uffb_error());
    check(uffb_context_new(model, 1, isa, &c) == UFFB_OK, "%s", uffb_error());
    check(uffb_encode(c, e->batch->sequences, e->batch->offsets, e->batch->ids, e->batch->types, NULL) == UFFB_OK, "%s",
          uffb_error());
    if (mlm) {
        check(uffb_mlm_logits(c, e->step.targets, e->positions, expected) == UFFB_OK, "%s", uffb_error());
    } else {
        check(uffb_classify(c, expected) == UFFB_OK, "%s", uffb_error());
    }
    check(!memcmp(logits, expected, (size_t)size * sizeof *logits), "logits are not the encoder's");
    uffb_context_free(c);
    uffb_trainer_free(t);
    free(logits);
    free(expected);
}

/* --- all of it ------------------------------------------------------------------------------------------------------------ */

static const int64_t lengths[] = {1, 7, 16, MAX_LENGTH, 3};

static void test_config(const config *c) {
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int32_t head = UFFB_HEAD_MLM; head <= UFFB_HEAD_CLASS; head++) {
        if (!(c->arch.heads_present & head)) continue;
        test_begin("train %s, head %d", c->name, head);
        example *e = example_new(&c->arch, b, head, UFFB_CROSS_ENTROPY);
        test_case("slopes");
        test_slopes(m, e);
        e->step.attention_dropout = e->step.block_dropout = e->step.embedding_dropout = e->step.head_dropout = 0.2;
        e->step.causal = 1;
        test_case("slopes, dropout, causal");
        test_slopes(m, e);
        for (int i = 0; isa_name(i); i++) {
            test_case("threads, %s", isa_name(i));
            test_threads_agree(m, e, isa_name(i));
        }
        e->step = (uffb_train_step){.sequences = e->step.sequences, .targets = e->step.targets, .head = head, .backward = 1};
        for (int i = 0; isa_name(i); i++) {
            test_case("logits, %s", isa_name(i));
            test_logits(m, e, isa_name(i));
        }
        test_end();
        example_free(e);
    }
    batch_free(b);
    random_model_free(m);
}

/* More rows than are packed at once, and no whole number of tiles. */
static void test_many_rows(const config *c) {
    test_begin("many rows, %s", c->name);
    uffb_arch arch = c->arch;
    arch.vocab = 4500;
    random_model *m = random_model_new(&arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&arch, 2, lengths);
    example *e = example_new(&arch, b, UFFB_HEAD_MLM, UFFB_CROSS_ENTROPY);
    for (int i = 0; isa_name(i); i++) {
        test_case("logits, %s", isa_name(i));
        test_logits(m, e, isa_name(i));
    }
    test_case("slopes");
    test_slopes(m, e);
    test_threads_agree(m, e, NULL);
    test_end();
    example_free(e);
    batch_free(b);
    random_model_free(m);
}

static void test_losses(const config *c) {
    static const struct {
        int32_t head, loss;
        double smoothing, temperature;
    } losses[] = {{UFFB_HEAD_MLM, UFFB_CROSS_ENTROPY, 0.1, 0},        {UFFB_HEAD_MLM, UFFB_SOFT_CROSS_ENTROPY, 0, 0},
                  {UFFB_HEAD_CLASS, UFFB_CROSS_ENTROPY, 0.1, 0},      {UFFB_HEAD_CLASS, UFFB_SOFT_CROSS_ENTROPY, 0, 3},
                  {UFFB_HEAD_CLASS, UFFB_BINARY_CROSS_ENTROPY, 0, 0}, {UFFB_HEAD_CLASS, UFFB_SQUARED_ERROR, 0, 0}};
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int64_t i = 0; i < COUNT_OF(losses); i++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            test_begin("loss %d of head %d%s", losses[i].loss, losses[i].head, weighted ? ", weights" : "");
            example *e = example_new(&c->arch, b, losses[i].head, losses[i].loss);
            e->weighted = weighted;
            e->step.label_smoothing = losses[i].smoothing;
            e->step.temperature = losses[i].temperature;
            test_case("slopes");
            test_slopes(m, e);
            test_end();
            example_free(e);
        }
    }
    batch_free(b);
    random_model_free(m);
}

int main(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        if (!strcmp(configs[i].name, "bert") || !strcmp(configs[i].name, "fff 1x5")) test_many_rows(&configs[i]);
    }
    for (int64_t i = 0; i < count; i++) test_config(&configs[i]);
    for (int64_t i = 0; i < count; i++) {
        if (!strcmp(configs[i].name, "bert")) test_losses(&configs[i]);
    }
    test_distil();
    test_attention_guides();
    test_balance();
    test_noise();
    test_padding();
    test_update();
    test_bf16();
    test_train_misuse();
    printf("      %lld slopes; %lld steps flipped a branch and were shortened\n", (long long)slopes, (long long)flips);
    return test_report();
}

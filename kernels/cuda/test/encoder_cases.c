/* The encoder on a device against the engine on the CPU, from the same tensors. In 16 bits they are rounded beforehand, so that
 * only what happens on the device differs. A branch whose logit is too near 0 to tell may turn, and then everything after it
 * differs; the sequences in which there is one are left out and counted. Long ones nearly always have one, so there are many
 * short ones. */
#include "encoder_cases.h"
#include "../uffb_cuda.h"
#include "../../test/check.h"
#include "../../test/engine_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than one tile of queries and of keys. */
#define LONGEST 70

static const int64_t lengths[] = {1, 2, LONGEST, 1, 3, 1, 17, 1, 1, 33, 2, 1, 1};

typedef struct {
    int32_t dtype;
    const char *name;
    double tolerance; /* of final states, in parts of the largest */
    double margin;    /* below which a logit is too near 0 to tell, in parts of the layer's largest */
} type;

static const type types[] = {{UFFB_F32, "f32", 1e-5, 1e-5}, {UFFB_F16, "f16", 6e-3, 1.5e-3}, {UFFB_BF16, "bf16", 4e-2, 1e-2}};

static int64_t compared, left_out;
static double furthest;

/* The smallest logit that decided a branch of a sequence, in parts of its layer's largest. */
static double margin_of(const random_model *m, const run *r, int64_t first, int64_t end) {
    double margin = INFINITY;
    const int64_t levels = m->arch.depth + 1;
    for (int64_t l = 0; l < m->arch.layers && m->arch.feedforward == UFFB_FFN_FFF; l++) {
        const output *logits = run_output(r, LAYER(l, 2));
        double largest = 0, smallest = INFINITY;
        for (int64_t i = 0; i < logits->rows * logits->cols; i++) largest = fmax(largest, fabs(output_row(logits, 0)[i]));
        for (int64_t i = first * logits->cols; i < end * logits->cols; i++) {
            if (i % levels < levels - 1) smallest = fmin(smallest, fabs(output_row(logits, 0)[i]));
        }
        margin = fmin(margin, smallest / largest);
    }
    return margin;
}

static void compare(const random_model *m, const type *t, const batch *b, const run *expected, const float *final) {
    const output *o = run_output(expected, FINAL);
    double largest = 0;
    for (int64_t i = 0; i < o->rows * o->cols; i++) largest = fmax(largest, fabs(output_row(o, 0)[i]));
    for (int64_t s = 0; s < b->sequences; s++) {
        const int64_t first = b->offsets[s], end = b->offsets[s + 1];
        if (margin_of(m, expected, first, end) <= t->margin) {
            left_out++;
            continue;
        }
        double worst = 0;
        for (int64_t i = first * o->cols; i < end * o->cols; i++) {
            const double error = fabs((double) final[i] - output_row(o, 0)[i]);
            worst = error <= worst ? worst : error; /* a NaN is the worst */
        }
        check(worst <= t->tolerance * largest, "sequence %lld of %lld tokens: off by %g of the largest", (long long)s,
              (long long)(end - first), worst / largest);
        compared++;
        furthest = fmax(furthest, worst / largest);
    }
}

static float *floats(int64_t count) {
    float *values = malloc((size_t)count * sizeof *values);
    if (!values) abort();
    for (int64_t i = 0; i < count; i++) values[i] = NAN;
    return values;
}

static void encode_and_compare(uffb_cuda_encoder *e, const random_model *m, const type *t, const batch *b,
                               const run *expected) {
    float *final = floats(b->tokens * m->arch.hidden);
    const int32_t *token_types = m->arch.token_types ? b->types : NULL;
    if (check(uffb_cuda_encode(e, b->sequences, b->offsets, b->ids, token_types, final) == UFFB_OK, "%s", uffb_cuda_error())) {
        compare(m, t, b, expected, final);
        check(uffb_cuda_encode_seconds(e) >= 0, "%g seconds", uffb_cuda_encode_seconds(e));
    }
    free(final);
}

/* One model in one type: a small batch first, so that buffers grow, then the whole, then the small one again. */
static void test_model(int32_t device, const config *c, const type *t) {
    test_begin("encoder on device %d, %s: %s", device, t->name, c->name);
    compared = left_out = 0;
    furthest = 0;
    uffb_arch arch = c->arch;
    arch.max_length = LONGEST;
    random_model *m = random_model_new(&arch, c->optional, t->dtype, UFFB_ROWS);
    batch *whole = batch_new(&arch, COUNT_OF(lengths), lengths);
    batch *small = batch_pick(whole, 2, (const int64_t[]){6, 0});
    uffb_context *context = context_new(m, 1, NULL);
    run *of_whole = run_batch(m, context, whole, 1), *of_small = run_batch(m, context, small, 1);
    uffb_context_free(context);
    uffb_cuda_encoder *e = NULL;
    if (check(uffb_cuda_encoder_new(m->model, device, t->dtype, &e) == UFFB_OK, "%s", uffb_cuda_error())) {
        uffb_model_free(m->model); /* it was copied */
        m->model = NULL;
        test_case("small batch");
        encode_and_compare(e, m, t, small, of_small);
        test_case("whole batch");
        encode_and_compare(e, m, t, whole, of_whole);
        test_case("small batch again");
        encode_and_compare(e, m, t, small, of_small);
        uffb_cuda_encoder_free(e);
    }
    check(compared > 0, "every sequence has a near-tie");
    test_note("%lld sequences compared, off by %.1e at most, %lld near-ties left out", (long long)compared, furthest,
              (long long)left_out);
    test_end();
    run_free(of_whole);
    run_free(of_small);
    batch_free(whole);
    batch_free(small);
    random_model_free(m);
}

/* --- models beyond those that the engine is tested on --------------------------------------------------------------------- */

static void test_arch(int32_t device, const type *t, const uffb_arch *arch, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s, hidden %lld, %lld heads", what, (long long)arch->hidden, (long long)arch->heads);
    const config c = {name, 1, *arch};
    test_model(device, &c, t);
}

/* Heads of every class of width that attention has a kernel for. */
static void test_heads(int32_t device, const type *t) {
    static const int64_t sizes[][2] = {{36, 3}, {40, 2}, {100, 2}, {96, 1}, {128, 1}, {160, 1}};
    for (int64_t i = 0; i < COUNT_OF(sizes); i++) {
        const uffb_arch arch = {.layers = 1,
                                .hidden = sizes[i][0],
                                .heads = sizes[i][1],
                                .vocab = 60,
                                .width = 8,
                                .norm_eps = 1e-12,
                                .norm_position = i % 2 ? UFFB_POST_NORM : UFFB_PRE_NORM,
                                .positions = i % 2 ? UFFB_LEARNED : UFFB_SINUSOIDAL,
                                .token_types = i % 3,
                                .final_norm = i % 2 == 0};
        test_arch(device, t, &arch, "attention");
    }
}

/* Rows of every class of length that LayerNorm has a kernel for. */
static void test_rows(int32_t device, const type *t) {
    static const int64_t sizes[] = {3, 4, 252, 260, 640, 900, 1028, 2047, 2048, 2052};
    for (int64_t i = 0; i < COUNT_OF(sizes); i++) {
        const uffb_arch arch = {.hidden = sizes[i],
                                .heads = 1,
                                .vocab = 60,
                                .width = 1,
                                .norm_eps = 1e-5,
                                .token_types = i % 2,
                                .embed_norm = i % 4 < 2,
                                .final_norm = 1};
        test_arch(device, t, &arch, "embedding");
    }
}

/* So many shallow trees that all of their nodes are computed, whatever the batch. In 16 bits only those without branches: of
 * hundreds, one is near a tie in every sequence. */
static void test_forests(int32_t device, const type *t) {
    static const int64_t sizes[][2] = {{520, 0}, {264, 1}};
    for (int64_t i = 0; i < (t->dtype == UFFB_F32 ? 2 : 1); i++) {
        const uffb_arch arch = {.layers = 2,
                                .hidden = 16,
                                .heads = 2,
                                .vocab = 60,
                                .trees = sizes[i][0],
                                .depth = sizes[i][1],
                                .feedforward = UFFB_FFN_FFF,
                                .norm_eps = 1e-12,
                                .final_norm = 1};
        test_arch(device, t, &arch, i ? "264x1" : "520x0");
    }
}

/* Models that devices do not run. */
static int is_beyond(const uffb_arch *a) {
    if (a->feedforward != UFFB_FFN_FFF) return a->width == 0;
    return a->width > 0 || a->tree_output == UFFB_TREES_ACTIVATE_SUM;
}

/* Whether a model is worth a test here. Not in 16 bits with very many branches, since every sequence then has a near-tie; not
 * models that differ from another in their heads alone, which run on the CPU; not with so many trees that the simulator takes
 * too long. */
static int tells(const config *c, const type *t) {
    const int forest = c->arch.feedforward == UFFB_FFN_FFF && c->arch.trees * c->arch.depth > 64;
    if (is_beyond(&c->arch)) return 0;
    if (c->arch.trees * (c->arch.depth + 1) > 512 || (forest && t->dtype != UFFB_F32)) return 0;
    return !strstr(c->name, "classifier") && !strstr(c->name, "no pool layer");
}

/* Weights in integers: the device computes with what they stand for, the engine quantises activations as well. */
static void test_integers(int32_t device, const config *c, int32_t dtype) {
    test_begin("encoder on device %d, weights of %d bits: %s", device, dtype == UFFB_I8 ? 8 : 16, c->name);
    random_model *m = random_model_new(&c->arch, c->optional, dtype, AS_ASKED);
    batch *b = batch_new(&c->arch, 3, (const int64_t[]){1, 9, 33});
    uffb_context *context = context_new(m, 1, NULL);
    run *expected = run_batch(m, context, b, 1);
    const output *o = run_output(expected, FINAL);
    float *final = floats(o->rows * o->cols);
    uffb_cuda_encoder *e = NULL;
    double apart = 0, size = 0;
    if (check(uffb_cuda_encoder_new(m->model, device, UFFB_F32, &e) == UFFB_OK, "%s", uffb_cuda_error())) {
        const int32_t *token_types = c->arch.token_types ? b->types : NULL;
        const int32_t status = uffb_cuda_encode(e, b->sequences, b->offsets, b->ids, token_types, final);
        check(status == UFFB_OK, "%s", uffb_cuda_error());
        for (int64_t i = 0; i < o->rows * o->cols; i++) {
            const double x = output_row(o, 0)[i], y = final[i];
            apart += (x - y) * (x - y);
            size += x * x;
        }
        check(sqrt(apart / size) < (dtype == UFFB_I8 ? 0.05 : 0.005), "final states are %g apart", sqrt(apart / size));
    }
    test_note("%.4f apart", sqrt(apart / size));
    uffb_cuda_encoder_free(e);
    free(final);
    run_free(expected);
    uffb_context_free(context);
    batch_free(b);
    random_model_free(m);
    test_end();
}

/* --- refusals ------------------------------------------------------------------------------------------------------------- */

static void check_refused(int32_t status, int32_t expected, const char *names) {
    check(status == expected, "status %d, not %d", status, expected);
    check(strstr(uffb_cuda_error(), names) != NULL, "\"%s\" does not name %s", uffb_cuda_error(), names);
    check(strchr(uffb_cuda_error(), '\n') == NULL, "a message of several lines: %s", uffb_cuda_error());
}

static void test_refusals(int32_t device, const config *c) {
    test_begin("encoder on device %d: bad calls", device);
    random_model *m = random_model_new(&c->arch, 1, UFFB_F32, AS_ASKED);
    uffb_model *empty = NULL;
    uffb_cuda_encoder *e = NULL;
    check(uffb_model_new(&c->arch, &empty) == UFFB_OK, "%s", uffb_error());
    test_case("new");
    check_refused(uffb_cuda_encoder_new(NULL, device, UFFB_F32, &e), UFFB_INVALID, "no model");
    check_refused(uffb_cuda_encoder_new(m->model, device, UFFB_F32, NULL), UFFB_INVALID, "nowhere");
    check_refused(uffb_cuda_encoder_new(empty, device, UFFB_F32, &e), UFFB_INVALID, "not ready");
    check_refused(uffb_cuda_encoder_new(m->model, device, UFFB_F64, &e), UFFB_INVALID, "dtype 3");
    check_refused(uffb_cuda_encoder_new(m->model, device, -1, &e), UFFB_INVALID, "dtype -1");
    check_refused(uffb_cuda_encoder_new(m->model, 1000, UFFB_F32, &e), UFFB_UNSUPPORTED, "1000");
    check_refused(uffb_cuda_encoder_new(m->model, -1, UFFB_F32, &e), UFFB_UNSUPPORTED, "-1");
    check(e == NULL, "an encoder all the same");
    uffb_cuda_encoder_free(NULL);

    test_case("encode");
    const int64_t hidden = c->arch.hidden;
    static const int64_t offsets[] = {0, 3, 5}, late[] = {1, 3, 5}, empty_one[] = {0, 3, 3}, long_one[] = {0, 3, 1000};
    static const int32_t ids[] = {7, 0, 49, 12, 13}, id_high[] = {7, 0, 49, 12, 1 << 30}, id_low[] = {7, 0, -49, 12, 13};
    float *final = floats(5 * hidden);
    if (check(uffb_cuda_encoder_new(m->model, device, UFFB_F32, &e) == UFFB_OK, "%s", uffb_cuda_error())) {
        check(strcmp(uffb_cuda_encoder_error(e), "") == 0, "a new encoder has failed: %s", uffb_cuda_encoder_error(e));
        check_refused(uffb_cuda_encode(NULL, 2, offsets, ids, NULL, final), UFFB_INVALID, "no encoder");
        check_refused(uffb_cuda_encode(e, 2, NULL, ids, NULL, final), UFFB_INVALID, "offsets");
        check_refused(uffb_cuda_encode(e, 0, offsets, ids, NULL, final), UFFB_INVALID, "no sequences");
        check_refused(uffb_cuda_encode(e, 2, offsets, NULL, NULL, final), UFFB_INVALID, "no ids");
        check_refused(uffb_cuda_encode(e, 2, offsets, ids, NULL, NULL), UFFB_INVALID, "nowhere");
        check_refused(uffb_cuda_encode(e, 2, late, ids, NULL, final), UFFB_INVALID, "start at 0");
        check_refused(uffb_cuda_encode(e, 2, empty_one, ids, NULL, final), UFFB_INVALID, "sequence 1");
        check_refused(uffb_cuda_encode(e, 2, long_one, ids, NULL, final), UFFB_INVALID, "sequence 1");
        check_refused(uffb_cuda_encode(e, 2, offsets, id_high, NULL, final), UFFB_INVALID, "token 4");
        check_refused(uffb_cuda_encode(e, 2, offsets, id_low, NULL, final), UFFB_INVALID, "token 2");
        check(strstr(uffb_cuda_encoder_error(e), "token 2") != NULL, "the encoder says \"%s\"", uffb_cuda_encoder_error(e));
        test_case("sound again");
        check(uffb_cuda_encode(e, 2, offsets, ids, NULL, final) == UFFB_OK, "%s", uffb_cuda_error());
        for (int64_t i = 0; i < 5 * hidden; i++) check(isfinite(final[i]), "state %lld is %g", (long long)i, final[i]);
        uffb_cuda_encoder_free(e);
    }
    free(final);
    uffb_model_free(empty);
    random_model_free(m);

    test_case("a head too wide");
    uffb_arch wide = c->arch;
    wide.hidden = 4096;
    wide.heads = 1;
    check(uffb_model_new(&wide, &empty) == UFFB_OK, "%s", uffb_error());
    check_refused(uffb_cuda_encoder_new(empty, device, UFFB_F32, &e), UFFB_UNSUPPORTED, "4096");
    uffb_model_free(empty);
    int64_t count;
    const config *further = test_further_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        test_case("%s", further[i].name);
        check(uffb_model_new(&further[i].arch, &empty) == UFFB_OK, "%s", uffb_error());
        check_refused(uffb_cuda_encoder_new(empty, device, UFFB_F32, &e), UFFB_UNSUPPORTED, "do not run on a device");
        uffb_model_free(empty);
    }
    test_end();
}

static void test_beyond(int32_t device, const config *c) {
    test_begin("encoder on device %d: %s is refused", device, c->name);
    random_model *m = random_model_new(&c->arch, 1, UFFB_F32, AS_ASKED);
    uffb_cuda_encoder *e = NULL;
    check_refused(uffb_cuda_encoder_new(m->model, device, UFFB_F32, &e), UFFB_UNSUPPORTED, "do not run on a device");
    check(e == NULL, "an encoder all the same");
    random_model_free(m);
    test_end();
}

void test_encoders(int32_t device, int32_t all) {
    int64_t count;
    const config *list = test_configs(&count);
    for (int64_t d = 0; d < COUNT_OF(types); d++) {
        for (int64_t i = 0; i < count; i++) {
            if (!all && d && d != 1 + i % 2) continue;
            if (tells(&list[i], &types[d])) test_model(device, &list[i], &types[d]);
        }
        test_heads(device, &types[d]);
        test_rows(device, &types[d]);
        test_forests(device, &types[d]);
    }
    for (int64_t i = 0; i < count; i++) {
        if (list[i].arch.feedforward == UFFB_FFN_FFF || !tells(&list[i], &types[0])) continue;
        test_integers(device, &list[i], UFFB_I8);
        test_integers(device, &list[i], UFFB_I16);
    }
    test_refusals(device, &list[3]);
    for (int64_t i = 0; i < count; i++) {
        if (is_beyond(&list[i].arch)) test_beyond(device, &list[i]);
    }
}

/* Tests that what is not finite stays so. One weight that every sequence reads is made NaN, infinite or huge: no NaN may become
 * a number on its way to any head, and every ISA must give numbers where the others do. */
#include "engine_test.h"
#include "check.h"
#include "../ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t lengths[] = {1, 6};

/* The first weight of a tensor that every sequence reads, in the memory that the model uses in place; NULL where it uses none,
 * or has taken what it needed when it was made ready. */
static float *weight_of_all(const random_model *m, int64_t i, int32_t dtype) {
    const char *name = m->infos[i].name;
    const size_t length = strlen(name);
    if (!m->given[i] || strcmp(name, "embed.position.scale") == 0 || strcmp(name, "attn.relative") == 0) return NULL;
    if (length > 5 && strcmp(name + length - 5, ".rows") == 0) return NULL;
    if (length > 12 && strcmp(name + length - 12, "weight.scale") == 0) return NULL; /* in integers it comes with its weight */
    if (strcmp(name, "embed.word.scale") == 0) return NULL;
    /* Decoders in integers have their best logits computed from other weights. */
    if (dtype != UFFB_F32 && ((strcmp(name, "embed.word") == 0 && m->arch.tied) || strstr(name, "decoder"))) return NULL;
    if (strcmp(name, "embed.position") != 0) return m->given[i];
    /* Of integers the scales come first. */
    return (float *)m->given[i] + m->arch.position_offset * (dtype == UFFB_I8 ? 1 : m->infos[i].cols);
}

static int row_is_finite(const output *o, int64_t row) {
    for (int64_t i = 0; i < o->cols; i++) {
        if (!isfinite(output_row(o, row)[i])) return 0;
    }
    return 1;
}

static void check_no_number(const run *r, int64_t which, int64_t row) {
    const output *o = run_output(r, which);
    if (o->rows) check(!row_is_finite(o, row), "%s, row %lld: numbers", o->name, (long long)row);
}

/* A NaN in the weight of this name has reached every head that comes after it. */
static void check_reached(const random_model *m, uffb_context *context, const char *name, const batch *b, const run *r) {
    const int of_mlm = strncmp(name, "head.mlm", 8) == 0, of_classes = strncmp(name, "head.", 5) == 0 && !of_mlm;
    for (int64_t s = 0; s < b->sequences; s++) {
        if (!of_classes) check_no_number(r, MLM, b->offsets[s]);
        if (!of_mlm) check_no_number(r, CLASSES, s);
        if (!of_mlm) check_no_number(r, TOKEN_CLASSES, b->offsets[s]);
        for (int64_t p = POOL_FIRST; !of_mlm && !of_classes && p <= POOL_WEIGHTED; p++) {
            /* Without layers, the last token's state knows no other's. */
            if (p != POOL_LAST || m->arch.layers) check_no_number(r, p, s);
        }
    }
    if (of_classes || !(m->arch.heads_present & UFFB_HEAD_MLM)) return;
    int32_t ids[2];
    float probabilities[2];
    check(uffb_mlm_top_k(context, 1, b->offsets, 2, ids, probabilities) == UFFB_OK, "%s", uffb_error());
    check(isnan(probabilities[0]) && isnan(probabilities[1]), "probabilities %g, %g", probabilities[0], probabilities[1]);
}

static void check_same_rows(const run *a, const run *b, const char *isa) {
    for (int64_t i = 0; i < a->count; i++) {
        const output *x = &a->outputs[i], *y = &b->outputs[i];
        for (int64_t row = 0; row < x->rows; row++) {
            check(row_is_finite(x, row) == row_is_finite(y, row), "%s, row %lld: numbers on %s, or on %s, alone", x->name,
                  (long long)row, isa_name(0), isa);
        }
    }
}

static void test_weight(const random_model *m, int64_t i, float value, float *weight, uffb_context *const *contexts,
                        const batch *b) {
    const float kept = *weight;
    *weight = value;
    run *first = NULL;
    for (int isa = 0; isa_name(isa); isa++) {
        test_case("%s = %g on %s", m->infos[i].name, value, isa_name(isa));
        run *r = run_batch(m, contexts[isa], b, 0);
        if (isnan(value)) check_reached(m, contexts[isa], m->infos[i].name, b, r);
        if (first) check_same_rows(first, r, isa_name(isa));
        if (first)
            run_free(r);
        else
            first = r;
    }
    run_free(first);
    *weight = kept;
}

static void test_model(const config *c, int32_t dtype) {
    static const float values[] = {NAN, INFINITY, 3e38f};
    test_begin("what is not finite stays so%s: %s",
               dtype == UFFB_F32  ? ""
               : dtype == UFFB_I8 ? ", 8 bits"
                                  : ", 16 bits",
               c->name);
    random_model *m = random_model_new(&c->arch, c->optional, dtype, AS_ASKED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int64_t s = 0; s < b->sequences; s++) b->ids[b->offsets[s]] = b->types[b->offsets[s]] = 0;
    uffb_context *contexts[UFFB_ISA_COUNT];
    for (int isa = 0; isa_name(isa); isa++) contexts[isa] = context_new(m, 1, isa_name(isa));
    for (int64_t i = 0; i < m->count; i++) {
        float *weight = weight_of_all(m, i, dtype);
        /* Rotary positions make two huge units of one, whose products cancel in one order of sums and overflow in another. */
        const int64_t tried = c->arch.positions == UFFB_ROTARY ? COUNT_OF(values) - 1 : COUNT_OF(values);
        for (int64_t v = 0; weight && v < tried; v++) test_weight(m, i, values[v], weight, contexts, b);
    }
    for (int isa = 0; isa_name(isa); isa++) uffb_context_free(contexts[isa]);
    batch_free(b);
    random_model_free(m);
    test_end();
}

void test_finite(const config *list, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const uffb_arch *a = &list[i].arch;
        if (a->trees * (((int64_t)2 << a->depth) - 1) * a->hidden > 100000) continue; /* as large as slow */
        test_model(&list[i], UFFB_F32);
        if (a->feedforward == UFFB_FFN_FFF) continue;
        test_model(&list[i], UFFB_I8);
        test_model(&list[i], UFFB_I16);
    }
}

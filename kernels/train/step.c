/* One step: checks, then forward, head and backward. */
#include "trainer.h"
#include "../engine/batch.h"
#include "../engine/taps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- checks --------------------------------------------------------------------------------------------------------------- */

static int32_t invalid(const char *what) { return uffb_fail(UFFB_INVALID, "uffb_trainer_step: %s", what); }

static int32_t check_rates(const uffb_train_step *s) {
    const double rates[] = {s->embedding_dropout, s->attention_dropout, s->block_dropout, s->head_dropout};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        if (!(rates[i] >= 0 && rates[i] < 1)) return invalid("a dropout rate must be 0 to below 1");
    }
    if (!(s->similarity >= 0 && s->similarity <= 1e30))
        return invalid("the weight of similarities must be a number, 0 or more");
    if (!(s->temperature >= 0 && s->temperature <= 1e6)) return invalid("the temperature must be a number, 0 or more");
    if (!(s->branch_noise >= 0 && s->branch_noise <= 1e30)) return invalid("the noise of branches must be a number, 0 or more");
    if (!(s->label_smoothing >= 0 && s->label_smoothing <= 1)) return invalid("label smoothing must be 0 to 1");
    return isfinite(s->scale) ? UFFB_OK : invalid("the scale must be a number");
}

static int32_t check_labels(const uffb_train_step *s, const void *targets, int64_t classes) {
    for (int64_t i = 0; s->loss == UFFB_CROSS_ENTROPY && i < s->targets; i++) {
        const int32_t label = ((const int32_t *)targets)[i];
        if (label >= classes) {
            return uffb_fail(UFFB_INVALID, "target %lld is class %d, but there are 0 to %lld", (long long)i, label,
                             (long long)classes - 1);
        }
    }
    return UFFB_OK;
}

static int32_t check_positions(const uffb_train_step *s, const int64_t *positions, int64_t tokens) {
    if (s->targets && !positions) return invalid("no positions");
    uint8_t *seen = calloc((size_t)tokens, 1);
    if (!seen) return uffb_fail(UFFB_NO_MEMORY, "no memory to check positions");
    int32_t status = UFFB_OK;
    for (int64_t i = 0; !status && i < s->targets; i++) {
        if (positions[i] < 0 || positions[i] >= tokens) {
            status =
                uffb_fail(UFFB_INVALID, "position %lld of a batch of %lld tokens", (long long)positions[i], (long long)tokens);
        } else if (seen[positions[i]]++) {
            status = uffb_fail(UFFB_INVALID, "position %lld is predicted twice", (long long)positions[i]);
        }
    }
    free(seen);
    return status;
}

static int32_t check_head(const uffb_trainer *t, const uffb_train_step *s, const int64_t *positions, int64_t tokens) {
    const int mlm = s->head == UFFB_HEAD_MLM, vector = s->head == UFFB_HEAD_VECTOR;
    if (s->targets < 0) return invalid("a negative number of targets");
    if (s->head == UFFB_HEAD_NONE) return s->targets ? invalid("targets, but no head") : UFFB_OK;
    if (!mlm && !vector && s->head != UFFB_HEAD_CLASS)
        return invalid("the head must be UFFB_HEAD_NONE, UFFB_HEAD_MLM, UFFB_HEAD_CLASS or UFFB_HEAD_VECTOR");
    if (!vector && !(t->arch.heads_present & s->head)) return invalid("the model has no such head");
    if (s->loss < UFFB_CROSS_ENTROPY || s->loss > UFFB_COSINE) return invalid("no such loss");
    if (vector != (s->loss == UFFB_COSINE)) return invalid("the vector head takes UFFB_COSINE, and no other does");
    if (mlm && (s->loss == UFFB_BINARY_CROSS_ENTROPY || s->loss == UFFB_SQUARED_ERROR))
        return invalid("the MLM head takes cross-entropies alone");
    if (!mlm && s->targets != s->sequences) return invalid("there is one target a sequence");
    return mlm ? check_positions(s, positions, tokens) : UFFB_OK;
}

static int32_t check_step(const uffb_trainer *t, const uffb_train_step *s, const int64_t *offsets, const int32_t *ids,
                          const int32_t *types, const float *final, const int64_t *positions, const void *targets,
                          const uffb_taps *taps) {
    if (!t->context) return invalid("the trainer is not ready");
    if (!s) return invalid("no step");
    int32_t status = final ? uffb_check_offsets(&t->arch, s->sequences, offsets, "uffb_trainer_step")
                           : uffb_check_batch(&t->arch, s->sequences, offsets, ids, types, "uffb_trainer_step");
    if (!status) status = check_rates(s);
    if (!status && s->branch_noise > 0 && t->arch.feedforward != UFFB_FFN_FFF)
        status = invalid("noise of branches, but no trees");
    if (!status && offsets[s->sequences] > INT32_MAX) status = invalid("too many tokens");
    if (!status) status = check_head(t, s, positions, offsets[s->sequences]);
    if (!status && s->targets && !targets) status = invalid("no targets");
    if (!status) status = check_labels(s, targets, s->head == UFFB_HEAD_MLM ? t->arch.vocab : t->arch.labels);
    if (!status) status = uffb_taps_check(taps, &t->arch, offsets[s->sequences]);
    if (!status) status = uffb_guides_check(t, offsets[s->sequences]);
    if (!status && final && t->guides) status = invalid("guides want the encoder to run");
    return status;
}

/* --- the step ------------------------------------------------------------------------------------------------------------- */

/* The sum of weights, which is known before any logit is. */
static double total_weight(const uffb_train_step *s, const uffb_train_targets *of) {
    double sum = 0;
    for (int64_t i = 0; i < s->targets; i++) {
        double weight = of->weights ? (double)of->weights[i] : 1.0;
        if (s->loss == UFFB_CROSS_ENTROPY) {
            const int32_t label = ((const int32_t *)of->targets)[i];
            weight *= label < 0 ? 0.0 : of->class_weights ? (double)of->class_weights[label] : 1.0;
        }
        sum += weight;
    }
    return sum;
}

static int32_t reserve(uffb_trainer *t, const uffb_train_step *s, const int64_t *offsets) {
    int64_t longest = 0;
    for (int64_t i = 0; i < s->sequences; i++)
        longest = offsets[i + 1] - offsets[i] > longest ? offsets[i + 1] - offsets[i] : longest;
    const int32_t status = uffb_trainer_reserve(t, s->sequences, offsets[s->sequences], longest);
    if (status) return status;
    if (s->targets > t->outcome_size) {
        free(t->outcome);
        t->outcome = malloc((size_t)s->targets * sizeof *t->outcome);
        t->outcome_size = t->outcome ? s->targets : 0;
        if (!t->outcome) return uffb_fail(UFFB_NO_MEMORY, "no memory for %lld targets", (long long)s->targets);
    }
    uffb_context *c = t->context;
    c->sequences = s->sequences;
    c->tokens = offsets[s->sequences];
    memcpy(c->offsets, offsets, ((size_t)s->sequences + 1) * sizeof *offsets);
    return UFFB_OK;
}

static void report(const uffb_trainer *t, const uffb_train_step *s, double guided, uffb_train_result *result, float *losses) {
    uffb_train_result sum = {.guided = guided};
    for (int64_t i = 0; i < s->targets; i++) {
        const uffb_outcome *o = &t->outcome[i];
        sum.loss += o->loss;
        sum.weight += o->weight;
        sum.correct += o->correct;
        sum.not_finite += !isfinite(o->plain);
        if (losses) losses[i] = o->plain;
    }
    if (result) *result = sum;
}

static int32_t run_head(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *of) {
    switch (call->step->head) {
    case UFFB_HEAD_MLM: return uffb_train_mlm(t, call, of);
    case UFFB_HEAD_CLASS: return uffb_train_class(t, call, of);
    case UFFB_HEAD_VECTOR: return uffb_train_vector(t, call, of);
    default: uffb_clear_rows(t, call->tokens, t->stream); return UFFB_OK;
    }
}

/* Whether anything below the head is trained. */
static int reaches_down(const uffb_trainer *t) {
    return t->lowest < t->arch.layers || uffb_trains(t->final_norm.weight) || uffb_trains(t->final_norm.bias);
}

static int32_t run_step(uffb_trainer *t, const uffb_train_step *step, const int64_t *offsets, const int32_t *ids,
                        const int32_t *types, const float *final, const int64_t *positions, const void *targets,
                        const float *weights, const float *class_weights, const uffb_taps *taps, uffb_train_result *result,
                        float *losses, float *logits) {
    int32_t status = check_step(t, step, offsets, ids, types, final, positions, targets, taps);
    if (!status) status = reserve(t, step, offsets);
    if (status) return status;
    uffb_trainer_refresh(t);
    t->learning = step->backward;

    const uffb_train_call call = {step, offsets[step->sequences], offsets, ids, types, taps};
    uffb_train_targets of = {positions, targets, weights, class_weights, step->scale, t->outcome, logits};
    if (of.scale == 0) {
        const double sum = total_weight(step, &of);
        of.scale = sum > 0 ? 1 / sum : 0;
    }
    if (final) {
        memcpy(t->final, final, (size_t)(call.tokens * t->arch.hidden) * sizeof *final);
    } else {
        status = uffb_train_forward(t, &call);
    }
    double guided = 0;
    if (!status) status = uffb_guides_loss(t, &call, &guided);
    if (!status) status = run_head(t, &call, &of);
    if (!status) report(t, step, guided, result, losses);
    if (!status && step->backward && !final && reaches_down(t)) status = uffb_train_backward(t, &call);
    t->context->final = NULL;
    return status;
}

int32_t uffb_trainer_step(uffb_trainer *t, const uffb_train_step *step, const int64_t *offsets, const int32_t *ids,
                          const int32_t *types, const float *final, const int64_t *positions, const void *targets,
                          const float *weights, const float *class_weights, const uffb_taps *taps, uffb_train_result *result,
                          float *losses, float *logits) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_step: no trainer");
    const int32_t status =
        run_step(t, step, offsets, ids, types, final, positions, targets, weights, class_weights, taps, result, losses, logits);
    t->guides = 0;
    return status ? uffb_trainer_fail(t, status) : UFFB_OK;
}

/* The feedforward half of a layer, fitted alone to what another model's does. */
#include "trainer.h"

#include <math.h>
#include <string.h>

static int32_t invalid(const char *why) { return uffb_fail(UFFB_INVALID, "uffb_trainer_fit: %s", why); }

static int32_t check_fit(const uffb_trainer *t, int64_t layer, int64_t tokens, const float *input, const float *output,
                         double weight, const uffb_train_result *result) {
    if (!t->context) return invalid("the trainer is not ready");
    if (t->arch.norm_position != UFFB_POST_NORM) return invalid("only a post-norm model's layers can be fitted alone");
    if (!uffb_has_feedforward(&t->arch)) return invalid("the model has no feedforward layers");
    if (layer < 0 || layer >= t->arch.layers) return invalid("no such layer");
    if (tokens < 1 || tokens > INT32_MAX) return invalid("the number of tokens must be 1 to 2^31-1");
    if (!input || !output || !result) return invalid("no states, or nowhere to put the result");
    if (!(weight >= 0 && weight <= 1e30)) return invalid("the weight must be a number, 0 or more");
    return UFFB_OK;
}

static int32_t run_fit(uffb_trainer *t, int64_t layer, int64_t tokens, const float *input, const float *output, double weight,
                       int32_t backward, uffb_train_result *result) {
    int32_t status = check_fit(t, layer, tokens, input, output, weight, result);
    if (!status) status = uffb_trainer_cancelled(t);
    if (!status) status = uffb_trainer_reserve(t, 1, tokens, 1);
    if (status) return status;
    uffb_trainer_refresh(t);
    t->learning = backward;
    t->noisy = 0;

    const uffb_train_layer *of = &t->layers[layer];
    const int64_t hidden = t->arch.hidden;
    uffb_copy_rows(t, tokens, input, t->normed);
    uffb_copy_rows(t, tokens, input, of->sum);
    uffb_train_feed_forward(t, tokens, layer, t->normed, of->sum, NULL);
    uffb_normalise(t->context, tokens, hidden, of->norm2.affine, of->sum, t->last);
    double squares = 0;
    status = uffb_squared_distance(t, tokens, t->last, output, &squares);
    if (status) return status;
    const double mean = weight / ((double)tokens * (double)hidden);
    *result = (uffb_train_result){.guided = mean * squares};
    if (!backward) return UFFB_OK;

    uffb_clear_rows(t, tokens, t->stream);
    uffb_pull(t, tokens, t->last, output, (float)(2 * mean), t->stream);
    status = uffb_norm_gradient(t, &of->norm2, tokens, of->sum, t->stream, t->stream, 0);
    if (status) return status;
    uffb_copy_rows(t, tokens, input, t->normed);
    return uffb_feed_forward_back(t, layer, tokens, t->normed, t->stream, NULL);
}

int32_t uffb_trainer_fit(uffb_trainer *t, int64_t layer, int64_t tokens, const float *input, const float *output, double weight,
                         int32_t backward, uffb_train_result *result) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_fit: no trainer");
    const int32_t status = run_fit(t, layer, tokens, input, output, weight, backward, result);
    return status ? uffb_trainer_fail(t, status) : UFFB_OK;
}

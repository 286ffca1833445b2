/* Losses of one target, and their gradients in place of its logits. */
#include "trainer.h"

#include <math.h>

/* Cross-entropy of any kind: -sum of a[j] log p[j], where a[j] = w[j] times the share of class j in the target (1, smoothed, or
 * a distribution's). With A = sum of a: loss = A log(sum exp) - sum a x, gradient = A p - a. */
static uffb_outcome cross_entropy(const uffb_trainer *t, const uffb_train_step *step, const uffb_train_targets *of, int64_t i,
                                  int64_t classes, float *x) {
    const float *w = of->class_weights, outer = of->weights ? of->weights[i] : 1.0f;
    const float *soft = step->loss == UFFB_SOFT_CROSS_ENTROPY ? (const float *)of->targets + i * classes : NULL;
    const int32_t label = soft ? -1 : ((const int32_t *)of->targets)[i];
    const double spread = soft ? 0 : step->label_smoothing / (double)classes, hard = soft ? 0 : 1 - step->label_smoothing;
    uffb_outcome outcome = {.weight = outer};
    if (!soft && label < 0) {
        for (int64_t j = 0; j < classes; j++) x[j] = 0;
        outcome.weight = 0;
        return outcome;
    }
    double total = 0, plain_total = 0, dot = 0, plain_dot = 0;
    if (soft || spread > 0) {
        for (int64_t j = 0; j < classes; j++) {
            const double share = soft ? (double)soft[j] : spread, a = share * (w ? (double)w[j] : 1.0);
            total += a;
            plain_total += share;
            dot += a * (double)x[j];
            plain_dot += share * (double)x[j];
        }
    }
    const double own = label < 0 ? 0 : hard * (w ? (double)w[label] : 1.0), own_logit = label < 0 ? 0 : (double)x[label];
    total += own;
    plain_total += label < 0 ? 0 : hard;
    dot += own * own_logit;
    plain_dot += label < 0 ? 0 : hard * own_logit;
    if (label >= 0 && w) outcome.weight *= (double)w[label];

    const double factor = of->scale * (double)outer;
    float top;
    const double sum = (double)t->ops->log_sum(classes, (float)(factor * total), x, &top);
    outcome.loss = (double)outer * (total * sum - dot);
    outcome.plain = (float)(plain_total * sum - plain_dot);
    outcome.correct = label >= 0 && own_logit >= (double)top;
    if (soft || spread > 0) {
        for (int64_t j = 0; j < classes; j++)
            x[j] -= (float)(factor * (soft ? (double)soft[j] : spread) * (w ? (double)w[j] : 1.0));
    }
    if (label >= 0) x[label] -= (float)(factor * own);
    return outcome;
}

/* Mean over the labels of -(w y log s + (1 - y) log(1 - s)), s the logistic function of x. */
static uffb_outcome binary(const uffb_train_targets *of, int64_t i, int64_t classes, float *x) {
    const float *targets = (const float *)of->targets + i * classes;
    const double outer = of->weights ? (double)of->weights[i] : 1.0, factor = of->scale * outer / (double)classes;
    double loss = 0, plain = 0;
    for (int64_t j = 0; j < classes; j++) {
        const double z = x[j], y = targets[j], w = of->class_weights ? (double)of->class_weights[j] : 1.0;
        const double rest = log1p(exp(-fabs(z))), no = rest + fmax(z, 0), yes = rest + fmax(-z, 0); /* -log(1 - s), -log s */
        const double s = 1 / (1 + exp(-z));
        loss += w * y * yes + (1 - y) * no;
        plain += y * yes + (1 - y) * no;
        x[j] = (float)(factor * ((1 - y) * s - w * y * (1 - s)));
    }
    const double count = (double)classes;
    return (uffb_outcome){.loss = outer * loss / count, .weight = outer, .plain = (float)(plain / count)};
}

static uffb_outcome squared(const uffb_train_targets *of, int64_t i, int64_t classes, float *x) {
    const float *targets = (const float *)of->targets + i * classes;
    const double outer = of->weights ? (double)of->weights[i] : 1.0, count = (double)classes;
    double loss = 0;
    for (int64_t j = 0; j < classes; j++) {
        const double off = (double)x[j] - (double)targets[j];
        loss += off * off;
        x[j] = (float)(of->scale * outer * 2 * off / count);
    }
    return (uffb_outcome){.loss = outer * loss / count, .weight = outer, .plain = (float)(loss / count)};
}

uffb_outcome uffb_loss(const uffb_trainer *t, const uffb_train_step *step, const uffb_train_targets *targets, int64_t i,
                       int64_t classes, float *logits) {
    switch (step->loss) {
    case UFFB_BINARY_CROSS_ENTROPY: return binary(targets, i, classes, logits);
    case UFFB_SQUARED_ERROR: return squared(targets, i, classes, logits);
    default: return cross_entropy(t, step, targets, i, classes, logits);
    }
}

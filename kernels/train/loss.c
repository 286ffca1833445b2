/* Losses of one target, and their gradients in place of its logits. */
#include "trainer.h"

#include <math.h>
#include <string.h>

/* What a target asks of each class, before class weights: a share of 1 in all. */
typedef struct {
    const float *soft; /* [classes], or NULL for `hard` to the label and `spread` to each class */
    double hard, spread;
} shares;

static double share_of(const shares *s, int64_t class) { return s->soft ? (double)s->soft[class] : s->spread; }

/* Cross-entropy of any kind: -sum of a[j] log p[j], where a[j] is the class's weight times its share of the target. With A the
 * sum of a: loss = A log(sum exp) - sum a x, gradient = A p - a. */
static uffb_outcome cross_entropy(const uffb_trainer *t, const uffb_train_step *step, const uffb_train_targets *of, int64_t i,
                                  int64_t classes, float *x) {
    const float *w = of->class_weights;
    const int soft = step->loss == UFFB_SOFT_CROSS_ENTROPY;
    const double heat = soft && step->temperature > 0 ? step->temperature : 1;
    const double outer = of->weights ? (double)of->weights[i] : 1.0, factor = of->scale * outer / heat;
    const int32_t label = soft ? -1 : ((const int32_t *)of->targets)[i];
    if (!soft && label < 0) {
        memset(x, 0, (size_t)classes * sizeof *x);
        return (uffb_outcome){0};
    }
    if (heat != 1)
        for (int64_t j = 0; j < classes; j++) x[j] = (float)((double)x[j] / heat);
    const shares s = {soft ? (const float *)of->targets + i * classes : NULL, 1 - step->label_smoothing,
                      step->label_smoothing / (double)classes};
    const double own = soft ? 0 : s.hard * (w ? (double)w[label] : 1.0), logit = soft ? 0 : (double)x[label];
    double total = own, plain_total = soft ? 0 : s.hard, dot = own * logit, plain_dot = plain_total * logit;
    for (int64_t j = 0; (soft || s.spread > 0) && j < classes; j++) {
        const double share = share_of(&s, j), a = share * (w ? (double)w[j] : 1.0);
        total += a;
        plain_total += share;
        dot += a * (double)x[j];
        plain_dot += share * (double)x[j];
    }

    float top;
    const double sum = t->ops->log_sum(classes, (float)(factor * total), x, &top);
    for (int64_t j = 0; (soft || s.spread > 0) && j < classes; j++)
        x[j] -= (float)(factor * share_of(&s, j) * (w ? (double)w[j] : 1.0));
    if (!soft) x[label] -= (float)(factor * own);
    return (uffb_outcome){.loss = outer * (total * sum - dot),
                          .weight = outer * (!soft && w ? (double)w[label] : 1.0),
                          .plain = (float)(plain_total * sum - plain_dot),
                          .correct = !soft && logit >= (double)top};
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

/* The vector head: pooled final states as sentence vectors, pulled towards a teacher's by their cosines. */
#include "trainer.h"

#include <math.h>
#include <string.h>

typedef struct {
    const uffb_train_step *step;
    const uffb_train_targets *of;
    int64_t hidden;
    const float *pooled; /* all [sequences, hidden] */
    float *units;        /* pooled, of length 1; zeros stay zeros */
    float *towards;      /* the targets, of length 1 */
    float *gradient;     /* of pooled */
} vectors;

static double dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

/* 1 over the length of x, and 0 where that is 0. */
static double shrink(int64_t n, const float *x) {
    const double length = sqrt(dot(n, x, x));
    return length == 0 ? 0 : 1 / length; /* NaN stays NaN */
}

static void unit_task(void *arg, int64_t i, int32_t thread) {
    (void)thread;
    const vectors *v = arg;
    const int64_t h = v->hidden, at = i * h;
    const float *target = (const float *)v->of->targets + at;
    const double own = shrink(h, v->pooled + at), other = shrink(h, target);
    for (int64_t j = 0; j < h; j++) {
        v->units[at + j] = (float)(own * (double)v->pooled[at + j]);
        v->towards[at + j] = (float)(other * (double)target[j]);
    }
}

static double weight_of(const vectors *v, int64_t i) { return v->of->weights ? (double)v->of->weights[i] : 1.0; }

/* loss = w (1 - u.t + similarity * the mean over others of d^2), d = u.u' - t.t'; the gradient of u, then that of pooled, which
 * u has the direction of. */
static void loss_task(void *arg, int64_t i, int32_t thread) {
    (void)thread;
    const vectors *v = arg;
    const int64_t h = v->hidden, n = v->step->sequences;
    const float *u = v->units + i * h, *t = v->towards + i * h;
    float *g = v->gradient + i * h;
    const double w = weight_of(v, i), share = n > 1 ? v->step->similarity / (double)(n - 1) : 0;
    double loss = 1 - dot(h, u, t);
    for (int64_t j = 0; j < h; j++) g[j] = (float)(-w * v->of->scale * (double)t[j]);
    for (int64_t k = 0; share > 0 && k < n; k++) {
        if (k == i) continue;
        const float *other = v->units + k * h;
        const double d = dot(h, u, other) - dot(h, t, v->towards + k * h);
        const float factor = (float)(2 * share * d * (w + weight_of(v, k)) * v->of->scale);
        loss += share * d * d;
        for (int64_t j = 0; j < h; j++) g[j] += factor * other[j];
    }
    const double along = dot(h, g, u), shrinks = shrink(h, v->pooled + i * h);
    for (int64_t j = 0; j < h; j++) g[j] = (float)(shrinks * ((double)g[j] - along * (double)u[j]));
    v->of->outcomes[i] = (uffb_outcome){.loss = w * loss, .weight = w, .plain = (float)loss};
}

int32_t uffb_train_vector(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *targets) {
    const int64_t n = call->step->sequences, size = n * t->arch.hidden;
    if (!uffb_trainer_grow(&t->head, &t->head_size, 4 * size)) return uffb_fail(UFFB_NO_MEMORY, "no memory for the head");
    vectors v = {call->step, targets, t->arch.hidden, t->head, t->head + size, t->head + 2 * size, t->head + 3 * size};
    t->context->final = t->final;
    const int32_t status = uffb_pool(t->context, call->step->pooling, 0, t->head);
    if (status) return status;
    uffb_parallel(t->context->team, n, unit_task, &v);
    uffb_parallel(t->context->team, n, loss_task, &v);
    if (targets->logits) memcpy(targets->logits, v.pooled, (size_t)size * sizeof *v.pooled);
    if (call->step->backward) uffb_pool_back(t, call, call->step->pooling, v.pooled, v.gradient);
    return UFFB_OK;
}

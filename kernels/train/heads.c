/* The heads: from final states to logits, losses and, if wanted, back to the gradient of the final states. */
#include "trainer.h"

#include <math.h>
#include <string.h>

/* Positions whose logits the MLM head holds at once, at most: a multiple of every tile, and enough of them that reading and
 * writing the decoder's gradient once for each such block is a small part of computing it. */
#define MLM_ROWS 504

static int64_t mlm_blocks(int64_t targets) { return (targets + MLM_ROWS - 1) / MLM_ROWS; }

int64_t uffb_head_size(const uffb_arch *a, int64_t sequences, int64_t targets) {
    const int64_t pooled = a->pool_width ? a->pool_width : a->hidden, blocks = mlm_blocks(targets);
    const int64_t rows = targets > 0 ? (targets + blocks - 1) / blocks : 0;
    int64_t size = 4 * sequences * a->hidden; /* of the vector head */
    if (a->heads_present & UFFB_HEAD_MLM) size += rows * (4 * a->hidden + a->vocab);
    if (a->heads_present & UFFB_HEAD_CLASS) size += sequences * (2 * a->hidden + 3 * pooled + a->labels);
    return size;
}

static int32_t reserve(uffb_trainer *t, const uffb_train_call *call) {
    const int64_t size = uffb_head_size(&t->arch, call->step->sequences, call->step->targets);
    return uffb_trainer_grow(&t->head, &t->head_size, size) ? UFFB_OK : uffb_fail(UFFB_NO_MEMORY, "no memory for the head");
}

typedef struct {
    const uffb_trainer *trainer;
    const uffb_train_step *step;
    const uffb_train_targets *targets;
    int64_t first, classes;
    float *logits;
} losing;

static void loss_task(void *arg, int64_t row, int32_t thread) {
    (void)thread;
    const losing *l = arg;
    l->targets->outcomes[l->first + row] =
        uffb_loss(l->trainer, l->step, l->targets, l->first + row, l->classes, l->logits + row * l->classes);
}

/* From logits [rows, classes] of targets `first` on to their gradients. */
static void losses(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *targets, int64_t first, int64_t rows,
                   int64_t classes, float *logits) {
    if (targets->logits) memcpy(targets->logits + first * classes, logits, (size_t)(rows * classes) * sizeof *logits);
    losing l = {t, call->step, targets, first, classes, logits};
    uffb_parallel(t->context->team, rows, loss_task, &l);
}

static float *take(float **at, int64_t count) {
    float *block = *at;
    *at += count;
    return block;
}

/* --- masked language modelling -------------------------------------------------------------------------------------------- */

static int32_t mlm_rows(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *targets, int64_t first,
                        int64_t rows) {
    const uffb_arch *a = &t->arch;
    const int64_t h = a->hidden, *positions = targets->positions + first;
    float *at = t->head, *states = take(&at, rows * h), *dense = take(&at, rows * h), *active = take(&at, rows * h);
    float *inner = take(&at, rows * h), *logits = at, *decoded = states;
    for (int64_t i = 0; i < rows; i++) memcpy(states + i * h, t->final + positions[i] * h, (size_t)h * sizeof *states);
    if (a->mlm_transform) {
        uffb_train_project(t, rows, &t->mlm_dense, states, h, dense, h, 0);
        memcpy(active, dense, (size_t)(rows * h) * sizeof *active);
        uffb_activate_all(t->context, a->activation, rows, h, active, h);
        uffb_normalise(t->context, rows, t->arch.hidden, t->mlm_norm.affine, active, inner);
        decoded = inner;
    }
    uffb_train_project(t, rows, &t->decoder, decoded, h, logits, a->vocab, 0);
    losses(t, call, targets, first, rows, a->vocab, logits);
    if (!call->step->backward) return UFFB_OK;

    int32_t status = uffb_linear_gradient(t, &t->decoder, rows, logits, a->vocab, decoded, h);
    if (!status) status = uffb_linear_back(t, &t->decoder, rows, logits, a->vocab, inner, h, 0);
    if (!status && a->mlm_transform) {
        status = uffb_norm_gradient(t, &t->mlm_norm, rows, active, inner, inner, 0);
        t->ops->activate_back(a->activation, rows, h, dense, h, inner, h);
        if (!status) status = uffb_linear_gradient(t, &t->mlm_dense, rows, inner, h, states, h);
        if (!status) status = uffb_linear_back(t, &t->mlm_dense, rows, inner, h, states, h, 0);
        inner = states;
    }
    for (int64_t i = 0; i < rows; i++) memcpy(t->stream + positions[i] * h, inner + i * h, (size_t)h * sizeof *inner);
    return status;
}

int32_t uffb_train_mlm(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *targets) {
    const int64_t count = call->step->targets, blocks = mlm_blocks(count);
    int32_t status = reserve(t, call);
    if (status) return status;
    uffb_clear_rows(t, call->tokens, t->stream);
    for (int64_t b = 0; !status && b < blocks; b++) {
        const int64_t first = count * b / blocks;
        status = uffb_trainer_cancelled(t);
        if (!status) status = mlm_rows(t, call, targets, first, count * (b + 1) / blocks - first);
    }
    return status;
}

/* --- classification and regression ---------------------------------------------------------------------------------------- */

/* dx [n, h] from the gradient of the pooled vector, dy [h]; x [n, h] are final states, y [h] what they were pooled to. */
static void pool_back(int32_t pooling, int64_t n, int64_t h, const float *x, const float *y, const float *dy, float *dx) {
    for (int64_t i = 0; i < h; i++) {
        int64_t best = 0; /* the first of the largest */
        for (int64_t r = 1; pooling == UFFB_POOL_MAX && r < n; r++) best = x[r * h + i] > x[best * h + i] ? r : best;
        for (int64_t r = 0; r < n; r++) {
            switch (pooling) {
            case UFFB_POOL_FIRST: dx[r * h + i] = r == 0 ? dy[i] : 0; break;
            case UFFB_POOL_MEAN: dx[r * h + i] = dy[i] / (float)n; break;
            case UFFB_POOL_MAX: dx[r * h + i] = r == best ? dy[i] : 0; break;
            default: dx[r * h + i] = dy[i] * expf(x[r * h + i] - y[i]); break;
            }
        }
    }
}

void uffb_pool_back(uffb_trainer *t, const uffb_train_call *call, int32_t pooling, const float *pooled, const float *dpooled) {
    const int64_t h = t->arch.hidden;
    for (int64_t s = 0; s < call->step->sequences; s++) {
        const int64_t first = call->offsets[s];
        pool_back(pooling, call->offsets[s + 1] - first, h, t->final + first * h, pooled + s * h, dpooled + s * h,
                  t->stream + first * h);
    }
}

int32_t uffb_train_class(uffb_trainer *t, const uffb_train_call *call, const uffb_train_targets *targets) {
    const uffb_arch *a = &t->arch;
    const int64_t n = call->step->sequences, h = a->hidden, width = t->classes.linear->cols;
    int32_t status = reserve(t, call);
    if (status) return status;
    float *at = t->head, *pooled = take(&at, n * h), *dense = take(&at, n * width), *active = take(&at, n * width);
    float *logits = take(&at, n * a->labels), *dactive = take(&at, n * width), *dpooled = at;
    t->context->final = t->final;
    status = uffb_pool(t->context, a->pooling, 0, pooled);
    if (status) return status;
    if (a->pool_width) {
        uffb_train_project(t, n, &t->pool_dense, pooled, h, dense, width, 0);
    } else {
        memcpy(dense, pooled, (size_t)(n * width) * sizeof *dense);
    }
    memcpy(active, dense, (size_t)(n * width) * sizeof *active);
    uffb_activate_all(t->context, a->pool_activation, n, width, active, width);
    uffb_drop_rows(t, call->step, UFFB_DROP_HEAD, call->step->head_dropout, n, width, active);
    uffb_train_project(t, n, &t->classes, active, width, logits, a->labels, 0);
    losses(t, call, targets, 0, n, a->labels, logits);
    if (!call->step->backward) return UFFB_OK;

    status = uffb_linear_gradient(t, &t->classes, n, logits, a->labels, active, width);
    if (!status) status = uffb_linear_back(t, &t->classes, n, logits, a->labels, dactive, width, 0);
    if (status) return status;
    uffb_drop_rows(t, call->step, UFFB_DROP_HEAD, call->step->head_dropout, n, width, dactive);
    t->ops->activate_back(a->pool_activation, n, width, dense, width, dactive, width);
    const float *down = dactive;
    if (a->pool_width) {
        status = uffb_linear_gradient(t, &t->pool_dense, n, dactive, width, pooled, h);
        if (!status) status = uffb_linear_back(t, &t->pool_dense, n, dactive, width, dpooled, h, 0);
        if (status) return status;
        down = dpooled;
    }
    uffb_pool_back(t, call, a->pooling, pooled, down);
    return UFFB_OK;
}

/* AdamW: first the norm of the whole gradient, block by block in a fixed order, then one pass over weights, gradients and
 * moments, after which each block is rounded where the next step multiplies bf16. */
#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Elements of a block: few enough that a block's weights are still in L2 when they are rounded. */
#define BLOCK_ELEMENTS (64 << 10)

static int64_t rows_of_block(const uffb_parameter *p) {
    const int64_t rows = BLOCK_ELEMENTS / p->info.cols / UFFB_PANEL * UFFB_PANEL;
    return rows > UFFB_PANEL ? rows : UFFB_PANEL;
}

int32_t uffb_list_blocks(uffb_trainer *t) {
    for (int pass = 0; pass < 2; pass++) {
        t->blocks = 0;
        for (int64_t i = 0; i < t->parameters; i++) {
            uffb_parameter *p = &t->parameter[i];
            if (!uffb_trains(p)) continue;
            const int64_t step = rows_of_block(p);
            for (int64_t row = 0; row < p->info.rows; row += step) {
                const int64_t left = p->info.rows - row;
                if (pass) t->block[t->blocks] = (uffb_block){p, row, left < step ? left : step, 0};
                t->blocks++;
            }
        }
        if (!pass) t->block = calloc((size_t)t->blocks + 1, sizeof *t->block);
        if (!t->block) return uffb_fail(UFFB_NO_MEMORY, "no memory for a list of blocks");
    }
    return UFFB_OK;
}

static void square_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const uffb_trainer *t = arg;
    uffb_block *b = &t->block[task];
    const uffb_parameter *p = b->parameter;
    const int64_t cols = p->info.cols;
    const float *g = p->gradient + b->row * cols;
    b->squares = 0;
    if (p->filled) {
        b->squares = t->ops->squares(b->rows * cols, g);
        return;
    }
    for (int64_t r = 0; r < b->rows; r++) {
        if (p->touched[b->row + r]) b->squares += t->ops->squares(cols, g + r * cols);
    }
}

/* Of a row that never had a gradient both moments are zero, and AdamW comes to a multiplication by the decay; without decay, to
 * nothing. So nodes of trees and words that no token has come to cost nothing, and their moments are never even read. */
void uffb_update_row(const uffb_trainer *t, int64_t update, uffb_parameter *p, int64_t row, const float *gradient) {
    const uffb_factors *of = &t->factors[update % UFFB_WAITING];
    const uffb_adamw_factors *factors = p->info.decays ? &of->decaying : &of->plain;
    const int64_t cols = p->info.cols, at = row * cols;
    if (gradient || p->moving[row]) {
        t->ops->adamw(cols, factors, gradient, p->weight + at, p->first + at, p->second + at);
        p->moving[row] = 1;
        return;
    }
    for (int64_t i = at; factors->decay != 1 && i < at + cols; i++) p->weight[i] *= factors->decay;
}

/* The update of a row that may wait: it does so if it has no gradient, and it is not its turn. */
static void update_waiting_row(const uffb_trainer *t, uffb_parameter *p, int64_t row, const float *gradient) {
    if (!gradient && (row + t->updates) % UFFB_WAITING) return;
    uffb_make_up_row(t, p, row, t->updates - 1);
    uffb_update_row(t, t->updates, p, row, gradient);
    p->made[row] = t->updates;
}

static void update_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const uffb_trainer *t = arg;
    const uffb_block *b = &t->block[task];
    uffb_parameter *p = b->parameter;
    const int64_t cols = p->info.cols, at = b->row * cols;
    if (p->filled && !p->made) {
        const uffb_factors *of = &t->factors[t->updates % UFFB_WAITING];
        t->ops->adamw(b->rows * cols, p->info.decays ? &of->decaying : &of->plain, p->gradient + at, p->weight + at,
                      p->first + at, p->second + at);
        memset(p->moving + b->row, 1, (size_t)b->rows);
    } else {
        for (int64_t r = b->row; r < b->row + b->rows; r++) {
            const float *gradient = p->filled || p->touched[r] ? p->gradient + r * cols : NULL;
            if (p->made) {
                update_waiting_row(t, p, r, gradient);
            } else {
                uffb_update_row(t, t->updates, p, r, gradient);
            }
        }
    }
    if (p->blocks) uffb_repack_blocks(t, p, b->row, b->rows);
}

static uffb_factors factors_of(const uffb_trainer *t, const uffb_adamw *o, double factor) {
    const double step = (double)t->updates;
    uffb_factors f;
    f.plain = (uffb_adamw_factors){.gradient = (float)factor,
                                   .first = (float)(1 - o->beta1),
                                   .beta2 = (float)o->beta2,
                                   .second = (float)(1 - o->beta2),
                                   .decay = 1,
                                   .step = (float)(o->lr / (1 - pow(o->beta1, step))),
                                   .root = (float)(1 / sqrt(1 - pow(o->beta2, step))),
                                   .eps = (float)o->eps};
    f.decaying = f.plain;
    f.decaying.decay = (float)(1 - o->lr * o->weight_decay);
    return f;
}

static int32_t check(const uffb_trainer *t, const uffb_adamw *o) {
    if (!t->context) return uffb_fail(UFFB_INVALID, "uffb_trainer_update: the trainer is not ready");
    if (!o) return uffb_fail(UFFB_INVALID, "uffb_trainer_update: no settings");
    if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1))
        return uffb_fail(UFFB_INVALID, "beta1 and beta2 must be 0 to below 1");
    if (!(o->eps > 0 && o->clip >= 0 && isfinite(o->lr) && isfinite(o->weight_decay) && isfinite(o->clip)))
        return uffb_fail(UFFB_INVALID, "eps must be above 0, clip not below it, and lr and weight decay must be numbers");
    return UFFB_OK;
}

int32_t uffb_trainer_update(uffb_trainer *t, const uffb_adamw *o, uffb_update_result *result) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_update: no trainer");
    const int32_t status = check(t, o);
    if (status) return uffb_trainer_fail(t, status);
    uffb_parallel(t->context->team, t->blocks, square_task, t);
    double squares = 0;
    for (int64_t i = 0; i < t->blocks; i++) squares += t->block[i].squares;
    const double norm = sqrt(squares), factor = o->clip > 0 ? fmin(1, o->clip / (norm + 1e-6)) : 1;
    const int finite = isfinite(norm);
    if (finite) {
        uffb_trainer_refresh(t); /* what a set left to be done */
        t->updates++;
        t->factors[t->updates % UFFB_WAITING] = factors_of(t, o, factor);
        uffb_parallel(t->context->team, t->blocks, update_task, t);
        t->behind = 1;
        uffb_trainer_rescale(t);
    }
    if (result) *result = (uffb_update_result){norm, factor, t->updates, finite, 0};
    return uffb_trainer_zero_gradients(t);
}

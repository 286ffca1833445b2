/* Dropout of rows, from a counter-based generator: a row's mask depends on its number, not on who computes it. */
#include "trainer.h"

#define TASK_ROWS 32

uffb_random uffb_drop_stream(const uffb_train_step *step, uint32_t stream) {
    return (uffb_random){.seed = step->seed, .counter = step->counter, .stream = stream, .block = 0};
}

typedef struct {
    const uffb_trainer *trainer;
    uffb_random random;
    float rate;
    int64_t rows, cols;
    float *x;
} dropping;

static void drop_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const dropping *d = arg;
    const int64_t first = task * TASK_ROWS, rows = d->rows - first < TASK_ROWS ? d->rows - first : TASK_ROWS;
    uffb_random random = d->random;
    random.block = (uint64_t)(first * ((d->cols + 3) / 4));
    d->trainer->ops->dropout(rows, d->cols, d->rate, &random, d->x + first * d->cols, d->cols);
}

void uffb_drop_rows(uffb_trainer *t, const uffb_train_step *step, uint32_t stream, double rate, int64_t rows, int64_t cols,
                    float *x) {
    if (rate == 0) return;
    dropping d = {t, uffb_drop_stream(step, stream), (float)rate, rows, cols, x};
    uffb_parallel(t->context->team, (rows + TASK_ROWS - 1) / TASK_ROWS, drop_task, &d);
}

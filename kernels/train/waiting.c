/* Rows of walked trees that wait for updates. AdamW changes every row at every update, with a gradient or without; but a row
 * that nobody reads can have its updates later, all at once, in the same order and with the same factors: the same bits. So an
 * update costs what the paths cost that led to it, and a row that is missed k times is fetched from memory once, not k times. A
 * row waits for UFFB_WAITING updates at most, as so many factors are kept; each update makes up for its share of all rows. */
#include "trainer.h"

/* Rows of one task. */
#define TASK_ROWS 16

void uffb_make_up_row(const uffb_trainer *t, uffb_parameter *p, int64_t row, int64_t last) {
    while (p->made[row] < last) uffb_update_row(t, ++p->made[row], p, row, NULL);
}

typedef struct {
    const uffb_trainer *trainer;
    uffb_parameter *parameter;
    int64_t count;
    const int32_t *rows; /* NULL: the first `count` */
} making_up;

static void make_up_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const making_up *m = arg;
    const int64_t first = task * TASK_ROWS, end = first + TASK_ROWS < m->count ? first + TASK_ROWS : m->count;
    for (int64_t i = first; i < end; i++)
        uffb_make_up_row(m->trainer, m->parameter, m->rows ? m->rows[i] : i, m->trainer->updates);
}

void uffb_make_up_rows(uffb_trainer *t, uffb_parameter *p, int64_t count, const int32_t *rows) {
    making_up m = {t, p, count, rows};
    if (p && p->made) uffb_parallel(t->context->team, (count + TASK_ROWS - 1) / TASK_ROWS, make_up_task, &m);
}

void uffb_make_up(uffb_trainer *t, uffb_parameter *p) { uffb_make_up_rows(t, p, p->info.rows, NULL); }

void uffb_make_up_all(uffb_trainer *t) {
    for (int64_t i = 0; i < t->parameters; i++) uffb_make_up(t, &t->parameter[i]);
}

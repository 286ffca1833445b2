/* Noise on the branches of trees, for training: leaves that tokens are just short of get some, and learn. As other sums, it
 * does not depend on threads: a number is that of its token, tree and level. */
#include "trainer.h"
#include "../ops/dropout/philox.h"

#define TASK_ROWS 32

/* A number of mean 0 and deviation 1, nearly normal: the sum of a word's four bytes. No function of a library, whose last
 * digits differ from machine to machine, has a part in it. */
static float nearly_normal(uint32_t word) {
    const int32_t sum = (int32_t)((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24));
    return (float)(sum - 510) * (1.0f / 147.7977f); /* the root of 4 (256^2 - 1) / 12 */
}

typedef struct {
    uffb_random random;
    float deviation;
    int64_t rows, cols;
    float *noise;
} making;

static void make_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const making *m = arg;
    const int64_t blocks = (m->cols + 3) / 4, first = task * TASK_ROWS,
                  end = first + TASK_ROWS < m->rows ? first + TASK_ROWS : m->rows;
    for (int64_t r = first; r < end; r++) {
        for (int64_t b = 0; b < blocks; b++) {
            uint32_t words[4];
            uffb_philox(&m->random, (uint64_t)(r * blocks + b), words);
            for (int64_t c = 4 * b; c < 4 * b + 4 && c < m->cols; c++)
                m->noise[r * m->cols + c] = m->deviation * nearly_normal(words[c % 4]);
        }
    }
}

void uffb_make_noise(uffb_trainer *t, const uffb_train_step *step, int64_t layer, int64_t tokens) {
    t->noisy = step->branch_noise > 0;
    if (!t->noisy) return;
    making m = {uffb_drop_stream(step, UFFB_BRANCH_NOISE + (uint32_t)layer), (float)step->branch_noise, tokens,
                t->arch.trees * (t->arch.depth + 1), t->noise};
    uffb_parallel(t->context->team, (tokens + TASK_ROWS - 1) / TASK_ROWS, make_task, &m);
}

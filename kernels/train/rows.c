/* Gradients of rows that tokens pick by number: nodes of trees, words, positions, types. Tokens are sorted by row, so that each
 * row has one owner, and its sum one order. */
#include "trainer.h"

#include <stdlib.h>
#include <string.h>

/* Tokens that one task adds at least, unless there are too few; and columns of a task. */
#define TASK_TOKENS 256
#define TASK_COLS 256

#define DIGIT_BITS 8
#define DIGITS (1 << DIGIT_BITS)

/* One pass of a radix sort: `from`, or 0 to tokens - 1, by some bits of their keys. */
static void sort_digit(int64_t tokens, const int32_t *keys, int64_t ldk, int shift, const int32_t *from, int32_t *to) {
    int64_t start[DIGITS + 1] = {0};
    for (int64_t i = 0; i < tokens; i++) start[(keys[i * ldk] >> shift & (DIGITS - 1)) + 1]++;
    for (int i = 0; i < DIGITS; i++) start[i + 1] += start[i];
    for (int64_t i = 0; i < tokens; i++) {
        const int32_t t = from ? from[i] : (int32_t)i;
        to[start[keys[t * ldk] >> shift & (DIGITS - 1)]++] = t;
    }
}

int32_t *uffb_sort_tokens(uffb_trainer *t, int64_t tokens, const int32_t *keys, int64_t ldk, int64_t limit) {
    int32_t *from = NULL, *to = t->sort, *other = t->sort + tokens;
    for (int shift = 0; shift == 0 || limit >> shift > 0; shift += DIGIT_BITS) {
        sort_digit(tokens, keys, ldk, shift, from, to);
        from = to;
        to = other;
        other = from;
    }
    return from;
}

typedef struct {
    uffb_trainer *trainer;
    const uffb_segment *segments;
    const int64_t *first; /* segments of each task */
    const int32_t *order;
    int64_t lds, addends, col_blocks;
    const uffb_addend *addend;
} adding;

static void add_vector(const adding *a, const uffb_addend *add, const uffb_segment *s) {
    uffb_parameter *p = add->parameter;
    float sum = p->filled || p->touched[0] ? p->gradient[s->row] : 0.0f;
    for (int32_t i = s->start; i < s->end; i++) sum += add->scale[a->order[i] * a->lds + s->column];
    p->gradient[s->row] = sum;
}

static void add_columns(const adding *a, const uffb_addend *add, const uffb_segment *s, int64_t block) {
    uffb_parameter *p = add->parameter;
    const int64_t width = p->info.cols, col = block * TASK_COLS, cols = width - col < TASK_COLS ? width - col : TASK_COLS;
    a->trainer->ops->combine(s->end - s->start, a->order + s->start, add->scale + s->column, a->lds, add->x + col, add->ldx,
                             cols, p->gradient + s->row * width + col, p->filled || p->touched[s->row]);
}

static void add_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const adding *a = arg;
    const int64_t group = task / a->col_blocks, block = task % a->col_blocks;
    for (int64_t i = a->first[group]; i < a->first[group + 1]; i++) {
        for (int64_t j = 0; j < a->addends; j++) {
            const uffb_addend *add = &a->addend[j];
            if (!uffb_trains(add->parameter)) continue;
            if (add->x) {
                add_columns(a, add, &a->segments[i], block);
            } else if (block == 0) {
                add_vector(a, add, &a->segments[i]);
            }
        }
    }
}

/* Vectors are whole: what lies in one before its first row is added is cleared. */
static void begin_vector(const uffb_addend *add) {
    uffb_parameter *p = add->parameter;
    if (!uffb_trains(p) || add->x || uffb_gradient_accumulates(p)) return;
    memset(p->gradient, 0, (size_t)p->info.cols * sizeof *p->gradient);
}

static void mark_rows(int64_t count, const uffb_segment *segments, const uffb_addend *add) {
    uffb_parameter *p = add->parameter;
    if (!uffb_trains(p) || !add->x || p->filled) return;
    for (int64_t i = 0; i < count; i++) p->touched[segments[i].row] = 1;
}

int32_t uffb_add_segments(uffb_trainer *t, int64_t count, const uffb_segment *segments, const int32_t *order, int64_t lds,
                          int64_t addends, const uffb_addend *addend) {
    int64_t *first = malloc((size_t)(count + 1) * sizeof *first), groups = 0, held = TASK_TOKENS;
    if (!first) return uffb_fail(UFFB_NO_MEMORY, "no memory to add rows up");
    for (int64_t i = 0; i < count; i++) {
        if (held >= TASK_TOKENS) {
            first[groups++] = i;
            held = 0;
        }
        held += segments[i].end - segments[i].start;
    }
    first[groups] = count;
    for (int64_t j = 0; j < addends; j++) begin_vector(&addend[j]);
    adding a = {t, segments, first, order, lds, addends, (t->arch.hidden + TASK_COLS - 1) / TASK_COLS, addend};
    uffb_parallel(t->context->team, groups * a.col_blocks, add_task, &a);
    for (int64_t j = 0; j < addends; j++) mark_rows(count, segments, &addend[j]);
    free(first);
    return UFFB_OK;
}

uffb_segment *uffb_segment_room(uffb_trainer *t, int64_t count) {
    if (count > t->segment_size) {
        free(t->segment);
        t->segment = malloc((size_t)count * sizeof *t->segment);
        t->segment_size = t->segment ? count : 0;
    }
    return t->segment;
}

int32_t uffb_scatter(uffb_trainer *t, int64_t tokens, const int32_t *keys, int64_t limit, int32_t skipped,
                     const uffb_addend *addend) {
    const int32_t *order = uffb_sort_tokens(t, tokens, keys, 1, limit);
    uffb_segment *segments = uffb_segment_room(t, tokens);
    if (!segments) return uffb_fail(UFFB_NO_MEMORY, "no memory to add rows up");
    int64_t count = 0;
    for (int64_t i = 0; i < tokens; i++) {
        const int32_t key = keys[order[i]];
        if (key == skipped) continue;
        if (count == 0 || segments[count - 1].row != key) segments[count++] = (uffb_segment){key, (int32_t)i, (int32_t)i, 0};
        segments[count - 1].end++;
    }
    return uffb_add_segments(t, count, segments, order, 0, 1, addend);
}

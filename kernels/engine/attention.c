/* Attention within each sequence: softmax(q k^T * scale) v per head. A task is one head of one sequence. */
#include "context.h"

#include <math.h>
#include <string.h>

/* Query rows whose scores are held at once: two register tiles, so that scores and keys share L1. */
#define QUERY_ROWS 28

static int64_t panels_of(int64_t n) { return (n + UFFB_PANEL - 1) / UFFB_PANEL * UFFB_PANEL; }

int64_t uffb_attention_scratch(const uffb_arch *a, int64_t longest) {
    const int64_t head = a->head_size;
    return panels_of(longest) * head + panels_of(head) * longest + QUERY_ROWS * panels_of(longest);
}

typedef struct {
    uffb_context *context;
    const uffb_layer *layer;
    float *qkv; /* rotary positions turn its queries and keys in place */
    float *attended;
    float scale;
    int64_t width;                /* of a row of `attended` */
    int64_t head_step, part_step; /* in a row of qkv: from a head to the next, and from its q to its k and from that to its v */
} attention;

/* The keys that a block of query rows looks at: `first` is whole panels, `last` is not among them. */
typedef struct {
    int64_t first, last;
} span;

/* Turns each pair (x[i], x[i + size/2]) of a row by the angles of its position (arXiv 2104.09864, equation 34). */
static void rotate(int64_t rows, int64_t size, const float *table, float *x, int64_t ldx) {
    const int64_t half = size / 2;
    for (int64_t r = 0; r < rows; r++, x += ldx, table += size) {
        const float *cosine = table, *sine = table + half;
        float *low = x, *high = x + half;
        for (int64_t i = 0; i < half; i++) {
            const float a = low[i], b = high[i];
            low[i] = a * cosine[i] - b * sine[i];
            high[i] = b * cosine[i] + a * sine[i];
        }
    }
}

static void add_distances(const uffb_model *m, int64_t head, int64_t row, int64_t rows, int64_t length, float *scores,
                          int64_t lds) {
    const float *table = m->distances + head * (2 * m->arch.max_length - 1) + m->arch.max_length - 1;
    for (int64_t r = 0; r < rows; r++) {
        const float *bias = table - (row + r);
        for (int64_t i = 0; i < length; i++) scores[r * lds + i] += bias[i];
    }
}

static span keys_of(int64_t row, int64_t rows, int64_t length, int64_t window) {
    const int64_t first = row > window ? (row - window) / UFFB_PANEL * UFFB_PANEL : 0, last = row + rows + window;
    return (span){first, last < length ? last : length};
}

/* Softmax over each row's own window; what lies outside of it gets no share. */
static void softmax_within(const attention *t, int64_t row, int64_t rows, span keys, float *scores, int64_t lds) {
    const int64_t window = t->layer->window;
    for (int64_t r = 0; r < rows; r++, scores += lds) {
        const int64_t query = row + r, begin = query - window > keys.first ? query - window : keys.first;
        const int64_t end = query + window + 1 < keys.last ? query + window + 1 : keys.last;
        memset(scores, 0, (size_t)(begin - keys.first) * sizeof *scores);
        t->context->ops->softmax(1, end - begin, t->scale, scores + begin - keys.first, lds);
        memset(scores + end - keys.first, 0, (size_t)(keys.last - end) * sizeof *scores);
    }
}

/* out = scores * values, for keys that are a part of all: panel by panel, since their rows of a panel lie together. */
static void weigh_within(const attention *t, int64_t rows, span keys, int64_t length, int64_t size, const float *scores,
                         int64_t lds, const float *values, float *out, int64_t ldo) {
    for (int64_t col = 0; col < size; col += UFFB_PANEL) {
        const int64_t cols = size - col < UFFB_PANEL ? size - col : UFFB_PANEL;
        t->context->ops->gemm(rows, cols, keys.last - keys.first, scores, lds, values + col * length + keys.first * UFFB_PANEL,
                              NULL, out + col, ldo, 0, NULL);
    }
}

static void attend_task(void *arg, int64_t task, int32_t thread) {
    const attention *t = arg;
    uffb_context *c = t->context;
    const uffb_ops *ops = c->ops;
    const uffb_model *m = c->model;
    const int64_t heads = t->layer->heads, width = t->width, size = m->arch.head_size;
    const int64_t start = c->offsets[task / heads], length = c->offsets[task / heads + 1] - start, head = task % heads;
    float *q = t->qkv + start * 3 * width + head * t->head_step, *k = q + t->part_step, *v = k + t->part_step;
    float *out = t->attended + start * width + head * size;

    float *keys = c->scratch + thread * c->scratch_size; /* [length/16][size][16] */
    float *values = keys + panels_of(length) * size;     /* [size/16][length][16] */
    float *scores = values + panels_of(size) * length;   /* [QUERY_ROWS, lds] */
    const int64_t lds = panels_of(length);
    if (t->layer->rotary) {
        rotate(length, size, t->layer->rotary, q, 3 * width);
        rotate(length, size, t->layer->rotary, k, 3 * width);
    }
    ops->pack(length, size, k, 3 * width, 0, keys);
    ops->pack(size, length, v, 3 * width, 1, values);

    const int windowed = t->layer->window && t->layer->window < length - 1;
    const int64_t blocks = (length + QUERY_ROWS - 1) / QUERY_ROWS;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t row = length * b / blocks, rows = length * (b + 1) / blocks - row;
        const float *queries = q + row * 3 * width;
        float *result = out + row * width;
        if (windowed) {
            const span s = keys_of(row, rows, length, t->layer->window);
            ops->gemm(rows, s.last - s.first, size, queries, 3 * width, keys + s.first * size, NULL, scores, lds, 0, NULL);
            softmax_within(t, row, rows, s, scores, lds);
            weigh_within(t, rows, s, length, size, scores, lds, values, result, width);
            continue;
        }
        ops->gemm(rows, length, size, queries, 3 * width, keys, NULL, scores, lds, 0, NULL);
        if (m->distances) add_distances(m, head, row, rows, length, scores, lds);
        ops->softmax(rows, length, t->scale, scores, lds);
        ops->gemm(rows, size, length, scores, lds, values, NULL, result, width, 0, NULL);
    }
}

static attention attention_of(uffb_context *context, const uffb_layer *layer, float *qkv, float *attended) {
    const uffb_arch *a = &context->model->arch;
    const int64_t size = a->head_size, width = layer->heads * size;
    const int by_head = a->qkv_order == UFFB_QKV_BY_HEAD;
    return (attention){context,
                       layer,
                       qkv,
                       attended,
                       layer->scale ? *layer->scale : 1.0f / sqrtf((float)size),
                       width,
                       by_head ? 3 * size : size,
                       by_head ? size : width};
}

void uffb_attend(uffb_context *context, const uffb_layer *layer, float *qkv, float *attended) {
    attention t = attention_of(context, layer, qkv, attended);
    uffb_parallel(context->team, context->sequences * layer->heads, attend_task, &t);
}

void uffb_tap_qk(uffb_context *context, const uffb_layer *layer, float *qkv, float *tap) {
    const attention t = attention_of(context, layer, qkv, NULL);
    const int64_t size = context->model->arch.head_size;
    for (int64_t token = 0; token < context->tokens; token++) {
        for (int64_t head = 0; head < layer->heads; head++, tap += 2 * size) {
            const float *q = qkv + token * 3 * t.width + head * t.head_step;
            for (int64_t i = 0; i < size; i++) tap[i] = t.scale * q[i];
            memcpy(tap + size, q + t.part_step, (size_t)size * sizeof *tap);
        }
    }
}

/* Attention within each sequence: softmax(q k^T * scale) v per head. A task is one head of one sequence. */
#include "context.h"

#include <math.h>
#include <stddef.h>

/* Query rows whose scores are held at once: two register tiles, so that scores and keys share L1. */
#define QUERY_ROWS 28

static int64_t panels_of(int64_t n) { return (n + UFFB_PANEL - 1) / UFFB_PANEL * UFFB_PANEL; }

int64_t uffb_attention_scratch(const uffb_arch *a, int64_t longest) {
    const int64_t head = a->hidden / a->heads;
    return panels_of(longest) * head + panels_of(head) * longest + QUERY_ROWS * panels_of(longest);
}

typedef struct {
    uffb_context *context;
    const float *qkv;
    float *attended;
    float scale;
} attention;

static void attend_task(void *arg, int64_t task, int32_t thread) {
    const attention *t = arg;
    uffb_context *c = t->context;
    const uffb_ops *ops = c->ops;
    const int64_t heads = c->model->arch.heads, hidden = c->model->arch.hidden, size = hidden / heads;
    const int64_t start = c->offsets[task / heads], length = c->offsets[task / heads + 1] - start, head = task % heads;
    const float *q = t->qkv + start * 3 * hidden + head * 3 * size, *k = q + size, *v = q + 2 * size;
    float *out = t->attended + start * hidden + head * size;

    float *keys = c->scratch + thread * c->scratch_size; /* [length/16][size][16] */
    float *values = keys + panels_of(length) * size;     /* [size/16][length][16] */
    float *scores = values + panels_of(size) * length;   /* [QUERY_ROWS, lds] */
    const int64_t lds = panels_of(length);
    ops->pack(length, size, k, 3 * hidden, 0, keys);
    ops->pack(size, length, v, 3 * hidden, 1, values);

    const int64_t blocks = (length + QUERY_ROWS - 1) / QUERY_ROWS;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t row = length * b / blocks, rows = length * (b + 1) / blocks - row;
        ops->gemm(rows, length, size, q + row * 3 * hidden, 3 * hidden, keys, NULL, scores, lds, 0);
        ops->softmax(rows, length, t->scale, scores, lds);
        ops->gemm(rows, size, length, scores, lds, values, NULL, out + row * hidden, hidden, 0);
    }
}

void uffb_attend(uffb_context *context, const uffb_layer *layer, const float *qkv, float *attended) {
    const uffb_arch *a = &context->model->arch;
    const float scale = layer->scale ? *layer->scale : 1.0f / sqrtf((float)(a->hidden / a->heads));
    attention t = {context, qkv, attended, scale};
    uffb_parallel(context->team, context->sequences * a->heads, attend_task, &t);
}

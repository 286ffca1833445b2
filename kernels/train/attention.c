/* Attention within each sequence, forward with dropout or a causal mask, and backward. A task is one head of one sequence, as
 * in the engine. Backward, probabilities are those that the forward pass kept, as far as there is room for them, or computed
 * again from q and k; all else is GEMMs over blocks of queries:
 *
 *     dP = dO V^T    dS = scale P (dP - rowsum(P dP))    dV = P^T dO    dQ = dS K    dK = dS^T Q
 *
 * A guide of attention has another model's q and k of as many heads. Of its probabilities G the loss is the divergence
 * sum(G log(G / P)), without dropout, whose gradient is plain: dS += weight scale (P - G). */
#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Scores that a block of queries holds at most: they and their gradients share L2. */
#define BLOCK_SCORES (128 * 128)
/* Probabilities of a query that there is room to keep, for each number of a head: as much as its k and v take. */
#define MOST_KEPT 2
/* Queries of a block of the forward pass: two register tiles, so that scores and keys share L1. */
#define QUERY_ROWS 28

static int64_t padded(int64_t n) { return (n + UFFB_PANEL - 1) / UFFB_PANEL * UFFB_PANEL; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Queries of a block, no more than can be kept; a function of the sequence's length and of the head alone. */
static int64_t block_rows(int64_t length, int64_t size) {
    const int64_t rows = smaller(BLOCK_SCORES, MOST_KEPT * size * length) / padded(length);
    return rows < 1 ? 1 : smaller(rows, length);
}

int64_t uffb_kept_keys(const uffb_arch *a, int64_t longest) { return smaller(padded(longest), MOST_KEPT * a->head_size); }

/* The forward pass, with k, v and one block, takes less: panels are no narrower than half of its blocks. */
int64_t uffb_attend_back_scratch(const uffb_arch *a, int64_t longest) {
    const int64_t size = a->head_size, long_panels = padded(longest);
    const int64_t keys = 2 * long_panels * size + padded(size) * longest; /* of k and v, and of k transposed */
    const int64_t most = BLOCK_SCORES > long_panels ? BLOCK_SCORES : long_panels;
    return keys + 3 * (most + UFFB_PANEL) + 2 * padded(size) * longest;
}

typedef struct {
    uffb_trainer *trainer;
    const uffb_train_call *call;
    uint32_t stream;
    float scale;
    int64_t heads, width; /* of the layer; floats of a row of `attended` */
    const float *qkv, *dattended;
    float *attended, *dqkv;
    float *shares;           /* where the layer keeps probabilities, or NULL */
    const uffb_guide *guide; /* NULL for none */
    float pull;              /* what P - G counts for in the gradient of scores */
    double *divergence;      /* [tasks] */
} attention;

/* One head of one sequence. */
typedef struct {
    int64_t start, length, head, size, ld; /* ld: floats from a token's q to the next one's */
    const float *q, *k, *v;
} head_view;

static head_view view_of(const attention *t, int64_t task) {
    const uffb_arch *a = &t->trainer->arch;
    const int64_t size = a->head_size, head = task % t->heads, *offsets = t->call->offsets + task / t->heads;
    head_view v = {offsets[0], offsets[1] - offsets[0], head, size, 3 * t->width, NULL, NULL, NULL};
    v.q = t->qkv + v.start * v.ld + head * 3 * size;
    v.k = v.q + size;
    v.v = v.k + size;
    return v;
}

/* Where the probabilities of that head are kept, [length, padded(length)]; and of how many queries, in whole blocks. */
static float *shares_of(const attention *t, const head_view *v, int64_t *queries) {
    const int64_t keys = t->trainer->kept_keys, room = v->length * keys / padded(v->length);
    const int64_t step = block_rows(v->length, v->size);
    *queries = !t->shares ? 0 : room < v->length ? room / step * step : v->length;
    return *queries ? t->shares + (v->start * t->heads + v->head * v->length) * keys : NULL;
}

/* The same head of the guide, whose q has its factor. */
static head_view guide_of(const attention *t, const head_view *own) {
    const int64_t size = t->guide->width / (2 * t->heads), ld = t->guide->width;
    const float *q = t->guide->states + own->start * ld + own->head * 2 * size;
    return (head_view){own->start, own->length, own->head, size, ld, q, q + size, NULL};
}

/* s [rows, lds] = q k^T of queries `row` and after. */
static void scores(const attention *t, const head_view *v, const float *keys, int64_t row, int64_t rows, float *s,
                   int64_t lds) {
    t->trainer->ops->gemm(rows, v->length, v->size, v->q + row * v->ld, v->ld, keys, NULL, s, lds, 0, NULL);
}

/* Keys that a query attends to. */
static int64_t seen_by(const attention *t, int64_t query, int64_t length) { return t->call->step->causal ? query + 1 : length; }

/* p [rows, lds] = softmax(q k^T scale) of queries `row` and after. */
static void probabilities(const attention *t, const head_view *v, float scale, const float *keys, int64_t row, int64_t rows,
                          float *p, int64_t lds) {
    const uffb_ops *ops = t->trainer->ops;
    scores(t, v, keys, row, rows, p, lds);
    if (!t->call->step->causal) {
        ops->softmax(rows, v->length, scale, p, lds);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t seen = seen_by(t, row + r, v->length);
        ops->softmax(1, seen, scale, p + r * lds, lds);
        memset(p + r * lds + seen, 0, (size_t)(v->length - seen) * sizeof *p);
    }
}

static int drops(const attention *t) { return t->call->step->attention_dropout > 0; }

/* The mask of those probabilities, on them or on their gradient. */
static void drop(const attention *t, const head_view *v, int64_t row, int64_t rows, float *p, int64_t lds) {
    const double rate = t->call->step->attention_dropout;
    if (!drops(t)) return;
    const uffb_arch *a = &t->trainer->arch;
    uffb_random random = uffb_drop_stream(t->call->step, t->stream);
    for (int64_t r = 0; r < rows; r++) {
        random.block = (uint64_t)((v->start + row + r) * a->heads + v->head) * (uint64_t)((a->max_length + 3) / 4);
        t->trainer->ops->dropout(1, v->length, (float)rate, &random, p + r * lds, lds);
    }
}

static void attend_task(void *arg, int64_t task, int32_t thread) {
    const attention *t = arg;
    uffb_trainer *trainer = t->trainer;
    const uffb_ops *ops = trainer->ops;
    const head_view v = view_of(t, task);
    const int64_t lds = padded(v.length), h = t->width;
    float *keys = trainer->scratch + thread * trainer->thread_scratch; /* [length/16][size][16] */
    float *values = keys + lds * v.size;                               /* [size/16][length][16] */
    float *block = values + padded(v.size) * v.length;                 /* [QUERY_ROWS, lds] */
    int64_t kept, rows;
    float *shares = shares_of(t, &v, &kept);
    ops->pack(v.length, v.size, v.k, v.ld, 0, keys);
    ops->pack(v.size, v.length, v.v, v.ld, 1, values);
    for (int64_t row = 0; row < v.length; row += rows) {
        rows = smaller(QUERY_ROWS, (row < kept ? kept : v.length) - row);
        float *p = row < kept ? shares + row * lds : block;
        probabilities(t, &v, t->scale, keys, row, rows, p, lds);
        if (drops(t) && p != block) p = memcpy(block, p, (size_t)(rows * lds) * sizeof *p);
        drop(t, &v, row, rows, p, lds);
        ops->gemm(rows, v.size, v.length, p, lds, values, NULL, t->attended + (v.start + row) * h + v.head * v.size, h, 0,
                  NULL);
    }
}

static attention attention_of(uffb_trainer *t, const uffb_train_call *call, int64_t l) {
    const uffb_layer *layer = &t->model->layers[l];
    return (attention){.trainer = t,
                       .call = call,
                       .stream = uffb_drop_place(l, UFFB_DROP_ATTENTION),
                       .scale = layer->scale ? *layer->scale : 1.0f / sqrtf((float)t->arch.head_size),
                       .heads = layer->heads,
                       .width = layer->out.cols,
                       .qkv = t->layers[l].qkv_rows,
                       .shares = t->layers[l].shares};
}

void uffb_train_attend(uffb_trainer *t, const uffb_train_call *call, int64_t l) {
    attention a = attention_of(t, call, l);
    a.attended = t->layers[l].attended;
    if (!t->learning || l < t->lowest) a.shares = NULL;
    uffb_parallel(t->context->team, call->step->sequences * a.heads, attend_task, &a);
}

int64_t uffb_guided_attention_scratch(int64_t head_size, int64_t longest) { return padded(longest) * head_size; }

/* ds += pull (P - G), of which `p` is P; `others` is scratch for G. */
static void pull_scores(const attention *t, const head_view *guide, const float *keys, int64_t row, int64_t rows,
                        const float *p, float *others, float *ds, int64_t lds) {
    const uffb_ops *ops = t->trainer->ops;
    probabilities(t, guide, 1, keys, row, rows, others, lds);
    for (int64_t r = 0; r < rows; r++) {
        ops->axpy(guide->length, t->pull, p + r * lds, ds + r * lds);
        ops->axpy(guide->length, -t->pull, others + r * lds, ds + r * lds);
    }
}

static void back_task(void *arg, int64_t task, int32_t thread) {
    const attention *t = arg;
    uffb_trainer *trainer = t->trainer;
    const uffb_ops *ops = trainer->ops;
    const head_view v = view_of(t, task);
    const int64_t lds = padded(v.length), h = t->width, size = v.size, step = block_rows(v.length, size);
    const float *out = t->dattended + v.start * h + v.head * size;
    float *dq = t->dqkv + (v.q - t->qkv), *dk = dq + size, *dv = dk + size;

    float *keys = trainer->scratch + thread * trainer->thread_scratch; /* [length/16][size][16] */
    float *values = keys + lds * size;                                 /* the same of v */
    float *turned = values + lds * size;                               /* k transposed: [size/16][length][16] */
    float *again = turned + padded(size) * v.length, *dp = again + step * lds, *dropped = dp + step * lds;
    float *queries = dropped + step * lds, *outs = queries + padded(size) * step; /* [size/16][rows][16] */
    float *others = outs + padded(size) * step;                                   /* keys of the guide */
    int64_t kept;
    float *shares = shares_of(t, &v, &kept);
    if (kept < v.length) ops->pack(v.length, size, v.k, v.ld, 0, keys);
    ops->pack(v.length, size, v.v, v.ld, 0, values);
    ops->pack(size, v.length, v.k, v.ld, 1, turned);
    const head_view guide = t->guide ? guide_of(t, &v) : v;
    if (t->guide) ops->pack(v.length, guide.size, guide.k, guide.ld, 0, others);
    for (int64_t row = 0; row < v.length; row += step) {
        const int64_t rows = smaller(step, v.length - row);
        float *p = row < kept ? shares + row * lds : again;
        if (p == again) probabilities(t, &v, t->scale, keys, row, rows, p, lds);
        ops->gemm(rows, v.length, size, out + row * h, h, values, NULL, dp, lds, 0, NULL);
        drop(t, &v, row, rows, dp, lds);
        ops->softmax_back(rows, v.length, t->scale, p, lds, dp, lds); /* before `outer`, which takes rows out of order */
        const float *used = p;
        if (drops(t)) {
            used = memcpy(dropped, p, (size_t)(rows * lds) * sizeof *p);
            drop(t, &v, row, rows, dropped, lds);
        }
        ops->pack(size, rows, out + row * h, h, 1, outs);
        ops->outer(v.length, size, rows, used, lds, outs, dv, v.ld, row > 0);
        if (t->guide) pull_scores(t, &guide, others, row, rows, p, dropped, dp, lds);
        ops->gemm(rows, size, v.length, dp, lds, turned, NULL, dq + row * v.ld, v.ld, 0, NULL);
        ops->pack(size, rows, v.q + row * v.ld, v.ld, 1, queries);
        ops->outer(v.length, size, rows, dp, lds, queries, dk, v.ld, row > 0);
    }
}

void uffb_attend_back(uffb_trainer *t, const uffb_train_call *call, int64_t l, const float *dattended, float *dqkv) {
    attention a = attention_of(t, call, l);
    a.dattended = dattended;
    a.dqkv = dqkv;
    a.guide = uffb_guide_at(t, UFFB_TAP_QK, l);
    if (a.guide) a.pull = (float)(uffb_guide_share(t, a.guide) * (double)a.scale);
    uffb_parallel(t->context->team, call->step->sequences * a.heads, back_task, &a);
}

/* Sum of G log(G / P) of a row, from both models' scores; `g` and `p` are scratch. Beside equal scores it is exactly 0. */
static double row_divergence(const uffb_ops *ops, int64_t seen, const float *guide, const float *own, float *g, float *p) {
    float top;
    memcpy(g, guide, (size_t)seen * sizeof *g);
    memcpy(p, own, (size_t)seen * sizeof *p);
    const double apart = ops->log_sum(seen, 1, g, &top) - ops->log_sum(seen, 1, p, &top);
    double sum = 0;
    for (int64_t i = 0; i < seen; i++) sum += (double)g[i] * ((double)guide[i] - (double)own[i] - apart);
    return sum;
}

static void divergence_task(void *arg, int64_t task, int32_t thread) {
    const attention *t = arg;
    uffb_trainer *trainer = t->trainer;
    const uffb_ops *ops = trainer->ops;
    const head_view v = view_of(t, task), guide = guide_of(t, &v);
    const int64_t lds = padded(v.length), step = block_rows(v.length, v.size);
    float *keys = trainer->scratch + thread * trainer->thread_scratch; /* [length/16][size][16] */
    float *others = keys + lds * v.size;                               /* the same of the guide */
    float *own = others + lds * guide.size, *theirs = own + step * lds, *g = theirs + step * lds, *p = g + lds;
    ops->pack(v.length, v.size, v.k, v.ld, 0, keys);
    ops->pack(v.length, guide.size, guide.k, guide.ld, 0, others);
    double sum = 0;
    for (int64_t row = 0; row < v.length; row += step) {
        const int64_t rows = smaller(step, v.length - row);
        scores(t, &v, keys, row, rows, own, lds);
        scores(t, &guide, others, row, rows, theirs, lds);
        for (int64_t r = 0; r < rows; r++) {
            const int64_t seen = seen_by(t, row + r, v.length);
            float *scaled = own + r * lds;
            for (int64_t i = 0; i < seen; i++) scaled[i] *= t->scale;
            sum += row_divergence(ops, seen, theirs + r * lds, scaled, g, p);
        }
    }
    t->divergence[task] = sum;
}

int32_t uffb_attention_divergence(uffb_trainer *t, const uffb_train_call *call, const uffb_guide *guide, double *sum) {
    attention a = attention_of(t, call, guide->layer);
    const int64_t tasks = call->step->sequences * a.heads;
    a.guide = guide;
    a.divergence = malloc((size_t)tasks * sizeof *a.divergence);
    if (!a.divergence) return uffb_fail(UFFB_NO_MEMORY, "no memory for the divergence of attention");
    uffb_parallel(t->context->team, tasks, divergence_task, &a);
    *sum = 0;
    for (int64_t task = 0; task < tasks; task++) *sum += a.divergence[task];
    free(a.divergence);
    return UFFB_OK;
}

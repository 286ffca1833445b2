/* What is read off the final states: MLM logits at chosen positions, pooled vectors, class logits. */
#include "context.h"

#include <math.h>
#include <string.h>

static int32_t check_head(const uffb_context *c, int32_t head, const char *name) {
    if (!c->final) return uffb_fail(UFFB_INVALID, "%s: nothing was encoded yet", name);
    if (head && !c->model->ready) return uffb_check_ready(c, name);
    if (head && !(c->model->arch.heads_present & head)) return uffb_fail(UFFB_INVALID, "%s: the model has no such head", name);
    return UFFB_OK;
}

static int32_t check_positions(const uffb_context *c, int64_t count, const int64_t *positions, const char *name) {
    int32_t status = check_head(c, UFFB_HEAD_MLM, name);
    if (status) return status;
    if (count < 0 || (count && !positions)) return uffb_fail(UFFB_INVALID, "%s: no positions", name);
    for (int64_t i = 0; i < count; i++) {
        if (positions[i] < 0 || positions[i] >= c->tokens) {
            return uffb_fail(UFFB_INVALID, "%s: position %lld of a batch of %lld tokens", name, (long long)positions[i],
                             (long long)c->tokens);
        }
    }
    return UFFB_OK;
}

/* What a head that has read the model's weights returns. */
static int32_t finish(uffb_context *c) {
    const int32_t status = uffb_check_lost(c->model->lost_before);
    return status ? uffb_context_fail(c, status) : UFFB_OK;
}

/* --- masked language modelling -------------------------------------------------------------------------------------------- */

/* Columns of the scratch that the head needs for its states. */
static int64_t head_width(const uffb_model *m) { return m->embed_width > m->arch.hidden ? m->embed_width : m->arch.hidden; }

/* logits [count, vocab]; states is scratch of [2 * count, head_width]. */
static void decode(uffb_context *c, int64_t count, const int64_t *positions, float *states, float *logits) {
    const uffb_model *m = c->model;
    const int64_t h = m->arch.hidden;
    for (int64_t i = 0; i < count; i++) memcpy(states + i * h, c->final + positions[i] * h, (size_t)h * sizeof *states);
    if (m->arch.mlm_transform) {
        float *dense = states + count * head_width(m);
        uffb_project(c, count, &m->mlm_dense, states, h, dense, m->embed_width, 0);
        uffb_activate_all(c, m->arch.activation, count, m->embed_width, dense, m->embed_width);
        uffb_normalise(c, count, m->embed_width, &m->mlm_norm, dense, states);
    }
    uffb_project(c, count, &m->decoder, states, m->embed_width, logits, m->arch.vocab, 0);
    uffb_rescore(c, count, states, logits);
}

int32_t uffb_mlm_logits(uffb_context *c, int64_t count, const int64_t *positions, float *logits) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_mlm_logits: no context");
    int32_t status = check_positions(c, count, positions, "uffb_mlm_logits");
    if (!status && count && !logits) status = uffb_fail(UFFB_INVALID, "uffb_mlm_logits: nowhere to put the logits");
    if (status) return uffb_context_fail(c, status);
    const int64_t rows = count < UFFB_HEAD_ROWS ? count : UFFB_HEAD_ROWS;
    float *states = uffb_head_scratch(c, 2 * rows * head_width(c->model) + 1);
    if (!states) return uffb_context_fail(c, uffb_fail(UFFB_NO_MEMORY, "no memory for the MLM head"));
    for (int64_t i = 0; i < count; i += UFFB_HEAD_ROWS) {
        if ((status = uffb_check_cancel(c))) break;
        decode(c, count - i < UFFB_HEAD_ROWS ? count - i : UFFB_HEAD_ROWS, positions + i, states,
               logits + i * c->model->arch.vocab);
    }
    return status ? status : finish(c);
}

typedef struct {
    uffb_context *context;
    int64_t k;
    float *logits; /* [rows, vocab] */
    int32_t *ids;
    float *probabilities;
} selection;

/* The k largest logits of a row, best first; an equal one keeps its place behind the smaller id. */
static void select_task(void *arg, int64_t row, int32_t thread) {
    (void)thread;
    const selection *s = arg;
    const int64_t vocab = s->context->model->arch.vocab, k = s->k;
    float *logits = s->logits + row * vocab;
    int32_t *ids = s->ids + row * k;
    int64_t found = 0;
    for (int64_t id = 0; id < vocab; id++) {
        if (found == k && !(logits[id] > logits[ids[k - 1]])) continue;
        int64_t at = found < k ? found++ : k - 1;
        for (; at > 0 && logits[id] > logits[ids[at - 1]]; at--) ids[at] = ids[at - 1];
        ids[at] = (int32_t)id;
    }
    s->context->ops->softmax(1, vocab, 1.0f, logits, vocab);
    for (int64_t i = 0; i < k; i++) s->probabilities[row * k + i] = logits[ids[i]];
}

int32_t uffb_mlm_top_k(uffb_context *c, int64_t count, const int64_t *positions, int64_t k, int32_t *ids,
                       float *probabilities) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_mlm_top_k: no context");
    int32_t status = check_positions(c, count, positions, "uffb_mlm_top_k");
    const int64_t vocab = c->model->arch.vocab, h = head_width(c->model);
    if (!status && (k < 1 || k > vocab)) {
        status = uffb_fail(UFFB_INVALID, "uffb_mlm_top_k: k is %lld, but must be 1 to %lld", (long long)k, (long long)vocab);
    }
    if (!status && count && (!ids || !probabilities))
        status = uffb_fail(UFFB_INVALID, "uffb_mlm_top_k: nowhere to put the tokens");
    if (status) return uffb_context_fail(c, status);
    const int64_t rows = count < UFFB_HEAD_ROWS ? count : UFFB_HEAD_ROWS;
    float *states = uffb_head_scratch(c, rows * (2 * h + vocab) + 1);
    if (!states) return uffb_context_fail(c, uffb_fail(UFFB_NO_MEMORY, "no memory for the MLM head"));
    float *logits = states + 2 * rows * h;
    for (int64_t i = 0; i < count; i += UFFB_HEAD_ROWS) {
        if ((status = uffb_check_cancel(c))) break;
        const int64_t n = count - i < UFFB_HEAD_ROWS ? count - i : UFFB_HEAD_ROWS;
        decode(c, n, positions + i, states, logits);
        selection s = {c, k, logits, ids + i * k, probabilities + i * k};
        uffb_parallel(c->team, n, select_task, &s);
    }
    return status ? status : finish(c);
}

/* --- one vector a sequence ------------------------------------------------------------------------------------------------ */

/* The sum of the rows, over `divisor`. */
static void pool_sum(int64_t n, int64_t h, float divisor, const float *x, float *out) {
    memset(out, 0, (size_t)h * sizeof *out);
    for (int64_t t = 0; t < n; t++) {
        for (int64_t i = 0; i < h; i++) out[i] += x[t * h + i];
    }
    for (int64_t i = 0; i < h; i++) out[i] /= divisor;
}

static void pool_max(int64_t n, int64_t h, const float *x, float *out) {
    memcpy(out, x, (size_t)h * sizeof *out);
    for (int64_t t = 1; t < n; t++) {
        for (int64_t i = 0; i < h; i++) {
            const float value = x[t * h + i];
            out[i] = value > out[i] || value != value ? value : out[i]; /* NaN if one is, wherever it comes */
        }
    }
}

static void pool_lse(int64_t n, int64_t h, const float *x, float *out) {
    pool_max(n, h, x, out);
    for (int64_t i = 0; i < h; i++) {
        float sum = 0;
        for (int64_t t = 0; t < n; t++) sum += expf(x[t * h + i] - out[i]);
        out[i] += logf(sum);
    }
}

/* The weight of row t is `first` + t. */
static void pool_weighted(int64_t n, int64_t h, int64_t first, const float *x, float *out) {
    float sum = 0;
    memset(out, 0, (size_t)h * sizeof *out);
    for (int64_t t = 0; t < n; t++) {
        const float weight = (float)(first + t);
        sum += weight;
        for (int64_t i = 0; i < h; i++) out[i] += weight * x[t * h + i];
    }
    for (int64_t i = 0; i < h; i++) out[i] /= sum;
}

static void pool(const uffb_context *c, int32_t pooling, int64_t skip, float *vectors) {
    const int64_t h = c->model->arch.hidden;
    for (int64_t s = 0; s < c->sequences; s++, vectors += h) {
        const int64_t n = c->offsets[s + 1] - c->offsets[s] - skip;
        if (n <= 0) {
            memset(vectors, 0, (size_t)h * sizeof *vectors);
            continue;
        }
        const float *x = c->final + (c->offsets[s] + skip) * h;
        switch (pooling) {
        case UFFB_POOL_FIRST: memcpy(vectors, x, (size_t)h * sizeof *vectors); break;
        case UFFB_POOL_MEAN: pool_sum(n, h, (float)n, x, vectors); break;
        case UFFB_POOL_MAX: pool_max(n, h, x, vectors); break;
        case UFFB_POOL_LSE: pool_lse(n, h, x, vectors); break;
        case UFFB_POOL_LAST: memcpy(vectors, x + (n - 1) * h, (size_t)h * sizeof *vectors); break;
        case UFFB_POOL_MEAN_SQRT: pool_sum(n, h, sqrtf((float)n), x, vectors); break;
        default: pool_weighted(n, h, skip + 1, x, vectors); break;
        }
    }
}

int32_t uffb_pool(uffb_context *c, int32_t pooling, int64_t skip, float *vectors) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_pool: no context");
    int32_t status = check_head(c, 0, "uffb_pool");
    if (!status && (pooling < UFFB_POOL_FIRST || pooling > UFFB_POOL_WEIGHTED))
        status = uffb_fail(UFFB_INVALID, "no pooling %d", pooling);
    if (!status && skip < 0) status = uffb_fail(UFFB_INVALID, "uffb_pool: %lld tokens cannot be left out", (long long)skip);
    if (!status && !vectors) status = uffb_fail(UFFB_INVALID, "uffb_pool: nowhere to put the vectors");
    if (status) return uffb_context_fail(c, status);
    pool(c, pooling, skip, vectors);
    return UFFB_OK;
}

int32_t uffb_classify(uffb_context *c, float *logits) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_classify: no context");
    int32_t status = check_head(c, UFFB_HEAD_CLASS, "uffb_classify");
    if (!status && !logits) status = uffb_fail(UFFB_INVALID, "uffb_classify: nowhere to put the logits");
    if (status) return uffb_context_fail(c, status);
    const uffb_model *m = c->model;
    const int64_t n = c->sequences, h = m->arch.hidden, width = m->classes.cols;
    float *vectors = uffb_head_scratch(c, n * (h + width));
    if (!vectors) return uffb_context_fail(c, uffb_fail(UFFB_NO_MEMORY, "no memory for the classification head"));
    pool(c, m->arch.pooling, 0, vectors);
    float *pooled = vectors;
    if (m->arch.pool_width) {
        pooled = vectors + n * h;
        uffb_project(c, n, &m->pool_dense, vectors, h, pooled, width, 0);
    }
    uffb_activate_all(c, m->arch.pool_activation, n, width, pooled, width);
    if (m->arch.pool_norm) uffb_normalise(c, n, width, &m->pool_norm, pooled, pooled);
    uffb_project(c, n, &m->classes, pooled, width, logits, m->arch.labels, 0);
    return finish(c);
}

int32_t uffb_classify_tokens(uffb_context *c, float *logits) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_classify_tokens: no context");
    int32_t status = check_head(c, UFFB_HEAD_TOKENS, "uffb_classify_tokens");
    if (!status && !logits) status = uffb_fail(UFFB_INVALID, "uffb_classify_tokens: nowhere to put the logits");
    if (status) return uffb_context_fail(c, status);
    const uffb_arch *a = &c->model->arch;
    uffb_project(c, c->tokens, &c->model->token_classes, c->final, a->hidden, logits, a->labels, 0);
    return finish(c);
}

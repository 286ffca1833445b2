/* The encoder and its heads as the papers state them, one token at a time, in double precision. The
 * feedforward trees are walked along the paths that the engine took; each of its branches must be right
 * unless the logit is too near 0 to tell. */
#include "engine_test.h"
#include "activations.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest error of a tensor, relative to its largest element, after a whole encoder in f32. */
#define TOLERANCE 1e-5

static double *doubles(int64_t count) {
    double *data = calloc((size_t)count, sizeof *data);
    if (!data) abort();
    return data;
}

/* y [rows] = w [rows, cols] x + b */
static void linear(int64_t rows, int64_t cols, const float *w, const float *b, const double *x, double *y) {
    for (int64_t r = 0; r < rows; r++) {
        y[r] = b ? b[r] : 0;
        for (int64_t c = 0; c < cols; c++) y[r] += w[r * cols + c] * x[c];
    }
}

static void norm(const random_model *m, int64_t n, const float *weight, const float *bias, const double *x, double *y) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) {
        y[i] = (x[i] - mean) / sqrt(variance + m->arch.norm_eps) * weight[i] + (bias ? bias[i] : 0);
    }
}

static void check_rows(const output *o, int64_t first, int64_t rows, const double *expected) {
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < rows * o->cols; i++) {
        double error = fabs(output_row(o, first)[i] - expected[i]);
        largest = fmax(largest, fabs(expected[i]));
        worst = error > worst || isnan(error) ? error : worst;
    }
    check(worst <= TOLERANCE * largest, "%s, rows from %lld: off by %g of the largest", o->name, (long long)first,
          worst / largest);
}

static int64_t embed_width(const uffb_arch *arch) { return arch->embed_width ? arch->embed_width : arch->hidden; }

/* Tokens before this one; with an offset, padding does not count, and its own position is the one before the first. */
static int64_t position_of(const random_model *m, const int32_t *ids, int64_t token) {
    const int64_t padding = m->arch.position_offset - 1;
    int64_t position = 0;
    for (int64_t t = 0; t < token; t++) position += padding < 0 || ids[t] != padding;
    return padding >= 0 && ids[token] == padding ? -1 : position;
}

/* x [hidden] */
static void embed(const random_model *m, int64_t position, int32_t id, int32_t type, double *x) {
    const uffb_arch *arch = &m->arch;
    int64_t n = embed_width(arch);
    const float *scale = tensor_of(m, "embed.position.scale"), *learned = tensor_of(m, "embed.position");
    double *e = doubles(n);
    for (int64_t i = 0; i < n; i++) {
        e[i] = tensor_of(m, "embed.word")[id * n + i];
        if (arch->positions == UFFB_LEARNED) {
            e[i] += learned[(position + arch->position_offset) * n + i];
        } else if (arch->positions == UFFB_SINUSOIDAL) {
            double angle = (double)position * exp(-(double)(i / 2 * 2) * log(10000) / (double)n);
            e[i] += (scale ? scale[0] : 1) * (i % 2 ? cos(angle) : sin(angle));
        }
        if (arch->token_types) e[i] += tensor_of(m, "embed.type")[type * n + i];
    }
    if (arch->embed_norm) norm(m, n, tensor_of(m, "embed.norm.weight"), tensor_of(m, "embed.norm.bias"), e, e);
    if (arch->embed_width) {
        linear(arch->hidden, n, tensor_of(m, "embed.project.weight"), tensor_of(m, "embed.project.bias"), e, x);
    } else {
        memcpy(x, e, (size_t)n * sizeof *x);
    }
    free(e);
}

static int is_local(const uffb_arch *arch, int64_t layer) {
    return arch->window && !(arch->global_every && layer % arch->global_every == 0);
}

/* Turns pairs of a head's units, as complex numbers: (x[i] + i x[i + size/2]) e^(i position base^(-2i/size)). */
static void rotate(double base, int64_t position, int64_t size, double *x) {
    for (int64_t i = 0; i < size / 2; i++) {
        const double angle = (double)position * pow(base, -2.0 * (double)i / (double)size);
        const double a = x[i], b = x[i + size / 2];
        x[i] = a * cos(angle) - b * sin(angle);
        x[i + size / 2] = a * sin(angle) + b * cos(angle);
    }
}

/* The bias of a key for a query, as T5 counts distances. */
static double relative_bias(const random_model *m, int64_t head, int64_t query, int64_t key) {
    const int64_t side = m->arch.relative_buckets / 2, exact = side / 2, distance = llabs(key - query);
    int64_t bucket = distance;
    /* Of the distances from `exact` to 128, each next bucket starts (128 / exact)^(1 / (side - exact)) times as far. */
    if (distance >= exact) {
        bucket = exact;
        while (bucket < side - 1 && pow((double)distance / (double)exact, (double)(side - exact)) >=
                                        pow(128.0 / (double)exact, (double)(bucket + 1 - exact)) * (1 - 1e-12))
            bucket++;
    }
    return tensor_of(m, "attn.relative")[(bucket + (key > query ? side : 0)) * m->arch.heads + head];
}

/* q, times the factor of scores, and k of a head, as they were tapped */
static void check_qk(const output *o, int64_t first, int64_t tokens, int64_t head, int64_t size, double factor, const double *q,
                     const double *k, int64_t ld) {
    double largest = 0, worst = 0;
    for (int64_t t = 0; o->rows && t < tokens; t++) {
        const float *row = output_row(o, first + t) + head * 2 * size;
        for (int64_t i = 0; i < 2 * size; i++) {
            const double expected = i < size ? factor * q[t * ld + i] : k[t * ld + i - size], error = fabs(row[i] - expected);
            largest = fmax(largest, fabs(expected));
            worst = error > worst || isnan(error) ? error : worst;
        }
    }
    check(worst <= TOLERANCE * largest, "%s, head %lld: off by %g of the largest", o->name, (long long)head, worst / largest);
}

/* y = Wo attention(x) for the tokens of one sequence */
static void attention(const random_model *m, int64_t layer, int64_t first, int64_t tokens, const run *r, const double *x,
                      double *y) {
    const uffb_arch *a = &m->arch;
    int64_t hidden = a->hidden, size = a->head_size ? a->head_size : hidden / a->heads;
    int64_t heads = a->layer_heads ? a->layer_heads[layer] : a->heads, n = heads * size;
    const float *scale = layer_tensor(m, layer, "attn.scale");
    double factor = scale ? scale[0] : 1 / sqrt((double)size);
    double *qkv = doubles(tokens * 3 * n), *mixed = doubles(tokens * n), *share = doubles(tokens);
    for (int64_t t = 0; t < tokens; t++) {
        linear(3 * n, hidden, layer_tensor(m, layer, "attn.qkv.weight"), layer_tensor(m, layer, "attn.qkv.bias"),
               x + t * hidden, qkv + t * 3 * n);
    }
    const int by_head = m->arch.qkv_order == UFFB_QKV_BY_HEAD, local = is_local(&m->arch, layer);
    for (int64_t h = 0; h < heads; h++) {
        double *q = qkv + (by_head ? h * 3 * size : h * size), *k = q + (by_head ? size : n), *v = k + (k - q);
        for (int64_t t = 0; m->arch.positions == UFFB_ROTARY && t < tokens; t++) {
            rotate(local ? m->arch.rotary_base_local : m->arch.rotary_base, t, size, q + t * 3 * n);
            rotate(local ? m->arch.rotary_base_local : m->arch.rotary_base, t, size, k + t * 3 * n);
        }
        check_qk(run_output(r, LAYER(layer, 3)), first, tokens, h, size, factor, q, k, 3 * n);
        for (int64_t t = 0; t < tokens; t++) {
            double top = -INFINITY, sum = 0;
            for (int64_t s = 0; s < tokens; s++) {
                share[s] = m->arch.relative_buckets ? relative_bias(m, h, t, s) : 0;
                for (int64_t i = 0; i < size; i++) share[s] += q[t * 3 * n + i] * k[s * 3 * n + i] * factor;
                if (local && llabs(s - t) > m->arch.window) share[s] = -INFINITY;
                top = fmax(top, share[s]);
            }
            for (int64_t s = 0; s < tokens; s++) sum += share[s] = exp(share[s] - top);
            for (int64_t s = 0; s < tokens; s++) {
                for (int64_t i = 0; i < size; i++) mixed[t * n + h * size + i] += share[s] / sum * v[s * 3 * n + i];
            }
        }
    }
    for (int64_t t = 0; t < tokens; t++) {
        linear(hidden, n, layer_tensor(m, layer, "attn.out.weight"), layer_tensor(m, layer, "attn.out.bias"), mixed + t * n,
               y + t * hidden);
    }
    free(qkv);
    free(mixed);
    free(share);
}

/* y += the dense layer, if there is one */
static void dense(const random_model *m, int64_t layer, const double *x, double *y) {
    const uffb_arch *arch = &m->arch;
    int64_t n = arch->hidden, first = arch->feedforward == UFFB_FFN_GLU_FIRST;
    int64_t glu = first || arch->feedforward == UFFB_FFN_GLU, half = glu ? arch->width / 2 : arch->width;
    if (!arch->width) return;
    double *h = doubles(arch->width);
    linear(arch->width, n, layer_tensor(m, layer, "ffn.in.weight"), layer_tensor(m, layer, "ffn.in.bias"), x, h);
    for (int64_t i = 0; i < half; i++) {
        const double other = first ? h[half + i] : h[i],
                     activated = exact_activation(arch->activation, h[first || !glu ? i : half + i]);
        h[i] = glu ? other * activated : activated;
    }
    double *out = doubles(n);
    linear(n, half, layer_tensor(m, layer, "ffn.out.weight"), layer_tensor(m, layer, "ffn.out.bias"), h, out);
    for (int64_t i = 0; i < n; i++) y[i] += out[i];
    free(out);
    free(h);
}

/* Whether `fff.out` is stored as one row per node; for shallow trees it is one column per node. */
static int node_major(const random_model *m) {
    for (int64_t i = 0; i < m->count; i++) {
        if (strcmp(m->infos[i].name, "layer.0.fff.out.weight") == 0) return m->infos[i].layout == UFFB_ROWS;
    }
    return 0;
}

/* y, which is 0, becomes what the trees make of one token, along `path`; `logits` are the engine's. Returns the near-ties met.
 */
static int64_t forest(const random_model *m, int64_t layer, const double *x, const int32_t *path, const float *logits,
                      double *y) {
    int64_t n = m->arch.hidden, levels = m->arch.depth + 1, nodes = ((int64_t)2 << m->arch.depth) - 1, ties = 0;
    int64_t row = node_major(m) ? n : 1, step = node_major(m) ? 1 : m->arch.trees * nodes;
    const float *in = layer_tensor(m, layer, "fff.in.weight"), *bias = layer_tensor(m, layer, "fff.in.bias");
    const float *out = layer_tensor(m, layer, "fff.out.weight");
    for (int64_t p = 0, expected = 0; p < m->arch.trees * levels; p++) {
        if (p % levels == 0) expected = 0;
        if (!check(path[p] == expected, "layer %lld, step %lld: node %d, not %lld", (long long)layer, (long long)p, path[p],
                   (long long)expected)) {
            return ties;
        }
        int64_t node = p / levels * nodes + path[p];
        double logit = bias ? bias[node] : 0, magnitude = fabs(logit);
        for (int64_t i = 0; i < n; i++) {
            logit += in[node * n + i] * x[i];
            magnitude += fabs(in[node * n + i] * x[i]);
        }
        double error = fabs(logits[p] - logit), bound = TOLERANCE * magnitude,
               factor = m->arch.tree_output == UFFB_TREES_ACTIVATE ? exact_activation(m->arch.activation, logit) : logit;
        check(error <= bound, "layer %lld, step %lld: logit %g off by %g", (long long)layer, (long long)p, logit, error);
        for (int64_t i = 0; i < n; i++) y[i] += factor * out[node * row + i * step];
        ties += p % levels + 1 < levels && fabs(logit) <= bound;
        expected = 2 * expected + 1 + (logits[p] > 0);
    }
    for (int64_t i = 0; m->arch.tree_output == UFFB_TREES_ACTIVATE_SUM && i < n; i++)
        y[i] = exact_activation(m->arch.activation, y[i]);
    return ties;
}

/* x += f(norm(x)) or x = norm(x + f(x)): adds `y`, the result of f, for one token. */
static void add_residual(const random_model *m, const float *weight, const float *bias, const double *y, double *x) {
    for (int64_t i = 0; i < m->arch.hidden; i++) x[i] += y[i];
    if (m->arch.norm_position == UFFB_POST_NORM) norm(m, m->arch.hidden, weight, bias, x, x);
}

static int64_t run_layer(const random_model *m, int64_t layer, int64_t first, int64_t tokens, const run *r, double *x) {
    const uffb_arch *arch = &m->arch;
    int64_t n = arch->hidden, pre = arch->norm_position == UFFB_PRE_NORM, ties = 0;
    const float *w1 = layer_tensor(m, layer, "norm1.weight"), *b1 = layer_tensor(m, layer, "norm1.bias");
    const float *w2 = layer_tensor(m, layer, "norm2.weight"), *b2 = layer_tensor(m, layer, "norm2.bias");
    double *z = doubles(tokens * n), *y = doubles(tokens * n);
    memcpy(z, x, (size_t)(tokens * n) * sizeof *z);
    for (int64_t t = 0; pre && w1 && t < tokens; t++) norm(m, n, w1, b1, x + t * n, z + t * n);
    attention(m, layer, first, tokens, r, z, y);
    for (int64_t t = 0; t < tokens; t++) {
        add_residual(m, w1, b1, y + t * n, x + t * n);
        if (!arch->width && arch->feedforward != UFFB_FFN_FFF) continue; /* a block ends here */
        memcpy(z, x + t * n, (size_t)n * sizeof *z);
        if (pre) norm(m, n, w2, b2, x + t * n, z);
        memset(y + t * n, 0, (size_t)n * sizeof *y);
        if (arch->feedforward == UFFB_FFN_FFF) {
            const output *paths = run_output(r, LAYER(layer, 1)), *logits = run_output(r, LAYER(layer, 2));
            ties += forest(m, layer, z, (const int32_t *)paths->data + (first + t) * paths->cols, output_row(logits, first + t),
                           y + t * n);
        }
        dense(m, layer, z, y + t * n);
        add_residual(m, w2, b2, y + t * n, x + t * n);
    }
    free(z);
    free(y);
    return ties;
}

/* --- heads, from the final states of one sequence ------------------------------------------------------------------------- */

static void check_mlm(const random_model *m, int64_t first, int64_t tokens, const run *r, const double *final) {
    const uffb_arch *arch = &m->arch;
    int64_t n = arch->hidden, e = embed_width(arch);
    const float *decoder = tensor_of(m, arch->tied ? "embed.word" : "head.mlm.decoder.weight");
    double *h = doubles(n > e ? n : e), *logits = doubles(tokens * arch->vocab);
    for (int64_t t = 0; t < tokens; t++) {
        memcpy(h, final + t * n, (size_t)n * sizeof *h);
        if (arch->mlm_transform) {
            linear(e, n, tensor_of(m, "head.mlm.dense.weight"), tensor_of(m, "head.mlm.dense.bias"), final + t * n, h);
            for (int64_t i = 0; i < e; i++) h[i] = exact_activation(arch->activation, h[i]);
            norm(m, e, tensor_of(m, "head.mlm.norm.weight"), tensor_of(m, "head.mlm.norm.bias"), h, h);
        }
        linear(arch->vocab, e, decoder, tensor_of(m, "head.mlm.decoder.bias"), h, logits + t * arch->vocab);
    }
    check_rows(run_output(r, MLM), first, tokens, logits);
    free(h);
    free(logits);
}

static void pool(int32_t pooling, int64_t tokens, int64_t n, const double *x, double *y) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0, top = -INFINITY, exponentials = 0, weighted = 0, weights = 0;
        for (int64_t t = 0; t < tokens; t++) {
            sum += x[t * n + i];
            weighted += (double)(t + 1) * x[t * n + i];
            weights += (double)(t + 1);
            top = fmax(top, x[t * n + i]);
        }
        for (int64_t t = 0; t < tokens; t++) exponentials += exp(x[t * n + i] - top);
        const double by_kind[] = {x[i],
                                  sum / (double)tokens,
                                  top,
                                  top + log(exponentials),
                                  x[(tokens - 1) * n + i],
                                  sum / sqrt((double)tokens),
                                  weighted / weights};
        y[i] = by_kind[pooling];
    }
}

static void check_classes(const random_model *m, int64_t sequence, int64_t tokens, const run *r, const double *final) {
    const uffb_arch *arch = &m->arch;
    int64_t n = arch->hidden, width = arch->pool_width ? arch->pool_width : n;
    double *pooled = doubles(n), *h = doubles(width), *logits = doubles(arch->labels);
    pool(arch->pooling, tokens, n, final, pooled);
    memcpy(h, pooled, (size_t)(width < n ? width : n) * sizeof *h);
    if (arch->pool_width) {
        linear(width, n, tensor_of(m, "head.pool.dense.weight"), tensor_of(m, "head.pool.dense.bias"), pooled, h);
    }
    for (int64_t i = 0; i < width; i++) h[i] = exact_activation(arch->pool_activation, h[i]);
    if (arch->pool_norm) norm(m, width, tensor_of(m, "head.pool.norm.weight"), tensor_of(m, "head.pool.norm.bias"), h, h);
    linear(arch->labels, width, tensor_of(m, "head.class.weight"), tensor_of(m, "head.class.bias"), h, logits);
    check_rows(run_output(r, CLASSES), sequence, 1, logits);
    free(pooled);
    free(h);
    free(logits);
}

static void check_token_classes(const random_model *m, int64_t first, int64_t tokens, const run *r, const double *final) {
    const uffb_arch *arch = &m->arch;
    double *logits = doubles(tokens * arch->labels);
    for (int64_t t = 0; t < tokens; t++) {
        linear(arch->labels, arch->hidden, tensor_of(m, "head.token.weight"), tensor_of(m, "head.token.bias"),
               final + t * arch->hidden, logits + t * arch->labels);
    }
    check_rows(run_output(r, TOKEN_CLASSES), first, tokens, logits);
    free(logits);
}

int64_t check_against_reference(const random_model *m, const batch *b, const run *r) {
    const uffb_arch *arch = &m->arch;
    int64_t n = arch->hidden, ties = 0;
    for (int64_t s = 0; s < b->sequences; s++) {
        int64_t first = b->offsets[s], tokens = b->offsets[s + 1] - first;
        double *x = doubles(tokens * n), *vector = doubles(n);
        for (int64_t t = 0; t < tokens; t++) {
            int64_t position = position_of(m, b->ids + first, t);
            embed(m, position, b->ids[first + t], b->types[first + t], x + t * n);
        }
        check_rows(run_output(r, EMBEDDING), first, tokens, x);
        for (int64_t l = 0; l < arch->layers; l++) {
            ties += run_layer(m, l, first, tokens, r, x);
            check_rows(run_output(r, LAYER(l, 0)), first, tokens, x);
        }
        for (int64_t t = 0; arch->final_norm && t < tokens; t++) {
            norm(m, n, tensor_of(m, "final_norm.weight"), tensor_of(m, "final_norm.bias"), x + t * n, x + t * n);
        }
        check_rows(run_output(r, FINAL), first, tokens, x);
        if (arch->heads_present & UFFB_HEAD_MLM) check_mlm(m, first, tokens, r, x);
        if (arch->heads_present & UFFB_HEAD_CLASS) check_classes(m, s, tokens, r, x);
        if (arch->heads_present & UFFB_HEAD_TOKENS) check_token_classes(m, first, tokens, r, x);
        for (int32_t p = UFFB_POOL_FIRST; p <= UFFB_POOL_WEIGHTED; p++) {
            pool(p, tokens, n, x, vector);
            check_rows(run_output(r, POOL_FIRST + p), s, 1, vector);
        }
        free(x);
        free(vector);
    }
    return ties;
}

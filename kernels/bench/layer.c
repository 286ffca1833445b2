/* A bench: making its layer and batch, running a contender on it, checking the result. */
#include "layer.h"
#include "../engine/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    uffb_contender info;
    uffb_contender_fn *run;
} entry;

static const entry contenders[] = {
    {{"fff ours", 1, 0, 0, 0}, uffb_ours},
    {{"fff level 1", 1, 1, 1, 0}, uffb_fff_level1},
    {{"fff level 2", 1, 2, 1, 0}, uffb_fff_level2},
    {{"fff level 3", 1, 3, 1, 0}, uffb_fff_level3},
    {{"fff bmm", 1, 1, 1, 0}, uffb_fff_bmm},
    {{"fff sparse", 1, 1, 1, 0}, uffb_fff_sparse},
    {{"fff level 1 as published", 1, 1, 1, 1}, uffb_fff_level1_published},
    {{"fff level 2 as published", 1, 2, 1, 1}, uffb_fff_level2_published},
    {{"dense ours", 0, 0, 0, 0}, uffb_ours},
    {{"dense level 1", 0, 1, 1, 0}, uffb_dense_level1},
    {{"dense level 2", 0, 2, 1, 0}, uffb_dense_level2},
    {{"dense level 3", 0, 3, 1, 0}, uffb_dense_level3},
    {{"dense level 2 as published", 0, 2, 1, 1}, uffb_dense_level2_published},
};

#define CONTENDERS (int64_t)(sizeof contenders / sizeof *contenders)

int64_t uffb_contender_count(void) { return CONTENDERS; }

int32_t uffb_contender_info(int64_t index, uffb_contender *info) {
    if (index < 0 || index >= CONTENDERS || !info) return uffb_fail(UFFB_INVALID, "uffb_contender_info: no such contender");
    *info = contenders[index].info;
    return UFFB_OK;
}

/* --- making ----------------------------------------------------------------------------------------------------------------
 */

static int fff(const uffb_bench_shape *s) { return s->trees > 0; }

static int64_t layer_rows(const uffb_bench_shape *s) { return fff(s) ? s->trees * (((int64_t)2 << s->depth) - 1) : s->width; }

static uffb_arch arch_of(const uffb_bench_shape *s) {
    return (uffb_arch){.layers = 1,
                       .hidden = s->hidden,
                       .heads = 1,
                       .vocab = 1,
                       .max_length = 1,
                       .width = s->width,
                       .trees = s->trees,
                       .depth = s->depth,
                       .feedforward = fff(s) ? UFFB_FFN_FFF : UFFB_FFN_DENSE,
                       .activation = s->activation};
}

/* The engine's own checks of the shape. */
static int32_t check_shape(const uffb_bench_shape *s) {
    if (!s) return uffb_fail(UFFB_INVALID, "no shape");
    if (s->batch < 1 || s->batch > 1 << 24)
        return uffb_fail(UFFB_INVALID, "batch is %lld, but must be 1 to 16777216", (long long)s->batch);
    if (s->threads < 0 || s->threads > 1024) return uffb_fail(UFFB_INVALID, "threads is %d, but must be 0 to 1024", s->threads);
    if (s->copies < 1 || s->copies > 1 << 16)
        return uffb_fail(UFFB_INVALID, "copies is %lld, but must be 1 to 65536", (long long)s->copies);
    if (s->trees < 0) return uffb_fail(UFFB_INVALID, "trees is negative");
    const uffb_arch arch = arch_of(s);
    uffb_model *model;
    int32_t status = uffb_model_new(&arch, &model);
    if (!status) uffb_model_free(model);
    return status;
}

uint64_t uffb_bench_bytes(const uffb_bench_shape *s) {
    if (check_shape(s)) return 0;
    const uffb_arch arch = arch_of(s);
    const double weights = (double)layer_rows(s) * (double)s->hidden, panels = uffb_fff_walks(&arch) ? 0 : 2 * weights;
    const double scratch = fff(s) ? 2.0 * (double)s->batch * (double)s->hidden : 1024.0 * (double)layer_rows(s);
    const double floats =
        2 * weights + panels + scratch + (double)s->batch * (4.0 * (double)s->hidden + (double)uffb_wide(&arch));
    return floats * 4 < 9e18 ? (uint64_t)(floats * 4) : UINT64_MAX;
}

static float *floats(int64_t n) { return uffb_allocate((uint64_t)n * sizeof(float)); }

int32_t uffb_bench_new(const uffb_bench_shape *shape, uffb_bench **bench) {
    if (!bench) return uffb_fail(UFFB_INVALID, "uffb_bench_new: nowhere to put the bench");
    *bench = NULL;
    int32_t status = check_shape(shape);
    if (status) return status;
    uffb_bench *b = calloc(1, sizeof *b);
    if (!b) return uffb_fail(UFFB_NO_MEMORY, "no memory for a bench");
    b->shape = *shape;
    if (!b->shape.threads) b->shape.threads = uffb_cpu_count();
    b->rows = layer_rows(shape);
    b->nodes = fff(shape) ? ((int64_t)2 << shape->depth) - 1 : shape->width;
    b->model.arch = arch_of(shape);
    b->model.nodes = fff(shape) ? b->nodes : 0;
    b->model.layers = &b->layer;
    b->model.ready = 1;
    b->in = b->in_copies = floats(shape->copies * b->rows * shape->hidden);
    b->out = b->out_copies = floats(shape->copies * b->rows * shape->hidden);
    b->bias = floats(b->rows);
    b->x = b->x_rows = floats(shape->batch * shape->hidden);
    b->y = b->y_rows = floats(shape->batch * shape->hidden);
    b->team = uffb_team_new(b->shape.threads);
    if (!b->in || !b->out || !b->bias || !b->x || !b->y || !b->team) {
        uffb_bench_free(b);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for a layer of %lld rows and a batch of %lld", (long long)layer_rows(shape),
                         (long long)shape->batch);
    }
    status = uffb_bench_fill(b, UFFB_FILL_UNIFORM, 1);
    if (status) {
        uffb_bench_free(b);
        return status;
    }
    *bench = b;
    return UFFB_OK;
}

void uffb_bench_free(uffb_bench *b) {
    if (!b) return;
    uffb_context_free(b->context);
    uffb_team_free(b->team);
    free(b->in_copies);
    free(b->out_copies);
    free(b->bias);
    free(b->x_rows);
    free(b->y_rows);
    free(b->in_panels);
    free(b->out_panels);
    free(b->scratch);
    free(b);
}

float *uffb_bench_scratch(uffb_bench *b, int64_t size) {
    if (size < 1) size = 1;
    if (size > b->scratch_size) {
        free(b->scratch);
        b->scratch_size = 0;
        b->scratch = floats(size);
        if (!b->scratch) {
            uffb_fail(UFFB_NO_MEMORY, "no memory for %lld floats of scratch", (long long)size);
            return NULL;
        }
        b->scratch_size = size;
    }
    return b->scratch;
}

float uffb_bench_activate(const uffb_bench *b, float x) {
    switch (b->shape.activation) {
    case UFFB_GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case UFFB_RELU: return x > 0 ? x : 0.0f;
    default: uffb_ops_of(UFFB_ISA_generic)->activate(b->shape.activation, 1, 1, &x, 1); return x;
    }
}

/* --- filling ---------------------------------------------------------------------------------------------------------------
 */

/* Uniform in [-1, 1); xorshift64. */
static void fill_random(uint64_t *state, int64_t n, float scale, float *out) {
    for (int64_t i = 0; i < n; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        out[i] = ((float)(*state >> 40) * 0x1p-23f - 1.0f) * scale;
    }
}

static int64_t panel_floats(int64_t rows, int64_t cols) {
    return (int64_t)(uffb_tensor_bytes(rows, cols, UFFB_F32, UFFB_PANELS) / sizeof(float));
}

static int32_t repack(int64_t rows, int64_t cols, const float *source, int32_t layout, int64_t copies, float **panels) {
    const int64_t n = panel_floats(rows, cols);
    if (!*panels) *panels = floats(copies * n);
    if (!*panels) return uffb_fail(UFFB_NO_MEMORY, "no memory for the panels of %lld rows", (long long)rows);
    int32_t status = uffb_tensor_convert(rows, cols, source, (uint64_t)(rows * cols) * sizeof(float), UFFB_F32, layout, *panels,
                                         (uint64_t)n * sizeof(float), UFFB_F32, UFFB_PANELS);
    for (int64_t i = 1; i < copies; i++) memcpy(*panels + i * n, *panels, (size_t)n * sizeof **panels);
    return status;
}

/* Makes the copies of the first one, and gives our own kernels the same weights in their layout. */
static int32_t share_weights(uffb_bench *b) {
    const int64_t h = b->shape.hidden, n = b->rows * h;
    for (int64_t i = 1; i < b->shape.copies; i++) {
        memcpy(b->in_copies + i * n, b->in_copies, (size_t)n * sizeof *b->in);
        memcpy(b->out_copies + i * n, b->out_copies, (size_t)n * sizeof *b->out);
    }
    b->layer.fff_bias = b->bias;
    b->layer.ffn_in = (uffb_linear){.rows = b->rows, .cols = h, .bias = b->bias};
    b->layer.ffn_out = (uffb_linear){.rows = h, .cols = b->rows};
    if (uffb_fff_walks(&b->model.arch)) return UFFB_OK;
    int32_t status = repack(b->rows, h, b->in_copies, UFFB_ROWS, b->shape.copies, &b->in_panels);
    return status ? status : repack(h, b->rows, b->out_copies, UFFB_COLUMNS, b->shape.copies, &b->out_panels);
}

int32_t uffb_bench_fill(uffb_bench *b, int32_t fill, uint64_t seed) {
    if (!b || fill < UFFB_FILL_UNIFORM || fill > UFFB_FILL_ZERO)
        return uffb_fail(UFFB_INVALID, "uffb_bench_fill: no bench or no such fill");
    const int64_t h = b->shape.hidden;
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    const float scale = fill == UFFB_FILL_ZERO ? 0.0f : 1.0f;
    /* Weights of variance 1/hidden and inputs of variance 1 give logits of variance 1. */
    fill_random(&state, b->rows * h, scale * sqrtf(3.0f / (float)h), b->in_copies);
    fill_random(&state, b->rows * h, scale * sqrtf(3.0f / (float)h), b->out_copies);
    fill_random(&state, b->shape.batch * h, scale * sqrtf(3.0f), b->x_rows);
    fill_random(&state, b->rows, scale * 0.01f, b->bias);
    /* P(N(0,1) > 1.2816) = 0.1 */
    for (int64_t i = 0; fill == UFFB_FILL_SKEWED && i < b->rows; i++) b->bias[i] -= 1.2816f;
    memset(b->y_rows, 0, (size_t)(b->shape.batch * h) * sizeof *b->y);
    return share_weights(b);
}

int32_t uffb_bench_fill_from(uffb_bench *b, const uffb_model *model, int64_t layer, int64_t tokens, const float *input) {
    if (!b || !model || !input || tokens < 1) return uffb_fail(UFFB_INVALID, "uffb_bench_fill_from: no bench, model or input");
    const uffb_arch *a = &model->arch;
    if (!model->ready || layer < 0 || layer >= a->layers || a->hidden != b->shape.hidden || !uffb_fff_walks(a) ||
        a->trees != b->shape.trees || a->depth != b->shape.depth || a->activation != b->shape.activation) {
        return uffb_fail(UFFB_INVALID, "the model has no layer %lld of this shape", (long long)layer);
    }
    const uffb_layer *l = &model->layers[layer];
    const int64_t h = a->hidden;
    memcpy(b->in_copies, l->fff_in, (size_t)(b->rows * h) * sizeof *b->in);
    memcpy(b->out_copies, l->fff_out, (size_t)(b->rows * h) * sizeof *b->out);
    for (int64_t i = 0; i < b->rows; i++) b->bias[i] = l->fff_bias ? l->fff_bias[i] : 0.0f;
    for (int64_t t = 0; t < b->shape.batch; t++) memcpy(b->x_rows + t * h, input + t % tokens * h, (size_t)h * sizeof *b->x);
    memset(b->y_rows, 0, (size_t)(b->shape.batch * h) * sizeof *b->y);
    return share_weights(b);
}

/* --- running ---------------------------------------------------------------------------------------------------------------
 */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Turns to a copy of the weights. */
static void use_copy(uffb_bench *b, int64_t copy) {
    const int64_t n = b->rows * b->shape.hidden;
    b->in = b->in_copies + copy * n;
    b->out = b->out_copies + copy * n;
    if (uffb_fff_walks(&b->model.arch)) {
        b->layer.fff_in = b->in;
        b->layer.fff_out = b->out;
    } else {
        b->layer.ffn_in.weight = b->in_panels + copy * panel_floats(b->rows, b->shape.hidden);
        b->layer.ffn_out.weight = b->out_panels + copy * panel_floats(b->shape.hidden, b->rows);
    }
}

static int32_t use_isa(uffb_bench *b, const char *isa) {
    if (b->context && (!isa || !strcmp(isa, uffb_context_isa(b->context)))) return UFFB_OK;
    uffb_context_free(b->context);
    b->context = NULL;
    return uffb_context_new(&b->model, b->shape.threads, isa, &b->context);
}

static int32_t check_run(const uffb_bench *b, int64_t contender, const uffb_blas *blas, int64_t tokens) {
    if (!b || contender < 0 || contender >= CONTENDERS)
        return uffb_fail(UFFB_INVALID, "uffb_bench_run: no bench or no such contender");
    const uffb_contender *c = &contenders[contender].info;
    if (c->fff != fff(&b->shape)) return uffb_fail(UFFB_INVALID, "%s is not for this layer", c->name);
    if (c->blas && (!blas || (uffb_blas_levels(blas) != 3 && c->level != 3)))
        return uffb_fail(UFFB_INVALID, "%s needs a BLAS", c->name);
    if (tokens < 1 || tokens > b->shape.batch) {
        return uffb_fail(UFFB_INVALID, "%lld tokens of a batch of %lld", (long long)tokens, (long long)b->shape.batch);
    }
    return UFFB_OK;
}

static int32_t run(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens, int32_t cold,
                   double *seconds) {
    int32_t status = check_run(b, contender, blas, tokens);
    if (!status) status = use_isa(b, isa);
    if (status) return status;
    const int64_t turn = cold ? ++b->turn : 0, first = turn % (b->shape.batch - tokens + 1);
    use_copy(b, turn % b->shape.copies);
    b->x = b->x_rows + first * b->shape.hidden;
    b->y = b->y_rows + first * b->shape.hidden;
    uffb_trial trial = {b, blas, tokens, UFFB_OK};
    double start = now();
    contenders[contender].run(&trial);
    *seconds = now() - start;
    return trial.status;
}

int32_t uffb_bench_run(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens, int32_t cold,
                       double *seconds) {
    if (!seconds) return uffb_fail(UFFB_INVALID, "uffb_bench_run: nowhere to put the time");
    return run(b, contender, blas, isa, tokens, cold, seconds);
}

/* --- checking --------------------------------------------------------------------------------------------------------------
 */

/* y [hidden] in double precision; 0 when a logit is within `margin` of 0, so that f32 may turn either way. */
static int reference(const uffb_bench *b, const float *x, double margin, double *y) {
    const int64_t h = b->shape.hidden, steps = fff(&b->shape) ? b->shape.depth + 1 : b->rows;
    const int64_t trees = fff(&b->shape) ? b->shape.trees : 1;
    memset(y, 0, (size_t)h * sizeof *y);
    for (int64_t tree = 0; tree < trees; tree++) {
        int64_t node = 0;
        for (int64_t step = 0; step < steps; step++) {
            const int64_t row = tree * b->nodes + node;
            double logit = b->bias[row], size = fabs(logit);
            for (int64_t i = 0; i < h; i++) {
                const double product = (double)b->in[row * h + i] * x[i];
                logit += product;
                size += fabs(product);
            }
            if (fff(&b->shape) && step + 1 < steps && fabs(logit) <= margin * size) return 0;
            float f = (float)logit;
            uffb_ops_of(UFFB_ISA_generic)->activate(b->shape.activation, 1, 1, &f, 1);
            for (int64_t i = 0; i < h; i++) y[i] += (double)f * b->out[row * h + i];
            node = fff(&b->shape) ? 2 * node + 1 + (logit > 0) : node + 1;
        }
    }
    return 1;
}

int32_t uffb_bench_check(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens,
                         double *error, int64_t *ties) {
    if (!error || !ties) return uffb_fail(UFFB_INVALID, "uffb_bench_check: nowhere to put the error");
    int32_t status = check_run(b, contender, blas, tokens);
    if (status) return status;
    const int64_t h = b->shape.hidden;
    double *want = malloc((size_t)h * sizeof *want), seconds, largest = 0, worst = 0;
    if (!want) return uffb_fail(UFFB_NO_MEMORY, "no memory for a reference row");
    memset(b->y_rows, 0, (size_t)(b->shape.batch * h) * sizeof *b->y);
    status = run(b, contender, blas, isa, tokens, 0, &seconds);
    *ties = 0;
    for (int64_t t = 0; !status && t < tokens; t++) {
        /* The order of summation differs between contenders; 2^-24 a term bounds what that can do. */
        if (!reference(b, b->x + t * h, (double)h * 0x1p-24, want)) {
            ++*ties;
            continue;
        }
        for (int64_t i = 0; i < h; i++) {
            const double off = fabs(want[i] - (double)b->y[t * h + i]), size = fabs(want[i]);
            if (off > worst || isnan(off)) worst = off; /* fmax would drop a NaN */
            if (size > largest) largest = size;
        }
    }
    free(want);
    *error = largest > 0 ? worst / largest : worst;
    return status;
}

int32_t uffb_bench_leaves(uffb_bench *b, int64_t *leaves, double *busiest) {
    if (!b || !leaves || !busiest || !fff(&b->shape)) return uffb_fail(UFFB_INVALID, "uffb_bench_leaves: no FFF bench");
    const int64_t count = (int64_t)1 << b->shape.depth, levels = b->shape.depth + 1;
    int32_t *visits = calloc((size_t)count, sizeof *visits), nodes[UFFB_MAX_DEPTH + 1];
    if (!visits) return uffb_fail(UFFB_NO_MEMORY, "no memory to count %lld leaves", (long long)count);
    float logits[UFFB_MAX_DEPTH + 1];
    const uffb_tree tree = {b->shape.depth, b->shape.hidden, b->in, b->bias, b->out};
    int32_t status = use_isa(b, NULL);
    int64_t most = 0;
    *leaves = 0;
    for (int64_t t = 0; !status && t < b->shape.batch; t++) {
        b->context->ops->fff_walk(&tree, 0, levels, (uffb_rows){1, NULL}, b->x + t * b->shape.hidden, b->shape.hidden, nodes,
                                  logits, levels);
        const int64_t leaf = nodes[levels - 1] - (count - 1);
        if (!visits[leaf]++) ++*leaves;
        if (visits[leaf] > most) most = visits[leaf];
    }
    free(visits);
    *busiest = (double)most / (double)b->shape.batch;
    return status;
}

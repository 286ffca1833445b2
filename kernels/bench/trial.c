/* Trials: running a contender on a bench's layer and inputs, and holding its result against a plain evaluation. */
#include "layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    uffb_contender info;
    int spreads; /* the library runs each call on all threads; else we divide the tokens, and its calls run on one thread */
    uffb_contender_fn *run;
} entry;

static const entry contenders[] = {
    {{"fff ours", 1, 0, 0, 0}, 0, uffb_ours},
    {{"fff level 1", 1, 1, 1, 0}, 0, uffb_fff_level1},
    {{"fff level 2", 1, 2, 1, 0}, 0, uffb_fff_level2},
    {{"fff level 3", 1, 3, 1, 0}, 1, uffb_fff_level3},
    {{"fff bmm", 1, 1, 1, 0}, 0, uffb_fff_bmm},
    {{"fff sparse", 1, 1, 1, 0}, 0, uffb_fff_sparse},
    {{"fff level 1 as published", 1, 1, 1, 1}, 0, uffb_fff_level1_published},
    {{"fff level 2 as published", 1, 2, 1, 1}, 0, uffb_fff_level2_published},
    {{"dense ours", 0, 0, 0, 0}, 0, uffb_ours},
    {{"dense level 1", 0, 1, 1, 0}, 0, uffb_dense_level1},
    {{"dense level 2", 0, 2, 1, 0}, 0, uffb_dense_level2},
    {{"dense level 3", 0, 3, 1, 0}, 1, uffb_dense_level3},
    {{"dense level 2 as published", 0, 2, 1, 1}, 0, uffb_dense_level2_published},
};

#define CONTENDERS (int64_t)(sizeof contenders / sizeof *contenders)

int64_t uffb_contender_count(void) { return CONTENDERS; }

int32_t uffb_contender_info(int64_t index, uffb_contender *info) {
    if (index < 0 || index >= CONTENDERS || !info) return uffb_fail(UFFB_INVALID, "uffb_contender_info: no such contender");
    *info = contenders[index].info;
    return UFFB_OK;
}

static int same_layer(uffb_isa one, uffb_isa other) {
    const uffb_ops *a = uffb_ops_of(one), *b = uffb_ops_of(other);
    return a->gemm == b->gemm && a->activate == b->activate && a->multiply == b->multiply && a->fff_walk == b->fff_walk &&
           a->fff_sum == b->fff_sum;
}

/* What sets share is the least one's. */
static int owns_layer(uffb_isa isa) {
    int i = 0;
    while (!uffb_isa_available((uffb_isa)i) || !same_layer((uffb_isa)i, isa)) i++;
    return i == (int)isa;
}

const char *uffb_contender_isas(void) {
    static _Thread_local char list[UFFB_ISA_NAMES];
    uffb_list_isas(owns_layer, list);
    return list;
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
        b->layer.fff_in.data = b->narrow_in ? (const void *)(b->narrow_in + copy * n) : b->in;
        b->layer.fff_out.data = b->narrow_out ? (const void *)(b->narrow_out + copy * n) : b->out;
    } else {
        b->layer.ffn_in.weights.data = b->in_panels + copy * uffb_panel_floats(b->rows, b->shape.hidden);
        b->layer.ffn_out.weights.data = b->out_panels + copy * uffb_panel_floats(b->shape.hidden, b->rows);
        b->layer.nodes_in = b->layer.ffn_in;
        b->layer.nodes_out = b->layer.ffn_out;
    }
}

/* NULL is the best of this CPU, whichever ran before: baselines made of BLAS calls compute their activations with it. */
static int32_t use_isa(uffb_bench *b, const char *isa) {
    if (b->context && (isa ? !strcmp(isa, uffb_context_isa(b->context)) : b->best_isa)) return UFFB_OK;
    uffb_context_free(b->context);
    b->context = NULL;
    b->best_isa = !isa;
    return uffb_context_new(&b->model, b->shape.threads, isa, &b->context);
}

static int32_t check_trial(const uffb_bench *b, int64_t contender, const uffb_blas *blas, int64_t tokens) {
    if (!b || contender < 0 || contender >= CONTENDERS)
        return uffb_fail(UFFB_INVALID, "uffb_bench_run: no bench or no such contender");
    const uffb_contender *c = &contenders[contender].info;
    if (c->fff != (b->shape.trees > 0)) return uffb_fail(UFFB_INVALID, "%s is not for this layer", c->name);
    if (c->blas && (!blas || (uffb_blas_levels(blas) != 3 && c->level != 3)))
        return uffb_fail(UFFB_INVALID, "%s needs a BLAS", c->name);
    if (tokens < 1 || tokens > b->shape.batch) {
        return uffb_fail(UFFB_INVALID, "%lld tokens of a batch of %lld", (long long)tokens, (long long)b->shape.batch);
    }
    return UFFB_OK;
}

/* --- caches ---------------------------------------------------------------------------------------------------------------
 */

/* Tokens of the call that goes before. */
#define WARM_UP 8
/* Seconds of calls that go before a turn through the copies: after 2 ms an FFF layer still reads more of its trees' tops from
 * memory than after 10, and after 40 no less. */
#define STEADY 1e-2
#define LINE 64

static void read_once(const void *data, int64_t bytes) {
    volatile char sink = 0;
    char sum = 0;
    for (int64_t i = 0; i < bytes; i += LINE) sum ^= ((const char *)data)[i];
    sink = sum;
    (void)sink;
}

static void touch_inputs(const uffb_bench *b, int64_t tokens) {
    const int64_t bytes = tokens * b->shape.hidden * (int64_t)sizeof(float);
    read_once(b->x, bytes);
    read_once(b->y, bytes);
}

/* Our own kernels have weights in panels where they multiply them all, and perhaps rows of 16 bits where they walk. */
static void read_weights(const uffb_bench *b, int own) {
    const int64_t n = b->rows * b->shape.hidden, width = (int64_t)sizeof(float);
    if (own && b->in_panels) {
        read_once(b->layer.ffn_in.weights.data, uffb_panel_floats(b->rows, b->shape.hidden) * width);
        read_once(b->layer.ffn_out.weights.data, uffb_panel_floats(b->shape.hidden, b->rows) * width);
    } else {
        const int narrow = own && b->narrow_in;
        read_once(narrow ? (const void *)b->narrow_in : b->in, n * (narrow ? (int64_t)sizeof *b->narrow_in : width));
        read_once(narrow ? (const void *)b->narrow_out : b->out, n * (narrow ? (int64_t)sizeof *b->narrow_out : width));
    }
}

/* Turns to the inputs of a turn, and to a copy of the weights. */
static void use_turn(uffb_bench *b, int64_t turn, int64_t tokens, int64_t copy) {
    const int64_t calls = b->shape.inputs / tokens, first = (turn % calls + calls) % calls * tokens;
    b->x = b->x_rows + first * b->shape.hidden;
    b->y = b->y_rows + first * b->shape.hidden;
    use_copy(b, copy);
}

/* --- one call --------------------------------------------------------------------------------------------------------------
 */

static int32_t call(uffb_bench *b, const entry *contender, const uffb_blas *blas, int64_t tokens, double *seconds) {
    uffb_trial trial = {b, blas, tokens, UFFB_OK};
    const double start = now();
    contender->run(&trial);
    *seconds = now() - start;
    return trial.status;
}

static int64_t few(int64_t tokens) { return tokens < WARM_UP ? tokens : WARM_UP; }

static int32_t prepare(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens) {
    int32_t status = check_trial(b, contender, blas, tokens);
    if (!status) status = use_isa(b, isa);
    if (!status && blas) status = uffb_blas_set_threads(blas, contenders[contender].spreads ? b->shape.threads : 1);
    return status;
}

/* One timed call. Before it the caches are brought to the state asked for, and a short call runs: cold, on another copy of the
 * weights. */
static int32_t run_once(uffb_bench *b, const entry *c, const uffb_blas *blas, int64_t tokens, int cold, double *seconds) {
    const int64_t turn = ++b->turn, copy = cold ? turn % 2 : 0;
    use_turn(b, turn - 1, tokens, cold ? 1 - copy : 0);
    if (cold) {
        read_once(b->elsewhere, b->shape.evict);
    } else {
        /* Twice: of weights as large as the last cache, some are not there after one pass, and the next contender of the layer
         * would find more of them than this one. */
        read_weights(b, !c->info.blas);
        read_weights(b, !c->info.blas);
    }
    int32_t status = call(b, c, blas, few(tokens), seconds);
    if (status) return status;
    use_turn(b, turn, tokens, copy);
    touch_inputs(b, tokens);
    return call(b, c, blas, tokens, seconds);
}

/* A call with each copy of the weights, and the mean of their times. */
static int32_t run_turn(uffb_bench *b, const entry *c, const uffb_blas *blas, int64_t tokens, double *seconds) {
    double sum = 0;
    for (int64_t i = 0; i < b->shape.copies; i++) {
        const int64_t turn = ++b->turn;
        use_turn(b, turn, tokens, turn % b->shape.copies);
        touch_inputs(b, tokens);
        int32_t status = call(b, c, blas, tokens, seconds);
        if (status) return status;
        sum += *seconds;
    }
    *seconds = sum / (double)b->shape.copies;
    return UFFB_OK;
}

/* A timed turn, after as many others as it takes until the caches hold what this contender alone leaves there. A dense layer
 * reads all its weights in each call, so one turn with few tokens is enough; a tree reads paths, and needs more turns until its
 * top levels are back.
 */
static int32_t run_rotated(uffb_bench *b, const entry *c, const uffb_blas *blas, int64_t tokens, double *seconds) {
    const double steady = now() + STEADY;
    int32_t status;
    do {
        status = run_turn(b, c, blas, c->info.fff ? tokens : few(tokens), seconds);
    } while (!status && now() < steady);
    return status ? status : run_turn(b, c, blas, tokens, seconds);
}

int32_t uffb_bench_run(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens, int32_t cache,
                       double *seconds) {
    if (!seconds) return uffb_fail(UFFB_INVALID, "uffb_bench_run: nowhere to put the time");
    if (cache < UFFB_CACHE_WARM || cache > UFFB_CACHE_ROTATED)
        return uffb_fail(UFFB_INVALID, "uffb_bench_run: no such state of the caches: %d", cache);
    int32_t status = prepare(b, contender, blas, isa, tokens);
    if (status) return status;
    if (cache == UFFB_CACHE_COLD && (!b->elsewhere || b->shape.copies < 2))
        return uffb_fail(UFFB_INVALID,
                         "uffb_bench_run: a cold run needs a bench with bytes to evict and two copies of the weights");
    if (cache == UFFB_CACHE_ROTATED && b->shape.copies < 2)
        return uffb_fail(UFFB_INVALID, "uffb_bench_run: a rotated run needs a bench with copies of the weights");
    const entry *c = &contenders[contender];
    if (cache == UFFB_CACHE_ROTATED) return run_rotated(b, c, blas, tokens, seconds);
    return run_once(b, c, blas, tokens, cache == UFFB_CACHE_COLD, seconds);
}

/* --- checking --------------------------------------------------------------------------------------------------------------
 */

/* y [hidden] in double precision; 0 when a logit is within `margin` of 0, so that f32 may turn either way. */
static int reference(const uffb_bench *b, const float *x, double margin, double *y) {
    const int64_t h = b->shape.hidden, steps = b->shape.trees > 0 ? b->shape.depth + 1 : b->rows;
    const int64_t trees = b->shape.trees > 0 ? b->shape.trees : 1;
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
            if (b->shape.trees > 0 && step + 1 < steps && fabs(logit) <= margin * size) return 0;
            const float f = uffb_bench_activate(b, (float)logit);
            for (int64_t i = 0; i < h; i++) y[i] += (double)f * b->out[row * h + i];
            node = b->shape.trees > 0 ? 2 * node + 1 + (logit > 0) : node + 1;
        }
    }
    return 1;
}

/* The reference of the first `tokens` inputs, once for all contenders. */
static int32_t want_rows(uffb_bench *b, int64_t tokens) {
    if (tokens <= b->wanted) return UFFB_OK;
    const int64_t h = b->shape.hidden;
    double *want = realloc(b->want, (size_t)(tokens * h) * sizeof *want);
    if (!want) return uffb_fail(UFFB_NO_MEMORY, "no memory for the reference of %lld tokens", (long long)tokens);
    b->want = want;
    for (int64_t t = b->wanted; t < tokens; t++) {
        /* The order of summation differs between contenders; 2^-24 a term bounds what that can do. */
        if (!reference(b, b->x_rows + t * h, (double)h * 0x1p-24, want + t * h)) want[t * h] = NAN;
    }
    b->wanted = tokens;
    return UFFB_OK;
}

int32_t uffb_bench_check(uffb_bench *b, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens,
                         double *error, int64_t *ties) {
    if (!error || !ties) return uffb_fail(UFFB_INVALID, "uffb_bench_check: nowhere to put the error");
    int32_t status = prepare(b, contender, blas, isa, tokens);
    if (status) return status;
    const int64_t h = b->shape.hidden;
    double seconds, largest = 0, worst = 0;
    use_turn(b, 0, tokens, 0);
    status = want_rows(b, tokens);
    if (status) return status;
    memset(b->y, 0, (size_t)(tokens * h) * sizeof *b->y);
    status = call(b, &contenders[contender], blas, tokens, &seconds);
    *ties = 0;
    for (int64_t t = 0; !status && t < tokens; t++) {
        const double *want = b->want + t * h;
        if (isnan(*want)) {
            ++*ties;
            continue;
        }
        for (int64_t i = 0; i < h; i++) {
            const double off = fabs(want[i] - (double)b->y[t * h + i]), size = fabs(want[i]);
            if (off > worst || isnan(off)) worst = off; /* fmax would drop a NaN */
            if (size > largest) largest = size;
        }
    }
    *error = largest > 0 ? worst / largest : worst;
    return status;
}

int32_t uffb_bench_leaves(uffb_bench *b, int64_t *leaves, double *busiest) {
    if (!b || !leaves || !busiest || b->shape.trees < 1) return uffb_fail(UFFB_INVALID, "uffb_bench_leaves: no FFF bench");
    const int64_t count = (int64_t)1 << b->shape.depth, levels = b->shape.depth + 1;
    int32_t *visits = calloc((size_t)count, sizeof *visits), nodes[UFFB_MAX_DEPTH + 1];
    if (!visits) return uffb_fail(UFFB_NO_MEMORY, "no memory to count %lld leaves", (long long)count);
    float logits[UFFB_MAX_DEPTH + 1];
    const uffb_tree tree = {b->shape.depth, b->shape.hidden,           {b->in_copies, UFFB_F32},
                            b->bias,        {b->out_copies, UFFB_F32}, NULL};
    int32_t status = use_isa(b, NULL);
    int64_t most = 0;
    *leaves = 0;
    for (int64_t t = 0; !status && t < b->shape.inputs; t++) {
        const int32_t only = 0;
        int32_t arranged;
        b->context->ops->fff_walk(&tree, 0, levels, (uffb_rows){1, &only, 0}, b->x_rows + t * b->shape.hidden, b->shape.hidden,
                                  nodes, logits, levels, &arranged);
        const int64_t leaf = nodes[levels - 1] - (count - 1);
        if (!visits[leaf]++) ++*leaves;
        if (visits[leaf] > most) most = visits[leaf];
    }
    free(visits);
    *busiest = (double)most / (double)b->shape.inputs;
    return status;
}

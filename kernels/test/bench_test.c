/* Tests how `uffb bench` runs a contender: which copy of the weights and which inputs each call has. Whether contenders compute
 * what they should is tested through uffb_bench_check. */
#define _DEFAULT_SOURCE /* nanosleep */
#include "check.h"
#include "../bench/layer.h"

#include <string.h>
#include <time.h>

#define HIDDEN 16
#define DEPTH 5
#define WIDTH 24
#define COPIES 3
#define INPUTS (1 << 16)

/* --- a BLAS that counts its dot products, and takes its time where a test wants a long call
 * ----------------------------------- */

static int64_t dots;
static long nanoseconds;

static float sdot(int n, const float *x, int incx, const float *y, int incy) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i * incx] * y[i * incy];
    dots++;
    if (nanoseconds) nanosleep(&(struct timespec){0, nanoseconds}, NULL);
    return sum;
}

static void saxpy(int n, float a, const float *x, int incx, float *y, int incy) {
    for (int i = 0; i < n; i++) y[i * incy] += a * x[i * incx];
}

static void sgemv(int layout, int trans, int m, int n, float alpha, const float *a, int lda, const float *x, int incx,
                  float beta, float *y, int incy) {
    (void)layout, (void)trans, (void)m, (void)n, (void)alpha, (void)a, (void)lda, (void)x, (void)incx, (void)beta, (void)y,
        (void)incy;
}

static void sgemm(int layout, int transa, int transb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                  int ldb, float beta, float *c, int ldc) {
    (void)layout, (void)transa, (void)transb, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)lda, (void)b, (void)ldb,
        (void)beta, (void)c, (void)ldc;
}

static const uffb_blas counting = {.sdot = sdot, .saxpy = saxpy, .sgemv = sgemv, .sgemm = sgemm};

/* --- benches whose outputs tell the copy ---------------------------------------------------------------------------------- */

static int64_t contender(const char *name) {
    uffb_contender info;
    for (int64_t i = 0; uffb_contender_info(i, &info) == UFFB_OK; i++) {
        if (!strcmp(info.name, name)) return i;
    }
    check(0, "no contender %s", name);
    return 0;
}

/* Neurons a token uses. */
static int64_t used(const uffb_bench *b) { return b->shape.trees > 0 ? b->shape.depth + 1 : b->shape.width; }

/* The upper half of a float, of which the lower one is 0. */
static uint16_t bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    check((bits & 0xffff) == 0, "%g is no bf16", value);
    return (uint16_t)(bits >> 16);
}

/* A layer whose neurons are all 1, and whose copy c adds c + 1 to each output for each of them. */
static uffb_bench *marked_bench_of(int32_t dtype, int fff, int64_t batch, int64_t copies, int64_t evict) {
    const uffb_bench_shape shape = {.hidden = HIDDEN,
                                    .trees = fff,
                                    .depth = fff ? DEPTH : 0,
                                    .width = fff ? 0 : WIDTH,
                                    .batch = batch,
                                    .inputs = INPUTS,
                                    .copies = copies,
                                    .evict = evict,
                                    .activation = UFFB_RELU,
                                    .threads = 1,
                                    .dtype = dtype};
    uffb_bench *b = NULL;
    check(uffb_bench_new(&shape, &b) == UFFB_OK && uffb_bench_fill(b, UFFB_FILL_ZERO, 1) == UFFB_OK, "%s", uffb_error());
    const int64_t rows = b->rows * HIDDEN, panels = uffb_panel_floats(HIDDEN, b->rows);
    for (int64_t i = 0; i < b->rows; i++) b->bias[i] = 1;
    for (int64_t i = 0; i < copies * rows; i++) b->out_copies[i] = (float)(i / rows + 1);
    for (int64_t i = 0; b->out_panels && i < copies * panels; i++) b->out_panels[i] = (float)(i / panels + 1);
    for (int64_t i = 0; b->narrow_out && i < copies * rows; i++) b->narrow_out[i] = bf16((float)(i / rows + 1));
    return b;
}

static uffb_bench *marked_bench(int fff, int64_t batch, int64_t copies, int64_t evict) {
    return marked_bench_of(UFFB_F32, fff, batch, copies, evict);
}

/* The copy that a row of the output was computed with, if once; -1 when it was not computed. */
static int64_t copy_of(const uffb_bench *b, int64_t row) {
    const float *y = b->y_rows + row * HIDDEN;
    for (int64_t i = 1; i < HIDDEN; i++) check(y[i] == y[0], "row %lld is uneven", (long long)row);
    return (int64_t)y[0] / used(b) - 1;
}

/* --- tests -----------------------------------------------------------------------------------------------------------------
 */

static double run(uffb_bench *b, const char *name, int64_t tokens, int32_t cache) {
    double seconds = -1;
    int64_t index = contender(name);
    uffb_contender info;
    uffb_contender_info(index, &info);
    int32_t status = uffb_bench_run(b, index, info.blas ? &counting : NULL, NULL, tokens, cache, &seconds);
    check(status == UFFB_OK && seconds > 0, "%s: status %d, %g s: %s", name, status, seconds, uffb_error());
    return seconds;
}

static const char *const names[] = {"fff ours", "fff level 1", "dense ours", "dense level 1"};

static void test_rotated(void) {
    test_begin("bench: rotated calls take turns with all copies of the weights");
    for (int64_t i = 0; i < COUNT_OF(names); i++) {
        test_case("%s", names[i]);
        uffb_bench *b = marked_bench(i < 2, 1, COPIES, 0);
        run(b, names[i], 1, UFFB_CACHE_ROTATED);
        const int64_t calls = b->turn;
        check(calls % COPIES == 0, "%lld calls are no whole turns", (long long)calls);
        for (int64_t t = 1; t <= calls && t < INPUTS; t++) {
            const int64_t copy = copy_of(b, t);
            if (!check(copy == t % COPIES, "call %lld had copy %lld", (long long)t, (long long)copy)) break;
        }
        check(copy_of(b, 0) == -1, "an input that had no turn was used");
        int64_t most = calls; /* where another program takes the CPU, a turn may be long */
        for (int again = 0; again < 50 && most <= 2 * COPIES; again++) {
            const int64_t before = b->turn;
            run(b, names[i], 1, UFFB_CACHE_ROTATED);
            check(b->turn % COPIES == 0 && b->turn > before, "the next run goes on from there");
            if (b->turn - before > most) most = b->turn - before;
        }
        check(most > 2 * COPIES, "short calls never had more than one turn before the one that counts");
        uffb_bench_free(b);
    }
    test_end();
}

/* Two milliseconds of calls bring the caches to what they are for a contender alone, and at least a turn does. */
static void test_steady(void) {
    test_begin("bench: a long call has one turn before the one that counts, a dense one with few tokens");
    enum { BATCH = 20, FEW = 8 };
    for (int fff = 0; fff < 2; fff++) {
        test_case("%s", fff ? "fff" : "dense");
        uffb_bench *b = marked_bench(fff, BATCH, COPIES, 0);
        dots = 0;
        nanoseconds = 50000;
        const double seconds = run(b, fff ? "fff level 1" : "dense level 1", BATCH, UFFB_CACHE_ROTATED);
        nanoseconds = 0;
        const int64_t want = COPIES * used(b) * (BATCH + (fff ? BATCH : FEW));
        check(dots == want, "%lld dot products, not %lld", (long long)dots, (long long)want);
        check(b->turn == 2 * COPIES, "%lld calls", (long long)b->turn);
        const double least = (double)(BATCH * used(b)) * 50000e-9;
        check(seconds >= least, "%g s is less than a call sleeps, %g s", seconds, least);
        uffb_bench_free(b);
    }
    test_end();
}

static void test_warm_and_cold(void) {
    test_begin("bench: a warm call has the weights of the one before, a cold one others");
    for (int64_t i = 0; i < COUNT_OF(names); i++) {
        for (int32_t cache = UFFB_CACHE_WARM; cache <= UFFB_CACHE_COLD; cache++) {
            test_case("%s, cache %d", names[i], cache);
            const int cold = cache == UFFB_CACHE_COLD;
            uffb_bench *b = marked_bench(i < 2, 1, COPIES, 1 << 16);
            run(b, names[i], 1, cache);
            check(b->turn == 1, "%lld turns", (long long)b->turn);
            check(copy_of(b, 0) == 0, "before: copy %lld", (long long)copy_of(b, 0));
            check(copy_of(b, 1) == cold, "timed: copy %lld", (long long)copy_of(b, 1));
            memset(b->y_rows, 0, 3 * HIDDEN * sizeof(float));
            run(b, names[i], 1, cache);
            check(copy_of(b, 1) == cold, "before the second: copy %lld", (long long)copy_of(b, 1));
            check(copy_of(b, 2) == 0, "the second: copy %lld", (long long)copy_of(b, 2));
            uffb_bench_free(b);
        }
    }
    test_end();
}

static void test_narrow(void) {
    test_begin("bench: rows of 16 bits hold the numbers of those in f32, and our kernels read them");
    uffb_bench *b = marked_bench_of(UFFB_BF16, 1, 1, COPIES, 0);
    for (int64_t i = 0; i < COPIES * b->rows * HIDDEN; i++) b->out_copies[i] = -100;
    run(b, "fff ours", 1, UFFB_CACHE_ROTATED);
    for (int64_t t = 1; t <= 2 * COPIES; t++) {
        const int64_t copy = copy_of(b, t);
        check(copy == t % COPIES, "call %lld had copy %lld", (long long)t, (long long)copy);
    }
    check(uffb_bench_fill(b, UFFB_FILL_UNIFORM, 1) == UFFB_OK, "%s", uffb_error());
    const float *wide[] = {b->in_copies, b->out_copies};
    const uint16_t *narrow[] = {b->narrow_in, b->narrow_out};
    for (int64_t m = 0; m < 2; m++) {
        for (int64_t i = 0; i < COPIES * b->rows * HIDDEN; i++) {
            if (!check(narrow[m][i] == bf16(wide[m][i]), "matrix %lld, element %lld", (long long)m, (long long)i)) break;
        }
    }
    uffb_bench_free(b);
    test_end();
}

static void test_refused(void) {
    test_begin("bench: states of the caches that a bench has not the copies for");
    double seconds;
    const int64_t ours = contender("fff ours");
    uffb_bench *one = marked_bench(1, 1, 1, 0), *no_evict = marked_bench(1, 1, 2, 0),
               *one_copy = marked_bench(1, 1, 1, 1 << 16);
    check(uffb_bench_run(one, ours, NULL, NULL, 1, UFFB_CACHE_ROTATED, &seconds) == UFFB_INVALID, "one copy rotates");
    check(uffb_bench_run(no_evict, ours, NULL, NULL, 1, UFFB_CACHE_COLD, &seconds) == UFFB_INVALID, "nothing to evict");
    check(uffb_bench_run(one_copy, ours, NULL, NULL, 1, UFFB_CACHE_COLD, &seconds) == UFFB_INVALID, "one cold copy");
    check(uffb_bench_run(one, ours, NULL, NULL, 1, 3, &seconds) == UFFB_INVALID, "state 3");
    check(uffb_bench_run(one, ours, NULL, NULL, 1, -1, &seconds) == UFFB_INVALID, "state -1");
    run(one, "fff ours", 1, UFFB_CACHE_WARM);
    run(no_evict, "fff ours", 1, UFFB_CACHE_ROTATED);
    uffb_bench_free(one);
    uffb_bench_free(no_evict);
    uffb_bench_free(one_copy);
    test_end();
}

static void test_bytes(void) {
    test_begin("bench: every copy is counted");
    for (int fff = 0; fff < 2; fff++) {
        uffb_bench *b = marked_bench(fff, 1, 2, 0);
        uffb_bench_shape three = b->shape;
        three.copies = 3;
        const uint64_t rows = 2 * (uint64_t)b->rows * HIDDEN * sizeof(float);
        const uint64_t more = uffb_bench_bytes(&three) - uffb_bench_bytes(&b->shape);
        check(more >= (fff ? rows : 2 * rows), "a copy counts %llu bytes", (unsigned long long)more);
        three.copies = 0;
        check(uffb_bench_bytes(&three) == 0, "no copy");
        uffb_bench_free(b);
    }
    test_end();
}

/* Every contender made of BLAS calls, with the engine's own BLAS, gives what a plain evaluation in double precision does. */
static void test_own_blas(void) {
    test_begin("bench: the engine's own BLAS computes every contender");
    uffb_blas *own = NULL;
    check(uffb_blas_own(&own) == UFFB_OK && uffb_blas_levels(own) == 3, "%s", uffb_error());
    for (int32_t threads = 1; threads <= 2; threads++) {
        for (int fff = 0; fff < 2; fff++) {
            const uffb_bench_shape shape = {.hidden = 75,
                                            .trees = fff ? 2 : 0,
                                            .depth = fff ? 6 : 0,
                                            .width = fff ? 0 : 301,
                                            .batch = 150,
                                            .inputs = 150,
                                            .copies = 1,
                                            .activation = UFFB_GELU,
                                            .threads = threads,
                                            .dtype = UFFB_F32};
            uffb_bench *b = NULL;
            check(uffb_bench_new(&shape, &b) == UFFB_OK && uffb_bench_fill(b, UFFB_FILL_UNIFORM, 3) == UFFB_OK, "%s",
                  uffb_error());
            uffb_contender info;
            for (int64_t i = 0; uffb_contender_info(i, &info) == UFFB_OK; i++) {
                if (info.fff != fff || !info.blas || info.published) continue;
                for (int64_t tokens = 1; tokens <= 150; tokens = tokens < 5 ? tokens + 1 : 30 * tokens) {
                    test_case("%s, %lld tokens, %d threads", info.name, (long long)tokens, threads);
                    double error = 1;
                    int64_t ties = 0;
                    check(uffb_bench_check(b, i, own, NULL, tokens, &error, &ties) == UFFB_OK, "%s", uffb_error());
                    check(error < 1e-5, "wrong by %g", error);
                }
            }
            uffb_bench_free(b);
        }
    }
    uffb_blas_close(own);
    test_end();
}

int main(void) {
    test_rotated();
    test_steady();
    test_warm_and_cold();
    test_narrow();
    test_refused();
    test_bytes();
    test_own_blas();
    return test_report();
}

/* Tests the engine through its public ABI: models of every kind, every ISA of this machine, any threads, any batch. */
#include "engine_test.h"
#include "../engine/context.h"
#include "check.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t all_near_ties, all_turned;

static const int64_t lengths[] = {1, 7, 16, 17, MAX_LENGTH, 3, 2, 9};

/* --- one model, every ISA ------------------------------------------------------------------------------------------------- */

static void test_threads_and_batches(const random_model *m, const char *isa, const batch *b, const run *whole) {
    static const int32_t thread_counts[] = {1, 2, 7};
    static const int64_t pieces[][5] = {{4}, {0}, {7, 6, 5}, {2, 2, 4, 0, 2}, {3, 1}};
    static const int64_t piece_sizes[] = {1, 1, 3, 5, 2};
    for (int64_t i = 0; i < COUNT_OF(thread_counts); i++) {
        uffb_context *context = context_new(m, thread_counts[i], isa);
        test_case("%d threads, whole batch", thread_counts[i]);
        check(uffb_context_threads(context) == thread_counts[i], "%d threads", uffb_context_threads(context));
        run *again = run_batch(m, context, b, i != 0);
        for (int64_t s = 0; s < b->sequences; s++) run_check_same(again, b, s, whole, b, s);
        run_free(again);
        for (int64_t p = 0; p < COUNT_OF(pieces); p++) {
            test_case("%d threads, %lld sequences from %lld", thread_counts[i], (long long)piece_sizes[p],
                      (long long)pieces[p][0]);
            batch *piece = batch_pick(b, piece_sizes[p], pieces[p]);
            run *part = run_batch(m, context, piece, 1);
            for (int64_t s = 0; s < piece->sequences; s++) run_check_same(part, piece, s, whole, b, pieces[p][s]);
            run_free(part);
            batch_free(piece);
        }
        uffb_context_free(context);
    }
}

/* However a tensor is given, the model is the same. */
static void test_layouts(const config *c, const char *isa, const batch *b, const run *whole) {
    static const int32_t given[][2] = {{UFFB_F32, UFFB_ROWS},
                                       {UFFB_F32, UFFB_COLUMNS},
                                       {UFFB_F32, UFFB_PANELS},
                                       {UFFB_F64, UFFB_ROWS},
                                       {UFFB_F32, AS_ASKED_UNALIGNED}};
    for (int64_t i = 0; i < COUNT_OF(given); i++) {
        test_case("tensors given as dtype %d, layout %d", given[i][0], given[i][1]);
        random_model *m = random_model_new(&c->arch, c->optional, given[i][0], given[i][1]);
        uffb_context *context = context_new(m, 1, isa);
        run *r = run_batch(m, context, b, 1);
        for (int64_t s = 0; s < b->sequences; s++) run_check_same(r, b, s, whole, b, s);
        run_free(r);
        uffb_context_free(context);
        random_model_free(m);
    }
}

/* Rows of an FFF layer stay bf16, those of embeddings f16, and are widened as they are read: the same numbers as in f32, to the
 * bit. */
static void test_narrow(const config *c, int32_t dtype) {
    random_model *m = random_model_new(&c->arch, c->optional, dtype, AS_ASKED);
    random_model *moved = random_model_new(&c->arch, c->optional, dtype, AS_ASKED_UNALIGNED);
    random_model *widened = random_model_new(&c->arch, c->optional, dtype, AS_WIDENED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int i = 0; isa_name(i); i++) {
        test_begin("engine %s, %s: %s", isa_name(i), dtype == UFFB_F16 ? "f16" : "bf16", c->name);
        uffb_context *contexts[] = {context_new(m, 1, isa_name(i)), context_new(moved, 2, isa_name(i)),
                                    context_new(widened, 1, isa_name(i))};
        run *runs[] = {run_batch(m, contexts[0], b, 1), run_batch(moved, contexts[1], b, 1),
                       run_batch(widened, contexts[2], b, 1)};
        for (int64_t s = 0; s < b->sequences; s++) {
            run_check_same(runs[0], b, s, runs[1], b, s);
            run_check_same(runs[0], b, s, runs[2], b, s);
        }
        for (int j = 0; j < 3; j++) {
            run_free(runs[j]);
            uffb_context_free(contexts[j]);
        }
        test_end();
    }
    batch_free(b);
    random_model_free(m);
    random_model_free(moved);
    random_model_free(widened);
}

/* Heads on states that came from elsewhere: here from another context of the same model. */
static void test_taken(const random_model *m, const char *isa, const batch *b, const run *whole) {
    test_case("heads on given final states");
    uffb_context *context = context_new(m, 2, isa);
    run *taken = run_taken(m, context, b, whole);
    check(!context->x && !context->wide && !context->scratch, "memory that only an encode needs");
    for (int64_t s = 0; s < b->sequences; s++) run_check_same(taken, b, s, whole, b, s);
    run_free(taken);
    uffb_context_free(context);
}

static int64_t compare(const void *a, const void *b, const float *logits) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return logits[x] != logits[y] ? (logits[x] > logits[y] ? -1 : 1) : x - y;
}

/* The top k must be those of the logits, best first, equal ones by id, with their share of the softmax. */
static void test_top_k(const random_model *m, uffb_context *context, const batch *b, const run *whole) {
    int64_t vocab = m->arch.vocab, ks[] = {1, 5, VOCAB_PERIOD + 1, vocab};
    int32_t *ids = malloc((size_t)(3 * vocab) * 4), *order = malloc((size_t)vocab * 4);
    float *shares = malloc((size_t)(3 * vocab) * 4);
    int64_t positions[] = {b->tokens - 1, 0, b->tokens / 2};
    for (int64_t i = 0; i < COUNT_OF(ks); i++) {
        int64_t k = ks[i];
        test_case("top %lld", (long long)k);
        if (!check(uffb_mlm_top_k(context, 3, positions, k, ids, shares) == UFFB_OK, "%s", uffb_error())) continue;
        for (int64_t p = 0; p < 3; p++) {
            const float *logits = output_row(run_output(whole, MLM), positions[p]);
            double sum = 0, top = -INFINITY;
            for (int64_t v = 0; v < vocab; v++) top = fmax(top, logits[v]);
            for (int32_t v = 0; v < vocab; v++) {
                sum += exp(logits[v] - top);
                int64_t at = v;
                for (; at > 0 && compare(&order[at - 1], &v, logits) > 0; at--) order[at] = order[at - 1];
                order[at] = v;
            }
            for (int64_t j = 0; j < k; j++) {
                double share = exp(logits[order[j]] - top) / sum;
                check(ids[p * k + j] == order[j], "position %lld, rank %lld: id %d, not %d", (long long)positions[p],
                      (long long)j, ids[p * k + j], order[j]);
                double bound = ((double)vocab + 16) * ROUNDING * share + 4 * FLT_MIN, error = fabs(shares[p * k + j] - share);
                check(error <= bound, "rank %lld: probability is off by %g, bound %g", (long long)j, error, bound);
            }
        }
    }
    free(ids);
    free(order);
    free(shares);
}

/* The largest difference between two outputs over some rows, in parts of the largest element. */
static double difference(const output *x, const output *y, int64_t first, int64_t end) {
    double largest = 0, worst = 0;
    for (int64_t i = first * x->cols; i < end * x->cols; i++) {
        double a = output_row(x, 0)[i], b = output_row(y, 0)[i];
        largest = fmax(largest, fabs(a));
        worst = fmax(worst, fabs(a - b));
    }
    return worst / largest;
}

/* Branches of a layer, over some tokens, where two runs part; the logit there must be too near 0 to tell. */
static int64_t turned_branches(const run *x, const run *y, int64_t layer, int64_t first, int64_t end) {
    const output *paths = run_output(x, LAYER(layer, 1)), *logits = run_output(x, LAYER(layer, 2));
    const int32_t *p = paths->data, *q = run_output(y, LAYER(layer, 1))->data;
    double largest = 0;
    int64_t turned = 0;
    for (int64_t i = 0; i < paths->rows * paths->cols; i++) largest = fmax(largest, fabs(output_row(logits, 0)[i]));
    for (int64_t i = first * paths->cols + 1; paths->rows && i < end * paths->cols; i++) {
        if (p[i] == q[i] || p[i - 1] != q[i - 1]) continue;
        double logit = fabs(output_row(logits, 0)[i - 1]);
        check(logit <= 1e-5 * largest, "path.%lld: node %d or %d, logit %g", (long long)layer, p[i], q[i], logit);
        turned++;
    }
    return turned;
}

/* Two ISAs must take the same paths but where a logit is too near 0 to tell; up to the first such branch of a sequence their
 * states agree. Returns the branches that turned. */
static int64_t compare_isas(const random_model *m, const batch *b, const run *x, const run *y) {
    int64_t all = 0;
    for (int64_t s = 0; s < b->sequences; s++) {
        for (int64_t l = 0, turned = 0; l < m->arch.layers && !turned; l++) {
            int64_t first = b->offsets[s], end = b->offsets[s + 1];
            all += turned = turned_branches(x, y, l, first, end);
            double parts = turned ? 0 : difference(run_output(x, LAYER(l, 0)), run_output(y, LAYER(l, 0)), first, end);
            check(parts <= 2e-5, "layer.%lld of sequence %lld: off by %g of the largest", (long long)l, (long long)s, parts);
        }
    }
    return all;
}

static void test_model(const config *c) {
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, AS_ASKED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    run *first = NULL;
    for (int i = 0; isa_name(i); i++) {
        const char *isa = isa_name(i);
        test_begin("engine %s: %s", isa, c->name);
        uffb_context *context = context_new(m, 1, isa);
        test_case("against the reference");
        check(strcmp(uffb_context_isa(context), isa) == 0, "context on %s", uffb_context_isa(context));
        run *whole = run_batch(m, context, b, 1);
        int64_t ties = check_against_reference(m, b, whole), turned = 0;
        if (first) {
            test_case("against %s", isa_name(0));
            turned = compare_isas(m, b, first, whole);
        }
        if (c->arch.heads_present & UFFB_HEAD_MLM) test_top_k(m, context, b, whole);
        uffb_context_free(context);
        test_threads_and_batches(m, isa, b, whole);
        test_taken(m, isa, b, whole);
        if (!first) test_layouts(c, isa, b, whole);
        all_near_ties += ties;
        all_turned += turned;
        test_note("%lld near-ties, %lld turned", (long long)ties, (long long)turned);
        test_end();
        if (first)
            run_free(whole);
        else
            first = whole;
    }
    run_free(first);
    batch_free(b);
    random_model_free(m);
}

/* --- integers --------------------------------------------------------------------------------------------------------------
 */

/* Square root of the mean squared difference over the mean square. */
static double distance(const output *a, const output *b) {
    double apart = 0, size = 0;
    for (int64_t i = 0; i < a->rows * a->cols; i++) {
        double x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
        apart += (x - y) * (x - y);
        size += x * x;
    }
    return sqrt(apart / size);
}

/* The same model in 8 or 16 bits: independent of threads and batches to the bit, and near the model in f32. */
static void test_integers(const config *c, int32_t dtype) {
    const int bits = dtype == UFFB_I8 ? 8 : 16;
    random_model *exact = random_model_new(&c->arch, c->optional, UFFB_F32, AS_ASKED);
    random_model *m = random_model_new(&c->arch, c->optional, dtype, AS_ASKED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int i = 0; isa_name(i); i++) {
        test_begin("engine %s, %d bits: %s", isa_name(i), bits, c->name);
        uffb_context *context = context_new(m, 1, isa_name(i)), *other = context_new(exact, 1, isa_name(i));
        run *whole = run_batch(m, context, b, 1), *reference = run_batch(exact, other, b, 1);
        test_case("against f32");
        double apart = distance(run_output(reference, FINAL), run_output(whole, FINAL));
        check(apart > 0 && apart < (dtype == UFFB_I8 ? 0.05 : 0.003), "final states are %g apart", apart);
        test_threads_and_batches(m, isa_name(i), b, whole);
        test_note("%.4f from f32", apart);
        run_free(whole);
        run_free(reference);
        uffb_context_free(context);
        uffb_context_free(other);
        test_end();
    }
    batch_free(b);
    random_model_free(m);
    random_model_free(exact);
}

/* --- several contexts at once --------------------------------------------------------------------------------------------- */

typedef struct {
    const random_model *m;
    const batch *b;
    uffb_context *context;
    run *result;
} job;

static void *encode_often(void *arg) {
    job *j = arg;
    const int64_t *offsets = j->b->offsets;
    for (int i = 0; i < 20; i++) {
        if (uffb_encode(j->context, j->b->sequences, offsets, j->b->ids, NULL, NULL) != UFFB_OK) return arg;
        if (uffb_pool(j->context, UFFB_POOL_MEAN, 0, run_output(j->result, POOL_MEAN)->data) != UFFB_OK) return arg;
    }
    return NULL;
}

static void test_contexts(const config *c) {
    test_begin("several contexts over one model, each on its own thread");
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, AS_ASKED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    uffb_context *alone = context_new(m, 1, NULL);
    run *expected = run_batch(m, alone, b, 0);
    job jobs[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = (job){m, b, context_new(m, i + 1, NULL), NULL};
        jobs[i].result = run_batch(m, jobs[i].context, b, 0);
        memset(run_output(jobs[i].result, POOL_MEAN)->data, 0, (size_t)(b->sequences * c->arch.hidden) * 4);
    }
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, encode_often, &jobs[i]);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        test_case("context %d", i);
        check(failed == NULL, "%s", uffb_context_error(jobs[i].context));
        for (int64_t s = 0; s < b->sequences; s++) run_check_same(jobs[i].result, b, s, expected, b, s);
        run_free(jobs[i].result);
        uffb_context_free(jobs[i].context);
    }
    run_free(expected);
    uffb_context_free(alone);
    batch_free(b);
    random_model_free(m);
    test_end();
}

static void test_list(const config *list, int64_t count) {
    for (int64_t i = 0; i < count; i++) test_model(&list[i]);
    for (int64_t i = 0; i < count; i++) {
        /* Where a branch turns the states differ altogether, so that layers without deep trees tell. */
        if (list[i].arch.feedforward != UFFB_FFN_FFF || list[i].arch.depth == 0) {
            test_integers(&list[i], UFFB_I8);
            test_integers(&list[i], UFFB_I16);
        }
        if (list[i].optional && list[i].arch.heads_present == UFFB_HEAD_MLM && !list[i].arch.mlm_transform)
            test_rescored(&list[i]);
        if (!list[i].arch.tied) test_narrow(&list[i], UFFB_F16);
        if (!list[i].arch.tied && !list[i].arch.embed_width) test_looked_up(&list[i]);
        if (list[i].arch.feedforward == UFFB_FFN_FFF) test_narrow(&list[i], UFFB_BF16);
    }
    test_finite(list, count);
}

int main(void) {
    int64_t count;
    const config *list = test_further_configs(&count);
    test_list(list, count);
    list = test_configs(&count);
    test_list(list, count);
    test_threads();
    test_mapped(&list[7].arch);
    test_interrupts();
    test_contexts(&list[5]);
    test_convert();
    test_quantised();
    test_bad_models();
    test_misuse();
    printf("      %lld near-ties, of which %lld turned between instruction sets\n", (long long)all_near_ties,
           (long long)all_turned);
    return test_report();
}

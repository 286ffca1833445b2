#include "layer_cases.h"
#include "../../bench/bench.h"
#include "../../test/check.h"
#include "../uffb_cuda.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const dtypes[] = {[UFFB_F32] = "f32", [UFFB_F16] = "f16", [UFFB_BF16] = "bf16"};

const char *layer_name(const layer_shape *s, int32_t dtype) {
    static char name[96];
    if (s->trees > 0) {
        snprintf(name, sizeof name, "%lldx%lld of %lld, %s", (long long)s->trees, (long long)s->depth, (long long)s->hidden,
                 dtypes[dtype]);
    } else {
        snprintf(name, sizeof name, "dense %lld of %lld, %s", (long long)s->width, (long long)s->hidden, dtypes[dtype]);
    }
    return name;
}

/* Of the largest value. Outputs are rounded to the dtype, half a unit in the last place each; hidden units of dense layers and
 * TF32's operands are rounded as well, and their errors partly cancel. f32: sums of `terms` products in another order. */
static double tolerance(int32_t dtype, int32_t tensor, int64_t terms) {
    const double sums = 4e-6 + 2e-8 * (double)terms;
    if (tensor) return 4e-3;
    return dtype == UFFB_F32 ? sums : dtype == UFFB_F16 ? 2e-3 : 1.2e-2;
}

static uffb_cuda_bench *new_bench(const layer_shape *s, int32_t dtype, int64_t batch) {
    const uffb_cuda_bench_shape shape = {.hidden = s->hidden,
                                         .trees = s->trees,
                                         .depth = s->depth,
                                         .width = s->width,
                                         .batch = batch,
                                         .inputs = batch + 1,
                                         .activation = s->activation,
                                         .dtype = dtype};
    uffb_cuda_bench *bench = NULL;
    const int32_t status = uffb_cuda_bench_new(&shape, &bench);
    if (!status && uffb_cuda_bench_fill(bench, s->fill, 7)) {
        uffb_cuda_bench_free(bench);
        bench = NULL;
    }
    if (!bench) {
        test_begin("%s", layer_name(s, dtype));
        check(0, "no bench: %s", uffb_cuda_error());
        test_end();
    }
    return bench;
}

/* 1 when it was skipped. */
static int64_t test_contender(uffb_cuda_bench *bench, const layer_shape *s, int32_t dtype, int64_t index, int64_t batches,
                              const int64_t *batch) {
    uffb_cuda_contender info;
    double most = 0;
    int64_t all_ties = 0;
    uffb_cuda_contender_info(index, &info);
    if (info.fff != (s->trees > 0) || !(info.dtypes >> dtype & 1)) return 0;
    const double allowed = tolerance(dtype, info.tensor, s->hidden + s->width);
    test_begin("%s: %s", layer_name(s, dtype), info.name);
    for (int64_t i = 0; i < batches; i++) {
        double error = 0;
        int64_t ties = 0;
        test_case("%lld tokens", (long long)batch[i]);
        const int32_t status = uffb_cuda_bench_check(bench, index, batch[i], &error, &ties);
        if (status == UFFB_UNSUPPORTED && info.library) return 1;
        if (!check(status == UFFB_OK, "%s", uffb_cuda_error())) break;
        check(error <= allowed, "wrong by %.2g of the largest value; %.2g is allowed", error, allowed);
        check(ties < batch[i] || batch[i] < 4, "all tokens were near-ties");
        if (error > most) most = error;
        all_ties += ties;
    }
    test_note("largest error %.1e, %lld near-ties", most, (long long)all_ties);
    test_end();
    return 0;
}

int64_t test_layers(int64_t shapes, const layer_shape *shape, int64_t batches, const int64_t *batch) {
    int64_t skipped = 0, largest = 0;
    for (int64_t i = 0; i < batches; i++) largest = batch[i] > largest ? batch[i] : largest;
    for (const layer_shape *s = shape; s < shape + shapes; s++) {
        for (int32_t dtype = UFFB_F32; dtype <= UFFB_BF16; dtype++) {
            uffb_cuda_bench *bench = new_bench(s, dtype, largest);
            for (int64_t c = 0; bench && c < uffb_cuda_contender_count(); c++) {
                skipped += test_contender(bench, s, dtype, c, batches, batch);
            }
            uffb_cuda_bench_free(bench);
        }
    }
    return skipped;
}

/* Graphs of some copies of the weights and of all, and more calls than copies. */
static void test_cold(uffb_cuda_bench_shape shape) {
    const uint64_t warm = uffb_cuda_bench_bytes(&shape);
    uffb_cuda_bench *bench = NULL;
    double value = NAN;
    int64_t ties;
    shape.cold = 1;
    check(uffb_cuda_bench_bytes(&shape) > warm, "copies of the weights have no size");
    check(uffb_cuda_bench_new(&shape, &bench) == UFFB_OK, "%s", uffb_cuda_error());
    for (int64_t calls = 3; bench && calls < 200; calls += 131) {
        check(uffb_cuda_bench_run(bench, 0, 4, calls, &value) == UFFB_OK && value >= 0, "%s", uffb_cuda_error());
    }
    check(uffb_cuda_bench_check(bench, 0, 4, &value, &ties) == UFFB_OK && value < 1e-5, "%s", uffb_cuda_error());
    uffb_cuda_bench_free(bench);
}

void test_layer_misuse(void) {
    const uffb_cuda_bench_shape good = {.hidden = 16, .trees = 1, .depth = 2, .batch = 4, .inputs = 4};
    uffb_cuda_bench *bench = NULL;
    uffb_cuda_contender info;
    double value;
    int64_t ties;
    test_begin("the layer's ABI refuses what is not valid");
    check(uffb_cuda_abi_version() == UFFB_CUDA_ABI_VERSION, "the version is %d", uffb_cuda_abi_version());
    check(uffb_cuda_contender_info(-1, &info) == UFFB_INVALID, "contender -1");
    check(uffb_cuda_contender_info(uffb_cuda_contender_count(), &info) == UFFB_INVALID, "one contender too many");
#define REFUSED(field, bad)                                                                                                    \
    do {                                                                                                                       \
        uffb_cuda_bench_shape s = good;                                                                                        \
        s.field = bad;                                                                                                         \
        check(uffb_cuda_bench_new(&s, &bench) == UFFB_INVALID && !bench, #field " " #bad " was taken");                        \
        check(uffb_cuda_bench_bytes(&s) == 0, #field " " #bad " has a size");                                                  \
        check(strstr(uffb_cuda_error(), #field) != NULL, "\"%s\" does not name " #field, uffb_cuda_error());                   \
    } while (0)
    REFUSED(hidden, 0);
    REFUSED(trees, -1);
    REFUSED(depth, -1);
    REFUSED(depth, 25);
    REFUSED(batch, 0);
    REFUSED(inputs, 3);
    REFUSED(activation, UFFB_ACTIVATION_COUNT);
    REFUSED(dtype, UFFB_F64);
    REFUSED(cold, 2);
    uffb_cuda_bench_shape other = good;
    other.device = 1000;
    check(uffb_cuda_bench_new(&other, &bench) == UFFB_UNSUPPORTED && !bench, "device 1000 was taken");
    check(uffb_cuda_bench_bytes(&good) > 0, "a valid shape has no size");
    check(uffb_cuda_bench_new(&good, &bench) == UFFB_OK, "%s", uffb_cuda_error());
    check(uffb_cuda_bench_run(bench, 0, 5, 1, &value) == UFFB_INVALID, "more tokens than the batch");
    check(uffb_cuda_bench_run(bench, 0, 4, 0, &value) == UFFB_INVALID, "no calls");
    check(uffb_cuda_bench_run(bench, 1000, 4, 1, &value) == UFFB_INVALID, "contender 1000");
    check(uffb_cuda_bench_check(bench, 0, 0, &value, &ties) == UFFB_INVALID, "no tokens");
    check(uffb_cuda_bench_fill(bench, 3, 1) == UFFB_INVALID, "fill 3");
    check(uffb_cuda_bench_run(bench, 0, 4, 3, &value) == UFFB_OK && value >= 0, "%s", uffb_cuda_error());
    uffb_cuda_bench_free(bench);
    uffb_cuda_bench_free(NULL);
    test_end();
    test_begin("cold calls run, too");
    test_cold(good);
    test_end();
}

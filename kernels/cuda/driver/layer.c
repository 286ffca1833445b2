/* Times one layer: FFF 1x11 of 768 against dense ones of 4,096 (4,095 would be unaligned) and 3,072 (the size that BERT has),
 * for each batch and dtype. `warm`: every call has the same weights, which stay in L2; `cold`: L2 has other things when a graph
 * begins, in which each call has a copy of the weights to itself. Inputs take turns in both, 16,384 of them or 4 batches: 25 MB
 * in 16 bits at batches up to 4,096, of which L2 may keep much, 100 MB at 16,384. */
#include "driver.h"

#include "../../bench/bench.h"

#include <math.h>
#include <string.h>

#define HIDDEN 768
/* A measurement is the median of ROUNDS graphs, of SECONDS each. */
#define ROUNDS 5
#define SECONDS 0.03
#define MOST_CALLS 2000
#define MOST_ROWS 256

typedef struct layer {
    const char *name;
    int64_t trees, depth, width;
    int32_t fill;
    const char *paths;
} layer;

static const layer layers[] = {
    {"1x11", 1, 11, 0, UFFB_FILL_UNIFORM, "uniform"},
    {"1x11", 1, 11, 0, UFFB_FILL_SKEWED, "skewed"},
    {"dense 4096", 0, 0, 4096, UFFB_FILL_UNIFORM, "-"},
    {"dense 3072", 0, 0, 3072, UFFB_FILL_UNIFORM, "-"},
};
#define LAYERS (int64_t)(sizeof layers / sizeof *layers)

typedef struct row {
    const layer *layer;
    int32_t dtype;
    uffb_cuda_contender contender;
    double seconds;
} row;

static int measure(uffb_cuda_bench *b, int64_t contender, int64_t tokens, double *seconds) {
    double rounds[ROUNDS], first;
    if (uffb_cuda_bench_run(b, contender, tokens, 3, &first)) return 0;
    double calls = SECONDS / (first > 1e-7 ? first : 1e-7);
    calls = calls < 3 ? 3 : calls > MOST_CALLS ? MOST_CALLS : calls;
    for (int i = 0; i < ROUNDS; i++) {
        if (uffb_cuda_bench_run(b, contender, tokens, (int64_t)calls, &rounds[i])) return 0;
    }
    *seconds = median(ROUNDS, rounds);
    return 1;
}

/* Every contender of a layer. */
static int64_t time_layer(const options *o, const layer *l, int32_t dtype, int64_t batch, int cold, row *rows) {
    const uffb_cuda_bench_shape shape = {.hidden = HIDDEN,
                                         .trees = l->trees,
                                         .depth = l->depth,
                                         .width = l->width,
                                         .batch = batch,
                                         .inputs = 4 * batch < 16384 ? 16384 : 4 * batch,
                                         .activation = UFFB_GELU,
                                         .dtype = dtype,
                                         .device = o->device,
                                         .cold = cold};
    uffb_cuda_bench *b;
    int64_t count = 0;
    if (uffb_cuda_bench_new(&shape, &b) || uffb_cuda_bench_fill(b, l->fill, 1)) {
        printf("%s %s: %s\n", l->name, dtype_names[dtype], uffb_cuda_error());
        return 0;
    }
    for (int64_t c = 0; c < uffb_cuda_contender_count(); c++) {
        row *r = &rows[count];
        *r = (row){.layer = l, .dtype = dtype};
        uffb_cuda_contender_info(c, &r->contender);
        if (r->contender.fff != (l->trees > 0) || !(r->contender.dtypes >> dtype & 1)) continue;
        if (measure(b, c, batch, &r->seconds)) {
            count++;
        } else {
            printf("%s %s, %s: %s\n", l->name, dtype_names[dtype], r->contender.name, uffb_cuda_error());
        }
    }
    uffb_cuda_bench_free(b);
    return count;
}

/* The fastest dense layer of a width, of a dtype or (-1) of any. TF32 counts as a dtype of its own. */
static double fastest(int64_t count, const row *rows, int64_t width, int32_t dtype) {
    double best = INFINITY;
    for (const row *r = rows; r < rows + count; r++) {
        if (r->contender.fff || r->layer->width != width) continue;
        if (dtype >= 0 && (r->dtype != dtype || r->contender.tensor)) continue;
        if (r->seconds < best) best = r->seconds;
    }
    return best;
}

static double naive(int64_t count, const row *rows, const row *like) {
    for (const row *r = rows; r < rows + count; r++) {
        if (r->layer == like->layer && r->dtype == like->dtype && !strcmp(r->contender.name, "fff naive")) return r->seconds;
    }
    return INFINITY;
}

static void ratio(double other, double own) {
    if (isinf(other)) {
        printf(" %10s", "-");
    } else {
        printf(" %9.2fx", other / own);
    }
}

static void print_rows(const options *o, int64_t batch, int cold, int64_t count, const row *rows) {
    const char *weights = cold ? "cold" : "warm";
    printf("\nbatch %lld, weights %s\n", (long long)batch, weights);
    printf("%-11s %-8s %-5s %-20s %10s %9s %10s %10s %10s %10s\n", "layer", "paths", "dtype", "contender", "us/call",
           "ns/token", "4096 same", "4096 any", "3072 same", "vs naive");
    for (const row *r = rows; r < rows + count; r++) {
        printf("%-11s %-8s %-5s %-20s %10.2f %9.2f", r->layer->name, r->layer->paths, dtype_names[r->dtype], r->contender.name,
               r->seconds * 1e6, r->seconds * 1e9 / (double)batch);
        ratio(fastest(count, rows, 4096, r->dtype), r->seconds);
        ratio(fastest(count, rows, 4096, -1), r->seconds);
        ratio(fastest(count, rows, 3072, r->dtype), r->seconds);
        ratio(r->contender.fff ? naive(count, rows, r) : INFINITY, r->seconds);
        printf("\n");
        if (!o->json) continue;
        fprintf(o->json,
                "{\"part\":\"layer\",\"device\":\"%s\",\"cublas\":\"%s\",\"layer\":\"%s\",\"paths\":\"%s\",\"hidden\":%d,"
                "\"dtype\":\"%s\",\"contender\":\"%s\","
                "\"batch\":%lld,\"weights\":\"%s\",\"seconds\":%.9g}\n",
                o->info.name, o->info.cublas, r->layer->name, r->layer->paths, HIDDEN, dtype_names[r->dtype], r->contender.name,
                (long long)batch, weights, r->seconds);
    }
    fflush(stdout);
    if (o->json) fflush(o->json);
}

int time_layers(const options *o) {
    static const int64_t batches[] = {1, 16, 128, 1024, 16384};
    static row rows[MOST_ROWS];
    printf("\nOne layer of %d. \"4096 same\", \"4096 any\", \"3072 same\": how much faster than the fastest dense layer of "
           "that width and\n"
           "the same dtype (without TF32), or any dtype. cuBLASLt's fused GELU is the tanh form.\n",
           HIDDEN);
    for (int64_t i = 0; i < 2 * (int64_t)(sizeof batches / sizeof *batches); i++) {
        const int64_t batch = batches[i / 2];
        const int cold = i % 2 == 0;
        int64_t count = 0;
        for (int32_t dtype = UFFB_F32; dtype <= UFFB_BF16; dtype++) {
            for (const layer *l = layers; l < layers + LAYERS; l++) {
                count += time_layer(o, l, dtype, batch, cold, rows + count);
            }
        }
        print_rows(o, batch, cold, count, rows);
    }
    return 0;
}

/* The roofline: what this machine does at most. */
#include "bench.h"
#include "../engine/error.h"
#include "../engine/memory.h"
#include "../engine/threads.h"
#include "../ops/ops.h"

#include <stdlib.h>
#include <time.h>

/* A GEMM whose operands stay in L1: one panel pair, few rows. */
#define FLOPS_ROWS 14
#define FLOPS_DEPTH 64
#define FLOPS_COLS (2 * UFFB_PANEL)
#define FLOPS_CALLS 2000
/* The same in 8 bits: whole tiles of every instruction set. */
#define OPS_ROWS 48
#define OPS_DEPTH 384
#define OPS_COLS (2 * UFFB_PANEL)
#define OPS_CALLS 200
/* The same in bf16. */
#define BF16_ROWS 64
#define BF16_DEPTH 256
#define BF16_COLS 32
#define BF16_CALLS 50
/* Lines ahead, for memory. In L2 a prefetch beyond the end would cost a page walk. */
#define AHEAD 24
#define L2_FLOATS (96 << 10 >> 2)
#define L2_ROUNDS 200
#define MEMORY_FLOATS (256 << 20 >> 2)

typedef struct {
    int32_t probe;
    const uffb_ops *ops;
    float *data;
    int64_t floats; /* a thread */
} work;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What every CPU has in one register: wider ones make the compiler spill. */
typedef float lanes __attribute__((vector_size(16)));

/* Reads two lines a step, and asks for those `ahead`. */
static inline __attribute__((always_inline)) float read_all(const float *data, int64_t n, int64_t ahead) {
    const lanes *at = (const lanes *)data;
    lanes sum[8] = {{0}};
    for (int64_t i = 0; i + 8 <= n / 4; i += 8) {
        if (ahead) {
            __builtin_prefetch(at + i + 4 * ahead);
            __builtin_prefetch(at + i + 4 + 4 * ahead);
        }
        for (int j = 0; j < 8; j++) sum[j] += at[i + j];
    }
    for (int j = 1; j < 8; j++) sum[0] += sum[j];
    return sum[0][0] + sum[0][1] + sum[0][2] + sum[0][3];
}

static void probe_part(void *arg, int64_t part, int32_t thread) {
    (void)thread;
    const work *w = arg;
    float *data = w->data + part * w->floats;
    if (w->probe == UFFB_PROBE_FLOPS) {
        float *a = data, *panels = a + FLOPS_ROWS * FLOPS_DEPTH, *c = panels + FLOPS_COLS * FLOPS_DEPTH;
        for (int i = 0; i < FLOPS_CALLS; i++) {
            w->ops->gemm(FLOPS_ROWS, FLOPS_COLS, FLOPS_DEPTH, a, FLOPS_DEPTH, panels, NULL, c, FLOPS_COLS, 0, NULL);
        }
    } else if (w->probe == UFFB_PROBE_OPS_I8) {
        uint8_t *a = (uint8_t *)data, *panels = a + OPS_ROWS * OPS_DEPTH;
        float *c = (float *)(panels + OPS_COLS * OPS_DEPTH), *scale = c + OPS_ROWS * OPS_COLS;
        const uffb_weights_i8 weights = {(const int8_t *)panels, scale, (const int32_t *)(scale + OPS_ROWS)};
        for (int i = 0; i < OPS_CALLS; i++) {
            w->ops->gemm_i8(OPS_ROWS, OPS_COLS, OPS_DEPTH, a, OPS_DEPTH, scale, &weights, NULL, c, OPS_COLS, 0);
        }
    } else if (w->probe == UFFB_PROBE_BF16) {
        const uint16_t *a = (const uint16_t *)data, *b = a + BF16_ROWS * BF16_DEPTH;
        float *c = data + (BF16_ROWS + BF16_COLS) * BF16_DEPTH / 2;
        for (int i = 0; i < BF16_CALLS; i++) w->ops->gemm_bf16(BF16_ROWS, BF16_COLS, BF16_DEPTH, a, b, NULL, c, BF16_COLS, 0);
    } else {
        volatile float sink = 0;
        if (w->probe == UFFB_PROBE_MEMORY) sink = read_all(data, w->floats, AHEAD);
        for (int i = 0; w->probe == UFFB_PROBE_L2 && i < L2_ROUNDS; i++) sink = sink + read_all(data, w->floats, 0);
    }
}

static double part_amount(const work *w) {
    if (w->probe == UFFB_PROBE_FLOPS) return 2.0 * FLOPS_ROWS * FLOPS_COLS * FLOPS_DEPTH * FLOPS_CALLS;
    if (w->probe == UFFB_PROBE_OPS_I8) return 2.0 * OPS_ROWS * OPS_COLS * OPS_DEPTH * OPS_CALLS;
    if (w->probe == UFFB_PROBE_BF16) return 2.0 * BF16_ROWS * BF16_COLS * BF16_DEPTH * BF16_CALLS;
    return (double)w->floats * sizeof(float) * (w->probe == UFFB_PROBE_L2 ? L2_ROUNDS : 1);
}

int32_t uffb_probe(int32_t probe, int32_t threads, double seconds, double *rate) {
    if (probe < UFFB_PROBE_FLOPS || probe > UFFB_PROBE_BF16 || !rate || threads < 0 || threads > 1024) {
        return uffb_fail(UFFB_INVALID, "uffb_probe: no such probe, or nowhere to put the rate");
    }
    if (!threads) threads = uffb_cpu_count();
    const int64_t sizes[] = {FLOPS_ROWS * FLOPS_DEPTH + FLOPS_COLS * (FLOPS_DEPTH + FLOPS_ROWS), MEMORY_FLOATS / threads,
                             L2_FLOATS, (OPS_ROWS + OPS_COLS) * OPS_DEPTH / 4 + OPS_COLS * OPS_ROWS + OPS_ROWS + OPS_COLS,
                             (BF16_ROWS + BF16_COLS) * BF16_DEPTH / 2 + BF16_ROWS * BF16_COLS};
    work w = {probe, uffb_ops_of(uffb_best_isa()), NULL, sizes[probe]};
    w.data = uffb_allocate((uint64_t)(w.floats * threads) * sizeof *w.data);
    uffb_team *team = w.data ? uffb_team_new(threads) : NULL;
    if (!team) {
        free(w.data);
        return uffb_fail(UFFB_NO_MEMORY, "no memory for the probe");
    }
    for (int64_t i = 0; i < w.floats * threads; i++) w.data[i] = 1e-3f;
    *rate = 0;
    for (double end = now() + seconds, start; (start = now()) < end || *rate == 0;) {
        uffb_parallel(team, threads, probe_part, &w);
        double seen = part_amount(&w) * threads / (now() - start);
        if (seen > *rate) *rate = seen;
    }
    uffb_team_free(team);
    free(w.data);
    return UFFB_OK;
}

/* Trials: running a contender on a bench's layer and inputs, and holding its result against a plain evaluation. */
#include "layer.h"

#include <stdlib.h>
#include <vector>

static int32_t check_trial(const uffb_cuda_bench *b, int64_t index, int64_t tokens, const contender **out) {
    const contender *c = find_contender(index);
    if (!b || !c) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_run: no bench or no such contender");
    const uffb_cuda_contender &info = c->info;
    if (info.fff != (b->shape.trees > 0)) return uffb_cuda_fail(UFFB_INVALID, "%s is not for this layer", info.name);
    if (!(info.dtypes >> b->shape.dtype & 1)) return uffb_cuda_fail(UFFB_INVALID, "%s is not for this dtype", info.name);
    if (info.library && !b->blas) return uffb_cuda_fail(UFFB_UNSUPPORTED, "%s needs cuBLAS, which was not found", info.name);
    if (tokens < 1 || tokens > b->shape.batch) {
        return uffb_cuda_fail(UFFB_INVALID, "%lld tokens of a batch of %lld", (long long)tokens, (long long)b->shape.batch);
    }
    *out = c;
    return uffb_cuda_use(b->shape.device);
}

/* --- running -------------------------------------------------------------------------------------------------------------- */

/* Calls as one graph, so that what is measured is the device's work and not the launches. */
static int32_t capture(uffb_cuda_bench *b, const contender *c, int64_t tokens, int64_t calls, cudaGraphExec_t *exec) {
    CUDA_TRY(cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeThreadLocal), "capturing a graph");
    int32_t status = UFFB_OK;
    for (int64_t i = 0; i < calls && !status; i++) {
        const trial t = {b, tokens, i};
        status = c->run(&t);
    }
    cudaGraph_t graph = NULL;
    const cudaError_t error = cudaStreamEndCapture(b->stream, &graph);
    if (!status) status = uffb_cuda_check(error, "capturing a graph");
    if (status) cudaGetLastError();
    if (!status) status = uffb_cuda_check(cudaGraphInstantiateWithFlags(exec, graph, 0), "preparing a graph");
    if (graph) cudaGraphDestroy(graph);
    return status;
}

/* Seconds of `runs` runs, and of one before them that is not counted, for what the first brings along (kernels to load, clocks
 * to raise). What comes before a counted run keeps the device busy while the run is launched. */
static int32_t time_graph(uffb_cuda_bench *b, cudaGraphExec_t exec, int64_t runs, const cudaEvent_t *event, double *seconds) {
    CUDA_TRY(cudaGraphLaunch(exec, b->stream), "running a graph");
    *seconds = 0;
    for (int64_t i = 0; i < runs; i++) {
        const int32_t status = b->other_bytes ? uffb_cuda_flush(b->other, b->other_bytes, b->stream) : UFFB_OK;
        if (status) return status;
        CUDA_TRY(cudaEventRecord(event[0], b->stream), "running a graph");
        CUDA_TRY(cudaGraphLaunch(exec, b->stream), "running a graph");
        CUDA_TRY(cudaEventRecord(event[1], b->stream), "running a graph");
        CUDA_TRY(cudaStreamSynchronize(b->stream), "running a graph");
        float ms = 0;
        CUDA_TRY(cudaEventElapsedTime(&ms, event[0], event[1]), "reading the device's clock");
        *seconds += ms * 1e-3;
    }
    return UFFB_OK;
}

int32_t uffb_cuda_bench_run(uffb_cuda_bench *b, int64_t index, int64_t tokens, int64_t calls, double *seconds) {
    const contender *c = NULL;
    if (!seconds) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_run: nowhere to put the time");
    int32_t status = check_trial(b, index, tokens, &c);
    if (status) return status;
    if (calls < 1 || calls > 1 << 20)
        return uffb_cuda_fail(UFFB_INVALID, "calls is %lld, but must be 1 to 1048576", (long long)calls);
    const trial first = {b, tokens, 0};
    status = c->run(&first); /* which tunes, too */
    if (status) return status;
    CUDA_TRY(cudaStreamSynchronize(b->stream), "running a contender");
    cudaGraphExec_t exec = NULL;
    cudaEvent_t event[2] = {NULL, NULL};
    /* Cold: no copy of the weights twice. */
    const int64_t together = b->shape.cold && calls > b->copies ? b->copies : calls, runs = (calls + together - 1) / together;
    status = capture(b, c, tokens, together, &exec);
    for (cudaEvent_t &e : event) {
        if (!status) status = uffb_cuda_check(cudaEventCreate(&e), "making an event");
    }
    if (!status) status = time_graph(b, exec, runs, event, seconds);
    *seconds /= (double)(runs * together);
    for (cudaEvent_t e : event) {
        if (e) cudaEventDestroy(e);
    }
    if (exec) cudaGraphExecDestroy(exec);
    return status;
}

/* --- checking ------------------------------------------------------------------------------------------------------------- */

/* Tokens that are compared at most, and multiply-adds of the evaluation. */
static const int64_t MOST_CHECKED = 256;
static const double MOST_WORK = 4e8;

/* Fills `want` in double precision; false when a logit is so close to 0 that f32 may turn either way. */
static bool reference(const uffb_cuda_bench *b, int32_t activation, const float *x) {
    const uffb_cuda_bench_shape &s = b->shape;
    const int64_t h = s.hidden, trees = s.trees > 0 ? s.trees : 1, nodes = b->rows / trees;
    const int64_t steps = s.trees > 0 ? s.depth + 1 : b->rows;
    const double margin = (double)h * 0x1p-24; /* 2^-24 a term bounds what the order of summation can do */
    for (int64_t i = 0; i < h; i++) b->want[i] = 0;
    for (int64_t tree = 0; tree < trees; tree++) {
        int64_t node = 0;
        for (int64_t step = 0; step < steps; step++) {
            const int64_t row = tree * nodes + node;
            double logit = b->bias[row], size = fabs(logit);
            for (int64_t i = 0; i < h; i++) {
                const double product = (double)b->in[row * h + i] * x[i];
                logit += product;
                size += fabs(product);
            }
            if (s.trees > 0 && step + 1 < steps && size > 0 && fabs(logit) <= margin * size) return false;
            const double scale = activate(activation, (float)logit);
            for (int64_t i = 0; i < h; i++) b->want[i] += scale * b->out[row * h + i];
            node = s.trees > 0 ? 2 * node + 1 + (logit > 0) : node + 1;
        }
    }
    return true;
}

static float value_of(int32_t dtype, const uint8_t *row, int64_t i) {
    float f;
    __half h;
    __nv_bfloat16 b;
    switch (dtype) {
    case UFFB_F32: memcpy(&f, row + i * 4, 4); return f;
    case UFFB_F16: memcpy(&h, row + i * 2, 2); return to_float(h);
    default: memcpy(&b, row + i * 2, 2); return to_float(b);
    }
}

/* Runs the contender over outputs full of NaNs and fetches rows 0 to tokens, the row after the last included, if there is one.
 */
static int32_t run_over_poison(uffb_cuda_bench *b, const contender *c, int64_t tokens, std::vector<uint8_t> *y) {
    const uffb_cuda_bench_shape &s = b->shape;
    const uint64_t row = (uint64_t)(s.hidden * uffb_dtype_bytes(s.dtype));
    CUDA_TRY(cudaMemsetAsync(b->device_y, 0xff, (uint64_t)s.inputs * row, b->stream), "clearing outputs");
    const trial t = {b, tokens, 0};
    const int32_t status = c->run(&t);
    if (status) return status;
    CUDA_TRY(cudaStreamSynchronize(b->stream), "running a contender");
    y->resize((uint64_t)(tokens < s.inputs ? tokens + 1 : tokens) * row);
    CUDA_TRY(cudaMemcpy(y->data(), b->device_y, y->size(), cudaMemcpyDeviceToHost), "reading outputs");
    return UFFB_OK;
}

int32_t uffb_cuda_bench_check(uffb_cuda_bench *b, int64_t index, int64_t tokens, double *error, int64_t *ties) {
    const contender *c = NULL;
    if (!error || !ties) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_check: nowhere to put the error");
    int32_t status = check_trial(b, index, tokens, &c);
    if (status) return status;
    std::vector<uint8_t> y;
    status = run_over_poison(b, c, tokens, &y);
    if (status) return status;

    const uffb_cuda_bench_shape &s = b->shape;
    const int64_t h = s.hidden, row = h * uffb_dtype_bytes(s.dtype), steps = s.trees > 0 ? s.trees * (s.depth + 1) : s.width;
    const int32_t activation = c->tanh && s.activation == UFFB_GELU ? UFFB_GELU_TANH : s.activation;
    int64_t checked = tokens < MOST_CHECKED ? tokens : MOST_CHECKED;
    const double affordable = MOST_WORK / (2.0 * (double)steps * (double)h);
    if ((double)checked > affordable) checked = affordable < 2 ? (tokens < 2 ? tokens : 2) : (int64_t)affordable;
    double largest = 0, worst = 0;
    *ties = 0;
    for (int64_t i = 0; i < checked; i++) {
        const int64_t t = checked > 1 ? i * (tokens - 1) / (checked - 1) : 0;
        if (!reference(b, activation, b->x + t * h)) {
            ++*ties;
            continue;
        }
        for (int64_t j = 0; j < h; j++) {
            const double off = fabs(b->want[j] - value_of(s.dtype, y.data() + t * row, j)), size = fabs(b->want[j]);
            if (off > worst || isnan(off)) worst = off; /* a NaN stays */
            if (isnan(worst)) break;
            if (size > largest) largest = size;
        }
        if (isnan(worst)) break;
    }
    for (uint64_t i = (uint64_t)(tokens * row); i < y.size(); i++) {
        if (y[i] != 0xff) return uffb_cuda_fail(UFFB_INVALID, "%s wrote past its %lld tokens", c->info.name, (long long)tokens);
    }
    *error = largest > 0 ? worst / largest : worst;
    return UFFB_OK;
}

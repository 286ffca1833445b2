/* A bench's layer and inputs on a device: making and filling them. Running contenders on them is trial.cu. */
#include "layer.h"
#include "../../bench/fill.h"

#include <stdlib.h>

extern "C" {
#include "../../engine/model.h"
}

/* --- making --------------------------------------------------------------------------------------------------------------- */

static bool fff(const uffb_cuda_bench_shape *s) { return s->trees > 0; }

static int64_t layer_rows(const uffb_cuda_bench_shape *s) {
    return fff(s) ? s->trees * (((int64_t)2 << s->depth) - 1) : s->width;
}

static int32_t check_range(const char *name, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return UFFB_OK;
    return uffb_cuda_fail(UFFB_INVALID, "%s is %lld, but must be %lld to %lld", name, (long long)value, (long long)least,
                          (long long)most);
}

static int32_t check_shape(const uffb_cuda_bench_shape *s) {
    if (!s) return uffb_cuda_fail(UFFB_INVALID, "no shape");
    int32_t status = check_range("hidden", s->hidden, 1, 1 << 20);
    if (!status) status = check_range("trees", s->trees, 0, 1 << 20);
    if (!status && fff(s)) status = check_range("depth", s->depth, 0, UFFB_MAX_DEPTH);
    if (!status && !fff(s)) status = check_range("width", s->width, 1, 1 << 24);
    if (!status) status = check_range("batch", s->batch, 1, 1 << 24);
    if (!status) status = check_range("inputs", s->inputs, s->batch, 1 << 24);
    if (!status) status = check_range("activation", s->activation, 0, UFFB_ACTIVATION_COUNT - 1);
    if (!status) status = check_range("dtype", s->dtype, UFFB_F32, UFFB_BF16);
    if (!status) status = check_range("cold", s->cold, 0, 1);
    /* Products of elements that fit are far below 2^63. */
    if (!status && (double)layer_rows(s) * (double)s->hidden > 0x1p40)
        status = uffb_cuda_fail(UFFB_INVALID, "the layer is too large");
    return status;
}

/* Copies of the weights that cold calls take turns with: so many that a graph of them takes far longer than a tick of the
 * device's clock, in at most 60% of its memory. */
static const int64_t MOST_COPIES = 64;
static const double COPIES_SHARE = 0.6;

/* Sizes that follow from the shape, and for cold calls from the device. */
static int32_t measure(uffb_cuda_bench *b, const uffb_cuda_bench_shape *s) {
    b->shape = *s;
    if (fff(s)) b->shape.width = 0;
    b->rows = layer_rows(s);
    b->copy_bytes = ((uint64_t)(b->rows * s->hidden * uffb_dtype_bytes(s->dtype)) + 255) / 256 * 256;
    b->copies = 1;
    if (!s->cold) return UFFB_OK;
    uffb_cuda_info info;
    const int32_t status = uffb_cuda_device_info(s->device, &info);
    if (status) return status;
    const double fit = COPIES_SHARE * (double)info.memory / (2.0 * (double)b->copy_bytes);
    b->copies = fit < 2 ? 2 : fit < (double)MOST_COPIES ? (int64_t)fit : MOST_COPIES;
    b->other_bytes = 2 * (uint64_t)info.l2;
    return UFFB_OK;
}

/* Gives the parts of `b` their places in a block at `memory`, and the size of the block. */
static uint64_t divide(uffb_cuda_bench *b, uint8_t *memory) {
    const uffb_cuda_bench_shape &s = b->shape;
    const uint64_t wide = (uint64_t)uffb_dtype_bytes(s.dtype), hidden = (uint64_t)s.hidden, rows = (uint64_t)b->rows;
    uint64_t used = 0, workspace = (uint64_t)s.batch * (uint64_t)s.width * wide;
    const auto take = [&](uint64_t bytes) {
        uint8_t *p = memory + used;
        used += (bytes + 255) / 256 * 256;
        return p;
    };
    if (fff(&s)) {
        const uffb_cuda_fff layer = {s.hidden, s.trees, s.depth, s.dtype, s.activation, NULL, NULL, NULL, NULL};
        const uint64_t ours = uffb_cuda_fff_workspace(&layer, s.batch), bmm = uffb_cuda_fff_bmm_workspace(&layer, s.batch);
        workspace = ours > bmm ? ours : bmm;
        const uint64_t all = b->rows <= MOST_ALL_NODES ? uffb_cuda_fff_all_nodes_workspace(&layer, s.batch) : 0;
        if (all > workspace) workspace = all;
    }
    b->device_in = take((uint64_t)b->copies * b->copy_bytes);
    b->device_out = take((uint64_t)b->copies * b->copy_bytes);
    b->device_bias = (float *)take(rows * sizeof(float));
    b->typed_bias = take(rows * wide);
    b->device_x = take((uint64_t)s.inputs * hidden * wide);
    b->device_y = take((uint64_t)s.inputs * hidden * wide);
    b->workspace = take(workspace);
    b->other = take(b->other_bytes);
    return used;
}

/* An estimate of what cuBLAS takes: the workspace that we give it, and its kernels. */
static const uint64_t LIBRARY_BYTES = (uint64_t)256 << 20;

uint64_t uffb_cuda_bench_bytes(const uffb_cuda_bench_shape *s) {
    if (check_shape(s)) return 0;
    uffb_cuda_bench b = {};
    if (measure(&b, s)) return 0;
    return divide(&b, NULL) + LIBRARY_BYTES;
}

static float *floats(int64_t n) { return (float *)malloc((size_t)n * sizeof(float)); }

static int32_t fill_new(uffb_cuda_bench *b) {
    const uffb_cuda_bench_shape &s = b->shape;
    const int64_t weights = b->rows * s.hidden;
    b->in = floats(weights);
    b->out = floats(weights);
    b->bias = floats(b->rows);
    b->x = floats(s.inputs * s.hidden);
    b->want = (double *)malloc((size_t)s.hidden * sizeof(double));
    if (!b->in || !b->out || !b->bias || !b->x || !b->want)
        return uffb_cuda_fail(UFFB_NO_MEMORY, "no memory for a layer of %lld rows", (long long)b->rows);
    int32_t status = uffb_cuda_use(s.device);
    if (status) return status;
    const uint64_t bytes = divide(b, NULL);
    if (cudaMalloc(&b->memory, bytes) != cudaSuccess) {
        cudaGetLastError();
        return uffb_cuda_fail(UFFB_NO_MEMORY, "the device has no %llu MB for a layer of %lld rows",
                              (unsigned long long)(bytes >> 20), (long long)b->rows);
    }
    divide(b, b->memory);
    CUDA_TRY(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking), "making a stream");
    status = uffb_cublas_new(&b->blas);
    uffb_cublas_tune(b->blas, true); /* so that what is checked is what is timed */
    return status ? status : uffb_cuda_bench_fill(b, UFFB_FILL_UNIFORM, 1);
}

int32_t uffb_cuda_bench_new(const uffb_cuda_bench_shape *shape, uffb_cuda_bench **bench) {
    if (!bench) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_new: nowhere to put the bench");
    *bench = NULL;
    int32_t status = check_shape(shape);
    if (status) return status;
    uffb_cuda_bench *b = (uffb_cuda_bench *)calloc(1, sizeof *b);
    if (!b) return uffb_cuda_fail(UFFB_NO_MEMORY, "no memory for a bench");
    status = measure(b, shape);
    if (!status) status = fill_new(b);
    if (status) {
        uffb_cuda_bench_free(b);
        return status;
    }
    *bench = b;
    return UFFB_OK;
}

void uffb_cuda_bench_free(uffb_cuda_bench *b) {
    if (!b) return;
    if (b->memory) cudaSetDevice(b->shape.device);
    uffb_cublas_free(b->blas);
    if (b->stream) cudaStreamDestroy(b->stream);
    cudaFree(b->memory);
    free(b->in);
    free(b->out);
    free(b->bias);
    free(b->x);
    free(b->want);
    free(b);
}

/* --- filling -------------------------------------------------------------------------------------------------------------- */

static int32_t convert(int32_t from, const void *source, int32_t to, void *target, int64_t rows, int64_t cols, int32_t layout) {
    const uint64_t n = (uint64_t)rows * (uint64_t)cols;
    if (!uffb_tensor_convert(rows, cols, source, n * (uint64_t)uffb_dtype_bytes(from), from, UFFB_ROWS, target,
                             n * (uint64_t)uffb_dtype_bytes(to), to, layout))
        return UFFB_OK;
    return uffb_cuda_fail(UFFB_INVALID, "a [%lld, %lld] matrix cannot be converted", (long long)rows, (long long)cols);
}

/* Rounds host values to the bench's dtype and copies them to the device, as [cols, rows] when `transposed`. */
static int32_t upload(const uffb_cuda_bench *b, float *host, int64_t rows, int64_t cols, bool transposed, void *device) {
    const int32_t dtype = b->shape.dtype;
    const uint64_t bytes = (uint64_t)(rows * cols * uffb_dtype_bytes(dtype));
    void *rounded = malloc(bytes);
    if (!rounded) return uffb_cuda_fail(UFFB_NO_MEMORY, "no memory to convert %lld rows", (long long)rows);
    int32_t status = convert(UFFB_F32, host, dtype, rounded, rows, cols, UFFB_ROWS);
    if (!status) status = convert(dtype, rounded, UFFB_F32, host, rows, cols, UFFB_ROWS);
    if (!status && transposed) status = convert(UFFB_F32, host, dtype, rounded, rows, cols, UFFB_COLUMNS);
    if (!status) status = uffb_cuda_check(cudaMemcpy(device, rounded, bytes, cudaMemcpyHostToDevice), "copying a layer");
    free(rounded);
    return status;
}

static int32_t upload_all(uffb_cuda_bench *b) {
    const uffb_cuda_bench_shape &s = b->shape;
    int32_t status = uffb_cuda_use(s.device);
    if (!status) status = upload(b, b->in, b->rows, s.hidden, false, b->device_in);
    if (!status) status = upload(b, b->out, b->rows, s.hidden, !fff(&s), b->device_out);
    if (!status) status = upload(b, b->bias, 1, b->rows, false, b->typed_bias);
    if (!status) status = upload(b, b->x, s.inputs, s.hidden, false, b->device_x);
    if (status) return status;
    CUDA_TRY(cudaMemcpy(b->device_bias, b->bias, (size_t)b->rows * sizeof *b->bias, cudaMemcpyHostToDevice), "copying a layer");
    for (int64_t i = 1; i < b->copies; i++) {
        for (uint8_t *copies : {b->device_in, b->device_out}) {
            CUDA_TRY(cudaMemcpy(copies + (uint64_t)i * b->copy_bytes, copies, b->copy_bytes, cudaMemcpyDeviceToDevice),
                     "copying a layer");
        }
    }
    /* Streams that do not wait for the default one could otherwise run ahead of these copies. */
    CUDA_TRY(cudaDeviceSynchronize(), "copying a layer");
    return UFFB_OK;
}

int32_t uffb_cuda_bench_fill(uffb_cuda_bench *b, int32_t fill, uint64_t seed) {
    if (!b || fill < UFFB_FILL_UNIFORM || fill > UFFB_FILL_ZERO)
        return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_fill: no bench or no such fill");
    uffb_fill_layer(fill, seed, b->rows, b->shape.hidden, b->shape.inputs, b->in, b->out, b->x, b->bias);
    return upload_all(b);
}

int32_t uffb_cuda_bench_fill_from(uffb_cuda_bench *b, const uffb_model *model, int64_t layer, int64_t tokens,
                                  const float *input) {
    if (!b || !model || !input || tokens < 1)
        return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_bench_fill_from: no bench, model or input");
    if (model->layout != UFFB_MODEL_LAYOUT) return uffb_cuda_fail(UFFB_UNSUPPORTED, UFFB_CUDA_OTHER_BUILD);
    const uffb_arch &a = model->arch;
    const int64_t h = b->shape.hidden;
    if (!model->ready || layer < 0 || layer >= a.layers || a.hidden != h || a.feedforward != UFFB_FFN_FFF ||
        a.trees != b->shape.trees || a.depth != b->shape.depth || uffb_node_activation(&a) != b->shape.activation) {
        return uffb_cuda_fail(UFFB_INVALID, "the model has no layer %lld of this shape", (long long)layer);
    }
    const uffb_layer &l = model->layers[layer];
    const float *bias = l.fff_bias ? l.fff_bias : l.nodes_in.bias;
    const bool walks = l.fff_in.kind != NULL;
    const uffb_weights *in = walks ? &l.fff_in : &l.nodes_in.weights, *out = walks ? &l.fff_out : &l.nodes_out.weights;
    if (uffb_is_quantised(in) || uffb_is_quantised(out))
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "layer %lld is in integers; give the model in f32", (long long)layer);
    /* Of trees that are not walked, the way out is a projection: the transpose of rows a node. */
    if (in->kind->unpack(in, b->rows, h, UFFB_F32, UFFB_ROWS, b->in) ||
        (walks ? out->kind->unpack(out, b->rows, h, UFFB_F32, UFFB_ROWS, b->out)
               : out->kind->unpack(out, h, b->rows, UFFB_F32, UFFB_COLUMNS, b->out)))
        return uffb_cuda_fail(UFFB_INVALID, "the weights of layer %lld cannot be unpacked", (long long)layer);
    for (int64_t i = 0; i < b->rows; i++) b->bias[i] = bias ? bias[i] : 0.0f;
    for (int64_t t = 0; t < b->shape.inputs; t++) memcpy(b->x + t * h, input + t % tokens * h, (size_t)h * sizeof *b->x);
    return upload_all(b);
}

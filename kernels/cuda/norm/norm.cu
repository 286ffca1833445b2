/* Rows of the residual stream: embedding, residual addition and LayerNorm, one warp a token. Each value is read once and stays
 * in registers between the passes (mean, squares about the mean, scale), as long as a row has no more than 2,048 of them. */
#include "norm.h"

#define WARPS 8

__device__ static float square(float x) { return x * x; }

__device__ static float4 sum_of(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

/* A row of the residual stream as the sum of x and of what a sublayer adds to it. */
template <class T> struct residual_source {
    const float *x; /* [hidden] */
    const T *added; /* [hidden] or NULL */
    __device__ float at(int64_t i) const { return x[i] + (added ? to_float(added[i]) : 0.0f); }
    __device__ float4 four(int64_t i) const {
        const float4 v = load4(x + i);
        return added ? sum_of(v, load4(added + i)) : v;
    }
};

/* Or from the tables: position + word (+ type). */
template <class T> struct embedding_source {
    const float *position, *type; /* [hidden]; type may be NULL */
    const T *word;
    __device__ float at(int64_t i) const { return position[i] + to_float(word[i]) + (type ? type[i] : 0.0f); }
    __device__ float4 four(int64_t i) const {
        const float4 v = sum_of(load4(position + i), load4(word + i));
        return type ? sum_of(v, load4(type + i)) : v;
    }
};

/* CHUNKS: a row has at most 128 times as many values, which stay in registers; 0: any number, each read three times. */
template <class T, int CHUNKS, class Source>
__device__ static void normalise_row(const Source &source, const uffb_cuda_norm &norm, int64_t hidden, int lane,
                                     const uffb_cuda_rows<T> &target) {
    constexpr int HELD = CHUNKS ? CHUNKS : 1;
    float4 v[HELD];
    float mean = 0.0f, scale = 1.0f;
    if (CHUNKS) {
#pragma unroll
        for (int c = 0; c < HELD; c++) {
            const int64_t i = (c * 32 + lane) * 4;
            v[c] = i < hidden ? source.four(i) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
    }
    if (norm.weight) {
        float sum = 0.0f, squares = 0.0f;
        if (CHUNKS) {
#pragma unroll
            for (int c = 0; c < HELD; c++) sum += v[c].x + v[c].y + (v[c].z + v[c].w);
        } else {
            for (int64_t i = lane; i < hidden; i += 32) sum += source.at(i);
        }
        mean = warp_sum(sum) / (float)hidden;
        if (CHUNKS) {
#pragma unroll
            for (int c = 0; c < HELD; c++) {
                if ((c * 32 + lane) * 4 >= hidden) continue;
                squares += square(v[c].x - mean) + square(v[c].y - mean) + (square(v[c].z - mean) + square(v[c].w - mean));
            }
        } else {
            for (int64_t i = lane; i < hidden; i += 32) squares += square(source.at(i) - mean);
        }
        const float variance = warp_sum(squares) / (float)hidden;
        scale = variance < INFINITY ? 1.0f / sqrtf(variance + norm.eps) : NAN; /* as uffb_norm_scale */
    }
    if (CHUNKS) {
#pragma unroll
        for (int c = 0; c < HELD; c++) {
            const int64_t i = (c * 32 + lane) * 4;
            if (i >= hidden) continue;
            float4 y = v[c];
            if (norm.weight) {
                const float4 w = load4(norm.weight + i);
                y = make_float4((y.x - mean) * scale * w.x, (y.y - mean) * scale * w.y, (y.z - mean) * scale * w.z,
                                (y.w - mean) * scale * w.w);
                if (norm.bias) y = sum_of(y, load4(norm.bias + i));
            }
            if (target.sum) store4(target.sum + i, v[c]);
            if (target.normed) store4(target.normed + i, y);
            if (target.input) store4(target.input + i, y);
        }
    } else {
        for (int64_t i = lane; i < hidden; i += 32) {
            const float value = source.at(i);
            float y = value;
            if (norm.weight) y = (value - mean) * scale * norm.weight[i] + (norm.bias ? norm.bias[i] : 0.0f);
            if (target.sum) target.sum[i] = value;
            if (target.normed) target.normed[i] = y;
            if (target.input) target.input[i] = from_float<T>(y);
        }
    }
}

template <class T> __device__ static uffb_cuda_rows<T> row_of(const uffb_cuda_rows<T> &rows, int64_t start) {
    return {rows.sum ? rows.sum + start : NULL, rows.normed ? rows.normed + start : NULL,
            rows.input ? rows.input + start : NULL};
}

template <class T, int CHUNKS>
__global__ static void residual_kernel(int64_t tokens, int64_t hidden, const float *x, const T *added, uffb_cuda_norm norm,
                                       uffb_cuda_rows<T> target) {
    const int64_t token = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32, start = token * hidden;
    if (token >= tokens) return;
    const residual_source<T> source = {x + start, added ? added + start : NULL};
    normalise_row<T, CHUNKS>(source, norm, hidden, threadIdx.x % 32, row_of(target, start));
}

template <class T, int CHUNKS>
__global__ static void embedding_kernel(int64_t tokens, int64_t hidden, uffb_cuda_tables tables, const int32_t *ids,
                                        const int32_t *types, const int32_t *positions, uffb_cuda_norm norm,
                                        uffb_cuda_rows<T> target) {
    const int64_t token = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (token >= tokens) return;
    const float *type = tables.type ? tables.type + (types ? types[token] : 0) * hidden : NULL;
    const embedding_source<T> source = {tables.position + positions[token] * hidden, type,
                                        (const T *)tables.word + ids[token] * hidden};
    normalise_row<T, CHUNKS>(source, norm, hidden, threadIdx.x % 32, row_of(target, token * hidden));
}

/* Calls KERNEL<T, chunks> for a row's length. */
#define LAUNCH_ROWS(KERNEL, tokens, hidden, stream, ...)                                                                       \
    do {                                                                                                                       \
        const int64_t blocks = ((tokens) + WARPS - 1) / WARPS, chunks = (hidden) % 4 ? 0 : ((hidden) + 127) / 128;             \
        if (chunks == 0 || chunks > 16) {                                                                                      \
            UFFB_LAUNCH((KERNEL<T, 0>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                           \
        } else if (chunks <= 2) {                                                                                              \
            UFFB_LAUNCH((KERNEL<T, 2>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                           \
        } else if (chunks <= 4) {                                                                                              \
            UFFB_LAUNCH((KERNEL<T, 4>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                           \
        } else if (chunks <= 6) {                                                                                              \
            UFFB_LAUNCH((KERNEL<T, 6>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                           \
        } else if (chunks <= 8) {                                                                                              \
            UFFB_LAUNCH((KERNEL<T, 8>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                           \
        } else {                                                                                                               \
            UFFB_LAUNCH((KERNEL<T, 16>), blocks, WARPS * 32, 0, stream, tokens, hidden, __VA_ARGS__);                          \
        }                                                                                                                      \
    } while (0)

template <class T>
cudaError_t uffb_cuda_add_norm(int64_t tokens, int64_t hidden, const float *x, const T *added, const uffb_cuda_norm &norm,
                               const uffb_cuda_rows<T> &target, cudaStream_t stream) {
    LAUNCH_ROWS(residual_kernel, tokens, hidden, stream, x, added, norm, target);
    return cudaGetLastError();
}

template <class T>
cudaError_t uffb_cuda_embed(int64_t tokens, int64_t hidden, const uffb_cuda_tables &tables, const int32_t *ids,
                            const int32_t *types, const int32_t *positions, const uffb_cuda_norm &norm,
                            const uffb_cuda_rows<T> &target, cudaStream_t stream) {
    LAUNCH_ROWS(embedding_kernel, tokens, hidden, stream, tables, ids, types, positions, norm, target);
    return cudaGetLastError();
}

#define INSTANTIATE(T)                                                                                                         \
    template cudaError_t uffb_cuda_add_norm(int64_t, int64_t, const float *, const T *, const uffb_cuda_norm &,                \
                                            const uffb_cuda_rows<T> &, cudaStream_t);                                          \
    template cudaError_t uffb_cuda_embed(int64_t, int64_t, const uffb_cuda_tables &, const int32_t *, const int32_t *,         \
                                         const int32_t *, const uffb_cuda_norm &, const uffb_cuda_rows<T> &, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(__half)
INSTANTIATE(__nv_bfloat16)

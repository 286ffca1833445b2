/* Dense projections: which way to compute them, and our own kernel for f32 and odd shapes where there is no cuBLAS. It is
 * plain: 64x64 tiles through shared memory, 4x4 sums a thread. */
#include "gemm_mma.h"

#define THREADS 256
#define TILE 64
#define STEP 16
#define SUMS 4

/* A tile of a [rows, k] matrix as [STEP][TILE], zero beyond its edges. `columns`: the matrix is stored as [k, rows]. */
template <class T>
__device__ static void load_tile(float (&tile)[STEP][TILE + 4], const T *matrix, int64_t rows, int64_t k, int64_t row,
                                 int64_t step, bool columns) {
    for (int i = threadIdx.x; i < TILE * STEP; i += THREADS) {
        const int r = columns ? i % TILE : i / STEP, s = columns ? i / TILE : i % STEP;
        const bool inside = row + r < rows && step + s < k;
        const int64_t at = columns ? (step + s) * rows + row + r : (row + r) * k + step + s;
        tile[s][r] = inside ? to_float(matrix[at]) : 0.0f;
    }
}

template <class T> __global__ static void __launch_bounds__(THREADS) gemm_kernel(uffb_cuda_gemm g) {
    __shared__ __align__(16) float a[STEP][TILE + 4];
    __shared__ __align__(16) float w[STEP][TILE + 4];
    const int64_t row = (int64_t)blockIdx.x * TILE, col = (int64_t)blockIdx.y * TILE;
    const int r = threadIdx.x / (TILE / SUMS) * SUMS, c = threadIdx.x % (TILE / SUMS) * SUMS;
    float sum[SUMS][SUMS] = {};
    for (int64_t step = 0; step < g.k; step += STEP) {
        load_tile(a, (const T *)g.a, g.m, g.k, row, step, false);
        load_tile(w, (const T *)g.w, g.n, g.k, col, step, g.columns != 0);
        __syncthreads();
#pragma unroll
        for (int s = 0; s < STEP; s++) {
            const float4 x4 = load4(&a[s][r]), y4 = load4(&w[s][c]);
            const float x[SUMS] = {x4.x, x4.y, x4.z, x4.w}, y[SUMS] = {y4.x, y4.y, y4.z, y4.w};
#pragma unroll
            for (int i = 0; i < SUMS; i++) {
#pragma unroll
                for (int j = 0; j < SUMS; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < SUMS && row + r + i < g.m; i++) {
        for (int j = 0; j < SUMS && col + c + j < g.n; j++) {
            const float bias = g.bias ? to_float(((const T *)g.bias)[col + c + j]) : 0.0f;
            ((T *)g.c)[(row + r + i) * g.n + col + c + j] = from_float<T>(activate(g.activation, sum[i][j] + bias));
        }
    }
}

template <class T> __global__ static void epilogue_kernel(uffb_cuda_gemm g) {
    const int64_t count = g.m * g.n;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += (int64_t)gridDim.x * THREADS) {
        T *c = (T *)g.c + i;
        const float bias = g.bias ? to_float(((const T *)g.bias)[i % g.n]) : 0.0f;
        *c = from_float<T>(activate(g.activation, to_float(*c) + bias));
    }
}

/* Two elements of 16 bits, or four, a thread: where rows are whole packs, with the column found by one division for all of
 * them. */
template <class T> __global__ static void epilogue_packs_kernel(uffb_cuda_gemm g) {
    const int64_t packs = g.m * g.n / PACK<T>;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < packs; i += (int64_t)gridDim.x * THREADS) {
        uint4 *c = (uint4 *)g.c + i;
        float v[PACK<T>], bias[PACK<T>] = {};
        unpack<T>(*c, v);
        if (g.bias) unpack<T>(((const uint4 *)g.bias)[i % (g.n / PACK<T>)], bias);
#pragma unroll
        for (int j = 0; j < PACK<T>; j++) v[j] = activate(g.activation, v[j] + bias[j]);
        *c = pack<T>(v);
    }
}

template <class T> static int32_t run_own(const uffb_cuda_gemm *g, cudaStream_t stream) {
    if ((g->n + TILE - 1) / TILE > UFFB_CUDA_MOST_TILES) return uffb_cuda_fail(UFFB_UNSUPPORTED, UFFB_CUDA_TOO_WIDE);
    const dim3 grid((unsigned)((g->m + TILE - 1) / TILE), (unsigned)((g->n + TILE - 1) / TILE));
    UFFB_LAUNCH((gemm_kernel<T>), grid, THREADS, 0, stream, *g);
    return uffb_cuda_check(cudaGetLastError(), "multiplying matrices");
}

template <class T> static int32_t run_epilogue(const uffb_cuda_gemm *g, cudaStream_t stream) {
    const bool packs = g->n % PACK<T> == 0;
    const int64_t threads = packs ? g->m * g->n / PACK<T> : g->m * g->n, blocks = (threads + THREADS - 1) / THREADS;
    const unsigned grid = (unsigned)(blocks < 65536 ? blocks : 65536);
    if (packs) {
        UFFB_LAUNCH((epilogue_packs_kernel<T>), grid, THREADS, 0, stream, *g);
    } else {
        UFFB_LAUNCH((epilogue_kernel<T>), grid, THREADS, 0, stream, *g);
    }
    return uffb_cuda_check(cudaGetLastError(), "applying an activation");
}

int32_t uffb_cuda_gemm_own(const uffb_cuda_gemm *g, cudaStream_t stream) {
    if (g->dtype != UFFB_F32 && g->k % 8 == 0 && (!g->columns || g->n % 8 == 0)) return uffb_cuda_gemm_mma(g, stream);
    switch (g->dtype) {
    case UFFB_F32: return run_own<float>(g, stream);
    case UFFB_F16: return run_own<__half>(g, stream);
    default: return run_own<__nv_bfloat16>(g, stream);
    }
}

int32_t uffb_cuda_epilogue(const uffb_cuda_gemm *g, cudaStream_t stream) {
    if (!g->bias && g->activation == UFFB_IDENTITY) return UFFB_OK;
    switch (g->dtype) {
    case UFFB_F32: return run_epilogue<float>(g, stream);
    case UFFB_F16: return run_epilogue<__half>(g, stream);
    default: return run_epilogue<__nv_bfloat16>(g, stream);
    }
}

int32_t uffb_cuda_gemm_best(uffb_cublas *blas, const uffb_cuda_gemm *g, cudaStream_t stream) {
    if (!blas) return uffb_cuda_gemm_own(g, stream);
    /* The activation by itself when the epilogue has none that is exact; the bias still goes along. */
    uffb_cuda_gemm rest = *g, product = *g;
    const bool fused = uffb_cublaslt_fuses(g);
    if (!fused) product.activation = UFFB_IDENTITY;
    int32_t status = uffb_cublaslt_gemm(blas, &product, 0, stream);
    /* Odd shapes that cuBLASLt declines. */
    if (status == UFFB_UNSUPPORTED) return uffb_cublas_gemm(blas, g, 0, stream);
    if (status || fused) return status;
    rest.bias = NULL;
    return uffb_cuda_epilogue(&rest, stream);
}

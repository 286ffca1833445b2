/* Dense projections of 16 bits on tensor cores, where there is no cuBLAS. A block computes a [128, 128] tile of c, its 8
 * warps [64, 32] each in registers. Slices of a and w, 32 columns wide, pass through shared memory; while one is multiplied,
 * the next three are on their way. */
#include "gemm_mma.h"

#include "../mma.h"

#define THREADS 256
#define TILE 128
#define STEP 32
#define STAGES 4
/* Of a row in shared memory: 80 bytes, so that the 8 rows which ldmatrix takes at once lie in different banks. */
#define STRIDE (STEP + 8)
/* The same of a row of w [k, n]: 272 bytes. */
#define COLUMNS_STRIDE (TILE + 8)
#define WARP_ROWS 64
#define WARP_COLS 32

#define STAGE_BYTES (2 * TILE * STRIDE * 2)

/* Starts copying [TILE, STEP] of a [rows, k] matrix. Rows beyond the last repeat it, since what they give is not stored;
 * columns beyond k are zero. */
template <class T>
__device__ static void load_slice(T *to, const T *matrix, int64_t rows, int64_t k, int64_t row, int64_t column) {
    constexpr int PACKS = STEP / PACK<T>;
    for (int i = threadIdx.x; i < TILE * PACKS; i += THREADS) {
        const int r = i / PACKS, c = i % PACKS * PACK<T>;
        const int64_t from = row + r < rows ? row + r : rows - 1;
        T *target = to + r * STRIDE + c;
        if (column + c < k) {
            copy_async(target, matrix + from * k + column + c);
        } else {
            *(uint4 *)target = make_uint4(0, 0, 0, 0);
        }
    }
}

/* Starts copying [STEP, TILE] of w [k, n]: what is beyond k or n is zero. */
template <class T> __device__ static void load_columns(T *to, const uffb_cuda_gemm &g, int64_t col, int64_t step) {
    constexpr int PACKS = TILE / PACK<T>;
    for (int i = threadIdx.x; i < STEP * PACKS; i += THREADS) {
        const int r = i / PACKS, c = i % PACKS * PACK<T>;
        T *target = to + r * COLUMNS_STRIDE + c;
        if (step + r < g.k && col + c < g.n) {
            copy_async(target, (const T *)g.w + (step + r) * g.n + col + c);
        } else {
            *(uint4 *)target = make_uint4(0, 0, 0, 0);
        }
    }
}

template <class T> struct tile_sums { float c[WARP_ROWS / 16][WARP_COLS / 8][4]; };

/* Multiplies a slice of `a` with one of `w`. Which row of which 8x8 matrix a lane addresses follows from mma.h. */
template <class T, bool COLUMNS>
__device__ static void multiply(tile_sums<T> &sums, const T *a, const T *w, int warp_row, int warp_col, int lane) {
#pragma unroll
    for (int k = 0; k < STEP; k += 16) {
        uint32_t x[WARP_ROWS / 16][4], y[WARP_COLS / 16][4];
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; i++) {
            load_matrices<false>(x[i], a + (warp_row + i * 16 + lane % 16) * STRIDE + k + lane / 16 * 8);
        }
#pragma unroll
        for (int j = 0; j < WARP_COLS / 16; j++) {
            const int col = warp_col + j * 16;
            if (COLUMNS) {
                load_matrices<true>(y[j], w + (k + lane % 16) * COLUMNS_STRIDE + col + lane / 16 * 8);
            } else {
                load_matrices<false>(y[j], w + (col + lane % 8 + lane / 16 * 8) * STRIDE + k + lane / 8 % 2 * 8);
            }
        }
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; i++) {
#pragma unroll
            for (int j = 0; j < WARP_COLS / 8; j++) mma(sums.c[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1], T{});
        }
    }
}

template <class T>
__device__ static void store(const uffb_cuda_gemm &g, const tile_sums<T> &sums, int64_t row, int64_t col, int lane) {
#pragma unroll
    for (int j = 0; j < WARP_COLS / 8; j++) {
        const int64_t c = col + j * 8 + lane % 4 * 2;
        float bias[2] = {0.0f, 0.0f};
        for (int e = 0; e < 2; e++) {
            if (g.bias && c + e < g.n) bias[e] = to_float(((const T *)g.bias)[c + e]);
        }
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; i++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int64_t r = row + i * 16 + lane / 4 + half * 8;
                if (r >= g.m || c >= g.n) continue;
                const float low = activate(g.activation, sums.c[i][j][half * 2] + bias[0]);
                const float high = activate(g.activation, sums.c[i][j][half * 2 + 1] + bias[1]);
                T *target = (T *)g.c + r * g.n + c;
                if (g.n % 2 == 0) {
                    *(uint32_t *)target = pack_pair<T>(low, high);
                } else {
                    target[0] = from_float<T>(low);
                    if (c + 1 < g.n) target[1] = from_float<T>(high);
                }
            }
        }
    }
}

template <class T, bool COLUMNS> __global__ static void __launch_bounds__(THREADS, 2) gemm_mma_kernel(uffb_cuda_gemm g) {
    UFFB_DYNAMIC_SHARED(T, shared);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int warp_row = warp % 2 * WARP_ROWS, warp_col = warp / 2 * WARP_COLS;
    const int64_t row = (int64_t)blockIdx.x * TILE, col = (int64_t)blockIdx.y * TILE;
    const int steps = (int)((g.k + STEP - 1) / STEP);
    const auto stage = [&](int step) { return shared + step % STAGES * 2 * TILE * STRIDE; };
    const auto load = [&](int step) {
        if (step < steps) {
            load_slice(stage(step), (const T *)g.a, g.m, g.k, row, (int64_t)step * STEP);
            T *const w = stage(step) + TILE * STRIDE;
            if (COLUMNS) {
                load_columns(w, g, col, (int64_t)step * STEP);
            } else {
                load_slice(w, (const T *)g.w, g.n, g.k, col, (int64_t)step * STEP);
            }
        }
        copy_async_commit(); /* empty ones count, too */
    };
    tile_sums<T> sums = {};
    for (int step = 0; step < STAGES - 1; step++) load(step);
    for (int step = 0; step < steps; step++) {
        copy_async_wait<STAGES - 2>();
        __syncthreads(); /* this slice has come for all, and the one before it is no longer read */
        load(step + STAGES - 1);
        multiply<T, COLUMNS>(sums, stage(step), stage(step) + TILE * STRIDE, warp_row, warp_col, lane);
    }
    store<T>(g, sums, row + warp_row, col + warp_col, lane);
}

template <class T, bool COLUMNS> static int32_t run(const uffb_cuda_gemm *g, cudaStream_t stream) {
    if ((g->n + TILE - 1) / TILE > UFFB_CUDA_MOST_TILES) return uffb_cuda_fail(UFFB_UNSUPPORTED, UFFB_CUDA_TOO_WIDE);
    const dim3 grid((unsigned)((g->m + TILE - 1) / TILE), (unsigned)((g->n + TILE - 1) / TILE));
    const auto kernel = gemm_mma_kernel<T, COLUMNS>;
    CUDA_TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, STAGES * STAGE_BYTES),
             "asking for shared memory");
    UFFB_LAUNCH((gemm_mma_kernel<T, COLUMNS>), grid, THREADS, STAGES * STAGE_BYTES, stream, *g);
    return uffb_cuda_check(cudaGetLastError(), "multiplying matrices");
}

int32_t uffb_cuda_gemm_mma(const uffb_cuda_gemm *g, cudaStream_t stream) {
    if (g->dtype == UFFB_F32 || g->k % 8 || (g->columns && g->n % 8))
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "rows are not whole accesses of 16 bytes");
    if (g->columns) return g->dtype == UFFB_F16 ? run<__half, true>(g, stream) : run<__nv_bfloat16, true>(g, stream);
    return g->dtype == UFFB_F16 ? run<__half, false>(g, stream) : run<__nv_bfloat16, false>(g, stream);
}

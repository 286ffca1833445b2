/* The gates of feedforward layers. */
#include "gate.h"

#define THREADS 256

/* One element, or 4, a thread. */
template <class T, int WIDE>
__global__ static void gate_kernel(int64_t count, int64_t half, int32_t activation, const T *x, T *y) {
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * WIDE;
    if (i >= count) return;
    const T *value = x + i + i / half * half, *gate = value + half;
    if (WIDE == 4) {
        const float4 v = load4(value), w = load4(gate);
        store4(y + i, make_float4(v.x * activate(activation, w.x), v.y * activate(activation, w.y),
                                  v.z * activate(activation, w.z), v.w * activate(activation, w.w)));
    } else {
        y[i] = from_float<T>(to_float(*value) * activate(activation, to_float(*gate)));
    }
}

static int64_t blocks_of(int64_t count) { return (count + THREADS - 1) / THREADS; }

template <class T>
cudaError_t uffb_cuda_gate(int64_t tokens, int64_t half, int32_t activation, const T *x, T *y, cudaStream_t stream) {
    const int64_t count = tokens * half;
    if (half % 4 == 0) {
        UFFB_LAUNCH((gate_kernel<T, 4>), blocks_of(count / 4), THREADS, 0, stream, count, half, activation, x, y);
    } else {
        UFFB_LAUNCH((gate_kernel<T, 1>), blocks_of(count), THREADS, 0, stream, count, half, activation, x, y);
    }
    return cudaGetLastError();
}

#define INSTANTIATE(T) template cudaError_t uffb_cuda_gate(int64_t, int64_t, int32_t, const T *, T *, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(__half)
INSTANTIATE(__nv_bfloat16)

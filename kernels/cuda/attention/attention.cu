/* Which attention kernel runs: tensor cores for 16 bits, ordinary units for f32, and one for heads wider than either takes. */
#include "kernels.h"

#define LOG2_E 1.4426950408889634f

static cudaError_t attend(const attention<float> &a, int64_t tiles, cudaStream_t stream) {
    return uffb_cuda_attend_f32(a, tiles, stream);
}

template <class T> static cudaError_t attend(const attention<T> &a, int64_t tiles, cudaStream_t stream) {
    return uffb_cuda_attend_mma(a, tiles, stream);
}

template <class T>
cudaError_t uffb_cuda_attend(int64_t tiles, const uffb_cuda_tile *tile, int64_t heads, int64_t size, float scale, const T *qkv,
                             T *attended, cudaStream_t stream) {
    const attention<T> a = {tile, (int32_t)heads, (int32_t)size, scale * LOG2_E, qkv, attended};
    return a.size > 128 ? uffb_cuda_attend_wide(a, tiles, stream) : attend(a, tiles, stream);
}

template cudaError_t uffb_cuda_attend(int64_t, const uffb_cuda_tile *, int64_t, int64_t, float, const float *, float *,
                                      cudaStream_t);
template cudaError_t uffb_cuda_attend(int64_t, const uffb_cuda_tile *, int64_t, int64_t, float, const __half *, __half *,
                                      cudaStream_t);
template cudaError_t uffb_cuda_attend(int64_t, const uffb_cuda_tile *, int64_t, int64_t, float, const __nv_bfloat16 *,
                                      __nv_bfloat16 *, cudaStream_t);

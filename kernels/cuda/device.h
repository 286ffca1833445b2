/* device.h: what all the CUDA sources share. They are compiled by nvcc for a device, and by a C++ compiler for the simulator of
 * simt/simt.h, which runs the same kernels on the CPU; UFFB_SIMT tells which. So kernels are launched with UFFB_LAUNCH, declare
 * dynamic shared memory with UFFB_DYNAMIC_SHARED, and use of the CUDA runtime what simt/simt_runtime.h has. A function with
 * __shared__ variables has internal linkage (`static`).
 */
#ifndef UFFB_CUDA_DEVICE_H
#define UFFB_CUDA_DEVICE_H

#include "uffb_cuda.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
/* A kernel whose name has a comma goes in parentheses. */
#define UFFB_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
/* Declares `type *name`, the dynamic shared memory of the block, on a 16-byte boundary. */
#define UFFB_DYNAMIC_SHARED(type, name)                                                                                        \
    extern __shared__ __align__(16) unsigned char uffb_dynamic_shared[];                                                       \
    type *const name = (type *)uffb_dynamic_shared
#else
#define UFFB_SIMT 1
#include "simt/simt.h"
#include "simt/simt_runtime.h"
#define UFFB_LAUNCH(kernel, grid, block, shared, stream, ...)                                                                  \
    simt::launch(#kernel, kernel, grid, block, shared, stream, ##__VA_ARGS__)
#define UFFB_DYNAMIC_SHARED(type, name) type *const name = (type *)simt::dynamic_shared()
#endif

/* Activations, by the source that the engine has. */
#define UFFB_SCALAR __host__ __device__ inline
#include "../ops/activate/scalar.h"

/* --- errors --------------------------------------------------------------------------------------------------------------- */

/* Keeps one line for uffb_cuda_error() and returns `status`. */
int32_t uffb_cuda_fail(int32_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for an error of the runtime; clears it. `doing`: "allocating 12 bytes". */
int32_t uffb_cuda_failed(cudaError_t error, const char *doing);

/* Models are read as the engine lays them out, by a library that is built by itself. */
#define UFFB_CUDA_OTHER_BUILD "the engine and the CUDA library are of different builds; run npm run build"

inline int32_t uffb_cuda_check(cudaError_t error, const char *doing) {
    return error == cudaSuccess ? UFFB_OK : uffb_cuda_failed(error, doing);
}

/* In a function that returns a status. */
#define CUDA_TRY(call, doing)                                                                                                  \
    do {                                                                                                                       \
        const cudaError_t error_ = (call);                                                                                     \
        if (error_ != cudaSuccess) return uffb_cuda_failed(error_, doing);                                                     \
    } while (0)

/* Makes `device` the current one of this thread. UFFB_UNSUPPORTED when there is no such device or this build cannot use it. */
int32_t uffb_cuda_use(int32_t device);

/* --- element types -------------------------------------------------------------------------------------------------------- */

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(__half x) { return __half2float(x); }
__host__ __device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/* Rounds to nearest, ties to even. */
template <class T> __host__ __device__ inline T from_float(float x);
template <> __host__ __device__ inline float from_float<float>(float x) { return x; }
template <> __host__ __device__ inline __half from_float<__half>(float x) { return __float2half(x); }
template <> __host__ __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) { return __float2bfloat16(x); }

template <class T> struct uffb_dtype_of;
template <> struct uffb_dtype_of<float> { static constexpr int32_t value = UFFB_F32; };
template <> struct uffb_dtype_of<__half> { static constexpr int32_t value = UFFB_F16; };
template <> struct uffb_dtype_of<__nv_bfloat16> { static constexpr int32_t value = UFFB_BF16; };

inline int64_t uffb_dtype_bytes(int32_t dtype) { return dtype == UFFB_F32 ? 4 : 2; }

/* 4 elements at a boundary of 4 elements. */
__device__ inline float4 load4(const float *p) { return *(const float4 *)p; }
template <class T> __device__ inline float4 load4(const T *p) {
    const uint2 bits = *(const uint2 *)p;
    T v[4];
    memcpy(v, &bits, sizeof v);
    return make_float4(to_float(v[0]), to_float(v[1]), to_float(v[2]), to_float(v[3]));
}

__device__ inline void store4(float *p, float4 v) { *(float4 *)p = v; }
template <class T> __device__ inline void store4(T *p, float4 v) {
    const T t[4] = {from_float<T>(v.x), from_float<T>(v.y), from_float<T>(v.z), from_float<T>(v.w)};
    uint2 bits;
    memcpy(&bits, t, sizeof bits);
    *(uint2 *)p = bits;
}

/* Elements of T in 16 bytes. */
template <class T> inline constexpr int PACK = 16 / sizeof(T);

/* The elements of 16 bytes as f32. */
template <class T> __device__ inline void unpack(uint4 bits, float (&out)[PACK<T>]) {
    T v[PACK<T>];
    memcpy(v, &bits, sizeof v);
#pragma unroll
    for (int i = 0; i < PACK<T>; i++) out[i] = to_float(v[i]);
}

template <class T> __device__ inline uint4 pack(const float (&in)[PACK<T>]) {
    T v[PACK<T>];
#pragma unroll
    for (int i = 0; i < PACK<T>; i++) v[i] = from_float<T>(in[i]);
    uint4 bits;
    memcpy(&bits, v, sizeof bits);
    return bits;
}

/* --- warps ---------------------------------------------------------------------------------------------------------------- */

/* The sum over a warp, in every lane, the same in each. */
__device__ inline float warp_sum(float x) {
#pragma unroll
    for (int lanes = 16; lanes; lanes /= 2) x += __shfl_xor_sync(~0u, x, lanes);
    return x;
}

/* --- asynchronous copies to shared memory --------------------------------------------------------------------------------- */

/* Enqueues a copy of 16 bytes, both sides on 16-byte boundaries. Each thread sees its own copies after copy_async_wait; other
 * threads after a barrier that follows it. */
__device__ inline void copy_async(void *shared, const void *global) {
#ifdef UFFB_SIMT
    simt::copy_async(shared, global);
#else
    const unsigned address = (unsigned)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#endif
}

/* Closes a group of copies. */
__device__ inline void copy_async_commit() {
#ifdef UFFB_SIMT
    simt::copy_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits until at most `LEFT` of this thread's latest groups are still under way. */
template <int LEFT> __device__ inline void copy_async_wait() {
#ifdef UFFB_SIMT
    simt::copy_async_wait(LEFT);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

#endif

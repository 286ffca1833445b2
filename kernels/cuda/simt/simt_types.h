/* simt_types.h: CUDA's types and intrinsics, for a C++ compiler. */
#ifndef UFFB_SIMT_TYPES_H
#define UFFB_SIMT_TYPES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(int64_t x_ = 1, int64_t y_ = 1, int64_t z_ = 1) : x((unsigned)x_), y((unsigned)y_), z((unsigned)z_) {}
};

/* With the alignment that a device requires, so that UBSan checks it. */
#define SIMT_VECTOR2(name, type)                                                                                               \
    struct alignas(2 * sizeof(type)) name {                                                                                    \
        type x, y;                                                                                                             \
    };                                                                                                                         \
    inline name make_##name(type x, type y) { return {x, y}; }
#define SIMT_VECTOR4(name, type)                                                                                               \
    struct alignas(4 * sizeof(type)) name {                                                                                    \
        type x, y, z, w;                                                                                                       \
    };                                                                                                                         \
    inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }
SIMT_VECTOR2(float2, float)
SIMT_VECTOR2(int2, int)
SIMT_VECTOR2(uint2, unsigned)
SIMT_VECTOR4(float4, float)
SIMT_VECTOR4(int4, int)
SIMT_VECTOR4(uint4, unsigned)

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

namespace simt {
inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
} // namespace simt

inline float __bfloat162float(__nv_bfloat16 x) { return simt::float_of((uint32_t)x.bits << 16); }

inline __nv_bfloat16 __float2bfloat16(float x) {
    const uint32_t bits = simt::bits_of(x);
    if (x != x) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

namespace simt {
/* The values of all halves, computed once: kernels ask for them all the time. */
struct halves {
    float value[0x10000];
    halves() {
        for (int bits = 0; bits < 0x10000; bits++) {
            const int exponent = bits >> 10 & 31, fraction = bits & 1023;
            const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                               : exponent     ? ldexpf((float)(fraction + 1024), exponent - 25)
                                              : ldexpf((float)fraction, -24);
            value[bits] = bits & 0x8000 ? -size : size;
        }
    }
};
inline const halves all_halves;
} // namespace simt

inline float __half2float(__half x) { return simt::all_halves.value[x.bits]; }

/* Scales so that rounding to an integer, to nearest and ties to even, rounds at the last bit of the half. */
inline __half __float2half(float x) {
    const uint16_t sign = (uint16_t)(signbit(x) ? 0x8000 : 0);
    const float size = fabsf(x);
    if (x != x) return {0x7fff};
    if (size >= 65520.0f) return {(uint16_t)(sign | 0x7c00)};
    int exponent;
    frexpf(size, &exponent); /* size < 2^exponent */
    if (exponent < -13 || size == 0.0f) exponent = -13;
    const int units = (int)rintf(ldexpf(size, 11 - exponent)); /* up to 2048, which carries into the exponent */
    return {(uint16_t)(sign | (((exponent + 13) << 10) + units))};
}

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
template <class T> T __ldg(const T *p) { return *p; }
template <class T> T __ldcs(const T *p) { return *p; }
template <class T> void __stcs(T *p, T value) { *p = value; }

#endif

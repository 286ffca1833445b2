/* The kernels of AVX-VNNI in the encoding of AVX-512 VL: CPUs that have VNNI in the one form or the other can test their
 * source. */
#include "ops_test.h"

#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#define UFFB_TARGET vnni_vl
#define ENCODING "%{evex%} "
#include "../ops/gemm/gemm_i8_i16_avxvnni.c"

const uffb_ops *vnni_vl_ops(void) {
    static uffb_ops ops;
    if (!__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni")) return NULL;
    ops.gemm_i8 = uffb_gemm_i8_vnni_vl;
    ops.gemm_i16 = uffb_gemm_i16_vnni_vl;
    return &ops;
}
#else
const uffb_ops *vnni_vl_ops(void) { return NULL; }
#endif

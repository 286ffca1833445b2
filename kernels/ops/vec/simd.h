/* simd.h: what a kernel written once for every vector instruction set includes. build.sh compiles a file *_simd.c once for each
 * set that has a header here, with its flags and UFFB_TARGET set to its name. */
#ifndef UFFB_SIMD_H
#define UFFB_SIMD_H

#include "../ops.h"

#define UFFB_STRING(...) #__VA_ARGS__
#define UFFB_HEADER(target) UFFB_STRING(target.h)
#include UFFB_HEADER(UFFB_TARGET)

#define UFFB_INLINE static inline __attribute__((always_inline))

#endif

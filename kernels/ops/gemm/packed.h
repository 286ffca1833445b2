/* packed.h: GEMM on rows that are first copied into panels, tile by tile. */
#ifndef UFFB_GEMM_PACKED_H
#define UFFB_GEMM_PACKED_H

#include "../ops.h"

/* As gemm. Then a tile reads what its rows have for a step of k from one cache line, whose address is the only one that it
 * needs: an FMA of AVX-512 takes its number for all lanes from there by itself, and the tile has two thirds of the
 * instructions. Alone on a core that saves little, as FMAs bind; beside another thread on the core, which takes its half of the
 * decoders, a fifth. scratch: UFFB_PANEL * k floats for each tile, so that rows and panels stay in L2. */
void KERNEL(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *w, const float *bias,
                         float *c, int64_t ldc, int32_t accumulate, float *scratch);
/* The op, in the file beside. */
uffb_pack_fn KERNEL(pack);

#endif

/* ops_test.h: one test function per op of oplist.inc, run for every ISA that this machine has. Results are
 * held against a naive computation in double precision; the tolerance is the worst case of f32 rounding for
 * that op, from the magnitudes that were summed. Where a result is exact (packing, one product) it must be
 * the same bits. */
#ifndef UFFB_OPS_TEST_H
#define UFFB_OPS_TEST_H

#include "../ops/ops.h"

#define UFFB_OP(op) void test_##op(const uffb_ops *ops, const char *isa);
#include "../ops/oplist.inc"
#undef UFFB_OP

/* gemm_i8 and gemm_i16 of AVX-VNNI in another encoding, or NULL where this CPU has not that one. */
const uffb_ops *vnni_vl_ops(void);

/* Lengths below, at and above every vector, panel and tile. */
extern const int64_t ops_lengths[15];

/* Rows below, at and above every tile of rows: 0 to 2 * 14 + 1, around 8 * 14 and around 128. */
#define ROW_COUNTS 36
int64_t ops_rows(int64_t index);

#endif

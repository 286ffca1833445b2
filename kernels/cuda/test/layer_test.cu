/* The layer's contenders under the simulator: small shapes on both sides of every limit in the kernels. */
#include "../gemm/gemm.h"

extern "C" {
#include "../../bench/bench.h"
#include "../../test/check.h"
#include "layer_cases.h"
}

/* More tiles than a grid can have. Nothing is read or written. */
static void test_too_wide(void) {
    test_begin("products of too many columns are refused");
    for (int32_t dtype = UFFB_F32; dtype <= UFFB_BF16; dtype++) {
        const uffb_cuda_gemm gemm = {1, (int64_t)1 << 23, 8, dtype, UFFB_IDENTITY, 0, NULL, NULL, NULL, NULL};
        check(uffb_cuda_gemm_own(&gemm, NULL) == UFFB_UNSUPPORTED, "dtype %d", dtype);
    }
    test_end();
}

int main(void) {
    /* Rows of 16-byte accesses, held in registers or not, and of single elements; trees that are sorted and not; many trees. */
    static const layer_shape shapes[] = {
        {32, 1, 5, 0, UFFB_GELU, UFFB_FILL_UNIFORM},  {100, 2, 4, 0, UFFB_RELU, UFFB_FILL_UNIFORM},
        {33, 1, 3, 0, UFFB_GELU, UFFB_FILL_SKEWED},   {200, 1, 9, 0, UFFB_GELU, UFFB_FILL_SKEWED},
        {200, 3, 8, 0, UFFB_GELU, UFFB_FILL_UNIFORM}, {264, 5, 1, 0, UFFB_TANH, UFFB_FILL_UNIFORM},
        {40, 1, 7, 0, UFFB_IDENTITY, UFFB_FILL_ZERO},
    };
    static const int64_t batches[] = {1, 2, 8, 31, 33, 65, 129};
    /* Wide rows or many trees, with few tokens to save time. */
    static const layer_shape wide[] = {
        {768, 1, 6, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
        {1024, 2, 5, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
        {1032, 1, 5, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
        {64, 40, 0, 0, UFFB_GELU_TANH, UFFB_FILL_UNIFORM},
    };
    static const int64_t few[] = {1, 5, 34};
    /* Tiles of 64 and 128, more slices than are on their way at once, and edges. */
    static const layer_shape dense[] = {
        {72, 0, 0, 200, UFFB_GELU, UFFB_FILL_UNIFORM},
        {320, 0, 0, 264, UFFB_RELU, UFFB_FILL_UNIFORM},
        {40, 0, 0, 131, UFFB_GELU_TANH, UFFB_FILL_SKEWED},
        {33, 0, 0, 65, UFFB_IDENTITY, UFFB_FILL_UNIFORM},
    };
    static const int64_t tiles[] = {1, 63, 65, 129};
    test_layer_misuse();
    test_too_wide();
    test_layers(COUNT_OF(shapes), shapes, COUNT_OF(batches), batches);
    test_layers(COUNT_OF(wide), wide, COUNT_OF(few), few);
    test_layers(COUNT_OF(dense), dense, COUNT_OF(tiles), tiles);
    return test_report();
}

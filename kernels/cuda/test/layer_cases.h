/* layer_cases.h: checks of the layer's contenders, for the simulator and for devices alike. */
#ifndef UFFB_CUDA_LAYER_CASES_H
#define UFFB_CUDA_LAYER_CASES_H

#include <stdint.h>

typedef struct layer_shape {
    int64_t hidden, trees, depth; /* trees 0: a dense layer */
    int64_t width;
    int32_t activation, fill;
} layer_shape;

/* One test for each shape, dtype and contender, with a case for each batch. Returns how many were skipped: those that need
 * cuBLAS where there is none.
 */
int64_t test_layers(int64_t shapes, const layer_shape *shape, int64_t batches, const int64_t *batch);

/* What the ABI refuses. */
void test_layer_misuse(void);

/* "1x11 of 768, bf16" */
const char *layer_name(const layer_shape *shape, int32_t dtype);

#endif

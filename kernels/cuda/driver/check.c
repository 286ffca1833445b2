/* What must hold on a device: every contender at every dtype against a double-precision evaluation, and encoders against the
 * engine. */
#include "driver.h"

#include "../../bench/bench.h"
#include "../../test/check.h"
#include "../test/encoder_cases.h"
#include "../test/layer_cases.h"

/* The paper's shapes that are walked, skewed paths, a narrow layer, one wider than registers hold, and rows that are not whole
 * 16-byte accesses. */
static const layer_shape walked[] = {
    {768, 1, 11, 0, UFFB_GELU, UFFB_FILL_UNIFORM}, {768, 1, 11, 0, UFFB_GELU, UFFB_FILL_SKEWED},
    {768, 2, 10, 0, UFFB_GELU, UFFB_FILL_UNIFORM}, {128, 1, 6, 0, UFFB_RELU, UFFB_FILL_UNIFORM},
    {1536, 1, 8, 0, UFFB_GELU, UFFB_FILL_UNIFORM}, {100, 3, 5, 0, UFFB_GELU_TANH, UFFB_FILL_UNIFORM},
};
static const int64_t around_blocks[] = {1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 1000, 16384};

/* Layers of which a token reads thousands of rows: few batches, since the evaluation on the CPU is slow. */
static const layer_shape heavy[] = {
    {768, 32, 6, 0, UFFB_GELU, UFFB_FILL_UNIFORM},   {768, 3072, 0, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
    {768, 0, 0, 4096, UFFB_GELU, UFFB_FILL_UNIFORM}, {768, 0, 0, 3072, UFFB_GELU_TANH, UFFB_FILL_UNIFORM},
    {100, 0, 0, 130, UFFB_RELU, UFFB_FILL_UNIFORM},
};
static const int64_t some[] = {1, 33, 257, 5000};

/* For compute-sanitizer, under which everything takes some hundred times as long. */
static const layer_shape small_shapes[] = {
    {768, 1, 8, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
    {100, 2, 4, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
    {1536, 1, 7, 0, UFFB_GELU, UFFB_FILL_UNIFORM},
    {64, 0, 0, 130, UFFB_GELU, UFFB_FILL_UNIFORM},
};
static const int64_t small_batches[] = {1, 33, 300};

int run_checks(const options *o) {
    int64_t skipped = 0;
    if (o->small) {
        skipped += test_layers(COUNT_OF(small_shapes), small_shapes, COUNT_OF(small_batches), small_batches);
    } else {
        test_layer_misuse();
        skipped += test_layers(COUNT_OF(walked), walked, COUNT_OF(around_blocks), around_blocks);
        skipped += test_layers(COUNT_OF(heavy), heavy, COUNT_OF(some), some);
    }
    test_encoders(o->device, !o->small);
    if (skipped) printf("skipped %lld\n", (long long)skipped);
    return test_report();
}

/* Times whole encoders of random weights, of BERT-base's size with 16 layers, as UltraFastBERT-1x11-long has them: trees of
 * 1x11 against dense layers of 3,072: with GELU, and with its tanh form, which cuBLASLt computes in the epilogue of a product.
 * Products are tuned in each. By the device's clock, copies of ids and final states included. */
#include "driver.h"

#include "../../test/engine_test.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 7
#define LENGTH 128

static const uffb_arch size = {.layers = 16,
                               .hidden = 768,
                               .heads = 12,
                               .vocab = 32768,
                               .max_length = LENGTH,
                               .norm_eps = 1e-12,
                               .norm_position = UFFB_PRE_NORM,
                               .positions = UFFB_SINUSOIDAL,
                               .embed_norm = 1,
                               .final_norm = 1};

static double time_batch(uffb_cuda_encoder *encoder, const batch *b, float *final) {
    double seconds[ROUNDS];
    for (int i = -2; i < ROUNDS; i++) { /* two to warm up */
        if (uffb_cuda_encode(encoder, b->sequences, b->offsets, b->ids, b->types, final)) return NAN;
        if (i >= 0) seconds[i] = uffb_cuda_encode_seconds(encoder);
    }
    return median(ROUNDS, seconds);
}

/* Seconds by dtype and batch. */
#define BATCHES 3
static const int64_t batches[BATCHES] = {8, 32, 128};
typedef double table[3][BATCHES];

static int time_model(const options *o, const char *name, const uffb_arch *arch, table seconds) {
    random_model *m = random_model_new(arch, 0, UFFB_F32, UFFB_ROWS);
    float *final = malloc((size_t)(batches[BATCHES - 1] * LENGTH * arch->hidden) * sizeof *final);
    int failed = !final;
    for (int32_t dtype = UFFB_F32; dtype <= UFFB_BF16 && !failed; dtype++) {
        uffb_cuda_encoder *encoder;
        if (uffb_cuda_encoder_new(m->model, o->device, dtype, &encoder)) {
            printf("%s %s: %s\n", name, dtype_names[dtype], uffb_cuda_error());
            failed = 1;
            break;
        }
        uffb_cuda_encoder_tune(encoder);
        for (int i = 0; i < BATCHES; i++) {
            int64_t lengths[128];
            for (int64_t s = 0; s < batches[i]; s++) lengths[s] = LENGTH;
            batch *b = batch_new(arch, batches[i], lengths);
            const double t = seconds[dtype][i] = time_batch(encoder, b, final);
            batch_free(b);
            if (isnan(t)) {
                printf("%s %s: %s\n", name, dtype_names[dtype], uffb_cuda_error());
                failed = 1;
            } else if (o->json) {
                fprintf(o->json,
                        "{\"part\":\"encoder\",\"device\":\"%s\",\"cublas\":\"%s\",\"engine\":\"uffb\",\"model\":\"%s\","
                        "\"dtype\":\"%s\",\"sequences\":%lld,"
                        "\"length\":%d,\"seconds\":%.9g}\n",
                        o->info.name, o->info.cublas, name, dtype_names[dtype], (long long)batches[i], LENGTH, t);
            }
        }
        uffb_cuda_encoder_free(encoder);
    }
    free(final);
    random_model_free(m);
    return failed;
}

int time_encoders(const options *o) {
    static table trees, exact, fused;
    uffb_arch arch = size;
    arch.feedforward = UFFB_FFN_FFF;
    arch.trees = 1;
    arch.depth = 11;
    int failed = time_model(o, "1x11", &arch, trees);
    arch.feedforward = UFFB_FFN_DENSE;
    arch.trees = arch.depth = 0;
    arch.width = 3072;
    failed |= time_model(o, "dense 3072", &arch, exact);
    arch.activation = UFFB_GELU_TANH;
    failed |= time_model(o, "dense 3072 tanh", &arch, fused);
    printf("\nEncoders, 16 layers of 768, sequences of %d tokens. \"ratio\": to the faster of the dense ones.\n", LENGTH);
    printf("%-6s %9s %12s %12s %14s %14s %8s\n", "dtype", "sequences", "1x11 ms", "dense ms", "dense tanh ms", "1x11 tokens/s",
           "ratio");
    for (int32_t dtype = UFFB_F32; dtype <= UFFB_BF16 && !failed; dtype++) {
        for (int i = 0; i < BATCHES; i++) {
            const double own = trees[dtype][i], dense = fmin(exact[dtype][i], fused[dtype][i]);
            printf("%-6s %9lld %12.3f %12.3f %14.3f %14.0f %7.2fx\n", dtype_names[dtype], (long long)batches[i], own * 1e3,
                   exact[dtype][i] * 1e3, fused[dtype][i] * 1e3, (double)(batches[i] * LENGTH) / own, dense / own);
        }
    }
    return failed;
}

/* engine_test.h: small random models and batches, run through the public ABI, and every output of a run in
 * one list. */
#ifndef UFFB_ENGINE_TEST_H
#define UFFB_ENGINE_TEST_H

#include "../uffb.h"

/* Weights are drawn from the tensor's name, so a model is the same however it is built. Rows of the
 * vocabulary repeat every VOCAB_PERIOD tokens: every logit occurs more than once, and ties among them are
 * certain. */
#define VOCAB_PERIOD 40

typedef struct random_model {
    uffb_arch arch;
    uffb_model *model;
    int64_t count;
    uffb_tensor_info *infos;
    float **values; /* row-major [rows, cols]; NULL where an optional tensor was left out */
    void **given;   /* what the model may use in place */
} random_model;

/* The layout in which tensors are given: UFFB_ROWS... or the one that the model asks for, at any byte address
 * if unaligned. */
#define AS_ASKED (-1)
#define AS_ASKED_UNALIGNED (-2)
/* Rounded to the dtype, but given as f32, in the layout that the model asks for. */
#define AS_WIDENED (-3)

/* UFFB_I8 or UFFB_I16 as the dtype: integers for what can be, f32 for the rest. */

/* Builds, fills and readies a model; `optional`: with its biases and scales. Ends the program if that fails.
 */
random_model *random_model_new(const uffb_arch *arch, int optional, int32_t dtype, int32_t layout);
void random_model_free(random_model *m);
/* The values of a tensor, or NULL. */
const float *tensor_of(const random_model *m, const char *name);
/* The same for "layer.L.<name>", where layers may share tensors. */
const float *layer_tensor(const random_model *m, int64_t layer, const char *name);

/* The models that are tested, and the longest sequence they take: more than one block of queries. */
#define MAX_LENGTH 33

typedef struct config {
    const char *name;
    int optional; /* with biases and scales */
    uffb_arch arch;
} config;

const config *test_configs(int64_t *count);
/* Models that neither training nor CUDA can run: each has something of uffb_beyond_plain. */
const config *test_further_configs(int64_t *count);

typedef struct batch {
    int64_t sequences, tokens;
    int64_t *offsets;
    int32_t *ids, *types;
} batch;

/* Random sequences of these lengths. */
batch *batch_new(const uffb_arch *arch, int64_t sequences, const int64_t *lengths);
/* Some sequences of another batch, in any order, repeated or not. */
batch *batch_pick(const batch *from, int64_t sequences, const int64_t *chosen);
void batch_free(batch *b);

/* What a run gives, in the order in which it arises. Layers: states, paths, logits of the paths, q and k. */
enum {
    EMBEDDING,
    LAYERS,
    FINAL = -12,
    MLM,
    POOL_FIRST,
    POOL_MEAN,
    POOL_MAX,
    POOL_LSE,
    POOL_LAST,
    POOL_MEAN_SQRT,
    POOL_WEIGHTED,
    CLASSES,
    TOKEN_CLASSES
};

typedef struct output {
    char name[48];
    int64_t rows, cols; /* a row per token or per sequence; no rows where the model has no such output */
    int per_sequence;
    void *data; /* float, or int32_t for paths */
} output;

typedef struct run {
    int64_t count;
    output *outputs;
} run;

/* Encodes a batch and runs every head the model has; with or without taps. Checks that every call succeeds. */
run *run_batch(const random_model *m, uffb_context *context, const batch *b, int with_taps);
/* Runs every head on the final states of another run of the same batch, which had taps. */
run *run_taken(const random_model *m, uffb_context *context, const batch *b, const run *whole);
void run_free(run *r);
/* Outputs by the names above; LAYER(l, 0), (l, 1), (l, 2), (l, 3): states, path, logits, q and k. */
#define LAYER(layer, part) (LAYERS + 4 * (layer) + (part))
output *run_output(const run *r, int64_t which);
static inline const float *output_row(const output *o, int64_t row) { return (const float *)o->data + row * o->cols; }
/* Checks that sequence `s` of run `a` (over `batch_a`) has the bits of sequence `t` of run `b`, in every
 * output both have. */
void run_check_same(const run *a, const batch *batch_a, int64_t s, const run *b, const batch *batch_b, int64_t t);

uffb_context *context_new(const random_model *m, int32_t threads, const char *isa);

/* Instruction sets of this machine, by number; NULL at the end. */
const char *isa_name(int number);

/* Recomputes a run in double precision along the paths that the run took, and checks every output. Returns
 * how many branches were too near 0 to tell. */
int64_t check_against_reference(const random_model *m, const batch *b, const run *r);

void test_threads(void);
void test_mapped(const uffb_arch *arch);
void test_interrupts(void);
void test_finite(const config *list, int64_t count);
void test_convert(void);
void test_quantised(void);
/* Of a model with an MLM head and no transform before its decoder. */
void test_rescored(const config *c);
/* Of a model whose embeddings are no decoder, and are not projected: rows in 8 bits are what they stand for, to the bit. */
void test_looked_up(const config *c);
void test_bad_models(void);
void test_misuse(void);

#endif

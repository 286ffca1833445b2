/* train_test.h: trainers of the random models of engine_test.h, and targets for them. */
#ifndef UFFB_TRAIN_TEST_H
#define UFFB_TRAIN_TEST_H

#include "engine_test.h"
#include "../uffb_train.h"

/* What trainers to come multiply: UFFB_F32, unless a test changes it. */
extern int32_t trainer_compute;
/* Which token is their padding; -1 unless a test changes it. */
extern int32_t trainer_padding;
uffb_trainer *trainer_new(const random_model *m, int32_t threads, const char *isa);
/* A copy of a parameter's weight, gradient or moment; the caller frees it. */
float *values_of(uffb_trainer *t, const uffb_parameter_info *p, int32_t kind);

typedef struct example {
    const batch *batch;
    int64_t layers, hidden; /* of the model */
    uffb_train_step step;
    int64_t *positions;
    int32_t *labels;
    float *shares, *weights, *class_weights;
    int weighted;          /* whether the weights are used */
    float *guides;         /* NULL, or [layers + 2, tokens, hidden]: states for each place that there is */
    const uffb_arch *arch; /* for the next */
    float *qk;             /* NULL, or [layers][tokens, heads, 2, qk_head] for each layer's attention */
    int64_t qk_head;
} example;

example *example_new(const uffb_arch *arch, const batch *b, int32_t head, int32_t loss);
void example_free(example *e);
/* Of an example's guide of that layer's attention. */
static inline double guide_weight(int64_t layer) { return 1.5 + (double)layer; }
uffb_train_result run_step(uffb_trainer *t, const example *e, int backward, const uffb_taps *taps, float *losses,
                           float *logits);

/* Holds the gradient of every parameter against the loss. */
void test_slopes(const random_model *m, const example *e);
/* Two steps on one thread and on three: the same bits. */
void test_threads_agree(const random_model *m, const example *e, const char *isa);

void test_distil(void);
void test_attention_guides(void);
void test_balance(void);
void test_noise(void);
void test_padding(void);
void test_update(void);
void test_bf16(void);
void test_train_misuse(void);

#endif

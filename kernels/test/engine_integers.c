/* Tests of weights as integers: their values, and the logits that are computed once more. */
#include "engine_test.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t place(int32_t layout, int64_t cols, int64_t group, int64_t r, int64_t c) {
    if (layout == UFFB_ROWS) return r * cols + c;
    const int64_t stored = (cols + group - 1) / group * group;
    return r / 16 * 16 * stored + c / group * 16 * group + r % 16 * group + c % group;
}

static void quantised_case(int64_t rows, int64_t cols, int32_t dtype, int32_t layout, int32_t most) {
    test_case("[%lld, %lld], dtype %d, layout %d", (long long)rows, (long long)cols, dtype, layout);
    const int64_t group = dtype == UFFB_I8 ? 4 : 2, size = dtype == UFFB_I8 ? 1 : 2;
    const uint64_t bytes = uffb_tensor_bytes(rows, cols, dtype, layout), values_bytes = (uint64_t)(rows * cols) * 4;
    const int64_t stored = layout == UFFB_ROWS ? rows * cols : (rows + 15) / 16 * 16 * ((cols + group - 1) / group * group);
    check(bytes == (uint64_t)(stored * size), "%llu bytes", (unsigned long long)bytes);
    float *values = malloc(values_bytes), *scale = malloc((size_t)rows * 4);
    uint8_t *panels = malloc(bytes + 8), *seen = calloc(bytes, 1);
    memset(panels, 0xa5, bytes + 8);
    for (int64_t i = 0; i < rows * cols; i++) values[i] = random_between(-2, 2);
    if (rows > 1) memset(values + cols, 0, (size_t)cols * 4);
    if (rows > 2) values[2 * cols] = 1e30f;
    int32_t status =
        uffb_tensor_quantise(rows, cols, values, values_bytes, UFFB_F32, UFFB_ROWS, dtype, layout, panels, bytes, scale);
    check(status == UFFB_OK, "status %d: %s", status, uffb_error());
    for (int64_t r = 0; r < rows; r++) {
        float largest = 0;
        for (int64_t c = 0; c < cols; c++) largest = fmaxf(largest, fabsf(values[r * cols + c]));
        check(scale[r] == largest / (float)most, "scale %lld is %g, not %g", (long long)r, scale[r], largest / (float)most);
        for (int64_t c = 0; c < cols; c++) {
            const int64_t at = place(layout, cols, group, r, c);
            int16_t q = ((const int8_t *)panels)[at];
            if (size == 2) memcpy(&q, panels + 2 * at, 2);
            memset(seen + at * size, 1, (size_t)size);
            const double exact = largest > 0 ? (double)values[r * cols + c] / largest * most : 0;
            check(abs(q) <= most && fabs(q - exact) <= 0.5 + most * 1e-6, "[%lld, %lld] is %d, not %g", (long long)r,
                  (long long)c, q, exact);
        }
    }
    for (uint64_t i = 0; i < bytes; i++) check(seen[i] || panels[i] == 0, "padding is not 0");
    for (int i = 0; i < 8; i++) check(panels[bytes + i] == 0xa5, "written beyond the end");
    free(values);
    free(scale);
    free(panels);
    free(seen);
}

void test_quantised(void) {
    /* most * most * cols just fits 31 bits. */
    static const int64_t shapes[][3] = {{1, 1, 32767}, {3, 2, 32767}, {17, 3, 26754}, {32, 768, 1672}, {5, 65536, 181}};
    test_begin("uffb_tensor_quantise");
    for (int64_t i = 0; i < COUNT_OF(shapes); i++) {
        quantised_case(shapes[i][0], shapes[i][1], UFFB_I8, UFFB_PANELS_I8, 127);
        quantised_case(shapes[i][0], shapes[i][1], UFFB_I8, UFFB_ROWS, 127);
        quantised_case(shapes[i][0], shapes[i][1], UFFB_I16, UFFB_PANELS_I16, (int32_t)shapes[i][2]);
    }
    float value = 1, scale;
    uint8_t panels[64];
    test_case("other dtypes");
    check(uffb_tensor_quantise(1, 1, &value, 4, UFFB_F32, UFFB_ROWS, UFFB_F16, UFFB_ROWS, panels, 64, &scale) == UFFB_INVALID,
          "f16");
    check(uffb_tensor_quantise(1, 1, panels, 64, UFFB_I8, UFFB_PANELS_I8, UFFB_I16, UFFB_PANELS_I16, panels, 64, &scale) ==
              UFFB_INVALID,
          "from integers");
    check(uffb_tensor_quantise(1, 1, &value, 4, UFFB_F32, UFFB_ROWS, UFFB_I16, UFFB_PANELS_I8, panels, 64, &scale) ==
              UFFB_INVALID,
          "another layout");
    check(uffb_tensor_bytes(1, 1, UFFB_I16, UFFB_PANELS_I8) == 0 && uffb_tensor_bytes(1, 1, UFFB_I16, UFFB_ROWS) == 0 &&
              uffb_tensor_bytes(1, 1, UFFB_F16, UFFB_PANELS_I16) == 0,
          "other layouts");
    test_end();
}

/* The largest 8 logits are as exact as half-precision rows make them; all others are what 8 bits give. */
void test_rescored(const config *c) {
    const int64_t lengths[] = {5, 1, 9}, hidden = c->arch.hidden, vocab = c->arch.vocab;
    random_model *m = random_model_new(&c->arch, 1, UFFB_I8, AS_ASKED);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    const char *name = c->arch.tied ? "embed.word" : "head.mlm.decoder.weight";
    const float *rows = tensor_of(m, name), *bias = tensor_of(m, "head.mlm.decoder.bias");
    test_begin("logits computed again: %s", c->name);
    uffb_context *context = context_new(m, 1, NULL);
    run *r = run_batch(m, context, b, 1);
    const output *final = run_output(r, FINAL), *logits = run_output(r, MLM);
    for (int64_t t = 0; t < b->tokens; t++) {
        test_case("token %lld", (long long)t);
        const float *state = output_row(final, t), *found = output_row(logits, t);
        double best = -INFINITY, most = -INFINITY, bound = 0;
        int64_t exact = 0;
        for (int64_t id = 0; id < vocab; id++) {
            double logit = bias[id], size = fabs(logit);
            for (int64_t i = 0; i < hidden; i++) {
                logit += (double)state[i] * rows[id * hidden + i];
                size += fabs((double)state[i] * rows[id * hidden + i]);
            }
            /* A half is 2^-11 off at most, and sums are of up to `hidden` floats. */
            const double tolerance = size * (0x1p-11 + (double)(hidden + 2) * 0x1p-24);
            exact += fabs(found[id] - logit) <= tolerance;
            if (logit > best) best = logit, bound = tolerance;
            if (found[id] > most) most = found[id];
        }
        check(fabs(most - best) <= bound, "the largest logit is %g, not %g", most, best);
        check(exact >= (vocab < 8 ? vocab : 8), "%lld logits are exact", (long long)exact);
        check(hidden == 1 || exact < vocab, "all logits are exact");
    }
    run_free(r);
    uffb_context_free(context);
    batch_free(b);
    random_model_free(m);
    test_end();
}

/* Puts in place of weights in f32 what rows in 8 bits stand for. */
static void widen(const random_model *exact, const random_model *m, const char *name) {
    for (int64_t i = 0; i < m->count; i++) {
        const uffb_tensor_info *info = &m->infos[i];
        if (strcmp(info->name, name) != 0) continue;
        const float *scale = m->given[i];
        const int8_t *q = (const int8_t *)(scale + info->rows);
        float *values = exact->given[i];
        for (int64_t j = 0; j < info->rows * info->cols; j++) values[j] = (float)q[j] * scale[j / info->cols];
    }
}

void test_looked_up(const config *c) {
    const int64_t lengths[] = {5, 1, 9};
    random_model *m = random_model_new(&c->arch, 1, UFFB_I8, AS_ASKED);
    random_model *exact = random_model_new(&c->arch, 1, UFFB_F32, AS_ASKED);
    widen(exact, m, "embed.word");
    widen(exact, m, "embed.position");
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int i = 0; isa_name(i); i++) {
        test_begin("engine %s, rows in 8 bits: %s", isa_name(i), c->name);
        test_case("the bits of f32");
        uffb_context *contexts[] = {context_new(m, 1, isa_name(i)), context_new(exact, 1, isa_name(i))};
        run *runs[] = {run_batch(m, contexts[0], b, 1), run_batch(exact, contexts[1], b, 1)};
        const output *found = run_output(runs[0], EMBEDDING), *expected = run_output(runs[1], EMBEDDING);
        check(found->rows == b->tokens, "%lld rows", (long long)found->rows);
        check(!memcmp(found->data, expected->data, (size_t)(found->rows * found->cols) * sizeof(float)), "other embeddings");
        for (int j = 0; j < 2; j++) {
            run_free(runs[j]);
            uffb_context_free(contexts[j]);
        }
        test_end();
    }
    batch_free(b);
    random_model_free(m);
    random_model_free(exact);
}

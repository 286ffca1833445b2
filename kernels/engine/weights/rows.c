/* Weights whose rows are read one at a time: of trees, of embeddings, and of a decoder whose best logits are computed again. */
#include "weights.h"

/* Elements that are widened at once. */
#define RUN 256
/* Sums that a dot product is made of: enough for compilers to make vectors of, and the same for every CPU. */
#define LANES 16

static const void *element(const uffb_weights *w, int64_t i) {
    return (const char *)w->data + i * (int64_t)uffb_tensor_bytes(1, 1, w->kind->dtype, UFFB_ROWS);
}

static void add_row(const uffb_weights *w, int64_t cols, int64_t row, float *x) {
    float run[RUN];
    for (int64_t i = 0; i < cols; i += RUN) {
        const int64_t count = cols - i < RUN ? cols - i : RUN;
        uffb_to_f32(w->kind->dtype, count, element(w, row * cols + i), run);
        for (int64_t j = 0; j < count; j++) x[i + j] += run[j];
    }
}

static float dot_row(const uffb_weights *w, int64_t cols, int64_t row, const float *x) {
    float run[RUN], sums[LANES] = {0};
    for (int64_t start = 0; start < cols; start += RUN) {
        const int64_t count = cols - start < RUN ? cols - start : RUN;
        uffb_to_f32(w->kind->dtype, count, element(w, row * cols + start), run);
        int64_t i = 0;
        for (; i + LANES <= count; i += LANES) {
            for (int64_t l = 0; l < LANES; l++) sums[l] += x[start + i + l] * run[i + l];
        }
        for (int64_t l = 0; i + l < count; l++) sums[l] += x[start + i + l] * run[i + l];
    }
    for (int64_t half = LANES / 2; half > 0; half /= 2) {
        for (int64_t l = 0; l < half; l++) sums[l] += sums[l + half];
    }
    return sums[0];
}

#define ROWS(type, bytes, purpose)                                                                                             \
    {                                                                                                                          \
        .purposes = purpose, .dtype = type, .layout = UFFB_ROWS, .boundary = bytes, .add_row = add_row, .dot_row = dot_row,    \
        .unpack = uffb_unpack_plain                                                                                            \
    }

const uffb_kind uffb_f32_rows = ROWS(UFFB_F32, 4, UFFB_FOR_TREES | UFFB_FOR_ROWS);
const uffb_kind uffb_bf16_rows = ROWS(UFFB_BF16, 2, UFFB_FOR_TREES);
const uffb_kind uffb_f16_rows = ROWS(UFFB_F16, 2, UFFB_FOR_ROWS | UFFB_FOR_EXACT);

/* The best logits of a decoder in integers, once more with its rows in half precision. What integers lose is far less than what
 * lies between the best few and the rest of a vocabulary, so the first of these few is the first of all. */
#include "context.h"

#define CANDIDATES 8
/* Logits that are compared at once with the least of the candidates: enough for compilers to make vectors of. */
#define BLOCK 64

typedef struct {
    const uffb_model *model;
    const float *states;
    float *logits;
} job;

/* The largest logits, in no order. Returns how many there are: fewer than CANDIDATES in a small vocabulary. */
static int64_t find_best(int64_t vocab, const float *logits, int64_t best[CANDIDATES]) {
    int64_t found = 0, least = 0;
    for (int64_t start = 0; start < vocab; start += BLOCK) {
        const int64_t count = vocab - start < BLOCK ? vocab - start : BLOCK;
        if (found == CANDIDATES) {
            const float bar = logits[best[least]];
            int any = 0;
            for (int64_t i = 0; i < count; i++) any |= logits[start + i] > bar;
            if (!any) continue;
        }
        for (int64_t id = start; id < start + count; id++) {
            if (found == CANDIDATES && !(logits[id] > logits[best[least]])) continue;
            best[found < CANDIDATES ? found++ : least] = id;
            if (found < CANDIDATES) continue;
            least = 0;
            for (int64_t i = 1; i < CANDIDATES; i++) least = logits[best[i]] < logits[best[least]] ? i : least;
        }
    }
    return found;
}

static void rescore_task(void *arg, int64_t row, int32_t thread) {
    (void)thread;
    const job *j = arg;
    const uffb_linear *decoder = &j->model->decoder;
    const uffb_weights *rows = &j->model->decoder_rows;
    const int64_t hidden = decoder->cols;
    float *logits = j->logits + row * decoder->rows;
    int64_t best[CANDIDATES];
    const int64_t count = find_best(decoder->rows, logits, best);
    for (int64_t i = 0; i < count; i++) {
        logits[best[i]] = rows->kind->dot_row(rows, hidden, best[i], j->states + row * hidden);
        if (decoder->bias) logits[best[i]] += decoder->bias[best[i]];
    }
}

void uffb_rescore(uffb_context *c, int64_t count, const float *states, float *logits) {
    const uffb_model *m = c->model;
    if (!m->decoder_rows.kind || !uffb_is_quantised(&m->decoder.weights)) return;
    job j = {m, states, logits};
    uffb_parallel(c->team, count, rescore_task, &j);
}

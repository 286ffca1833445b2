#include "../ops.h"

#include <float.h>

static float flush(float x) { return fabsf(x) < FLT_MIN ? 0.0f : x; }

void uffb_adamw_generic(int64_t n, const uffb_adamw_factors *f, const float *g, float *w, float *m, float *v) {
    for (int64_t i = 0; i < n; i++) {
        const float d = g ? g[i] * f->gradient : 0.0f;
        m[i] = flush(m[i] + (d - m[i]) * f->first);
        v[i] = flush(v[i] * f->beta2 + d * d * f->second);
        w[i] = w[i] * f->decay - f->step * (m[i] / (sqrtf(v[i]) * f->root + f->eps));
    }
}

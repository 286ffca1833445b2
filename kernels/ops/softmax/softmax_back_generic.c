#include "../ops.h"

void uffb_softmax_back_generic(int64_t rows, int64_t cols, float scale, const float *p, int64_t ldp, float *d, int64_t ldd) {
    for (int64_t r = 0; r < rows; r++, p += ldp, d += ldd) {
        double dot = 0;
        for (int64_t i = 0; i < cols; i++) dot += (double)p[i] * (double)d[i];
        for (int64_t i = 0; i < cols; i++) d[i] = p[i] * scale * (d[i] - (float)dot);
    }
}

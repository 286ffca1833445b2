/* row.h: how the lanes of a warp share a row of `hidden` elements: lane l takes accesses l, l + 32, l + 64.., each WIDE
 * elements, which are 16 bytes where rows are multiples of that and one element where they are not. */
#ifndef UFFB_CUDA_ROW_H
#define UFFB_CUDA_ROW_H

#include "../device.h"

/* What a lane reads at once. */
template <class T, int WIDE> struct access;
template <class T> struct access<T, 1> {
    T bits;
    __device__ void get(float (&out)[1]) const { out[0] = to_float(bits); }
    __device__ static access of(const float (&in)[1]) { return {from_float<T>(in[0])}; }
};
template <class T> struct access<T, PACK<T>> {
    uint4 bits;
    __device__ void get(float (&out)[PACK<T>]) const { unpack<T>(bits, out); }
    __device__ static access of(const float (&in)[PACK<T>]) { return {pack<T>(in)}; }
};

/* Weights are read again and again, and stay in L1 as far as they fit; inputs and outputs pass by once. */
template <class T, int WIDE> __device__ inline access<T, WIDE> load_weights(const T *p) {
    return {__ldg(&((const access<T, WIDE> *)p)->bits)};
}
template <class T, int WIDE> __device__ inline access<T, WIDE> load_once(const T *p) {
    return {__ldcs(&((const access<T, WIDE> *)p)->bits)};
}
template <class T, int WIDE> __device__ inline void store_once(T *p, const float (&v)[WIDE]) {
    __stcs(&((access<T, WIDE> *)p)->bits, access<T, WIDE>::of(v).bits);
}

/* A lane's share of COUNT * 32 * WIDE consecutive elements of a row, from element `base`; zero beyond `hidden`. */
template <class T, int WIDE, int COUNT> struct piece {
    float v[COUNT][WIDE];

    /* Elements that a piece spans. */
    static constexpr int SPAN = COUNT * 32 * WIDE;

    __device__ static int64_t element(int64_t base, int c, int lane) { return base + (c * 32 + lane) * WIDE; }

    __device__ void clear() {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
#pragma unroll
            for (int i = 0; i < WIDE; i++) v[c][i] = 0.0f;
        }
    }

    __device__ void load(const T *row, int64_t base, int64_t hidden, int lane) {
        clear();
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
            if (i < hidden) load_once<T, WIDE>(row + i).get(v[c]);
        }
    }

    /* This lane's part of the dot product with a row of weights. A sum for each access keeps the multiply-adds independent. */
    __device__ float dot(const T *weights, int64_t base, int64_t hidden, int lane) const {
        float sum[COUNT];
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
            sum[c] = 0.0f;
            if (i >= hidden) continue;
            float w[WIDE];
            load_weights<T, WIDE>(weights + i).get(w);
#pragma unroll
            for (int j = 0; j < WIDE; j++) sum[c] = fmaf(v[c][j], w[j], sum[c]);
        }
        float all = 0.0f;
#pragma unroll
        for (int c = 0; c < COUNT; c++) all += sum[c];
        return all;
    }

    /* += scale * weights */
    __device__ void add(float scale, const T *weights, int64_t base, int64_t hidden, int lane) {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
            if (i >= hidden) continue;
            float w[WIDE];
            load_weights<T, WIDE>(weights + i).get(w);
#pragma unroll
            for (int j = 0; j < WIDE; j++) v[c][j] = fmaf(scale, w[j], v[c][j]);
        }
    }

    __device__ void store(T *row, int64_t base, int64_t hidden, int lane) const {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
            if (i < hidden) store_once<T, WIDE>(row + i, v[c]);
        }
    }

    /* f32, for sums that go on in another tree: written and read by the same lane. */
    __device__ void load_sums(const float *row, int64_t base, int64_t hidden, int lane) {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
#pragma unroll
            for (int j = 0; j < WIDE; j++) v[c][j] = i < hidden ? row[i + j] : 0.0f;
        }
    }
    __device__ void store_sums(float *row, int64_t base, int64_t hidden, int lane) const {
#pragma unroll
        for (int c = 0; c < COUNT; c++) {
            const int64_t i = element(base, c, lane);
            if (i >= hidden) continue;
#pragma unroll
            for (int j = 0; j < WIDE; j++) row[i + j] = v[c][j];
        }
    }
};

/* How a kernel for rows of `hidden` elements is compiled. Held: the whole row in one piece in registers, up to 1,024 elements.
 */
template <class T_, int WIDE_, int COUNT_, bool HELD_> struct row_shape {
    typedef T_ T;
    static constexpr int WIDE = WIDE_, COUNT = COUNT_;
    static constexpr bool HELD = HELD_;
    typedef piece<T, WIDE, COUNT> piece_type;
};

/* Calls f(row_shape{}) with the shape for rows of `hidden` elements of T. */
template <class T, class F> inline int32_t with_row_shape(int64_t hidden, F f) {
    constexpr int SPAN = 32 * PACK<T>;
    if (hidden % PACK<T>) return f(row_shape<T, 1, 4, false>{});
    if (hidden <= SPAN) return f(row_shape<T, PACK<T>, 1, true>{});
    if (hidden <= 512) return f(row_shape<T, PACK<T>, 512 / SPAN, true>{});
    if (hidden <= 768) return f(row_shape<T, PACK<T>, 768 / SPAN, true>{});
    if (hidden <= 1024) return f(row_shape<T, PACK<T>, 1024 / SPAN, true>{});
    return f(row_shape<T, PACK<T>, 2, false>{});
}

template <class F> inline int32_t with_dtype(int32_t dtype, F f) {
    switch (dtype) {
    case UFFB_F32: return f(float{});
    case UFFB_F16: return f(__half{});
    default: return f(__nv_bfloat16{});
    }
}

#endif

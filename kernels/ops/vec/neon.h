/* One vector of floats on AArch64 NEON. */
#include <arm_neon.h>

#define VEC_LANES 4
/* GEMM tile: 6 rows x 4 vectors (24 of 32 registers accumulate). */
#define VEC_TILE_ROWS 6
#define VEC_TILE_PANELS 1
#define VEC_PACKS_ROWS 0
#define VEC_TRANSPOSES 0
/* FFF: tokens that share the loads of a row; 4 sums each fill half of 32 registers. */
#define VEC_FFF_TOKENS 4

typedef float32x4_t vec;

static inline vec vec_zero(void) { return vdupq_n_f32(0); }
static inline vec vec_set(float x) { return vdupq_n_f32(x); }
static inline vec vec_load(const float *p) { return vld1q_f32(p); }
static inline vec vec_load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
static inline void vec_store(float *p, vec v) { vst1q_f32(p, v); }
static inline vec vec_load_some(const float *p, int64_t n) {
    float lanes[4] = {0};
    for (int64_t i = 0; i < n; i++) lanes[i] = p[i];
    return vld1q_f32(lanes);
}
static inline void vec_store_some(float *p, vec v, int64_t n) {
    float lanes[4];
    vst1q_f32(lanes, v);
    for (int64_t i = 0; i < n; i++) p[i] = lanes[i];
}
/* The first n lanes of v, and of `rest` those after them. */
static inline vec vec_first(int64_t n, vec v, vec rest) {
    const uint32x4_t lane = {0, 1, 2, 3};
    return vbslq_f32(vcltq_u32(lane, vdupq_n_u32((uint32_t)n)), v, rest);
}
/* 128 + v as bytes, of -128 to 127, rounded to nearest, ties to even. */
static inline void vec_store_u8(uint8_t *p, const vec v[4]) {
    const int16x8_t low = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(v[0])), vmovn_s32(vcvtnq_s32_f32(v[1])));
    const int16x8_t high = vcombine_s16(vmovn_s32(vcvtnq_s32_f32(v[2])), vmovn_s32(vcvtnq_s32_f32(v[3])));
    const int8x16_t bytes = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
    vst1q_u8(p, veorq_u8(vreinterpretq_u8_s8(bytes), vdupq_n_u8(128)));
}
static inline vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec vec_inverse(vec a) { return vdivq_f32(vdupq_n_f32(1.0f), a); }
static inline vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec vec_sqrt(vec a) { return vsqrtq_f32(a); }
/* v where a > 0, else 0 */
static inline vec vec_where_positive(vec a, vec v) { return vbslq_f32(vcgtq_f32(a, vdupq_n_f32(0)), v, vdupq_n_f32(0)); }
static inline vec vec_abs(vec a) { return vabsq_f32(a); }
/* NaN where either is. */
static inline vec vec_max(vec a, vec b) { return vmaxq_f32(a, b); }
static inline vec vec_min(vec a, vec b) { return vminq_f32(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vec_fma_all(const float *x, vec b, vec sum) { return vec_fma(vec_set(*x), b, sum); }
static inline vec vec_round(vec a) { return vrndnq_f32(a); }
static inline vec vec_exp2(vec whole) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(whole), vdupq_n_s32(127)), 23));
}
static inline float vec_sum(vec a) { return vaddvq_f32(a); }
static inline float vec_top(vec a) { return vmaxvq_f32(a); }

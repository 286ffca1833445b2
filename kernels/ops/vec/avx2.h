/* One vector of floats on AVX2 with FMA. */
#include <immintrin.h>

#define VEC_LANES 8
/* GEMM tile: 6 rows x 2 vectors (12 of 16 registers accumulate). */
#define VEC_TILE_ROWS 6
#define VEC_TILE_PANELS 1
#define VEC_PACKS_ROWS 0
#define VEC_TRANSPOSES 0
/* FFF: tokens that share the loads of a row; 4 sums each fill half of 16 registers. */
#define VEC_FFF_TOKENS 2

typedef __m256 vec;

static inline __m256i vec_mask(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_set(float x) { return _mm256_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vec vec_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
static inline void vec_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
static inline vec vec_load_some(const float *p, int64_t n) { return _mm256_maskload_ps(p, vec_mask(n)); }
static inline void vec_store_some(float *p, vec v, int64_t n) { _mm256_maskstore_ps(p, vec_mask(n), v); }
/* The first n lanes of v, and of `rest` those after them. */
static inline vec vec_first(int64_t n, vec v, vec rest) { return _mm256_blendv_ps(rest, v, _mm256_castsi256_ps(vec_mask(n))); }
/* 128 + v as bytes, of -128 to 127, rounded to nearest, ties to even. */
static inline void vec_store_u8(uint8_t *p, const vec v[4]) {
    const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
    const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    const __m256i halves_apart = _mm256_packs_epi16(low, high);
    const __m256i bytes = _mm256_permutevar8x32_epi32(halves_apart, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)p, _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)));
}
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_inverse(vec a) { return _mm256_div_ps(_mm256_set1_ps(1.0f), a); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_sqrt(vec a) { return _mm256_sqrt_ps(a); }
/* v where a > 0, else 0 */
static inline vec vec_where_positive(vec a, vec v) {
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GT_OQ), v);
}
static inline vec vec_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/* b where either is NaN. */
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_fma_all(const float *x, vec b, vec sum) { return vec_fma(vec_set(*x), b, sum); }
static inline vec vec_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec vec_exp2(vec whole) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23));
}
static inline float vec_sum(vec a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
static inline float vec_top(vec a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

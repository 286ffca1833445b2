/* One vector of floats on AVX-512 (F only). Every vec/ header defines these same names; files called *_simd.c are written once
 * over them. */
#include <immintrin.h>

#define VEC_LANES 16
/* GEMM tile: rows x panels held in registers (28 of 32 accumulate). */
#define VEC_TILE_ROWS 14
#define VEC_TILE_PANELS 2
/* Whether GEMM copies rows into panels, for vec_fma_all. */
#define VEC_PACKS_ROWS 1
/* Whether a vector holds the numbers of UFFB_PANEL rows: vec_transpose. */
#define VEC_TRANSPOSES 1
/* FFF: tokens that share the loads of a row; 4 sums each fill half of 32 registers. */
#define VEC_FFF_TOKENS 4

typedef __m512 vec;

static inline __mmask16 vec_mask(int64_t n) { return (__mmask16)((1u << n) - 1); }
static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vec vec_load_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
static inline void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
static inline vec vec_load_some(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vec_mask(n), p); }
static inline void vec_store_some(float *p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, vec_mask(n), v); }
/* The first n lanes of v, and of `rest` those after them. */
static inline vec vec_first(int64_t n, vec v, vec rest) { return _mm512_mask_blend_ps(vec_mask(n), rest, v); }
/* 128 + v as bytes, of -128 to 127, rounded to nearest, ties to even. */
static inline void vec_store_u8(uint8_t *p, const vec v[4]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512i wide = _mm512_add_epi32(_mm512_cvtps_epi32(v[i]), _mm512_set1_epi32(128));
        _mm_storeu_si128((__m128i *)p + i, _mm512_cvtepi32_epi8(wide));
    }
}
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
/* To 2 units in the last place: an estimate and a Newton step take a third of a division's time. */
static inline vec vec_inverse(vec a) {
    const vec near = _mm512_rcp14_ps(a), error = _mm512_fnmadd_ps(a, near, _mm512_set1_ps(1.0f));
    return _mm512_fmadd_ps(near, error, near);
}
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_sqrt(vec a) { return _mm512_sqrt_ps(a); }
/* v where a > 0, else 0 */
static inline vec vec_where_positive(vec a, vec v) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ), v);
}
static inline vec vec_abs(vec a) { return _mm512_abs_ps(a); }
/* b where either is NaN. */
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* sum + *x * b. As an operand of the FMA, *x takes no instruction; compilers load it first where more FMAs need it. */
static inline vec vec_fma_all(const float *x, vec b, vec sum) {
    __asm__("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(sum) : "m"(*x), "v"(b));
    return sum;
}
static inline vec vec_round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vec vec_exp2(vec whole) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(whole), _mm512_set1_epi32(127)), 23));
}
/* out[c] = column c of 16 rows, for 4 columns. Rows come four to a vector, so that columns need no shuffle across its quarters.
 */
static inline void vec_transpose(const float *const row[16], int64_t col, vec out[4]) {
    vec q[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        q[i] = _mm512_castps128_ps512(_mm_loadu_ps(row[i] + col));
        q[i] = _mm512_insertf32x4(q[i], _mm_loadu_ps(row[4 + i] + col), 1);
        q[i] = _mm512_insertf32x4(q[i], _mm_loadu_ps(row[8 + i] + col), 2);
        q[i] = _mm512_insertf32x4(q[i], _mm_loadu_ps(row[12 + i] + col), 3);
    }
    const vec lo01 = _mm512_unpacklo_ps(q[0], q[1]), hi01 = _mm512_unpackhi_ps(q[0], q[1]);
    const vec lo23 = _mm512_unpacklo_ps(q[2], q[3]), hi23 = _mm512_unpackhi_ps(q[2], q[3]);
    out[0] = _mm512_shuffle_ps(lo01, lo23, 0x44);
    out[1] = _mm512_shuffle_ps(lo01, lo23, 0xee);
    out[2] = _mm512_shuffle_ps(hi01, hi23, 0x44);
    out[3] = _mm512_shuffle_ps(hi01, hi23, 0xee);
}
static inline float vec_sum(vec a) { return _mm512_reduce_add_ps(a); }
static inline float vec_top(vec a) { return _mm512_reduce_max_ps(a); }

/* mma.h: the two warp-wide instructions of a tensor core kernel, with the registers as PTX lays them out (PTX ISA, "Matrix
 * Fragments for mma.m16n8k16" and "ldmatrix"). Lane l has group g = l / 4 and t = l % 4; a register of a fragment holds two
 * 16-bit elements side by side: a[0..3]  rows g, g + 8, g, g + 8 of A [16, 16]; columns 2t and 2t + 1, for a[2] and a[3] 8 more
 *     b0, b1   column g of B [16, 8]; rows 2t and 2t + 1, for b1 8 more
 *     c[0..3]  C [16, 8]: row g, columns 2t and 2t + 1; then row g + 8
 */
#ifndef UFFB_CUDA_MMA_H
#define UFFB_CUDA_MMA_H

#include "device.h"

/* Two elements of T in one register. */
template <class T> __device__ inline uint32_t pack_pair(float low, float high) {
    const T pair[2] = {from_float<T>(low), from_float<T>(high)};
    uint32_t bits;
    memcpy(&bits, pair, sizeof bits);
    return bits;
}

#ifndef UFFB_SIMT

/* c += a b */
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __half) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __nv_bfloat16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Loads four 8x8 matrices of 16-bit elements from shared memory: lane l gives the address of row l % 8 of matrix l / 8, and
 * gets in f[i] the elements 2t and 2t + 1 of row g of matrix i, or of column g if TRANSPOSED. Rows are 16-byte aligned. */
template <bool TRANSPOSED> __device__ inline void load_matrices(uint32_t (&f)[4], const void *row) {
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    if (TRANSPOSED) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
                     : "r"(address)
                     : "memory");
    }
}

#else /* the same, lane by lane, for the simulator */

struct mma_lane {
    float a[8], b[4]; /* two values a register */
    const uint16_t *row;
};
/* What the lanes of a warp bring together. */
static mma_lane mma_lanes[32][32];

template <class T> static void unpack_pair(uint32_t bits, float *values) {
    T pair[2];
    memcpy(pair, &bits, sizeof bits);
    values[0] = to_float(pair[0]);
    values[1] = to_float(pair[1]);
}

template <class T> static void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, T) {
    mma_lane *lanes = mma_lanes[threadIdx.x / 32];
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; i++) unpack_pair<T>(a[i], lanes[lane].a + 2 * i);
    unpack_pair<T>(b0, lanes[lane].b);
    unpack_pair<T>(b1, lanes[lane].b + 2);
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        const int col = 2 * t + i % 2;
        for (int k = 0; k < 16; k++) {
            const mma_lane &of_row = lanes[g * 4 + k % 8 / 2], &of_col = lanes[col * 4 + k % 8 / 2];
            c[i] += of_row.a[(i / 2 + k / 8 * 2) * 2 + k % 2] * of_col.b[k / 8 * 2 + k % 2];
        }
    }
    __syncwarp();
}

template <bool TRANSPOSED> static void load_matrices(uint32_t (&f)[4], const void *row) {
    mma_lane *lanes = mma_lanes[threadIdx.x / 32];
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    if ((uintptr_t)row % 16) simt::fail("loads a row of a matrix from an odd address");
    lanes[lane].row = (const uint16_t *)row;
    __syncwarp();
    for (int i = 0; i < 4; i++) {
        const mma_lane *rows = lanes + i * 8;
        const uint32_t low = TRANSPOSED ? rows[2 * t].row[g] : rows[g].row[2 * t];
        const uint32_t high = TRANSPOSED ? rows[2 * t + 1].row[g] : rows[g].row[2 * t + 1];
        f[i] = low | high << 16;
    }
    __syncwarp();
}

#endif
#endif

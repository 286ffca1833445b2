/* Tests of the simulator: that blocks, warps and barriers run as on a device, and that mistakes which a device passes over are
 * reported.
 */
#include "../device.h"

extern "C" {
#include "../../test/check.h"
}

#define BLOCK 96

__global__ static void reverse_kernel(const int *x, int *y) {
    __shared__ int shared[BLOCK];
    shared[threadIdx.x] = x[blockIdx.x * BLOCK + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * BLOCK + threadIdx.x] = shared[BLOCK - 1 - threadIdx.x];
}

__global__ static void sums_kernel(const float *x, float *y, unsigned *votes) {
    const float v = x[threadIdx.x];
    y[threadIdx.x] = warp_sum(v);
    votes[threadIdx.x] = __ballot_sync(~0u, v > 50.0f);
}

__global__ static void copies_kernel(const float *x, float *y, int waits) {
    UFFB_DYNAMIC_SHARED(float, shared);
    copy_async(shared + 4 * threadIdx.x, x + 4 * threadIdx.x);
    copy_async_commit();
    if (waits) copy_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++) y[4 * threadIdx.x + i] = shared[4 * BLOCK - 1 - (4 * threadIdx.x + i)];
}

__global__ static void missing_kernel(int *y) {
    if (threadIdx.x == 3) return;
    __syncthreads();
    y[0] = 1;
}

__global__ static void lane_missing_kernel(float *y) {
    if (threadIdx.x % 32 != 3) y[threadIdx.x] = warp_sum(1.0f);
}

__global__ static void past_kernel() {
    UFFB_DYNAMIC_SHARED(float, shared);
    shared[BLOCK + threadIdx.x] = 1.0f;
}

__global__ static void poison_kernel(float *y) {
    __shared__ float shared[BLOCK];
    UFFB_DYNAMIC_SHARED(float, dynamic);
    y[threadIdx.x] = shared[threadIdx.x];
    y[BLOCK + threadIdx.x] = dynamic[threadIdx.x];
    shared[threadIdx.x] = dynamic[threadIdx.x] = 1.0f;
}

static void blocks_and_barriers(void) {
    test_begin("blocks, barriers, shared memory");
    int x[3 * BLOCK], y[3 * BLOCK];
    for (int i = 0; i < 3 * BLOCK; i++) x[i] = i * i;
    UFFB_LAUNCH(reverse_kernel, 3, BLOCK, 0, NULL, x, y);
    check(cudaGetLastError() == cudaSuccess, "the launch failed");
    for (int i = 0; i < 3 * BLOCK; i++) {
        check(y[i] == x[i / BLOCK * BLOCK + BLOCK - 1 - i % BLOCK], "thread %d got %d", i, y[i]);
    }
    test_end();
}

static void warps(void) {
    test_begin("exchanges within warps");
    float x[BLOCK], y[BLOCK];
    unsigned votes[BLOCK];
    for (int i = 0; i < BLOCK; i++) x[i] = (float)i;
    UFFB_LAUNCH(sums_kernel, 1, BLOCK, 0, NULL, x, y, votes);
    check(cudaGetLastError() == cudaSuccess, "the launch failed");
    for (int i = 0; i < BLOCK; i++) {
        const int first = i / 32 * 32;
        const unsigned want = first == 0 ? 0u : first == 32 ? ~0u << 19 : ~0u;
        check(y[i] == (float)(32 * first + 31 * 16), "thread %d got the sum %g", i, y[i]);
        check(votes[i] == want, "thread %d got the votes %x", i, votes[i]);
    }
    test_end();
}

static void copies(void) {
    test_begin("asynchronous copies, waited for and not");
    alignas(16) float x[4 * BLOCK], y[4 * BLOCK];
    for (int i = 0; i < 4 * BLOCK; i++) x[i] = (float)i;
    for (int waits = 0; waits < 2; waits++) {
        UFFB_LAUNCH(copies_kernel, 1, BLOCK, sizeof x, NULL, x, y, waits);
        check(cudaGetLastError() == cudaSuccess, "the launch failed");
        for (int i = 0; i < 4 * BLOCK; i++) {
            const float want = x[4 * BLOCK - 1 - i];
            check(waits ? y[i] == want : y[i] != y[i], "element %d is %g", i, y[i]);
        }
    }
    test_end();
}

static void mistakes(void) {
    test_begin("mistakes fail the launch (4 lines from the simulator are expected)");
    int y = 0;
    float sums[BLOCK];
    UFFB_LAUNCH(missing_kernel, 1, BLOCK, 0, NULL, &y);
    check(cudaGetLastError() == cudaErrorLaunchFailure && !y, "a thread missing at a barrier went unnoticed");
    UFFB_LAUNCH(lane_missing_kernel, 1, BLOCK, 0, NULL, sums);
    check(cudaGetLastError() == cudaErrorLaunchFailure, "a lane missing from a sum went unnoticed");
    UFFB_LAUNCH(past_kernel, 1, BLOCK, BLOCK * sizeof(float), NULL);
    check(cudaGetLastError() == cudaErrorLaunchFailure, "a write past shared memory went unnoticed");
    UFFB_LAUNCH(missing_kernel, 1, 2048, 0, NULL, &y);
    check(cudaGetLastError() == cudaErrorLaunchFailure, "a block of 2,048 threads went unnoticed");
    test_end();
}

static void poison(void) {
    test_begin("shared memory is poisoned before each block");
    float y[2 * BLOCK];
    for (int round = 0; round < 2; round++) {
        UFFB_LAUNCH(poison_kernel, 2, BLOCK, BLOCK * sizeof(float), NULL, y);
        for (int i = 0; i < 2 * BLOCK; i++) check(y[i] != y[i], "element %d is %g", i, y[i]);
    }
    test_end();
}

/* Every f16 survives f32; f32 halfway between two goes to the even one; bf16 alike. */
static void halves(void) {
    test_begin("half-precision types");
    for (int bits = 0; bits < 0x10000; bits++) {
        const __half h = {(uint16_t)bits}, up = {(uint16_t)(bits + 1)};
        const __nv_bfloat16 b = {(uint16_t)bits};
        const float f = to_float(h), g = to_float(b);
        if (f != f) continue;
        check(from_float<__half>(f).bits == bits, "f16 %04x became %04x", bits, from_float<__half>(f).bits);
        if (g == g) check(from_float<__nv_bfloat16>(g).bits == bits, "bf16 %04x does not survive", bits);
        if ((bits & 0x7fff) >= 0x7bff) continue;
        const float middle = (float)(((double)f + (double)to_float(up)) / 2);
        const int even = bits & 1 ? bits + 1 : bits;
        check(from_float<__half>(middle).bits == even, "the middle after f16 %04x became %04x", bits,
              from_float<__half>(middle).bits);
    }
    test_end();
}

int main(void) {
    blocks_and_barriers();
    warps();
    copies();
    mistakes();
    poison();
    halves();
    return test_report();
}

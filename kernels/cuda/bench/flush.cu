/* Empties L2 of weights, before calls that are timed cold. */
#include "layer.h"

#define THREADS 256
/* Blocks of a multiprocessor, and loads that a thread has under way. */
#define BLOCKS 4
#define LOADS 4
/* Passes: more than L2 needs, so that the device is still reading while the graph that follows is launched. */
#define PASSES 4

/* Only reads: lines that were written would have to be written back during the calls that are timed. The store at the end is
 * nearly never reached; without it the compiler would drop the loads. */
__global__ static void flush_kernel(int64_t count, uint4 *memory) {
    const int64_t step = (int64_t)gridDim.x * THREADS;
    unsigned seen = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += step * LOADS) {
#pragma unroll
            for (int j = 0; j < LOADS; j++) {
                if (i + j * step >= count) continue;
                const uint4 v = memory[i + j * step];
                seen += v.x ^ v.y ^ v.z ^ v.w ^ (unsigned)pass;
            }
        }
    }
    if (seen == 0x9e3779b9u) memory[0].x = seen;
}

int32_t uffb_cuda_flush(void *memory, uint64_t bytes, cudaStream_t stream) {
    int device = 0, multiprocessors = 1;
    CUDA_TRY(cudaGetDevice(&device), "asking for the device");
    CUDA_TRY(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "counting multiprocessors");
    UFFB_LAUNCH(flush_kernel, (unsigned)(multiprocessors * BLOCKS), THREADS, 0, stream, (int64_t)(bytes / sizeof(uint4)),
                (uint4 *)memory);
    return uffb_cuda_check(cudaGetLastError(), "emptying L2");
}

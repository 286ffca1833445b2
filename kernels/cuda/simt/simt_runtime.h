/* simt_runtime.h: the part of the CUDA runtime that the library uses, for the simulator. Device memory is the host's, filled
 * with NaNs and guarded at its end; streams do their work at once; a captured graph has run by the time it is launched. */
#ifndef UFFB_SIMT_RUNTIME_H
#define UFFB_SIMT_RUNTIME_H

#include "simt.h"

#include <map>
#include <time.h>

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrMultiProcessorCount, cudaDevAttrL2CacheSize };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize, cudaFuncAttributePreferredSharedMemoryCarveout };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
enum { cudaStreamNonBlocking = 1, cudaEventDefault = 0, cudaHostAllocDefault = 0 };

typedef void *cudaStream_t;
typedef double *cudaEvent_t; /* seconds */
typedef struct simt_graph *cudaGraph_t;
typedef struct simt_graph *cudaGraphExec_t;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int l2CacheSize, major, minor, multiProcessorCount;
};

namespace simt {
constexpr size_t TAIL = 64;
constexpr int L2 = 1 << 20;
inline std::map<void *, size_t> &allocations() {
    static std::map<void *, size_t> all;
    return all;
}
inline cudaError_t &last_error() {
    static cudaError_t last = cudaSuccess;
    return last;
}
/* A call that fails is remembered until somebody asks, as by the runtime: who checks a later launch is told of it. */
inline cudaError_t fails(cudaError_t error) { return last_error() = error; }
/* Whether a kernel failed, asked once. */
inline cudaError_t launched() {
    const bool failed = m().failed;
    m().failed = false;
    return failed ? cudaErrorLaunchFailure : cudaSuccess;
}
} // namespace simt

inline cudaError_t cudaPeekAtLastError() { return simt::m().failed ? cudaErrorLaunchFailure : simt::last_error(); }
inline cudaError_t cudaGetLastError() {
    const cudaError_t error = cudaPeekAtLastError();
    simt::launched();
    simt::last_error() = cudaSuccess;
    return error;
}
inline const char *cudaGetErrorString(cudaError_t e) {
    return e == cudaErrorLaunchFailure      ? "unspecified launch failure"
           : e == cudaErrorMemoryAllocation ? "out of memory"
                                            : "error";
}

inline cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) { return device ? simt::fails(cudaErrorInvalidDevice) : cudaSuccess; }
inline cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int *version) { return cudaDriverGetVersion(version); }
inline cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int) {
    *value = which == cudaDevAttrComputeCapabilityMajor ? 9 : which == cudaDevAttrL2CacheSize ? simt::L2 : 4;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, "simulator");
    p->totalGlobalMem = (size_t)1 << 30;
    p->l2CacheSize = simt::L2;
    p->major = 9;
    p->multiProcessorCount = 4;
    return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    *free = *total = (size_t)1 << 30;
    return cudaSuccess;
}

inline cudaError_t cudaMalloc(void **p, size_t bytes) {
    *p = NULL;
    if (bytes > (size_t)1 << 30) return simt::fails(cudaErrorMemoryAllocation);
    unsigned char *memory = (unsigned char *)aligned_alloc(256, (bytes + simt::TAIL + 255) / 256 * 256);
    if (!memory) return simt::fails(cudaErrorMemoryAllocation);
    memset(memory, 0xff, bytes);
    memset(memory + bytes, 0xa5, simt::TAIL);
    simt::allocations()[memory] = bytes;
    *p = memory;
    return cudaSuccess;
}
template <class T> cudaError_t cudaMalloc(T **p, size_t bytes) { return cudaMalloc((void **)p, bytes); }
inline cudaError_t cudaFree(void *p) {
    if (!p) return cudaSuccess;
    const auto found = simt::allocations().find(p);
    if (found == simt::allocations().end()) abort();
    for (size_t i = 0; i < simt::TAIL; i++) {
        if (((unsigned char *)p)[found->second + i] == 0xa5) continue;
        fprintf(stderr, "simulator: %zu bytes of device memory were written past their end\n", found->second);
        abort();
    }
    simt::allocations().erase(found);
    free(p);
    return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void **p, size_t bytes) {
    return (*p = malloc(bytes)) ? cudaSuccess : simt::fails(cudaErrorMemoryAllocation);
}
template <class T> cudaError_t cudaMallocHost(T **p, size_t bytes) { return cudaMallocHost((void **)p, bytes); }
inline cudaError_t cudaFreeHost(void *p) {
    free(p);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
    if (bytes) memcpy(to, from, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t = NULL) {
    return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    memset(p, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t = NULL) {
    return cudaMemset(p, value, bytes);
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    *stream = malloc(1);
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    free(stream);
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return simt::launched(); }
inline cudaError_t cudaDeviceSynchronize() { return simt::launched(); }

inline cudaError_t cudaEventCreate(cudaEvent_t *event) {
    *event = new double();
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
/* A graph runs while it is captured. A launch of it does nothing but move the clock of events on by the time that took. */
struct simt_graph {
    double seconds;
};
inline double &simt_graphs_launched() {
    static double seconds;
    return seconds;
}
inline double simt_clock() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9 + simt_graphs_launched();
}
inline double &simt_capture_start() {
    static double clock;
    return clock;
}

inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    *event = simt_clock();
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    *ms = (float)((*to - *from) * 1e3);
    return cudaSuccess;
}

inline cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
    simt_capture_start() = simt_clock();
    return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph) {
    *graph = new simt_graph{simt_clock() - simt_capture_start()};
    return cudaPeekAtLastError();
}
inline cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = new simt_graph(*graph);
    return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
    simt_graphs_launched() += exec->seconds;
    return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

template <class F> cudaError_t cudaFuncSetAttribute(F *kernel, cudaFuncAttribute which, int bytes) {
    if (which != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (bytes < 0 || (size_t)bytes > simt::MOST_SHARED) return simt::fails(cudaErrorInvalidValue);
    simt::m().allowed.push_back({(const void *)kernel, (size_t)bytes});
    return cudaSuccess;
}

#endif

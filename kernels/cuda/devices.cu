/* Devices: what there is, and what went wrong with it. */
#include "device.h"
#include "gemm/cublas.h"

#include <stdarg.h>
#include <stdio.h>

static thread_local char message[256];

int32_t uffb_cuda_fail(int32_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return status;
}

int32_t uffb_cuda_failed(cudaError_t error, const char *doing) {
    cudaGetLastError();
    const int32_t status = error == cudaErrorMemoryAllocation ? UFFB_NO_MEMORY : UFFB_UNSUPPORTED;
    return uffb_cuda_fail(status, "%.160s: %.80s", doing, cudaGetErrorString(error));
}

const char *uffb_cuda_error(void) { return message; }

int32_t uffb_cuda_abi_version(void) { return UFFB_CUDA_ABI_VERSION; }

/* The ways in which a machine has no device, each with its remedy. */
static int32_t no_device(cudaError_t error) {
    int driver = 0, runtime = 0;
    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (error == cudaErrorInsufficientDriver && driver == 0)
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "there is no NVIDIA driver on this machine; use the CPU");
    if (error == cudaErrorInsufficientDriver) {
        return uffb_cuda_fail(UFFB_UNSUPPORTED,
                              "the NVIDIA driver runs CUDA %d.%d, but this build needs %d.%d; update the driver", driver / 1000,
                              driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    if (error == cudaErrorNoDevice) return uffb_cuda_fail(UFFB_UNSUPPORTED, "the NVIDIA driver sees no device; use the CPU");
    return uffb_cuda_failed(error, "looking for NVIDIA devices");
}

int32_t uffb_cuda_device_count(int32_t *count) {
    if (!count) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_device_count: nowhere to put the count");
    int found = 0;
    const cudaError_t error = cudaGetDeviceCount(&found);
    *count = error == cudaSuccess ? found : 0;
    return error == cudaSuccess ? UFFB_OK : no_device(error);
}

static int32_t check_device(int32_t device) {
    int32_t count;
    const int32_t status = uffb_cuda_device_count(&count);
    if (status) return status;
    if (device >= 0 && device < count) return UFFB_OK;
    return uffb_cuda_fail(UFFB_UNSUPPORTED, "there is no device %d; devices are 0 to %d", device, count - 1);
}

int32_t uffb_cuda_device_info(int32_t device, uffb_cuda_info *info) {
    if (!info) return uffb_cuda_fail(UFFB_INVALID, "uffb_cuda_device_info: nowhere to put it");
    const int32_t status = check_device(device);
    if (status) return status;
    cudaDeviceProp p;
    CUDA_TRY(cudaGetDeviceProperties(&p, device), "reading the device's properties");
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "%.127s", p.name);
    snprintf(info->cublas, sizeof info->cublas, "%.63s", uffb_cublas_version());
    info->memory = (int64_t)p.totalGlobalMem;
    info->l2 = p.l2CacheSize;
    info->capability = p.major * 10 + p.minor;
    info->multiprocessors = p.multiProcessorCount;
    cudaDriverGetVersion(&info->driver);
    cudaRuntimeGetVersion(&info->runtime);
    return UFFB_OK;
}

/* The build has code for 8.0 and 9.0 and PTX of 9.0, which later devices compile. */
int32_t uffb_cuda_use(int32_t device) {
    const int32_t status = check_device(device);
    if (status) return status;
    int major = 0;
    CUDA_TRY(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "reading the device's capability");
    if (major < 8)
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "device %d has compute capability %d.x; 8.0 is the least", device, major);
    CUDA_TRY(cudaSetDevice(device), "choosing the device");
    return UFFB_OK;
}

/* The driver: checks and times the CUDA library on a machine with a device, with nothing but a C compiler and nvcc; run.sh
 * builds and calls it. driver check|small|layer|encoder [--device N] [--json FILE] Exits with 0, with 1 when something failed,
 * with 2 when called wrongly, with 3 when there is no device. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#define NO_DEVICE 3

const char *const dtype_names[3] = {[UFFB_F32] = "f32", [UFFB_F16] = "f16", [UFFB_BF16] = "bf16"};

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(int64_t count, double *values) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static int usage(void) {
    fprintf(stderr, "usage: driver check|small|layer|encoder [--device N] [--json FILE]\n");
    return 2;
}

int main(int argc, char **argv) {
    options o = {0};
    if (argc < 2) return usage();
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc) return usage();
        if (!strcmp(argv[i], "--device")) {
            o.device = atoi(argv[i + 1]);
        } else if (!strcmp(argv[i], "--json")) {
            o.json = fopen(argv[i + 1], "a");
            if (!o.json) return perror(argv[i + 1]), 1;
        } else {
            return usage();
        }
    }
    if (uffb_cuda_device_info(o.device, &o.info)) {
        printf("%s\n", uffb_cuda_error());
        return NO_DEVICE;
    }
    const uffb_cuda_info info = o.info;
    printf("%s, capability %d.%d, %d multiprocessors, %.0f GB, L2 %.0f MB; driver for CUDA %d.%d, built with %d.%d; %s\n",
           info.name, info.capability / 10, info.capability % 10, info.multiprocessors, (double)info.memory / 1e9,
           (double)info.l2 / 1e6, info.driver / 1000, info.driver % 1000 / 10, info.runtime / 1000, info.runtime % 1000 / 10,
           info.cublas[0] ? info.cublas : "no cuBLAS");
    int status;
    o.small = !strcmp(argv[1], "small");
    if (o.small || !strcmp(argv[1], "check")) {
        status = run_checks(&o);
    } else if (!strcmp(argv[1], "layer")) {
        status = time_layers(&o);
    } else if (!strcmp(argv[1], "encoder")) {
        status = time_encoders(&o);
    } else {
        status = usage();
    }
    if (o.json) fclose(o.json);
    return status;
}

/* driver.h: the parts of the driver, and what they share. */
#ifndef UFFB_CUDA_DRIVER_H
#define UFFB_CUDA_DRIVER_H

#include "../uffb_cuda.h"

#include <stdio.h>

typedef struct options {
    int32_t device;
    int small;  /* the checks alone that a sanitizer gets through in minutes */
    FILE *json; /* or NULL: a line for each measurement */
    uffb_cuda_info info;
} options;

extern const char *const dtype_names[3];

/* Each returns a status of the process. */
int run_checks(const options *o);
int time_layers(const options *o);
int time_encoders(const options *o);

/* The middle one of `count` values, which it sorts. */
double median(int64_t count, double *values);

#endif

#ifndef UFFB_ERROR_H
#define UFFB_ERROR_H

#include "../uffb.h"

#define UFFB_ERROR_SIZE 256

/* Keeps one line for uffb_error() and returns `status`. */
int32_t uffb_fail(int32_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[UFFB_ERROR_SIZE];

int32_t uffb_fail(int32_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return status;
}

const char *uffb_error(void) { return message; }

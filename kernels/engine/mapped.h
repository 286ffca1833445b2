#ifndef UFFB_MAPPED_H
#define UFFB_MAPPED_H

#include <stdint.h>

/* Pages of mapped files that were read as zeros by now, after uffb_catch_sigbus. */
uint32_t uffb_lost_pages(void);

/* UFFB_LOST unless there are as many as `before`. */
int32_t uffb_check_lost(uint32_t before);

#endif

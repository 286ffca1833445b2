#ifndef UFFB_MEMORY_H
#define UFFB_MEMORY_H

#include <stdint.h>

/* `bytes` of memory on a 64-byte boundary, or NULL; free() releases it. Large blocks ask for huge pages: an FFF token reads
 * rows all over its tree, and with 4 KB pages nearly every one of them misses the TLB. */
void *uffb_allocate(uint64_t bytes);

#endif

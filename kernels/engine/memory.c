#define _DEFAULT_SOURCE
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE (2u << 20)

/* Huge pages are asked for as far as they are full, so that a block takes no more memory than it says. */
void *uffb_allocate(uint64_t bytes) {
    const uint64_t boundary = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
    void *block;
    if (bytes > INT64_MAX || posix_memalign(&block, boundary, bytes ? bytes : 1)) return NULL;
#ifdef MADV_HUGEPAGE
    if (boundary == HUGE_PAGE) madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return block;
}

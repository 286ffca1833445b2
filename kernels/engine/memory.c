#define _DEFAULT_SOURCE
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE (2u << 20)

void *uffb_allocate(uint64_t bytes) {
    const uint64_t boundary = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
    if (bytes > INT64_MAX - boundary) return NULL;
    bytes = (bytes + boundary) / boundary * boundary; /* at least one more byte than asked for, so never 0 */
    void *block = aligned_alloc(boundary, bytes);
#ifdef MADV_HUGEPAGE
    if (block && boundary == HUGE_PAGE) madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return block;
}

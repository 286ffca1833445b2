/* batch.h: what every encoder asks of a batch and of an architecture, on whatever device it runs. */
#ifndef UFFB_BATCH_H
#define UFFB_BATCH_H

#include "../uffb.h"

/* The rules of uffb_encode; a failure's message begins with `name`, the function that was called. */
int32_t uffb_check_offsets(const uffb_arch *arch, int64_t sequences, const int64_t *offsets, const char *name);
int32_t uffb_check_batch(const uffb_arch *arch, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                         const int32_t *types, const char *name);

/* What a model has that only uffb_encode can do, not CUDA or training: the first such thing in words, or NULL. */
const char *uffb_beyond_plain(const uffb_arch *arch);

#endif

#ifndef UFFB_TAPS_H
#define UFFB_TAPS_H

#include "../uffb.h"

/* The buffer added for (kind, layer), or NULL; kinds without a layer are asked for with layer 0. */
void *uffb_tap(const uffb_taps *taps, int32_t kind, int64_t layer);

/* Checks every buffer against the shape it has in this model for `tokens` tokens. */
int32_t uffb_taps_check(const uffb_taps *taps, const uffb_arch *arch, int64_t tokens);

#endif

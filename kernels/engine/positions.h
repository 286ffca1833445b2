/* Which row of learned positions a token has. */
#ifndef UFFB_POSITIONS_H
#define UFFB_POSITIONS_H

#include <stdint.h>

/*
 * RoBERTa's positions begin after the row of its padding token, whose id is position_offset - 1. They count the other tokens
 * only: padding within a text has its own row, and the tokens behind it take the rows as if it were not there. `counted` is the
 * number of tokens of the sequence before this one that count; it starts at 0.
 */
static inline int64_t uffb_position_row(int64_t position_offset, int32_t id, int64_t *counted) {
    if (position_offset > 0 && id == position_offset - 1) return position_offset - 1;
    return position_offset + (*counted)++;
}

#endif

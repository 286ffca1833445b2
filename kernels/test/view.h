/* view.h: matrices for tests, which show reads and writes beyond their elements. A view lies at the very end of a memory arena,
 * against a page that cannot be read or written; its stride gaps and the floats around it hold a canary (a NaN, so reading one
 * spoils the result). */
#ifndef UFFB_VIEW_H
#define UFFB_VIEW_H

#include <stdint.h>

#define VIEW_ARENAS 10
/* Floats of an arena: the largest tree here, of depth 13 and hidden 768, has 12.6 million. */
#define VIEW_FLOATS ((int64_t)1 << 24)

typedef struct view {
    void *data; /* float or int32_t [rows, cols] */
    int64_t rows, cols, ld;
    int64_t after; /* canaries between the last element and the guard page */
} view;

/* Makes a view in one of the arenas, replacing what was there. Its elements hold NaN. `gap` elements lie
 * between rows; `shift` 0 or 1 elements after the last, which misaligns the whole. */
view view_new(int arena, int64_t rows, int64_t cols, int64_t gap, int64_t shift);
static inline float *view_row(view v, int64_t row) { return (float *)v.data + row * v.ld; }
/* The last `count` floats of an arena, for read-only data too large to write anew for every case. */
float *view_tail(int arena, int64_t count);
/* Fills the elements, and only them, with uniform values. */
void view_fill(view v, float low, float high);
/* Copies elements between views of one shape. */
void view_copy(view to, view from);
/* Whether elements `from` and later of a row still hold what view_new put there. */
int view_untouched(view v, int64_t row, int64_t from);
/* Checks all canaries of a view. */
void view_check_canaries(view v, const char *name);
/* Checks that the elements of two views of one shape are the same bits. */
void view_check_same(view a, view b, const char *name);

#endif

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "view.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CANARIES_BEFORE 16

/* A quiet NaN that no computation makes. */
static const uint32_t canary = 0x7fc0dead, poison = 0x7fc0beef;

/* The first address after each arena. */
static float *arena_ends[VIEW_ARENAS];

static float *arena_end(int arena) {
    if (!arena_ends[arena]) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = VIEW_FLOATS * sizeof(float) + page;
        char *base = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED || mprotect(base + bytes, page, PROT_NONE) != 0) {
            perror("cannot map a test arena");
            exit(EXIT_FAILURE);
        }
        arena_ends[arena] = (float *)(void *)(base + bytes);
    }
    return arena_ends[arena];
}

static void set_bits(float *at, int64_t count, uint32_t bits) {
    for (int64_t i = 0; i < count; i++) memcpy(at + i, &bits, sizeof bits);
}

static int has_bits(const float *at, int64_t count, uint32_t bits) {
    for (int64_t i = 0; i < count; i++) {
        if (memcmp(at + i, &bits, sizeof bits) != 0) return 0;
    }
    return 1;
}

view view_new(int arena, int64_t rows, int64_t cols, int64_t gap, int64_t shift) {
    int64_t ld = cols + gap, length = rows > 0 ? (rows - 1) * ld + cols : 0;
    if (length + shift > VIEW_FLOATS) {
        printf("a view of %lld floats does not fit its arena\n", (long long)length);
        exit(EXIT_FAILURE);
    }
    float *data = arena_end(arena) - shift - length;
    set_bits(data - CANARIES_BEFORE, CANARIES_BEFORE + length + shift, canary);
    view v = {data, rows, cols, ld, shift};
    for (int64_t r = 0; r < rows; r++) set_bits(view_row(v, r), cols, poison);
    return v;
}

float *view_tail(int arena, int64_t count) { return arena_end(arena) - count; }

void view_fill(view v, float low, float high) {
    for (int64_t r = 0; r < v.rows; r++) {
        for (int64_t i = 0; i < v.cols; i++) view_row(v, r)[i] = random_between(low, high);
    }
}

void view_copy(view to, view from) {
    for (int64_t r = 0; r < to.rows; r++) {
        memcpy(view_row(to, r), view_row(from, r), (size_t)to.cols * sizeof(float));
    }
}

int view_untouched(view v, int64_t row, int64_t from) { return has_bits(view_row(v, row) + from, v.cols - from, poison); }

void view_check_canaries(view v, const char *name) {
    int64_t last = v.rows > 0 ? (v.rows - 1) * v.ld + v.cols : 0;
    check(has_bits((float *)v.data - CANARIES_BEFORE, CANARIES_BEFORE, canary), "%s: written before the start", name);
    for (int64_t r = 0; r + 1 < v.rows; r++) {
        int intact = has_bits(view_row(v, r) + v.cols, v.ld - v.cols, canary);
        check(intact, "%s: written beyond the end of row %lld", name, (long long)r);
    }
    check(has_bits((float *)v.data + last, v.after, canary), "%s: written after the end", name);
}

void view_check_same(view a, view b, const char *name) {
    for (int64_t r = 0; r < a.rows; r++) {
        int same = memcmp(view_row(a, r), view_row(b, r), (size_t)a.cols * sizeof(float)) == 0;
        check(same, "%s: row %lld is not the same bits", name, (long long)r);
    }
}

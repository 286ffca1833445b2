/* engine_refused.h: what the tests of refusals share. */
#ifndef UFFB_ENGINE_REFUSED_H
#define UFFB_ENGINE_REFUSED_H

#include "engine_test.h"
#include "check.h"

#include <string.h>

/* A model with something of everything. */
static const uffb_arch small = {.layers = 2,
                                .hidden = 8,
                                .heads = 2,
                                .vocab = 50,
                                .max_length = 6,
                                .token_types = 2,
                                .trees = 2,
                                .depth = 4,
                                .pool_width = 4,
                                .labels = 2,
                                .norm_eps = 1e-12,
                                .feedforward = UFFB_FFN_FFF,
                                .embed_norm = 1,
                                .final_norm = 1,
                                .heads_present = UFFB_HEAD_MLM | UFFB_HEAD_CLASS};

/* The message that the next failure has to replace. */
static char marked[256];

/* Leaves a message that the next failure has to replace. */
static inline void mark(const char *call) {
    test_case("%s", call);
    uffb_taps_new(NULL);
    strncpy(marked, uffb_error(), sizeof marked - 1);
}

static inline void check_refused(int32_t status, int32_t expected) {
    check(status == expected, "status %d, not %d", status, expected);
    check(strcmp(uffb_error(), marked) != 0 && uffb_error()[0] != '\0', "no message");
    check(strchr(uffb_error(), '\n') == NULL, "a message of several lines: %s", uffb_error());
}

#define REFUSED(expected, call)                                                                                                \
    do {                                                                                                                       \
        mark(#call);                                                                                                           \
        check_refused(call, expected);                                                                                         \
    } while (0)

/* The message must name what was wrong. */
#define NAMES(text) check(strstr(uffb_error(), text) != NULL, "\"%s\" does not name %s", uffb_error(), text)

#endif

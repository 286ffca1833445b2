/* Tests of what must be refused of a context: each bad argument gives its status and a message, nothing crashes, and what was
 * sound goes on working. Also cancelling, and the choice of an instruction set. */
#define _DEFAULT_SOURCE /* setenv */
#include "engine_refused.h"
#include "../ops/ops.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t offsets[] = {0, 3, 5};
static const int32_t ids[] = {7, 0, 49, 12, 13}, types[] = {0, 1, 0, 1, 1};

static void test_bad_encodes(const random_model *m, uffb_context *context) {
    test_begin("bad calls of a context");
    uffb_context *fresh, *none = NULL;
    float out[6 * 50];
    int32_t top[6 * 50];
    const int64_t positions[] = {0, 4};
    REFUSED(UFFB_INVALID, uffb_context_new(NULL, 1, NULL, &none));
    REFUSED(UFFB_INVALID, uffb_context_new(m->model, 1, NULL, NULL));
    REFUSED(UFFB_INVALID, uffb_context_new(m->model, -1, NULL, &none));
    REFUSED(UFFB_INVALID, uffb_context_new(m->model, INT32_MAX, NULL, &none));
    uffb_context_free(NULL);
    check(strcmp(uffb_context_isa(NULL), "") == 0 && uffb_context_threads(NULL) == 0, "facts about no context");

    fresh = context_new(m, 1, NULL);
    check(uffb_context_error(fresh)[0] == '\0', "a new context has failed: %s", uffb_context_error(fresh));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(fresh, 2, positions, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(fresh, 2, positions, 3, top, out));
    REFUSED(UFFB_INVALID, uffb_pool(fresh, UFFB_POOL_MEAN, 0, out));
    REFUSED(UFFB_INVALID, uffb_classify(fresh, out));
    check(strcmp(uffb_context_error(fresh), uffb_error()) == 0, "the context says \"%s\"", uffb_context_error(fresh));
    uffb_context_free(fresh);

    static const int64_t starts_late[] = {1, 3, 5}, empty[] = {0, 3, 3}, falls[] = {0, 3, 2}, long_one[] = {0, 7, 8};
    static const int64_t wild[] = {0, 3, INT64_MAX}, wild_down[] = {0, 3, INT64_MIN};
    static const int32_t id_high[] = {7, 0, 50, 12, 13}, id_low[] = {7, -1, 49, 12, 13}, type_high[] = {0, 1, 2, 0, 0};
    static const int32_t type_low[] = {0, 0, 0, 0, -1};
    REFUSED(UFFB_INVALID, uffb_encode(NULL, 2, offsets, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, NULL, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, NULL, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 0, offsets, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, -1, offsets, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, starts_late, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, empty, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, falls, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, long_one, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, wild, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, wild_down, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, id_high, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, id_low, types, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, ids, type_high, NULL));
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, ids, type_low, NULL));
    REFUSED(UFFB_INVALID, uffb_pool(context, UFFB_POOL_MEAN, 0, out)); /* a refused batch leaves no states */

    REFUSED(UFFB_INVALID, uffb_take_final(NULL, 2, offsets, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, NULL, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, offsets, NULL));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 0, offsets, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, starts_late, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, empty, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, falls, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, long_one, out));
    REFUSED(UFFB_INVALID, uffb_take_final(context, 2, wild, out));
    REFUSED(UFFB_INVALID, uffb_pool(context, UFFB_POOL_MEAN, 0, out)); /* refused states are not kept */

    test_case("sound again");
    check(uffb_encode(context, 2, offsets, ids, types, NULL) == UFFB_OK, "%s", uffb_error());
    static const int64_t past[] = {0, 5}, negative[] = {-1, 0};
    REFUSED(UFFB_INVALID, uffb_mlm_logits(NULL, 2, positions, out));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, -1, positions, out));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, 2, NULL, out));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, 2, positions, NULL));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, 2, past, out));
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, 2, negative, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(NULL, 2, positions, 3, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, NULL, 3, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, past, 3, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, positions, 0, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, positions, -1, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, positions, 51, top, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, positions, 3, NULL, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 2, positions, 3, top, NULL));
    REFUSED(UFFB_INVALID, uffb_pool(NULL, UFFB_POOL_MEAN, 0, out));
    REFUSED(UFFB_INVALID, uffb_pool(context, 7, 0, out));
    REFUSED(UFFB_INVALID, uffb_pool(context, -1, 0, out));
    REFUSED(UFFB_INVALID, uffb_pool(context, UFFB_POOL_MEAN, 0, NULL));
    REFUSED(UFFB_INVALID, uffb_pool(context, UFFB_POOL_MEAN, -1, out));
    REFUSED(UFFB_INVALID, uffb_classify(NULL, out));
    REFUSED(UFFB_INVALID, uffb_classify_tokens(NULL, out));
    REFUSED(UFFB_INVALID, uffb_classify_tokens(context, out)); /* it has no such head */
    REFUSED(UFFB_INVALID, uffb_classify(context, NULL));
    test_case("no positions");
    check(uffb_mlm_logits(context, 0, NULL, NULL) == UFFB_OK, "%s", uffb_error());
    check(uffb_mlm_top_k(context, 0, NULL, 1, NULL, NULL) == UFFB_OK, "%s", uffb_error());
    test_end();
}

static void test_absent_heads(void) {
    test_begin("heads that a model lacks");
    uffb_arch arch = small;
    arch.heads_present = 0;
    arch.token_types = 0;
    random_model *m = random_model_new(&arch, 1, UFFB_F32, AS_ASKED);
    uffb_context *context = context_new(m, 1, NULL);
    float out[100];
    int32_t top[2];
    const int64_t position = 0;
    test_case("encode with types that are not read");
    check(uffb_encode(context, 2, offsets, ids, types, NULL) == UFFB_OK, "%s", uffb_error());
    REFUSED(UFFB_INVALID, uffb_mlm_logits(context, 1, &position, out));
    REFUSED(UFFB_INVALID, uffb_mlm_top_k(context, 1, &position, 1, top, out));
    REFUSED(UFFB_INVALID, uffb_classify(context, out));
    uffb_context_free(context);
    random_model_free(m);
    test_end();
}

/* That a model of that kind has no such tap in its first layer. */
static void test_tap_refused(const uffb_arch *arch, int32_t kind, void *buffer, uint64_t bytes) {
    uffb_taps *taps;
    uffb_taps_new(&taps);
    random_model *m = random_model_new(arch, 1, UFFB_F32, AS_ASKED);
    uffb_context *context = context_new(m, 1, NULL);
    uffb_taps_add(taps, kind, 0, buffer, bytes);
    REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, ids, types, taps));
    uffb_context_free(context);
    random_model_free(m);
    uffb_taps_free(taps);
}

static void test_bad_taps(uffb_context *context) {
    test_begin("bad taps");
    float buffer[5 * 10];
    uffb_taps *taps = NULL;
    uffb_taps_free(NULL);
    check(uffb_taps_new(&taps) == UFFB_OK, "%s", uffb_error());
    REFUSED(UFFB_INVALID, uffb_taps_add(NULL, UFFB_TAP_FINAL, 0, buffer, 160));
    REFUSED(UFFB_INVALID, uffb_taps_add(taps, UFFB_TAP_FINAL, 0, NULL, 160));
    REFUSED(UFFB_INVALID, uffb_taps_add(taps, 99, 0, buffer, 160));
    REFUSED(UFFB_INVALID, uffb_taps_add(taps, -1, 0, buffer, 160));
    static const int32_t kinds[] = {UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER, UFFB_TAP_FINAL, UFFB_TAP_PATH};
    for (int64_t i = 0; i < COUNT_OF(kinds); i++) {
        test_case("kind %d twice", kinds[i]);
        check(uffb_taps_add(taps, kinds[i], 1, buffer, 160) == UFFB_OK, "%s", uffb_error());
        REFUSED(UFFB_INVALID, uffb_taps_add(taps, kinds[i], 1, buffer, 160));
    }
    REFUSED(UFFB_INVALID, uffb_taps_add(taps, UFFB_TAP_FINAL, 0, buffer, 160)); /* which has no layer */
    check(uffb_taps_add(taps, UFFB_TAP_LAYER, 0, buffer, 160) == UFFB_OK, "%s", uffb_error());
    uffb_taps_free(taps);
    /* These are known to be wrong only when a batch comes. */
    static const int64_t late[][3] = {
        {UFFB_TAP_FINAL, 0, 159},       {UFFB_TAP_FINAL, 0, 164},       {UFFB_TAP_EMBEDDING, 0, 0},
        {UFFB_TAP_LAYER, 2, 160},       {UFFB_TAP_LAYER, -1, 160},      {UFFB_TAP_LAYER, INT64_MAX, 160},
        {UFFB_TAP_LAYER, 0, 156},       {UFFB_TAP_PATH, 0, 196},        {UFFB_TAP_PATH, 2, 200},
        {UFFB_TAP_PATH_LOGITS, 0, 204}, {UFFB_TAP_PATH_LOGITS, 5, 200}, {UFFB_TAP_FFN_UNITS, 0, 160},
        {UFFB_TAP_QK, 0, 316},          {UFFB_TAP_QK, 2, 320},          {UFFB_TAP_QK, 0, 160}};
    for (int64_t i = 0; i < COUNT_OF(late); i++) {
        uffb_taps_new(&taps);
        test_case("kind %lld, layer %lld, %lld bytes", (long long)late[i][0], (long long)late[i][1], (long long)late[i][2]);
        check(uffb_taps_add(taps, (int32_t)late[i][0], late[i][1], buffer, (uint64_t)late[i][2]) == UFFB_OK, "%s",
              uffb_error());
        REFUSED(UFFB_INVALID, uffb_encode(context, 2, offsets, ids, types, taps));
        uffb_taps_free(taps);
    }
    uffb_arch dense = small, windows = small;
    dense.feedforward = UFFB_FFN_DENSE;
    dense.width = 4;
    test_tap_refused(&dense, UFFB_TAP_PATH, buffer, 200);
    windows.window = 1;
    test_tap_refused(&windows, UFFB_TAP_QK, buffer, 320);
    test_end();
}

/* --- threads: messages, cancelling ---------------------------------------------------------------------------------------- */

static void *fail_elsewhere(void *arg) {
    check_refused(uffb_encode(arg, 0, NULL, NULL, NULL, NULL), UFFB_INVALID);
    return NULL;
}

static void *encode_until_refused(void *arg) {
    int32_t status = UFFB_OK;
    while (status == UFFB_OK) status = uffb_encode(arg, 2, offsets, ids, types, NULL);
    return status == UFFB_CANCELLED ? NULL : arg;
}

static void test_cancel(uffb_context *context) {
    test_begin("cancelling, and messages across threads");
    float out[16];
    pthread_t thread;
    void *failed;
    REFUSED(UFFB_INVALID, uffb_context_cancel(NULL));
    check(uffb_context_cancel(context) == UFFB_OK, "%s", uffb_error());
    REFUSED(UFFB_CANCELLED, uffb_encode(context, 2, offsets, ids, types, NULL));
    REFUSED(UFFB_INVALID, uffb_pool(context, UFFB_POOL_MEAN, 0, out));
    test_case("after a cancelled call");
    check(uffb_encode(context, 2, offsets, ids, types, NULL) == UFFB_OK, "%s", uffb_error());

    test_case("from another thread");
    for (int i = 0; i < 20; i++) {
        pthread_create(&thread, NULL, encode_until_refused, context);
        uffb_context_cancel(context);
        pthread_join(thread, &failed);
        check(failed == NULL, "%s", uffb_context_error(context));
    }

    test_case("a failure on another thread");
    uffb_taps_new(NULL);
    strncpy(marked, uffb_error(), sizeof marked - 1);
    pthread_create(&thread, NULL, fail_elsewhere, context);
    pthread_join(thread, NULL);
    check(strcmp(uffb_error(), marked) == 0, "this thread's message is \"%s\"", uffb_error());
    check(strstr(uffb_context_error(context), "uffb_encode") != NULL, "the context says \"%s\"", uffb_context_error(context));
    test_end();
}

/* --- the instruction set -------------------------------------------------------------------------------------------------- */

static void check_isa(const random_model *m, const char *environment, const char *argument, const char *expected) {
    test_case("UFFB_ISA \"%s\", argument \"%s\"", environment ? environment : "(none)", argument ? argument : "(none)");
    environment ? setenv("UFFB_ISA", environment, 1) : unsetenv("UFFB_ISA");
    uffb_taps_new(NULL);
    strncpy(marked, uffb_error(), sizeof marked - 1);
    uffb_context *context = NULL;
    int32_t status = uffb_context_new(m->model, 1, argument, &context);
    if (expected) {
        if (!check(status == UFFB_OK, "%s", uffb_error())) return;
        check(strcmp(uffb_context_isa(context), expected) == 0, "%s, not %s", uffb_context_isa(context), expected);
        uffb_context_free(context);
    } else {
        check_refused(status, UFFB_UNSUPPORTED);
        check(context == NULL, "a context all the same");
        NAMES(argument ? argument : environment);
        check(!argument == !!strstr(uffb_error(), "UFFB_ISA"), "who asked for it? \"%s\"", uffb_error());
        for (int i = 0; isa_name(i); i++) NAMES(isa_name(i));
    }
}

static void test_isa(const random_model *m) {
    test_begin("choice of the instruction set");
    const char *kept = getenv("UFFB_ISA"), *best = isa_name(0);
    char *own = kept ? strdup(kept) : NULL;
    check_isa(m, NULL, NULL, best);
    check_isa(m, "", NULL, best);
    check_isa(m, "sse9", NULL, NULL);
    char misspelt[sizeof marked];
    snprintf(misspelt, sizeof misspelt, "%.*s", (int)strlen(best) - 1, best);
    check_isa(m, misspelt, NULL, NULL);
    snprintf(misspelt, sizeof misspelt, "%s ", best);
    check_isa(m, NULL, misspelt, NULL);
    for (int i = 0; isa_name(i); i++) {
        check_isa(m, isa_name(i), NULL, isa_name(i));
        check_isa(m, NULL, isa_name(i), isa_name(i));
        check_isa(m, uffb_isa_names[0], isa_name(i), isa_name(i));
    }
    int absent = 0;
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) {
        if (uffb_isa_available((uffb_isa)isa)) continue;
        check_isa(m, uffb_isa_names[isa], NULL, NULL);
        check_isa(m, NULL, uffb_isa_names[isa], NULL);
        absent++;
    }
    check(absent > 0, "no machine runs them all");
    own ? setenv("UFFB_ISA", own, 1) : unsetenv("UFFB_ISA");
    free(own);
    test_end();
}

void test_misuse(void) {
    test_absent_heads();
    random_model *m = random_model_new(&small, 1, UFFB_F32, AS_ASKED);
    uffb_context *context = context_new(m, 2, NULL);
    batch *b = batch_new(&small, 2, (const int64_t[]){3, 2});
    test_begin("a context that was misused");
    run *sound = run_batch(m, context, b, 1);
    test_end();
    test_bad_encodes(m, context);
    test_bad_taps(context);
    test_cancel(context);
    test_begin("a misused context works as before");
    test_case("same batch");
    run *again = run_batch(m, context, b, 1);
    for (int64_t s = 0; s < b->sequences; s++) run_check_same(sound, b, s, again, b, s);
    test_end();
    test_isa(m);
    run_free(sound);
    run_free(again);
    batch_free(b);
    uffb_context_free(context);
    random_model_free(m);
}

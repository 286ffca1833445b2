/* Tests of models in a file that is cut short while they are in use. */
#define _DEFAULT_SOURCE
#include "engine_test.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A model of which every weight lies in the mapped file, in the order and form that the engine asks for. */
static uffb_model *model_in(const random_model *from, const char *file) {
    uffb_model *model = NULL;
    if (!check(uffb_model_new(&from->arch, &model) == UFFB_OK, "%s", uffb_error())) return NULL;
    for (int64_t i = 0; i < from->count; i++) {
        const uffb_tensor_info *info = &from->infos[i];
        const uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, info->layout);
        if (!from->given[i]) continue;
        check(uffb_model_tensor_set(model, info->name, file, bytes, UFFB_F32, info->layout) == UFFB_OK, "%s", uffb_error());
        file += (bytes + 63) / 64 * 64;
    }
    check(uffb_model_ready(model) == UFFB_OK, "%s", uffb_error());
    return model;
}

static uint64_t write_weights(const random_model *from, FILE *file) {
    static const char zeros[64];
    for (int64_t i = 0; i < from->count; i++) {
        const uffb_tensor_info *info = &from->infos[i];
        const uint64_t bytes = uffb_tensor_bytes(info->rows, info->cols, UFFB_F32, info->layout);
        if (!from->given[i]) continue;
        fwrite(from->given[i], 1, bytes, file);
        fwrite(zeros, 1, (64 - bytes % 64) % 64, file);
    }
    fflush(file);
    return (uint64_t)ftell(file);
}

static void test_cut(const uffb_arch *arch, int32_t threads, uint64_t kept) {
    test_begin("a file cut to %llu bytes under a model, %d threads", (unsigned long long)kept, threads);
    random_model *from = random_model_new(arch, 1, UFFB_F32, AS_ASKED);
    FILE *file = tmpfile();
    const uint64_t size = write_weights(from, file);
    char *mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    uffb_model *model = model_in(from, mapped);
    uffb_context *context = NULL, *later = NULL;
    check(uffb_context_new(model, threads, NULL, &context) == UFFB_OK, "%s", uffb_error());
    static const int64_t offsets[] = {0, 3, 5}, position = 0;
    static const int32_t ids[] = {7, 0, 49, 12, 13};
    int32_t best;
    float share;
    test_case("whole");
    check(uffb_encode(context, 2, offsets, ids, NULL, NULL) == UFFB_OK, "%s", uffb_error());
    check(uffb_mlm_top_k(context, 1, &position, 1, &best, &share) == UFFB_OK, "%s", uffb_error());

    test_case("cut short");
    check(ftruncate(fileno(file), (off_t)kept) == 0, "the file cannot be cut");
    check(uffb_encode(context, 2, offsets, ids, NULL, NULL) == UFFB_LOST, "%s", uffb_error());
    check(strstr(uffb_context_error(context), "cut short") != NULL, "%s", uffb_context_error(context));
    test_case("after that");
    check(uffb_pool(context, UFFB_POOL_MEAN, 0, (float[2 * 128]){0}) == UFFB_INVALID, "states of a lost model");
    check(uffb_encode(context, 2, offsets, ids, NULL, NULL) == UFFB_LOST, "%s", uffb_error());
    check(uffb_context_new(model, 1, NULL, &later) == UFFB_OK, "%s", uffb_error());
    check(uffb_encode(later, 2, offsets, ids, NULL, NULL) == UFFB_LOST, "%s", uffb_error());

    test_case("another model");
    uffb_context *sound = context_new(from, threads, NULL);
    check(uffb_encode(sound, 2, offsets, ids, NULL, NULL) == UFFB_LOST, "made before");
    uffb_context_free(sound);
    random_model_free(from);
    from = random_model_new(arch, 1, UFFB_F32, AS_ASKED);
    sound = context_new(from, threads, NULL);
    check(uffb_encode(sound, 2, offsets, ids, NULL, NULL) == UFFB_OK, "%s", uffb_error());
    uffb_context_free(sound);

    uffb_context_free(context);
    uffb_context_free(later);
    uffb_model_free(model);
    random_model_free(from);
    munmap(mapped, size);
    fclose(file);
    test_end();
}

void test_mapped(const uffb_arch *arch) {
    test_begin("catching SIGBUS, twice");
    test_case("install");
    check(uffb_catch_sigbus() == UFFB_OK && uffb_catch_sigbus() == UFFB_OK, "%s", uffb_error());
    test_end();
    test_cut(arch, 1, 4096);
    test_cut(arch, 3, 0);
}

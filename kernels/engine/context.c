#include "context.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Rows that lie a multiple of 4 KB apart share a set of L1, where a GEMM tile of 14 of them does not fit. */
int64_t uffb_hidden_stride(int64_t width) { return width % 1024 || !width ? width : width + 16; }

int64_t uffb_ffn_units(const uffb_arch *a) {
    const int gated = a->feedforward == UFFB_FFN_GLU || a->feedforward == UFFB_FFN_GLU_FIRST;
    return gated ? a->width / 2 : a->width;
}

int64_t uffb_node_stride(const uffb_arch *a) {
    return uffb_fff_shallow(a) ? uffb_hidden_stride(a->trees * (((int64_t)2 << a->depth) - 1)) : 0;
}

int64_t uffb_trees_wide(const uffb_arch *a) { return uffb_fff_walks(a) ? uffb_fff_wide(a) : uffb_node_stride(a); }

int64_t uffb_wide(const uffb_arch *a) {
    const int64_t sum = uffb_activates_sum(a) ? a->hidden : 0;
    return larger(larger(3 * a->hidden, a->embed_width), larger(uffb_hidden_stride(a->width), uffb_trees_wide(a) + sum));
}

int32_t uffb_context_fail(uffb_context *context, int32_t status) {
    strncpy(context->error, uffb_error(), sizeof context->error - 1);
    return status;
}

/* The instruction set to use: the caller's, else the environment's, else the best. */
static int32_t choose_isa(const char *name, uffb_isa *isa) {
    const char *source = "";
    if (!name || !*name) {
        name = getenv("UFFB_ISA");
        source = "UFFB_ISA: ";
    }
    *isa = uffb_best_isa();
    if (!name || !*name) return UFFB_OK;
    for (int i = 0; i < UFFB_ISA_COUNT; i++) {
        *isa = (uffb_isa)i;
        if (!strcmp(name, uffb_isa_names[i]) && uffb_isa_available(*isa)) return UFFB_OK;
    }
    return uffb_fail(UFFB_UNSUPPORTED, "%sthis CPU cannot run \"%.32s\"; it can run %s", source, name, uffb_isas());
}

const char *uffb_isas(void) {
    static _Thread_local char list[UFFB_ISA_NAMES];
    uffb_list_isas(NULL, list);
    return list;
}

int32_t uffb_abi_version(void) { return UFFB_ABI_VERSION; }

const char *uffb_compiler(void) {
#ifdef __clang__
    return __VERSION__;
#else
    return "GCC " __VERSION__;
#endif
}

int32_t uffb_context_new(const uffb_model *model, int32_t threads, const char *isa, uffb_context **context) {
    if (!model || !context) return uffb_fail(UFFB_INVALID, "uffb_context_new: no model or nowhere to put the context");
    *context = NULL;
    if (!model->ready) return uffb_fail(UFFB_INVALID, "uffb_context_new: the model is not ready");
    if (threads < 0 || threads > 1024) return uffb_fail(UFFB_INVALID, "threads is %d, but must be 0 to 1024", threads);
    uffb_isa chosen = UFFB_ISA_generic;
    int32_t status = choose_isa(isa, &chosen);
    if (status) return status;
    uffb_context *c = calloc(1, sizeof *c);
    if (!c) return uffb_fail(UFFB_NO_MEMORY, "no memory for a context");
    c->model = model;
    c->isa = chosen;
    c->ops = uffb_ops_of(chosen);
    c->threads = threads ? threads : uffb_cpu_count();
    c->team = uffb_team_new(c->threads);
    if (!c->team) {
        status = uffb_fail(UFFB_NO_MEMORY, "cannot start %d threads", c->threads);
        free(c);
        return status;
    }
    *context = c;
    return UFFB_OK;
}

void uffb_context_free(uffb_context *c) {
    if (!c) return;
    uffb_team_free(c->team);
    free(c->offsets);
    free(c->x);
    free(c->normed);
    free(c->wide);
    free(c->quantised);
    free(c->quantised_scale);
    free(c->scratch);
    free(c->head);
    free(c);
}

const char *uffb_context_error(const uffb_context *c) { return c ? c->error : ""; }

const char *uffb_context_isa(const uffb_context *c) { return c ? uffb_isa_names[c->isa] : ""; }

int32_t uffb_context_threads(const uffb_context *c) { return c ? c->threads : 0; }

int32_t uffb_context_cancel(uffb_context *c) {
    if (!c) return uffb_fail(UFFB_INVALID, "uffb_context_cancel: no context");
    atomic_store(&c->cancel, 1);
    return UFFB_OK;
}

int32_t uffb_check_cancel(uffb_context *c) {
    return atomic_exchange(&c->cancel, 0) ? uffb_context_fail(c, uffb_fail(UFFB_CANCELLED, "cancelled")) : UFFB_OK;
}

int32_t uffb_check_ready(const uffb_context *c, const char *function) {
    if (c->model->ready) return UFFB_OK;
    return uffb_fail(UFFB_INVALID, "%s: the trainer has stepped since; ask it for its model again", function);
}

/* A larger buffer in place of *buffer, its contents not kept. */
static int regrow(float **buffer, int64_t rows, int64_t cols) {
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)rows, (uint64_t)cols * sizeof(float), &bytes) || bytes > INT64_MAX / 2) return 0;
    free(*buffer);
    *buffer = uffb_allocate(bytes);
    return *buffer != NULL;
}

static int reserve_quantised(uffb_context *c, int64_t rows) {
    rows = larger(rows, UFFB_HEAD_ROWS);
    if (!c->model->input_bytes || rows <= c->quantised_capacity) return 1;
    c->quantised_capacity = 0;
    free(c->quantised);
    free(c->quantised_scale);
    c->quantised = uffb_allocate((uint64_t)(rows * c->model->input_bytes));
    c->quantised_scale = uffb_allocate((uint64_t)rows * sizeof *c->quantised_scale);
    if (!c->quantised || !c->quantised_scale) return 0;
    c->quantised_capacity = rows;
    return 1;
}

static int32_t no_memory_for(int64_t tokens) {
    return uffb_fail(UFFB_NO_MEMORY, "no memory for a batch of %lld tokens", (long long)tokens);
}

int32_t uffb_context_reserve_states(uffb_context *c, int64_t sequences, int64_t tokens) {
    if (sequences > c->sequence_capacity) {
        free(c->offsets);
        c->sequence_capacity = 0;
        c->offsets = malloc(((size_t)sequences + 1) * sizeof *c->offsets);
        if (!c->offsets) return uffb_fail(UFFB_NO_MEMORY, "no memory for %lld sequences", (long long)sequences);
        c->sequence_capacity = sequences;
    }
    if (!reserve_quantised(c, sequences)) return no_memory_for(tokens);
    if (tokens > c->state_capacity) {
        c->state_capacity = 0;
        if (!regrow(&c->normed, tokens, c->model->arch.hidden)) return no_memory_for(tokens);
        c->state_capacity = tokens;
    }
    return UFFB_OK;
}

int64_t uffb_thread_scratch(const uffb_arch *a, int64_t longest) {
    return larger(uffb_attention_scratch(a, longest), UFFB_GEMM_SCRATCH);
}

int32_t uffb_context_reserve(uffb_context *c, int64_t sequences, int64_t tokens, int64_t longest) {
    const uffb_arch *a = &c->model->arch;
    const int32_t status = uffb_context_reserve_states(c, sequences, tokens);
    if (status) return status;
    if (tokens > c->capacity) {
        c->capacity = 0;
        if (!reserve_quantised(c, tokens) || !regrow(&c->x, tokens, a->hidden) || !regrow(&c->wide, tokens, uffb_wide(a)))
            return no_memory_for(tokens);
        c->capacity = tokens;
    }
    int64_t size = uffb_thread_scratch(a, longest);
    if (size > c->scratch_size) {
        c->scratch_size = 0;
        size = (size + 15) / 16 * 16;
        if (!regrow(&c->scratch, c->threads, size)) return uffb_fail(UFFB_NO_MEMORY, "no memory for %d threads", c->threads);
        c->scratch_size = size;
    }
    return UFFB_OK;
}

float *uffb_head_scratch(uffb_context *c, int64_t size) {
    if (size > c->head_size) {
        c->head_size = 0;
        if (!regrow(&c->head, 1, size)) return NULL;
        c->head_size = size;
    }
    return c->head;
}

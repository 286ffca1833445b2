/* The parameters of a trainer: what they are, and how they go in and out. */
#include "trainer.h"
#include "../engine/memory.h"

#include <stdlib.h>
#include <string.h>

uffb_parameter *uffb_find_parameter(const uffb_trainer *t, const char *name) {
    for (int64_t i = 0; i < t->parameters; i++) {
        if (!strcmp(t->parameter[i].info.name, name)) return &t->parameter[i];
    }
    return NULL;
}

int64_t uffb_trainer_parameter_count(const uffb_trainer *t) { return t ? t->parameters : 0; }

int32_t uffb_trainer_parameter_info(const uffb_trainer *t, int64_t index, uffb_parameter_info *info) {
    if (!t || !info || index < 0 || index >= t->parameters)
        return uffb_fail(UFFB_INVALID, "uffb_trainer_parameter_info: no such parameter");
    *info = t->parameter[index].info;
    return UFFB_OK;
}

static int64_t elements(const uffb_parameter *p) { return p->info.rows * p->info.cols; }

static uint64_t bytes_of(const uffb_parameter *p) { return uffb_tensor_bytes(p->info.rows, p->info.cols, UFFB_F32, UFFB_ROWS); }

static uint64_t panel_bytes_of(const uffb_parameter *p) {
    return uffb_tensor_bytes(p->info.rows, p->info.cols, UFFB_F32, UFFB_PANELS);
}

/* Rows are used by the model in place. Panels, which it wants of matrices that GEMMs read, it only gets when it is asked for:
 * until then it is told that they lie where the rows do, and nothing looks there. */
static int32_t make_weight(uffb_trainer *t, uffb_parameter *p) {
    const uint64_t bytes = bytes_of(p);
    p->weight = uffb_allocate(bytes);
    if (!p->weight) return uffb_fail(UFFB_NO_MEMORY, "no memory for %s: %llu bytes", p->info.name, (unsigned long long)bytes);
    memset(p->weight, 0, bytes);
    const int panels = p->info.layout == UFFB_PANELS;
    return uffb_model_tensor_set(t->model, p->info.name, p->weight, panels ? panel_bytes_of(p) : bytes, UFFB_F32,
                                 p->info.layout);
}

static int32_t find(uffb_trainer *t, const char *function, const char *name, const void *data, uffb_parameter **p) {
    if (!t || !name || !data) return uffb_fail(UFFB_INVALID, "%s: no trainer, name or data", function);
    *p = uffb_find_parameter(t, name);
    return *p ? UFFB_OK : uffb_fail(UFFB_INVALID, "%.64s: this model has no such parameter", name);
}

static int32_t check_bytes(const uffb_parameter *p, uint64_t bytes, int32_t dtype, int32_t layout) {
    const uffb_parameter_info *info = &p->info;
    const uint64_t want = dtype == UFFB_I8 || dtype == UFFB_I16 ? 0 : uffb_tensor_bytes(info->rows, info->cols, dtype, layout);
    if (!want) return uffb_fail(UFFB_INVALID, "%s: dtype %d in layout %d cannot be trained", info->name, dtype, layout);
    if (want != bytes) {
        return uffb_fail(UFFB_INVALID, "%s: [%lld, %lld] needs %llu bytes, not %llu", info->name, (long long)info->rows,
                         (long long)info->cols, (unsigned long long)want, (unsigned long long)bytes);
    }
    return UFFB_OK;
}

/* Where `kind` of a parameter lies; NULL for what only a trainable one has. */
static float *place(const uffb_parameter *p, int32_t kind) {
    switch (kind) {
    case UFFB_WEIGHT: return p->weight;
    case UFFB_GRADIENT: return p->gradient;
    case UFFB_FIRST_MOMENT: return p->first;
    default: return p->second;
    }
}

static void find_moving(uffb_parameter *p) {
    const int64_t cols = p->info.cols;
    for (int64_t r = 0; r < p->info.rows; r++) {
        int moving = 0;
        for (int64_t i = r * cols; !moving && i < (r + 1) * cols; i++) moving = p->first[i] != 0 || p->second[i] != 0;
        p->moving[r] = (uint8_t)moving;
    }
}

static int32_t set(uffb_trainer *t, int32_t kind, const char *name, const void *data, uint64_t bytes, int32_t dtype,
                   int32_t layout) {
    uffb_parameter *p;
    int32_t status = find(t, "uffb_trainer_set", name, data, &p);
    if (!status && (kind < UFFB_WEIGHT || kind > UFFB_SECOND_MOMENT)) status = uffb_fail(UFFB_INVALID, "no kind %d", kind);
    if (!status) status = check_bytes(p, bytes, dtype, layout);
    if (status) return status;
    if (kind == UFFB_WEIGHT && !p->weight) {
        if (t->context) return uffb_fail(UFFB_INVALID, "%s: the trainer is ready and takes no more parameters", p->info.name);
        if ((status = make_weight(t, p))) return status;
        p->info.present = 1;
    }
    float *to = place(p, kind);
    if (!to) return uffb_fail(UFFB_INVALID, "%s: not trainable, or the trainer is not ready", p->info.name);
    if (kind != UFFB_GRADIENT) uffb_make_up(t, p);
    if (kind == UFFB_GRADIENT) p->filled = 1;
    if (kind == UFFB_WEIGHT) t->stale = t->behind = 1;
    status = uffb_tensor_convert(p->info.rows, p->info.cols, data, bytes, dtype, layout, to, bytes_of(p), UFFB_F32, UFFB_ROWS);
    if (!status && (kind == UFFB_FIRST_MOMENT || kind == UFFB_SECOND_MOMENT)) find_moving(p);
    return status;
}

int32_t uffb_trainer_set(uffb_trainer *t, int32_t kind, const char *name, const void *data, uint64_t bytes, int32_t dtype,
                         int32_t layout) {
    const int32_t status = set(t, kind, name, data, bytes, dtype, layout);
    return status ? uffb_trainer_fail(t, status) : UFFB_OK;
}

static void clear_untouched(uffb_parameter *p) {
    for (int64_t r = 0; r < p->info.rows; r++) {
        if (!p->touched[r]) memset(p->gradient + r * p->info.cols, 0, (size_t)p->info.cols * sizeof(float));
    }
}

static int any_touched(const uffb_parameter *p) { return memchr(p->touched, 1, (size_t)p->info.rows) != NULL; }

int32_t uffb_gradient_accumulates(uffb_parameter *p) {
    if (!p->filled && any_touched(p)) {
        clear_untouched(p);
        p->filled = 1;
    }
    const int32_t filled = p->filled;
    p->filled = 1;
    return filled;
}

static int32_t get(uffb_trainer *t, int32_t kind, const char *name, void *data, uint64_t bytes, int32_t dtype, int32_t layout) {
    uffb_parameter *p;
    int32_t status = find(t, "uffb_trainer_get", name, data, &p);
    if (!status && (kind < UFFB_WEIGHT || kind > UFFB_SECOND_MOMENT)) status = uffb_fail(UFFB_INVALID, "no kind %d", kind);
    if (!status) status = check_bytes(p, bytes, dtype, layout);
    if (!status && !p->weight) status = uffb_fail(UFFB_INVALID, "%s: was not set", p->info.name);
    if (status) return status;
    if (kind == UFFB_GRADIENT && p->gradient && !p->filled) clear_untouched(p);
    if (kind != UFFB_GRADIENT) uffb_make_up(t, p);
    const float *from = place(p, kind);
    if (!from) {
        memset(data, 0, bytes);
        return UFFB_OK;
    }
    return uffb_tensor_convert(p->info.rows, p->info.cols, from, bytes_of(p), UFFB_F32, UFFB_ROWS, data, bytes, dtype, layout);
}

int32_t uffb_trainer_get(uffb_trainer *t, int32_t kind, const char *name, void *data, uint64_t bytes, int32_t dtype,
                         int32_t layout) {
    const int32_t status = get(t, kind, name, data, bytes, dtype, layout);
    return status ? uffb_trainer_fail(t, status) : UFFB_OK;
}

int32_t uffb_trainer_mark(uffb_trainer *t, const char *name, int32_t trainable, int32_t decays) {
    uffb_parameter *p;
    const int32_t status = find(t, "uffb_trainer_mark", name, name, &p);
    if (status) return status;
    if (t->context) return uffb_fail(UFFB_INVALID, "%s: the trainer is ready, and what it trains is fixed", p->info.name);
    p->info.trainable = trainable && !p->info.constant;
    p->info.decays = decays != 0;
    return UFFB_OK;
}

int32_t uffb_trainer_zero_gradients(uffb_trainer *t) {
    if (!t) return uffb_fail(UFFB_INVALID, "uffb_trainer_zero_gradients: no trainer");
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        p->filled = 0;
        if (p->touched) memset(p->touched, 0, (size_t)p->info.rows);
    }
    return UFFB_OK;
}

static void repack_panels(const uffb_trainer *t, const uffb_parameter *p, int64_t row, int64_t rows) {
    t->ops->pack(rows, p->info.cols, p->weight + row * p->info.cols, p->info.cols, 0, p->panels + row * p->info.cols);
}

/* Rows of one task. */
#define REPACK_ROWS 64

typedef struct {
    const uffb_trainer *trainer;
    const uffb_parameter *parameter;
    void (*rows)(const uffb_trainer *t, const uffb_parameter *p, int64_t row, int64_t rows);
} repacking;

static void repack_task(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    const repacking *r = arg;
    const int64_t first = task * REPACK_ROWS, left = r->parameter->info.rows - first;
    r->rows(r->trainer, r->parameter, first, left < REPACK_ROWS ? left : REPACK_ROWS);
}

static void repack(repacking r) {
    const int64_t tasks = (r.parameter->info.rows + REPACK_ROWS - 1) / REPACK_ROWS;
    uffb_parallel(r.trainer->context->team, tasks, repack_task, &r);
}

void uffb_trainer_rescale(uffb_trainer *t) {
    if (!t->position_scale) return;
    const int64_t size = (t->arch.max_length + t->arch.position_offset) * t->arch.hidden;
    for (int64_t i = 0; i < size; i++) t->model->sinusoids[i] = t->table[i] * *t->position_scale->weight;
}

void uffb_trainer_refresh(uffb_trainer *t) {
    if (!t->stale) return;
    for (int64_t i = 0; i < t->parameters; i++) {
        const uffb_parameter *p = &t->parameter[i];
        if (p->blocks) repack((repacking){t, p, uffb_repack_blocks});
    }
    uffb_trainer_rescale(t);
    t->stale = 0;
}

/* --- panels of the model -------------------------------------------------------------------------------------------------- */

static int has_panels(const uffb_parameter *p) { return p->weight && p->info.layout == UFFB_PANELS; }

uint64_t uffb_panels_size(const uffb_trainer *t) {
    uint64_t bytes = 0;
    for (int64_t i = 0; i < t->parameters; i++) {
        const uffb_parameter *p = &t->parameter[i];
        if ((p->info.present || p->info.required) && p->info.layout == UFFB_PANELS) bytes += panel_bytes_of(p);
    }
    return bytes;
}

int32_t uffb_make_panels(uffb_trainer *t) {
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        if (!has_panels(p)) continue;
        if (!p->panels) {
            p->panels = uffb_allocate(panel_bytes_of(p));
            if (!p->panels) return uffb_fail(UFFB_NO_MEMORY, "no memory for %s as a model has it", p->info.name);
            uffb_model_tensor_move(t->model, p->info.name, p->panels);
            t->behind = 1;
        }
    }
    for (int64_t i = 0; t->behind && i < t->parameters; i++) {
        if (has_panels(&t->parameter[i])) repack((repacking){t, &t->parameter[i], repack_panels});
    }
    t->behind = 0;
    t->model->ready = 1;
    return UFFB_OK;
}

void uffb_free_panels(uffb_trainer *t) {
    t->model->ready = 0;
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        if (!p->panels) continue;
        uffb_model_tensor_move(t->model, p->info.name, NULL);
        free(p->panels);
        p->panels = NULL;
    }
}

int64_t uffb_blocks_size(const uffb_trainer *t, const uffb_parameter_info *p) {
    if (t->compute != UFFB_BF16 || p->layout != UFFB_PANELS || p->rows < UFFB_BLOCK_ROWS) return 0;
    return (p->rows + UFFB_BLOCK_ROWS - 1) / UFFB_BLOCK_ROWS * uffb_block_row(p->cols);
}

int32_t uffb_make_blocks(uffb_trainer *t) {
    int64_t widest = 0;
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        const int64_t size = p->weight ? uffb_blocks_size(t, &p->info) : 0;
        if (!size) continue;
        p->blocks = uffb_allocate((uint64_t)size * sizeof *p->blocks);
        if (!p->blocks) return uffb_fail(UFFB_NO_MEMORY, "no memory for %s in bf16", p->info.name);
        const int64_t most = p->info.rows > p->info.cols ? p->info.rows : p->info.cols;
        widest = most > widest ? most : widest;
    }
    if (!widest) return UFFB_OK;
    t->left = uffb_allocate((uint64_t)uffb_left_size(widest) * sizeof *t->left);
    return t->left ? UFFB_OK : uffb_fail(UFFB_NO_MEMORY, "no memory for products in bf16");
}

/* What a parameter takes beside its weight. */
static int32_t make_gradient(uffb_parameter *p) {
    const uint64_t bytes = (uint64_t)elements(p) * sizeof(float);
    p->gradient = uffb_allocate(bytes);
    p->first = uffb_allocate(bytes);
    p->second = uffb_allocate(bytes);
    p->touched = calloc((size_t)p->info.rows, 1);
    p->moving = calloc((size_t)p->info.rows, 1);
    if (!p->gradient || !p->first || !p->second || !p->touched || !p->moving)
        return uffb_fail(UFFB_NO_MEMORY, "no memory for the gradient and the moments of %s", p->info.name);
    memset(p->first, 0, bytes);
    memset(p->second, 0, bytes);
    return UFFB_OK;
}

int32_t uffb_make_gradients(uffb_trainer *t) {
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        const int32_t status = p->weight && p->info.trainable ? make_gradient(p) : UFFB_OK;
        if (status) return status;
    }
    return UFFB_OK;
}

void uffb_free_parameters(uffb_trainer *t) {
    for (int64_t i = 0; i < t->parameters; i++) {
        uffb_parameter *p = &t->parameter[i];
        free(p->weight);
        free(p->panels);
        free(p->blocks);
        free(p->gradient);
        free(p->first);
        free(p->second);
        free(p->touched);
        free(p->moving);
        free(p->made);
    }
    free(t->parameter);
}

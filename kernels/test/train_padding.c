/* The padding token within a text: which gradients it does not get. */
#include "train_test.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define PADDING 1

static const int64_t lengths[] = {16, 1, MAX_LENGTH, 4};

/* Of the parameter, with and without a padding token: the same bits, but for its row. */
static void compare(uffb_trainer *with, uffb_trainer *without, const uffb_parameter_info *p, int row_is_zero) {
    float *a = values_of(with, p, UFFB_GRADIENT), *b = values_of(without, p, UFFB_GRADIENT);
    for (int64_t r = 0; r < p->rows; r++) {
        const float *row = a + r * p->cols, *other = b + r * p->cols;
        const size_t bytes = (size_t)p->cols * sizeof *a;
        if (r != PADDING || strncmp(p->name, "embed.", 6) || !strcmp(p->name, "embed.type")) {
            check(!memcmp(row, other, bytes), "%s: row %lld is another with padding", p->name, (long long)r);
            continue;
        }
        check(memcmp(row, other, bytes), "%s: padding changes nothing", p->name);
        for (int64_t i = 0; row_is_zero && i < p->cols; i++) check(row[i] == 0, "%s: %g", p->name, (double)row[i]);
    }
    free(a);
    free(b);
}

static void test_model(const config *c) {
    test_begin("padding %s", c->name);
    random_model *m = random_model_new(&c->arch, c->optional, UFFB_F32, UFFB_ROWS);
    batch *b = batch_new(&c->arch, COUNT_OF(lengths), lengths);
    for (int64_t i = 0; i < b->tokens; i += 5) b->ids[i] = PADDING;
    b->ids[16] = PADDING; /* a whole text */
    example *e = example_new(&c->arch, b, UFFB_HEAD_MLM, UFFB_CROSS_ENTROPY);
    uffb_trainer *without = trainer_new(m, 2, NULL);
    trainer_padding = PADDING;
    uffb_trainer *with = trainer_new(m, 2, NULL);
    run_step(without, e, 1, NULL, NULL, NULL);
    run_step(with, e, 1, NULL, NULL, NULL);
    for (int64_t i = 0; i < uffb_trainer_parameter_count(with); i++) {
        uffb_parameter_info p;
        uffb_trainer_parameter_info(with, i, &p);
        if (p.present && p.trainable) compare(with, without, &p, !c->arch.tied);
    }
    for (int i = 0; isa_name(i); i++) {
        test_case("threads, %s", isa_name(i));
        test_threads_agree(m, e, isa_name(i));
    }
    test_case("nothing but padding");
    for (int64_t i = 0; i < b->tokens; i++) b->ids[i] = PADDING;
    test_threads_agree(m, e, NULL);
    trainer_padding = -1;
    uffb_trainer_free(with);
    uffb_trainer_free(without);
    example_free(e);
    batch_free(b);
    random_model_free(m);
    test_end();
}

void test_padding(void) {
    int64_t count;
    const config *configs = test_configs(&count);
    for (int64_t i = 0; i < count; i++) {
        if (!strcmp(configs[i].name, "bert") || !strcmp(configs[i].name, "fff 1x5")) test_model(&configs[i]);
    }
}

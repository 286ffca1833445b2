/* Tests every kernel: each op, each ISA that this CPU can run. */
#include "ops_test.h"
#include "check.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

const int64_t ops_lengths[15] = {1, 3, 15, 16, 17, 31, 32, 33, 47, 48, 64, 255, 256, 257, 768};

int64_t ops_rows(int64_t index) {
    static const int64_t above[] = {111, 112, 113, 127, 128, 129};
    return index < 30 ? index : above[index - 30];
}

static void test_dispatch(void) {
    test_begin("dispatch");
    test_case("generic");
    check(uffb_isa_available(UFFB_ISA_generic), "not available");
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) {
        test_case("%s", uffb_isa_names[isa]);
        if (!uffb_isa_available((uffb_isa)isa)) continue;
        const uffb_ops *ops = uffb_ops_of((uffb_isa)isa);
#define UFFB_OP(op) check(ops->op != NULL, "no " #op);
#include "../ops/oplist.inc"
#undef UFFB_OP
        check(isa <= (int)uffb_best_isa(), "better than %s", uffb_isa_names[uffb_best_isa()]);
    }
    test_end();
}

static const uint32_t needs_of[UFFB_ISA_COUNT] = {
#define UFFB_ISA(name, architecture, needs, flags) needs,
#include "../ops/isas.inc"
#undef UFFB_ISA
};

/* A CPU may have any capabilities, named together or not: it gets no kernel that it could not run, and each of its sets whole.
 */
static void test_choice(void) {
    test_begin("choice of kernels");
    uint32_t all = 0;
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) all |= needs_of[isa];
    for (uint32_t has = 0; has <= all; has++) {
        uffb_ops chosen;
        uffb_choose_ops(has, &chosen);
#define UFFB_OP(op)                                                                                                            \
    test_case("%s, capabilities %x", #op, has);                                                                                \
    int runs_##op = 0;                                                                                                         \
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) {                                                                           \
        const uffb_ops *ops = uffb_ops_of((uffb_isa)isa);                                                                      \
        runs_##op |= !(needs_of[isa] & ~has) && ops->op == chosen.op;                                                          \
        check(needs_of[isa] != has || ops->op == chosen.op, "not that of %s", uffb_isa_names[isa]);                            \
    }                                                                                                                          \
    check(runs_##op, "a kernel that needs more");
#include "../ops/oplist.inc"
#undef UFFB_OP
    }
    test_end();
}

/* The last set, where a CPU has it, takes the kernels of all others that are better: its needs must name what those need. */
static void test_last_set(void) {
    test_begin("kernels of the last set");
    uint32_t all = 0;
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) all |= needs_of[isa];
    int last = 0; /* of this architecture */
#define UFFB_KERNEL(op, isa)                                                                                                   \
    if ((int)UFFB_ISA_##isa > last) last = UFFB_ISA_##isa;
#include "../ops/table.inc"
#undef UFFB_KERNEL
    test_case("%s", uffb_isa_names[last]);
    uffb_ops best;
    uffb_choose_ops(all, &best);
#define UFFB_OP(op) check(uffb_ops_of((uffb_isa)last)->op == best.op, "needs too little to get the last kernel of " #op);
#include "../ops/oplist.inc"
#undef UFFB_OP
    test_end();
}

/* Sets share kernels: each is tested once. */
#define IS_NEW(op) is_new(isa, offsetof(uffb_ops, op))
static int is_new(int isa, size_t op) {
    const char *ops = (const char *)uffb_ops_of((uffb_isa)isa);
    for (int lesser = 0; lesser < isa; lesser++) {
        const char *others = (const char *)uffb_ops_of((uffb_isa)lesser);
        if (uffb_isa_available((uffb_isa)lesser) && !memcmp(ops + op, others + op, sizeof(void (*)(void)))) return 0;
    }
    return 1;
}

int main(void) {
    test_dispatch();
    test_choice();
    test_last_set();
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) {
        if (!uffb_isa_available((uffb_isa)isa)) {
            printf("      (this CPU or build cannot run %s)\n", uffb_isa_names[isa]);
            continue;
        }
        const uffb_ops *ops = uffb_ops_of((uffb_isa)isa);
#define UFFB_OP(op)                                                                                                            \
    if (IS_NEW(op)) test_##op(ops, uffb_isa_names[isa]);
#include "../ops/oplist.inc"
#undef UFFB_OP
    }
    if (vnni_vl_ops()) {
        test_gemm_i8(vnni_vl_ops(), "avxvnni as avx512vl");
        test_gemm_i16(vnni_vl_ops(), "avxvnni as avx512vl");
    }
    return test_report();
}

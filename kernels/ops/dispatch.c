/* Which kernels this CPU can run, and which are best: the whole of it. */
#include "ops.h"

#include <pthread.h>

#define UFFB_KERNEL(op, isa) uffb_##op##_fn uffb_##op##_##isa;
#include "table.inc"
#undef UFFB_KERNEL

const char *const uffb_isa_names[UFFB_ISA_COUNT] = {
#define UFFB_ISA(name) #name,
#include "isas.inc"
#undef UFFB_ISA
};

/* __builtin_cpu_supports asks CPUID for the feature and XGETBV whether the system saves its registers. */
int uffb_isa_available(uffb_isa isa) {
    switch (isa) {
    case UFFB_ISA_generic: return 1;
#ifdef __x86_64__
    case UFFB_ISA_avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case UFFB_ISA_avx512: return uffb_isa_available(UFFB_ISA_avx2) && __builtin_cpu_supports("avx512f");
    case UFFB_ISA_avx512vnni: return uffb_isa_available(UFFB_ISA_avx512) && __builtin_cpu_supports("avx512vnni");
#endif
#ifdef __aarch64__
    case UFFB_ISA_neon: return 1; /* part of the base architecture */
#endif
    default: return 0;
    }
}

static uffb_ops tables[UFFB_ISA_COUNT];

static void fill_tables(void) {
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) {
#define UFFB_KERNEL(op, of)                                                                                                    \
    if (UFFB_ISA_##of <= isa) tables[isa].op = uffb_##op##_##of;
#include "table.inc"
#undef UFFB_KERNEL
    }
}

const uffb_ops *uffb_ops_of(uffb_isa isa) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
    return &tables[isa];
}

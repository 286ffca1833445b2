/* Which kernels this CPU can run, and which are best: the whole of it. */
#define _GNU_SOURCE
#include "ops.h"

#include <pthread.h>
#include <string.h>
#ifdef __linux__
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define UFFB_KERNEL(op, isa) uffb_##op##_fn uffb_##op##_##isa;
#include "table.inc"
#undef UFFB_KERNEL

const char *const uffb_isa_names[UFFB_ISA_COUNT] = {
#define UFFB_ISA(name, architecture, needs, flags) #name,
#include "isas.inc"
#undef UFFB_ISA
};

static const uint32_t needs_of[UFFB_ISA_COUNT] = {
#define UFFB_ISA(name, architecture, needs, flags) needs,
#include "isas.inc"
#undef UFFB_ISA
};

#ifdef __x86_64__
/* Register eax or edx of CPUID's leaf 7, for bits that compilers have no name for, or not all of them. */
typedef struct {
    uint32_t eax, edx;
} cpuid_words;

static cpuid_words cpuid_7(uint32_t part) {
    uint32_t eax = 7, ebx, ecx = 0, edx;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax < part) return (cpuid_words){0, 0};
    eax = 7;
    ecx = part;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (cpuid_words){eax, edx};
}

/* Its registers are those of AVX2. */
static int has_avxvnni(void) { return cpuid_7(1).eax >> 4 & 1; }

/* Whether the CPU has AMX, and the system lets this process use its tiles. Linux wants to be asked, once for all threads,
 * because what it saves of a thread, and so the stack of its signals, grows with them. */
static int has_amx(void) {
#ifdef __linux__
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, which older headers lack */
    const uint32_t bits = 1u << 22 | 1u << 24;            /* AMX-BF16, AMX-TILE */
    if ((cpuid_7(0).edx & bits) != bits) return 0;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}
#endif

/* What this CPU can do, and its system lets programs use: on x86, __builtin_cpu_supports asks CPUID for the first and XGETBV
 * for the second. */
static uint32_t cpu_capabilities(void) {
    uint32_t can = 0;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) can |= UFFB_CAN_AVX2;
    if (can & UFFB_CAN_AVX2 && has_avxvnni()) can |= UFFB_CAN_AVXVNNI;
    if (__builtin_cpu_supports("avx512f")) can |= UFFB_CAN_AVX512;
    if (__builtin_cpu_supports("avx512vnni")) can |= UFFB_CAN_AVX512VNNI;
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw")) can |= UFFB_CAN_AVX512BF16;
    if (can & UFFB_CAN_AVX512 && has_amx()) can |= UFFB_CAN_AMX;
#endif
#ifdef __aarch64__
    can |= UFFB_CAN_NEON; /* part of the base architecture */
#ifdef __linux__
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) can |= UFFB_CAN_NEONDOT;
    if (getauxval(AT_HWCAP2) & 1 << 13) can |= UFFB_CAN_NEONI8MM; /* HWCAP2_I8MM, which older headers lack */
#endif
#endif
    return can;
}

void uffb_choose_ops(uint32_t capabilities, uffb_ops *ops) {
#define UFFB_KERNEL(op, isa)                                                                                                   \
    if (!(needs_of[UFFB_ISA_##isa] & ~capabilities)) ops->op = uffb_##op##_##isa;
#include "table.inc"
#undef UFFB_KERNEL
}

static uint32_t available;
static uffb_ops tables[UFFB_ISA_COUNT];

static void fill_tables(void) {
    available = cpu_capabilities();
    for (int isa = 0; isa < UFFB_ISA_COUNT; isa++) uffb_choose_ops(needs_of[isa], &tables[isa]);
}

static void prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
}

int uffb_isa_available(uffb_isa isa) {
    prepare();
    return !(needs_of[isa] & ~available);
}

const uffb_ops *uffb_ops_of(uffb_isa isa) {
    prepare();
    return &tables[isa];
}

uffb_isa uffb_best_isa(void) {
    int isa = UFFB_ISA_COUNT - 1;
    while (!uffb_isa_available((uffb_isa)isa)) isa--; /* generic needs nothing */
    return (uffb_isa)isa;
}

void uffb_list_isas(int (*wanted)(uffb_isa isa), char list[UFFB_ISA_NAMES]) {
    list[0] = 0;
    for (int isa = UFFB_ISA_COUNT - 1; isa >= 0; isa--) {
        if (!uffb_isa_available((uffb_isa)isa) || (wanted && !wanted((uffb_isa)isa))) continue;
        if (list[0]) strcat(list, ",");
        strcat(list, uffb_isa_names[isa]);
    }
}

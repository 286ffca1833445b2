#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_FAILURES 5

static int passed, failed;
static char test_name[160], case_name[240], note[160];
static int64_t checks, failures;
static uint64_t random_state;

static void crashed(int number) {
    signal(number, SIG_DFL);
    printf("FAIL  %s\n      signal %d in case: %s\n", test_name, number, case_name);
    fflush(stdout);
    raise(number);
}

void test_begin(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(test_name, sizeof test_name, format, args);
    va_end(args);
    case_name[0] = note[0] = '\0';
    checks = failures = 0;
    random_seed(1);
    static int watched;
    if (!watched++) { /* once, since what is tested may have a handler of its own */
        signal(SIGSEGV, crashed);
        signal(SIGBUS, crashed);
        signal(SIGILL, crashed);
        signal(SIGFPE, crashed);
    }
}

void test_case(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(case_name, sizeof case_name, format, args);
    va_end(args);
}

void test_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
}

int check(int holds, const char *format, ...) {
    checks++;
    if (holds) return 1;
    if (failures++ < SHOWN_FAILURES) {
        va_list args;
        va_start(args, format);
        printf("      %s: ", case_name);
        vprintf(format, args);
        printf("\n");
        va_end(args);
    }
    return 0;
}

void test_end(void) {
    if (checks == 0) printf("      no case ran\n");
    int good = checks > 0 && failures == 0;
    good ? passed++ : failed++;
    printf("%s  %s: %lld checks", good ? "ok  " : "FAIL", test_name, (long long)checks);
    if (failures) printf(", %lld failed", (long long)failures);
    printf("%s%s\n", note[0] ? "; " : "", note);
    fflush(stdout);
}

int test_report(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return passed > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void random_seed(uint64_t seed) { random_state = seed; }

uint64_t random_bits(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t random_below(int64_t limit) { return (int64_t)(random_bits() % (uint64_t)limit); }

float random_between(float low, float high) { return low + (high - low) * (float)(random_bits() >> 40) * (float)0x1p-24; }

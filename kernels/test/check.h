/* check.h: counting for the C tests. A test is one named property; it holds many cases (shapes), each of
 * which holds checks. A test passes when all its checks hold and at least one ran. Not thread-safe: checks
 * belong to the main thread. */
#ifndef UFFB_CHECK_H
#define UFFB_CHECK_H

#include <stdint.h>

/* Half a unit in the last place of 1: the largest relative error of one f32 rounding. */
#define ROUNDING 0x1p-24

#define COUNT_OF(array) ((int64_t)(sizeof(array) / sizeof(array)[0]))

/* Starts the test and the pseudo-random sequence anew, so that tests do not depend on each other. */
__attribute__((format(printf, 1, 2))) void test_begin(const char *format, ...);
/* Says which case runs from here on: printed with failures and crashes. */
__attribute__((format(printf, 1, 2))) void test_case(const char *format, ...);
/* Counts one check; prints the message (the first few of a test) if it does not hold. Returns `holds`. */
__attribute__((format(printf, 2, 3))) int check(int holds, const char *format, ...);
/* Something to show at the end of the test's line: counted near-ties and the like. */
__attribute__((format(printf, 1, 2))) void test_note(const char *format, ...);
void test_end(void);
/* Prints "N passed, N failed" and returns the exit status. */
int test_report(void);

/* A deterministic pseudo-random sequence (splitmix64). */
void random_seed(uint64_t seed);
uint64_t random_bits(void);
int64_t random_below(int64_t limit);
float random_between(float low, float high);

#endif

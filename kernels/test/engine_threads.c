/* Tests of the thread pool: each task runs once, and every thread that is awake or asleep comes to each section. */
#include "../engine/threads.h"
#include "check.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Far longer than any machine leaves a thread without a processor. */
#define PATIENCE 20.0

typedef struct {
    int32_t threads;
    atomic_int arrived, missed;
} meeting;

/* Ends when as many tasks are running: each on a thread of its own, since none ends before. */
static void meet(void *arg, int64_t task, int32_t thread) {
    (void)task;
    (void)thread;
    meeting *m = arg;
    atomic_fetch_add(&m->arrived, 1);
    for (double start = now(); atomic_load(&m->arrived) < m->threads;) {
        if (now() - start > PATIENCE) {
            atomic_store(&m->missed, 1);
            return;
        }
        sched_yield();
    }
}

/* Sections in close succession, which a worker finds while they are being set up, and some after all have gone to sleep. */
static void test_everyone_comes(int32_t threads) {
    test_begin("%d threads all come to every section", threads);
    uffb_team *team = uffb_team_new(threads);
    int missed = 0;
    for (int section = 0; section < 1500 && !missed; section++) {
        test_case("section %d", section);
        meeting m = {.threads = threads};
        if (section % 100 == 99) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        uffb_parallel(team, threads, meet, &m);
        missed = atomic_load(&m.missed);
        check(!missed, "a thread did not come");
    }
    uffb_team_free(team);
    test_end();
}

#define TASKS 5000

static void count(void *arg, int64_t task, int32_t thread) {
    (void)thread;
    atomic_fetch_add((atomic_int *)arg + task, 1);
}

static void test_each_task_once(int32_t threads) {
    test_begin("%d threads run each task once", threads);
    static atomic_int runs[TASKS];
    uffb_team *team = uffb_team_new(threads);
    for (int64_t i = 0; i < TASKS; i++) atomic_store(&runs[i], 0);
    for (int64_t tasks = 0; tasks < TASKS; tasks += 1 + tasks / 2) uffb_parallel(team, tasks, count, runs);
    int64_t sections = 0;
    for (int64_t i = TASKS - 1; i >= 0; i--) {
        for (int64_t tasks = sections = 0; tasks < TASKS; tasks += 1 + tasks / 2) sections += i < tasks;
        check(atomic_load(&runs[i]) == sections, "task %lld ran %d times of %lld", (long long)i, atomic_load(&runs[i]),
              (long long)sections);
    }
    uffb_team_free(team);
    test_end();
}

typedef struct {
    meeting all;
    atomic_int kept; /* threads on which a denormal result or input was not zero */
} denormals;

/* Results as the processor gives them: the compiler must not compute them. */
static int is_kept(void) {
    volatile float smallest = 0x1p-126f, half = 0.5f, denormal = 0x1p-130f, large = 0x1p100f;
    volatile float result = smallest * half, input = denormal * large;
    return result != 0 || input != 0;
}

static void try_denormals(void *arg, int64_t task, int32_t thread) {
    denormals *d = arg;
    meet(&d->all, task, thread);
    atomic_fetch_add(&d->kept, is_kept());
}

static void test_denormals(int32_t threads) {
    test_begin("denormal numbers are zeros in tasks of %d threads, and nowhere else", threads);
    uffb_team *team = uffb_team_new(threads);
    denormals d = {.all = {.threads = threads}};
    uffb_parallel(team, threads, try_denormals, &d);
    check(atomic_load(&d.kept) == 0, "%d threads kept them", atomic_load(&d.kept));
    check(is_kept(), "the caller lost them");
    uffb_team_free(team);
    test_end();
}

void test_threads(void) {
    static const int32_t counts[] = {2, 3, 5};
    for (int32_t threads = 1; threads <= 3; threads++) test_denormals(threads);
    for (int i = 0; i < 3; i++) {
        test_everyone_comes(counts[i]);
        test_each_task_once(counts[i]);
    }
}

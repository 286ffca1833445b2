/* A small thread pool. Each thread has a share of a section's tasks, the same part of them every time: what it wrote in one
 * section is then what it reads in the next, and lies in its own caches; on some CPUs what another core wrote is as far away as
 * memory. Whoever is done with its share helps with the others', so the caller never waits for a worker that is asleep or
 * descheduled, only for tasks that were taken. A share's ticket holds the section's number and the next task in one word. */
#define _GNU_SOURCE
#include "threads.h"
#include "../uffb.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks at the ticket this often before a worker sleeps: about 50 microseconds, longer than the serial gaps of an encode. */
#define SPINS 2000
#define CLOSED UINT32_MAX

/* A line of its own, as threads look after their own shares nearly all the time. */
#define CACHE_LINE 64

typedef struct {
    /* Section number << 32 | next task. While a section is being set up, the number of the one before and CLOSED: a new number
     * is seen only together with tasks, so that a worker who has seen it has also looked for them. */
    _Alignas(CACHE_LINE) _Atomic(uint64_t) ticket;
} share;

struct uffb_team {
    share *shares; /* [threads]; the first is opened last, and its number is the section's */
    _Atomic(uffb_task *) run;
    _Atomic(void *) arg;
    _Atomic(uint32_t) tasks;
    _Alignas(CACHE_LINE) _Atomic(uint32_t) done;
    _Alignas(CACHE_LINE) _Atomic(uint32_t) sleepers;
    _Atomic(int) stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int32_t threads, started;
    struct worker {
        uffb_team *team;
        pthread_t thread;
        int32_t index;
    } * workers;
};

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Makes denormal numbers, as inputs and as results, zeros on this thread, and returns what was set before. They mean nothing
 * here, and each costs a hundred instructions: where attention has made up its mind, nearly all probabilities and their
 * gradients are such, and a training step took six times as long. */
static uint64_t flush_denormals(void) {
    uint64_t before = 0;
#if defined(__x86_64__)
    before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr((uint32_t)before | 0x8040); /* flush to zero, denormals are zeros */
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (uint64_t)1 << 24)); /* FZ */
#endif
    return before;
}

static void restore_denormals(uint64_t before) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* The first task behind the shares of `threads` threads, of a team's */
static uint32_t end_of(const uffb_team *team, uint32_t tasks, int32_t threads) {
    return (uint32_t)((uint64_t)tasks * (uint64_t)threads / (uint64_t)team->threads);
}

/* Takes and runs tasks of a share, until none is left. */
static void run_share(uffb_team *team, int32_t owner, int32_t thread) {
    _Atomic(uint64_t) *at = &team->shares[owner].ticket;
    uint32_t count = 0;
    for (;;) {
        uint64_t ticket = atomic_load_explicit(at, memory_order_acquire);
        uffb_task *run = atomic_load_explicit(&team->run, memory_order_acquire);
        void *arg = atomic_load_explicit(&team->arg, memory_order_acquire);
        uint32_t tasks = atomic_load_explicit(&team->tasks, memory_order_acquire);
        if ((uint32_t)ticket >= end_of(team, tasks, owner + 1)) break;
        /* Success proves that the section, and so what was read of it, is still the same: whoever sees a field of the next
         * section also sees its tickets closed. */
        if (!atomic_compare_exchange_weak_explicit(at, &ticket, ticket + 1, memory_order_acq_rel, memory_order_relaxed)) {
            continue;
        }
        run(arg, (uint32_t)ticket, thread);
        count++;
    }
    if (count) atomic_fetch_add_explicit(&team->done, count, memory_order_release);
}

static void run_tasks(uffb_team *team, int32_t thread) {
    for (int32_t i = 0; i < team->threads; i++) run_share(team, (thread + i) % team->threads, thread);
}

static uint32_t section(uffb_team *team) { return (uint32_t)(atomic_load(&team->shares[0].ticket) >> 32); }

static void *work(void *arg) {
    struct worker *self = arg;
    uffb_team *team = self->team;
    uint32_t seen = section(team);
    flush_denormals();
    for (;;) {
        run_tasks(team, self->index);
        int spins = 0;
        while (section(team) == seen && !atomic_load(&team->stop) && spins++ < SPINS) pause_briefly();
        if (section(team) == seen) {
            pthread_mutex_lock(&team->lock);
            atomic_fetch_add(&team->sleepers, 1);
            while (section(team) == seen && !atomic_load(&team->stop)) pthread_cond_wait(&team->wake, &team->lock);
            atomic_fetch_sub(&team->sleepers, 1);
            pthread_mutex_unlock(&team->lock);
        }
        if (atomic_load(&team->stop)) return NULL;
        seen = section(team);
    }
}

static void wake_sleepers(uffb_team *team) {
    if (atomic_load(&team->sleepers) == 0) return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
}

static void *zeroed(size_t count, size_t size) {
    void *block;
    if (posix_memalign(&block, CACHE_LINE, count * size)) return NULL;
    return memset(block, 0, count * size);
}

uffb_team *uffb_team_new(int32_t threads) {
    uffb_team *team = zeroed(1, sizeof *team);
    if (!team) return NULL;
    team->threads = threads;
    team->shares = zeroed((size_t)threads, sizeof *team->shares);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    team->workers = calloc((size_t)threads, sizeof *team->workers);
    for (int32_t i = 1; team->workers && team->shares && i < threads; i++) {
        struct worker *worker = &team->workers[i - 1];
        *worker = (struct worker){.team = team, .index = i};
        if (pthread_create(&worker->thread, NULL, work, worker)) break;
        team->started++;
    }
    if (!team->workers || !team->shares || team->started != threads - 1) {
        uffb_team_free(team);
        return NULL;
    }
    return team;
}

void uffb_team_free(uffb_team *team) {
    if (!team) return;
    atomic_store(&team->stop, 1);
    pthread_mutex_lock(&team->lock);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    for (int32_t i = 0; i < team->started; i++) pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    free(team->workers);
    free(team->shares);
    free(team);
}

void uffb_parallel(uffb_team *team, int64_t tasks, uffb_task *run, void *arg) {
    const uint64_t before = flush_denormals();
    if (team->threads == 1 || tasks == 1) {
        for (int64_t task = 0; task < tasks; task++) run(arg, task, 0);
        restore_denormals(before);
        return;
    }
    const uint32_t number = section(team);
    for (int32_t i = 0; i < team->threads; i++)
        atomic_store_explicit(&team->shares[i].ticket, (uint64_t)number << 32 | CLOSED, memory_order_relaxed);
    atomic_store_explicit(&team->run, run, memory_order_release);
    atomic_store_explicit(&team->arg, arg, memory_order_release);
    atomic_store_explicit(&team->tasks, (uint32_t)tasks, memory_order_release);
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    for (int32_t i = team->threads; i-- > 0;)
        atomic_store(&team->shares[i].ticket, (uint64_t)(number + 1) << 32 | end_of(team, (uint32_t)tasks, i));
    wake_sleepers(team);
    run_tasks(team, 0);
    while (atomic_load_explicit(&team->done, memory_order_acquire) != (uint32_t)tasks) pause_briefly();
    restore_denormals(before);
}

/* A cgroup's quota in whole CPUs, rounded up; 0 when there is none. v2: "max 100000" or "200000 100000"; v1: two files. */
static int32_t cgroup_cpus(void) {
    long long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2) quota = 0;
        fclose(file);
    } else {
        if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
            if (fscanf(file, "%lld", &quota) != 1) quota = 0;
            fclose(file);
        }
        if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(file, "%lld", &period) != 1) period = 0;
            fclose(file);
        }
    }
    return quota > 0 && period > 0 ? (int32_t)((quota + period - 1) / period) : 0;
}

int32_t uffb_cpu_count(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t cpus = online > 0 ? (int32_t)online : 1;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
#endif
    int32_t quota = cgroup_cpus();
    if (quota > 0 && quota < cpus) cpus = quota;
    return cpus > 0 ? cpus : 1;
}

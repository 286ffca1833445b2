/* The end of the process when a signal asks for it and nobody obeys: the caller's language may be in the middle of something
 * that it cannot interrupt. Handlers use nothing but what POSIX allows them. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "../uffb.h"
#include "error.h"

enum { PATHS = 16, PATH_BYTES = 4096 };

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { COUNT = sizeof SIGNALS / sizeof *SIGNALS };

static struct sigaction before[COUNT];
static struct itimerval patience;
/* The first signal that came, or 0. */
static atomic_int asked;

/* What is to be removed: written by one thread, then marked as ready for the handler. */
static char paths[PATHS][PATH_BYTES];
static atomic_int ready[PATHS];

static void end(int signal) {
    for (int i = 0; i < PATHS; i++) {
        if (atomic_load(&ready[i]) && unlink(paths[i]) != 0) rmdir(paths[i]);
    }
    _exit(128 + signal);
}

static void lose_patience(int signal) {
    (void)signal;
    end(atomic_load(&asked));
}

static void ask(int signal, siginfo_t *info, void *context) {
    const int saved = errno; /* of what was interrupted */
    int none = 0;
    if (!atomic_compare_exchange_strong(&asked, &none, signal)) end(signal);
    setitimer(ITIMER_REAL, &patience, NULL);
    for (int i = 0; i < COUNT; i++) {
        if (SIGNALS[i] != signal) continue;
        if (before[i].sa_flags & SA_SIGINFO)
            before[i].sa_sigaction(signal, info, context);
        else if (before[i].sa_handler == SIG_DFL)
            end(signal);
        else
            before[i].sa_handler(signal);
    }
    errno = saved;
}

int32_t uffb_interrupt_watch(int32_t milliseconds) {
    static atomic_int watching;
    if (milliseconds < 1) return uffb_fail(UFFB_INVALID, "milliseconds must be at least 1");
    if (atomic_exchange(&watching, 1)) return UFFB_OK;
    patience.it_value.tv_sec = milliseconds / 1000;
    patience.it_value.tv_usec = milliseconds % 1000 * 1000;
    struct sigaction alarm = {.sa_handler = lose_patience};
    sigemptyset(&alarm.sa_mask);
    if (sigaction(SIGALRM, &alarm, NULL) != 0) return uffb_fail(UFFB_INVALID, "SIGALRM: %s", strerror(errno));
    for (int i = 0; i < COUNT; i++) {
        if (sigaction(SIGNALS[i], NULL, &before[i]) != 0)
            return uffb_fail(UFFB_INVALID, "signal %d: %s", SIGNALS[i], strerror(errno));
        if (!(before[i].sa_flags & SA_SIGINFO) && before[i].sa_handler == SIG_IGN) continue;
        struct sigaction own = {.sa_sigaction = ask, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
        sigemptyset(&own.sa_mask);
        if (sigaction(SIGNALS[i], &own, NULL) != 0)
            return uffb_fail(UFFB_INVALID, "signal %d: %s", SIGNALS[i], strerror(errno));
    }
    return UFFB_OK;
}

int32_t uffb_interrupt_heard(void) {
    const struct itimerval never = {0};
    if (setitimer(ITIMER_REAL, &never, NULL) != 0) return uffb_fail(UFFB_INVALID, "the timer: %s", strerror(errno));
    atomic_store(&asked, 0);
    return UFFB_OK;
}

int32_t uffb_interrupt_remove(const char *path, int32_t remove) {
    const size_t bytes = path ? strlen(path) + 1 : 0;
    if (bytes < 2 || bytes > PATH_BYTES) return uffb_fail(UFFB_INVALID, "path is empty or too long");
    for (int i = 0; i < PATHS; i++) {
        if (remove ? atomic_load(&ready[i]) : !atomic_load(&ready[i]) || strcmp(paths[i], path) != 0) continue;
        if (remove) memcpy(paths[i], path, bytes);
        atomic_store(&ready[i], remove != 0);
        return UFFB_OK;
    }
    return remove ? uffb_fail(UFFB_INVALID, "more than %d files to remove", PATHS) : UFFB_OK;
}

/* Models lie in mapped files. Where somebody cuts such a file short, the kernel has nothing to show behind its new end, and
 * raises SIGBUS in whatever reads there. The handler puts a page of zeros there, so that the reader goes on, and counts; calls
 * then report what they could not know. Nothing is unwound: threads of a team hold no lock that the handler needs, and end
 * their section as always. */
#define _DEFAULT_SOURCE
#include "mapped.h"
#include "error.h"
#include "../uffb.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sigaction previous;
static uintptr_t page;
static atomic_uint lost;

static void pass_on(int number, siginfo_t *info, void *context) {
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
        sigaction(number, &previous, NULL); /* the reader comes to the same page again */
    } else {
        previous.sa_handler(number);
    }
}

static void handle(int number, siginfo_t *info, void *context) {
    const int kept = errno;
    void *const start = (void *)((uintptr_t)info->si_addr & ~(page - 1));
    if (info->si_code == BUS_ADRERR && mmap(start, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start) {
        atomic_fetch_add(&lost, 1);
    } else {
        pass_on(number, info, context);
    }
    errno = kept;
}

static int failed;

static void install(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    failed = sigaction(SIGBUS, &action, &previous);
}

int32_t uffb_catch_sigbus(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    return failed ? uffb_fail(UFFB_UNSUPPORTED, "no handler of SIGBUS can be installed here") : UFFB_OK;
}

uint32_t uffb_lost_pages(void) { return atomic_load(&lost); }

int32_t uffb_check_lost(uint32_t before) {
    return uffb_lost_pages() == before ? UFFB_OK : uffb_fail(UFFB_LOST, "a file that is in use was cut short: open it again");
}

/* Tests of how signals end a process: each in a child of its own. */
#define _GNU_SOURCE
#include "engine_test.h"
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than any test: what waits for it shows by the signal that it exits with. */
#define FOR_EVER 100000
#define SOON 50
/* Seconds of the processor after which the kernel ends a child that nobody ended. */
#define MOST 20
/* Exit status of a child that was not ended. */
#define ALIVE 7

static int to_parent;
static volatile sig_atomic_t heard;

static void say(char what) {
    if (write(to_parent, &what, 1) != 1) _exit(99);
}

static void listen_quietly(int signal) {
    heard = signal;
    say('h');
}

static void listen_fully(int signal, siginfo_t *info, void *context) {
    heard = context && info->si_signo == signal && info->si_pid == getppid();
    say('h');
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal, &action, NULL);
}

static void must(int holds) {
    if (!holds) _exit(98);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* A child that runs `body`; when that returns it spins until a signal ends it. Signals do what they do by default, for a shell
 * has some ignored by what it starts in the background. */
typedef struct {
    pid_t pid;
    int from, to;
} child;

static child start(void (*body)(void)) {
    int up[2], down[2];
    if (pipe(up) != 0 || pipe(down) != 0) abort();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        to_parent = up[1];
        close(up[0]);
        close(down[1]);
        for (int i = 0; i < COUNT_OF(signals); i++) handle(signals[i], SIG_DFL);
        const struct rlimit most = {MOST, MOST};
        must(setrlimit(RLIMIT_CPU, &most) == 0);
        body();
        for (;;) {
        }
    }
    close(up[1]);
    close(down[0]);
    return (child){pid, up[0], down[1]};
}

/* Waits for a letter that the child says. */
static void await(child c, char what) {
    char got = 0;
    check(read(c.from, &got, 1) == 1 && got == what, "the child says %d, not %d", got, what);
}

static void check_exit(child c, int status) {
    int got = 0;
    check(waitpid(c.pid, &got, 0) == c.pid && WIFEXITED(got) && WEXITSTATUS(got) == status,
          "status %#x of a child that was to exit with %d", (unsigned)got, status);
    close(c.from);
    close(c.to);
}

static char file[64], folder[64], kept[64];

static void make_paths(void) {
    snprintf(file, sizeof file, "/tmp/uffb-interrupt-XXXXXX");
    snprintf(kept, sizeof kept, "/tmp/uffb-interrupt-XXXXXX");
    snprintf(folder, sizeof folder, "/tmp/uffb-interrupt-XXXXXX");
    close(mkstemp(file));
    close(mkstemp(kept));
    check(mkdtemp(folder) != NULL, "no folder");
}

static void name_paths(void) {
    must(uffb_interrupt_remove(file, 1) == UFFB_OK && uffb_interrupt_remove(kept, 1) == UFFB_OK);
    must(uffb_interrupt_remove(folder, 1) == UFFB_OK && uffb_interrupt_remove(kept, 0) == UFFB_OK);
}

static void check_paths(void) {
    check(access(file, F_OK) != 0, "a file is left");
    check(access(folder, F_OK) != 0, "an empty folder is left");
    check(access(kept, F_OK) == 0, "a file that was to stay is gone");
    unlink(kept);
}

static void with_nobody(void) {
    name_paths();
    must(uffb_interrupt_watch(FOR_EVER) == UFFB_OK);
    say('r');
}

static void with_handler(int32_t milliseconds) {
    name_paths();
    handle(SIGINT, listen_quietly);
    handle(SIGTERM, listen_quietly);
    must(uffb_interrupt_watch(milliseconds) == UFFB_OK);
    say('r');
}

static void with_patience(void) { with_handler(FOR_EVER); }
static void without_patience(void) { with_handler(SOON); }

static void with_full_handler(void) {
    struct sigaction action = {.sa_sigaction = listen_fully, .sa_flags = SA_SIGINFO};
    sigaction(SIGQUIT, &action, NULL);
    must(uffb_interrupt_watch(FOR_EVER) == UFFB_OK);
    say('r');
    while (!heard) {
    }
    _exit(ALIVE);
}

/* Says twice that it heard, and lives on for longer than it would have. */
static void that_obeys(void) {
    handle(SIGTERM, listen_quietly);
    must(uffb_interrupt_watch(SOON) == UFFB_OK);
    say('r');
    for (int i = 0; i < 2; i++) {
        while (!heard) {
        }
        heard = 0;
        must(uffb_interrupt_heard() == UFFB_OK);
        usleep(4 * SOON * 1000);
        say('o');
    }
    _exit(ALIVE);
}

static void that_ignores(void) {
    handle(SIGHUP, SIG_IGN);
    must(uffb_interrupt_watch(SOON) == UFFB_OK);
    must(raise(SIGHUP) == 0);
    usleep(4 * SOON * 1000);
    _exit(ALIVE);
}

static void that_is_wrong(void) {
    char path[5000];
    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = 0;
    must(uffb_interrupt_watch(0) == UFFB_INVALID && uffb_interrupt_watch(-1) == UFFB_INVALID);
    must(uffb_interrupt_watch(FOR_EVER) == UFFB_OK && uffb_interrupt_watch(SOON) == UFFB_OK);
    must(uffb_interrupt_remove(NULL, 1) == UFFB_INVALID && uffb_interrupt_remove("", 1) == UFFB_INVALID);
    must(uffb_interrupt_remove(path, 1) == UFFB_INVALID && uffb_interrupt_remove("unknown", 0) == UFFB_OK);
    for (int i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "/nowhere/%d", i);
        must(uffb_interrupt_remove(path, 1) == UFFB_OK);
    }
    must(uffb_interrupt_remove("/nowhere/16", 1) == UFFB_INVALID && strstr(uffb_error(), "more than 16"));
    must(uffb_interrupt_remove("/nowhere/3", 0) == UFFB_OK && uffb_interrupt_remove("/nowhere/16", 1) == UFFB_OK);
    _exit(ALIVE);
}

void test_interrupts(void) {
#ifdef __SANITIZE_THREAD__
    return; /* under ThreadSanitizer a signal waits for the next system call, and a child that is busy makes none */
#endif
    test_begin("signals end a process");
    for (int i = 0; i < COUNT_OF(signals); i++) {
        test_case("signal %d, and nobody listens", signals[i]);
        make_paths();
        child c = start(with_nobody);
        await(c, 'r');
        kill(c.pid, signals[i]);
        check_exit(c, 128 + signals[i]);
        check_paths();
    }
    test_case("a handler that does nothing");
    make_paths();
    child c = start(without_patience);
    await(c, 'r');
    kill(c.pid, SIGINT);
    await(c, 'h');
    check_exit(c, 128 + SIGINT);
    check_paths();

    test_case("the second signal does not wait");
    make_paths();
    c = start(with_patience);
    await(c, 'r');
    kill(c.pid, SIGINT);
    await(c, 'h');
    kill(c.pid, SIGTERM);
    check_exit(c, 128 + SIGTERM);
    check_paths();

    test_case("a handler gets all that the kernel says");
    c = start(with_full_handler);
    await(c, 'r');
    kill(c.pid, SIGQUIT);
    await(c, 'h');
    check_exit(c, ALIVE);

    test_case("who hears may take its time, and every time anew");
    c = start(that_obeys);
    await(c, 'r');
    for (int i = 0; i < 2; i++) {
        kill(c.pid, SIGTERM);
        await(c, 'h');
        await(c, 'o');
    }
    check_exit(c, ALIVE);

    test_case("a signal that is ignored");
    c = start(that_ignores);
    check_exit(c, ALIVE);
    test_case("arguments");
    c = start(that_is_wrong);
    check_exit(c, ALIVE);
    test_end();
}

/* simt.h: a CPU stand-in for the CUDA language, so that a C++ compiler can build the kernels and a test can run them.
 *
 * Blocks run one after another; the threads of a block are fibers, which change places at barriers and warp-wide exchanges.
 * What a device would leave undefined fails the launch (cudaErrorLaunchFailure, and a line on stderr that names kernel, block
 * and thread): a thread missing at a barrier, an exchange that not all lanes of its mask take part in, writes past dynamic
 * shared memory. Shared memory is filled with NaNs before each block, and so is the target of an asynchronous copy until the
 * copy is waited for. UFFB_SIMT_ORDER=reverse runs threads and blocks in the other order, which shows a missing barrier.
 */
#ifndef UFFB_SIMT_H
#define UFFB_SIMT_H

#include "simt_types.h"

#include <functional>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <tuple>
#include <ucontext.h>
#include <vector>

#define __shared__ static __attribute__((section("simt_shared")))
extern "C" {
extern unsigned char __start_simt_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_simt_shared[] __attribute__((weak, visibility("hidden")));
}

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace simt {

constexpr int MAX_THREADS = 1024, LANES = 32, SNAPSHOTS = 64;
constexpr size_t STACK = 256 << 10, MOST_SHARED = 227 << 10, GUARD = 4096;

enum state { DONE, READY, AT_BARRIER, AT_EXCHANGE };

struct copy {
    void *to; /* NULL ends a group */
    const void *from;
};

struct fiber {
    ucontext_t start;
    jmp_buf here;
    bool started;
    uint3 index;          /* its threadIdx */
    uint32_t mask;        /* of the exchange it waits for */
    const char *exchange; /* and which one that is */
    uint64_t value;       /* what it gives */
    const uint64_t *seen; /* [LANES]: what all gave */
    std::vector<copy> copies;
};

struct machine {
    fiber fibers[MAX_THREADS];
    state states[MAX_THREADS]; /* apart: they are looked through all the time */
    unsigned char *stacks;
    unsigned char *dynamic; /* MOST_SHARED + GUARD */
    jmp_buf home;
    std::function<void()> body;
    const char *kernel;
    int threads, current;
    size_t shared;
    uint64_t snapshots[MAX_THREADS / LANES][SNAPSHOTS][LANES];
    int snapshot[MAX_THREADS / LANES];
    bool failed;
    bool reversed;
    std::vector<std::pair<const void *, size_t>> allowed; /* kernels that may have more than 48 KB of dynamic shared memory */
};

inline machine *make_machine() {
    machine *x = new machine();
    const int how = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    x->stacks = (unsigned char *)mmap(NULL, STACK * MAX_THREADS, how, kind, -1, 0);
    x->dynamic = (unsigned char *)aligned_alloc(128, MOST_SHARED + GUARD);
    if (x->stacks == MAP_FAILED || !x->dynamic) abort();
    /* An overflowing stack runs into a page that cannot be written. */
    for (int i = 0; i < MAX_THREADS; i++) mprotect(x->stacks + STACK * (size_t)i, 4096, PROT_NONE);
    const char *order = getenv("UFFB_SIMT_ORDER");
    x->reversed = order && !strcmp(order, "reverse");
    return x;
}

/* Made before main, so that asking for it, which every exchange does several times, is a load. */
inline machine *const the_machine = make_machine();
inline machine &m() { return *the_machine; }

inline void fail(const char *what) {
    if (!m().failed) {
        fprintf(stderr, "simulator: %s: block %u,%u thread %d: %s\n", m().kernel, blockIdx.x, blockIdx.y, m().current, what);
    }
    m().failed = true;
}

/* --- fibers --------------------------------------------------------------------------------------------------------------- */

inline fiber &self() { return m().fibers[m().current]; }

/* Back to the scheduler, until it resumes this thread. */
__attribute__((noinline)) inline void wait(state why) {
    m().states[m().current] = why;
    if (!_setjmp(self().here)) _longjmp(m().home, 1);
}

/* A fiber is used again for the next block: making one costs two system calls. */
inline void fiber_main() {
    for (;;) {
        m().body();
        wait(DONE);
    }
}

__attribute__((noinline)) inline void resume(int thread) {
    m().current = thread;
    fiber &f = self();
    threadIdx = f.index;
    if (_setjmp(m().home)) return;
    if (f.started) _longjmp(f.here, 1);
    f.started = true;
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = m().stacks + STACK * (size_t)thread;
    f.start.uc_stack.ss_size = STACK;
    f.start.uc_link = NULL;
    makecontext(&f.start, fiber_main, 0);
    setcontext(&f.start);
}

/* Resumes the lanes of a warp whose exchange is complete. */
inline bool release_warp(int first) {
    bool released = false;
    for (int lane = 0; lane < LANES && first + lane < m().threads; lane++) {
        if (m().states[first + lane] != AT_EXCHANGE) continue;
        fiber &f = m().fibers[first + lane];
        bool complete = true;
        for (int other = 0; other < LANES && complete; other++) {
            if (!(f.mask >> other & 1)) continue;
            const fiber *g = first + other < m().threads ? &m().fibers[first + other] : NULL;
            complete = g && m().states[first + other] == AT_EXCHANGE && g->mask == f.mask && g->exchange == f.exchange;
        }
        if (!complete) continue;
        uint64_t *seen = m().snapshots[first / LANES][m().snapshot[first / LANES]++ % SNAPSHOTS];
        const uint32_t mask = f.mask;
        for (int other = 0; other < LANES; other++) {
            if (!(mask >> other & 1)) continue;
            fiber &g = m().fibers[first + other];
            seen[other] = g.value;
            g.seen = seen;
            m().states[first + other] = READY;
        }
        released = true;
    }
    return released;
}

/* Runs a warp until all its lanes are done or wait for other warps. */
inline void run_warp(int first) {
    const int lanes = m().threads - first < LANES ? m().threads - first : LANES;
    do {
        for (int i = 0; i < lanes; i++) {
            const int thread = first + (m().reversed ? lanes - 1 - i : i);
            if (m().states[thread] == READY) resume(thread);
        }
    } while (release_warp(first));
}

inline bool release_block(int *done) {
    int waiting = 0;
    *done = 0;
    for (int i = 0; i < m().threads; i++) {
        waiting += m().states[i] == AT_BARRIER;
        *done += m().states[i] == DONE;
    }
    if (waiting < m().threads) return false;
    for (int i = 0; i < m().threads; i++) m().states[i] = READY;
    return true;
}

inline void run_block() {
    if (__start_simt_shared) memset(__start_simt_shared, 0xff, (size_t)(__stop_simt_shared - __start_simt_shared));
    memset(m().dynamic, 0xff, m().shared);
    memset(m().dynamic + m().shared, 0xa5, GUARD);
    for (int i = 0; i < m().threads; i++) {
        fiber &f = m().fibers[i];
        if (m().states[i] != DONE) f.started = false; /* left behind by a launch that failed */
        m().states[i] = READY;
        if (!f.copies.empty()) f.copies.clear();
    }
    for (int done = 0; done < m().threads;) {
        for (int i = 0; i < m().threads; i += LANES) run_warp(m().reversed ? (m().threads - 1) / LANES * LANES - i : i);
        if (release_block(&done) || done == m().threads) continue;
        for (int i = 0; i < m().threads; i++) {
            if (m().states[i] == DONE) continue;
            m().current = i;
            fail(m().states[i] == AT_BARRIER ? "waits at a barrier that not all threads reach"
                                             : "waits for lanes that do not take part in its exchange");
            return;
        }
    }
    for (size_t i = 0; i < GUARD; i++) {
        if (m().dynamic[m().shared + i] != 0xa5) {
            fail("wrote past its dynamic shared memory");
            return;
        }
    }
}

template <class... P, class... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, void *stream, A... args) {
    (void)stream;
    machine &x = m();
    const std::tuple<P...> parameters{static_cast<P>(args)...};
    size_t most = 48 << 10;
    for (const auto &entry : x.allowed) {
        if (entry.first == (const void *)kernel) most = entry.second;
    }
    x.kernel = name;
    x.threads = (int)(block.x * block.y * block.z);
    x.shared = shared;
    x.current = 0;
    blockDim = block;
    gridDim = grid;
    if (x.threads < 1 || x.threads > MAX_THREADS || shared > most || !grid.x || !grid.y || !grid.z || grid.x > INT32_MAX ||
        grid.y > 65535 || grid.z > 65535) {
        fail("has an impossible grid, block or amount of shared memory");
        return;
    }
    for (int i = 0; i < x.threads; i++) {
        const unsigned thread = (unsigned)i;
        x.fibers[i].index = {thread % block.x, thread / block.x % block.y, thread / (block.x * block.y)};
    }
    x.body = [&] { std::apply(kernel, parameters); };
    const int64_t blocks = (int64_t)grid.x * grid.y * grid.z;
    for (int64_t i = 0; i < blocks && !x.failed; i++) {
        const int64_t b = x.reversed ? blocks - 1 - i : i;
        blockIdx.x = (unsigned)(b % grid.x);
        blockIdx.y = (unsigned)(b / grid.x % grid.y);
        blockIdx.z = (unsigned)(b / grid.x / grid.y);
        run_block();
    }
}

inline void *dynamic_shared() { return m().dynamic; }

/* --- exchanges ------------------------------------------------------------------------------------------------------------ */

/* The values that the lanes of `mask` gave. */
inline const uint64_t *exchange(const char *which, uint32_t mask, uint64_t value) {
    fiber &f = self();
    if (!(mask >> (m().current % LANES) & 1)) fail("takes part in an exchange whose mask leaves it out");
    f.mask = mask;
    f.exchange = which;
    f.value = value;
    wait(AT_EXCHANGE);
    return f.seen;
}

inline constexpr char SHUFFLE[] = "shuffle", BALLOT[] = "ballot", SYNC[] = "sync";

template <class T> T shuffle(uint32_t mask, T value, int source) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    const uint64_t *seen = exchange(SHUFFLE, mask, bits);
    if (!(mask >> source & 1)) fail("reads from a lane that the mask leaves out");
    memcpy(&value, &seen[source], sizeof value);
    return value;
}

inline int lane() { return m().current % LANES; }

/* --- asynchronous copies -------------------------------------------------------------------------------------------------- */

inline void copy_async(void *shared, const void *global) {
    if (((uintptr_t)shared | (uintptr_t)global) % 16) fail("copies asynchronously from or to an odd address");
    memset(shared, 0xff, 16);
    self().copies.push_back({shared, global});
}

inline void copy_async_commit() { self().copies.push_back({NULL, NULL}); }

inline void copy_async_wait(int left) {
    std::vector<copy> &copies = self().copies;
    int groups = 0;
    size_t n = 0;
    for (const copy &c : copies) groups += !c.to;
    for (; n < copies.size() && groups > left; n++) {
        if (copies[n].to) memcpy(copies[n].to, copies[n].from, 16);
        groups -= !copies[n].to;
    }
    copies.erase(copies.begin(), copies.begin() + (std::ptrdiff_t)n);
}

} // namespace simt

/* --- the language --------------------------------------------------------------------------------------------------------- */

inline void __syncthreads() { simt::wait(simt::AT_BARRIER); }
inline void __syncwarp(uint32_t mask = ~0u) { simt::exchange(simt::SYNC, mask, 0); }

template <class T> T __shfl_sync(uint32_t mask, T value, int source, int width = 32) {
    return simt::shuffle(mask, value, simt::lane() / width * width + (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(uint32_t mask, T value, int lanes, int width = 32) {
    const int source = simt::lane() ^ lanes;
    return simt::shuffle(mask, value, source / width == simt::lane() / width ? source : simt::lane());
}
template <class T> T __shfl_down_sync(uint32_t mask, T value, unsigned by, int width = 32) {
    const int source = simt::lane() + (int)by;
    return simt::shuffle(mask, value, source / width == simt::lane() / width ? source : simt::lane());
}
template <class T> T __shfl_up_sync(uint32_t mask, T value, unsigned by, int width = 32) {
    const int source = simt::lane() - (int)by;
    return simt::shuffle(mask, value, source >= simt::lane() / width * width ? source : simt::lane());
}

inline uint32_t __ballot_sync(uint32_t mask, bool holds) {
    const uint64_t *seen = simt::exchange(simt::BALLOT, mask, holds);
    uint32_t result = 0;
    for (int i = 0; i < 32; i++) result |= (mask >> i & 1 && seen[i] ? 1u : 0u) << i;
    return result;
}
inline bool __any_sync(uint32_t mask, bool holds) { return __ballot_sync(mask, holds) != 0; }
inline bool __all_sync(uint32_t mask, bool holds) { return __ballot_sync(mask, holds) == mask; }

template <class T> T atomicAdd(T *p, T by) {
    const T old = *p;
    *p += by;
    return old;
}
template <class T> T atomicMax(T *p, T other) {
    const T old = *p;
    if (other > old) *p = other;
    return old;
}
inline void __threadfence() {}

#endif

#include "blas.h"
#include "../engine/error.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A symbol as a function of any type: ISO C has no cast from void * to a function pointer. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

typedef struct {
    int major, minor, patch;
} dnnl_version_start;

/* Each library has its own way to say what it is. */
static void read_version(uffb_blas *b) {
    char *(*text)(void) = NULL;
    void (*fill)(char *, int) = NULL;
    const dnnl_version_start *(*dnnl)(void) = NULL;
    const char *(*core)(void) = NULL;
    find(b->library, "openblas_get_config", &text);
    find(b->library, "openblas_get_corename", &core);
    if (text) {
        snprintf(b->version, sizeof b->version, "%.160s kernels %.32s", text(), core ? core() : "?");
        return;
    }
    find(b->library, "mkl_get_version_string", &fill);
    if (fill) {
        fill(b->version, (int)sizeof b->version - 1);
        for (size_t n = strlen(b->version); n && b->version[n - 1] == ' '; n--) b->version[n - 1] = 0;
        return;
    }
    find(b->library, "bli_info_get_version_str", &text);
    if (text) {
        snprintf(b->version, sizeof b->version, "BLIS %.64s", text());
        return;
    }
    find(b->library, "dnnl_version", &dnnl);
    if (dnnl) {
        const dnnl_version_start *v = dnnl();
        snprintf(b->version, sizeof b->version, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
        return;
    }
    snprintf(b->version, sizeof b->version, "a BLAS without a version");
}

int32_t uffb_blas_open(const char *path, uffb_blas **blas) {
    if (!path || !blas) return uffb_fail(UFFB_INVALID, "uffb_blas_open: no path or nowhere to put the library");
    *blas = NULL;
    uffb_blas *b = calloc(1, sizeof *b);
    if (!b) return uffb_fail(UFFB_NO_MEMORY, "no memory for a BLAS");
    b->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!b->library) {
        int32_t status = uffb_fail(UFFB_INVALID, "cannot open the BLAS: %.200s", dlerror());
        free(b);
        return status;
    }
    find(b->library, "cblas_sdot", &b->sdot);
    find(b->library, "cblas_saxpy", &b->saxpy);
    find(b->library, "cblas_sgemv", &b->sgemv);
    find(b->library, "cblas_sgemm", &b->sgemm);
    find(b->library, "dnnl_sgemm", &b->dnnl);
    find(b->library, "openblas_set_num_threads", &b->set_threads[0]);
    find(b->library, "MKL_Set_Num_Threads", &b->set_threads[1]);
    find(b->library, "omp_set_num_threads", &b->set_threads[2]);
    find(b->library, "bli_thread_set_num_threads", &b->set_threads_blis);
    if (!b->sgemm && !b->dnnl) {
        uffb_blas_close(b);
        return uffb_fail(UFFB_INVALID, "%.160s has neither cblas_sgemm nor dnnl_sgemm", path);
    }
    read_version(b);
    *blas = b;
    return UFFB_OK;
}

void uffb_blas_close(uffb_blas *b) {
    if (!b) return;
    /* A library is never unloaded: threads that it started would go on without its code. */
    uffb_own_free(b->own);
    free(b);
}

const char *uffb_blas_version(const uffb_blas *b) { return b ? b->version : ""; }

int32_t uffb_blas_levels(const uffb_blas *b) { return b && b->sdot && b->saxpy && b->sgemv && (b->sgemm || b->own) ? 3 : 0; }

int32_t uffb_blas_sgemm(const uffb_blas *b, int transposed, int64_t m, int64_t n, int64_t k, const float *a, const float *w,
                        float beta, float *c) {
    if (b->own) return uffb_own_sgemm(b->own, transposed, m, n, k, a, w, beta, c);
    const int64_t ldw = transposed ? k : n;
    if (b->dnnl) {
        b->dnnl('N', transposed ? 'T' : 'N', m, n, k, 1.0f, a, k, w, ldw, beta, c, n);
    } else {
        b->sgemm(BLAS_ROW_MAJOR, BLAS_NO_TRANS, transposed ? BLAS_TRANS : BLAS_NO_TRANS, (int)m, (int)n, (int)k, 1.0f, a,
                 (int)k, w, (int)ldw, beta, c, (int)n);
    }
    return UFFB_OK;
}

int32_t uffb_blas_set_threads(const uffb_blas *b, int32_t threads) {
    if (b->own) return uffb_own_set_threads(b->own, threads);
    for (int i = 0; i < 3; i++) {
        if (b->set_threads[i]) b->set_threads[i](threads);
    }
    if (b->set_threads_blis) b->set_threads_blis(threads);
    return UFFB_OK;
}

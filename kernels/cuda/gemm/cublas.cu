/* cuBLAS and cuBLASLt at run time. Their headers may be missing where this is built, so the few types and values that it needs
 * are here; cuBLAS 11, 12 and 13 agree on them (cublas_api.h, cublasLt.h). Column-major: our row-major c = a w^T is its c^T = w
 * a^T. */
#include "gemm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

enum { OP_N = 0, OP_T = 1 };                             /* cublasOperation_t */
enum { R_32F = 0, R_16F = 2, R_16BF = 14 };              /* cudaDataType */
enum { COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77 };   /* cublasComputeType_t */
enum { GEMM_DEFAULT = -1 };                              /* cublasGemmAlgo_t */
enum { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS = 8 }; /* cublasLtMatmulDescAttributes_t */
/* cublasLtMatmulPreferenceAttributes_t */
enum { MAX_WORKSPACE = 1, ALIGNMENT_A = 5, ALIGNMENT_B = 6, ALIGNMENT_C = 7, ALIGNMENT_D = 8 };
enum { EPILOGUE_DEFAULT = 1, EPILOGUE_RELU = 2, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32 }; /* cublasLtEpilogue_t; flags */

typedef struct {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} heuristic; /* cublasLtMatmulHeuristicResult_t */

static struct {
    char version[64];
    int (*GetProperty)(int type, int *value);
    int (*Create)(void **handle);
    int (*Destroy)(void *handle);
    int (*SetStream)(void *handle, cudaStream_t stream);
    int (*SetWorkspace)(void *handle, void *workspace, size_t bytes);
    int (*GemmEx)(void *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *a, int atype,
                  int lda, const void *b, int btype, int ldb, const void *beta, void *c, int ctype, int ldc, int compute,
                  int algorithm);
    int (*LtCreate)(void **handle);
    int (*LtDestroy)(void *handle);
    int (*DescCreate)(void **desc, int compute, int scale);
    int (*DescDestroy)(void *desc);
    int (*DescSet)(void *desc, int attribute, const void *value, size_t bytes);
    int (*LayoutCreate)(void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld);
    int (*LayoutDestroy)(void *layout);
    int (*PreferenceCreate)(void **preference);
    int (*PreferenceDestroy)(void *preference);
    int (*PreferenceSet)(void *preference, int attribute, const void *value, size_t bytes);
    int (*Heuristic)(void *lt, void *desc, void *a, void *b, void *c, void *d, void *preference, int wanted, heuristic *results,
                     int *found);
    int (*Matmul)(void *lt, void *desc, const void *alpha, const void *a, void *alayout, const void *b, void *blayout,
                  const void *beta, const void *c, void *clayout, void *d, void *dlayout, const void *algorithm,
                  void *workspace, size_t bytes, cudaStream_t stream);
} api;

/* --- finding the libraries ------------------------------------------------------------------------------------------------ */

#ifndef UFFB_SIMT
static void *open_library(const char *name, const char *version) {
    char file[64];
    snprintf(file, sizeof file, "lib%s.so%s", name, version);
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library) return library;
    char path[128]; /* where the toolkit lies when the loader has not been told */
    snprintf(path, sizeof path, "/usr/local/cuda/lib64/%s", file);
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Both of one version: the newest that is there and works. */
static bool open_both(void **blas, void **lt) {
    static const char *const versions[] = {".13", ".12", ".11", ""};
    for (const char *version : versions) {
        *blas = open_library("cublas", version);
        *lt = *blas ? open_library("cublasLt", version) : NULL;
        if (*lt) return true;
        if (*blas) dlclose(*blas);
    }
    return false;
}

static bool find_all() {
    void *blas, *lt;
    if (!open_both(&blas, &lt)) return false;
    const struct {
        void *library;
        const char *name;
        void *function;
    } wanted[] = {
        {blas, "cublasGetProperty", &api.GetProperty},
        {blas, "cublasCreate_v2", &api.Create},
        {blas, "cublasDestroy_v2", &api.Destroy},
        {blas, "cublasSetStream_v2", &api.SetStream},
        {blas, "cublasSetWorkspace_v2", &api.SetWorkspace},
        {blas, "cublasGemmEx", &api.GemmEx},
        {lt, "cublasLtCreate", &api.LtCreate},
        {lt, "cublasLtDestroy", &api.LtDestroy},
        {lt, "cublasLtMatmulDescCreate", &api.DescCreate},
        {lt, "cublasLtMatmulDescDestroy", &api.DescDestroy},
        {lt, "cublasLtMatmulDescSetAttribute", &api.DescSet},
        {lt, "cublasLtMatrixLayoutCreate", &api.LayoutCreate},
        {lt, "cublasLtMatrixLayoutDestroy", &api.LayoutDestroy},
        {lt, "cublasLtMatmulPreferenceCreate", &api.PreferenceCreate},
        {lt, "cublasLtMatmulPreferenceDestroy", &api.PreferenceDestroy},
        {lt, "cublasLtMatmulPreferenceSetAttribute", &api.PreferenceSet},
        {lt, "cublasLtMatmulAlgoGetHeuristic", &api.Heuristic},
        {lt, "cublasLtMatmul", &api.Matmul},
    };
    for (const auto &f : wanted) {
        void *symbol = dlsym(f.library, f.name);
        if (!symbol) return false;
        memcpy(f.function, &symbol, sizeof symbol);
    }
    int version[3];
    for (int i = 0; i < 3; i++) {
        if (api.GetProperty(i, &version[i])) return false;
    }
    snprintf(api.version, sizeof api.version, "cuBLAS %d.%d.%d", version[0], version[1], version[2]);
    return true;
}
#else
static bool find_all() { return false; }
#endif

/* The libraries are never closed: threads that they started would go on without their code. */
static bool found() {
    static const bool all = find_all();
    return all;
}

const char *uffb_cublas_version(void) { return found() ? api.version : ""; }

/* --- handles -------------------------------------------------------------------------------------------------------------- */

/* How cuBLASLt computes one shape. */
struct plan {
    uffb_cuda_gemm shape; /* its pointers are not part of it */
    int tensor, biased;
    void *desc, *a, *w, *c;
    heuristic chosen;
    bool tuned;
};

struct uffb_cublas {
    void *handle, *lt;
    void *workspace;
    bool tunes;
    std::vector<plan> plans;
};

/* What NVIDIA recommends for Hopper. */
static const size_t WORKSPACE = (size_t)32 << 20;
/* Batches of an encoder have many sizes; beyond this many plans, all are dropped. */
static const size_t MOST_PLANS = 512;

static int32_t refused(const char *what, int status) {
    return uffb_cuda_fail(status == 3 ? UFFB_NO_MEMORY : UFFB_UNSUPPORTED, "%s failed with status %d", what, status);
}

static void forget(const plan &p) {
    if (p.desc) api.DescDestroy(p.desc);
    for (void *layout : {p.a, p.w, p.c}) {
        if (layout) api.LayoutDestroy(layout);
    }
}

static void forget_plans(uffb_cublas *b) {
    for (const plan &p : b->plans) forget(p);
    b->plans.clear();
}

int32_t uffb_cublas_new(uffb_cublas **blas) {
    *blas = NULL;
    if (!found()) return UFFB_OK;
    uffb_cublas *b = new uffb_cublas();
    int status = api.Create(&b->handle);
    if (!status) status = api.LtCreate(&b->lt);
    cudaError_t error = status ? cudaSuccess : cudaMalloc(&b->workspace, WORKSPACE);
    if (!status && error == cudaSuccess) status = api.SetWorkspace(b->handle, b->workspace, WORKSPACE);
    if (!status && error == cudaSuccess) {
        *blas = b;
        return UFFB_OK;
    }
    uffb_cublas_free(b);
    /* A cuBLAS that does not start counts as missing. */
    return status ? UFFB_OK : uffb_cuda_failed(error, "allocating cuBLAS's workspace");
}

void uffb_cublas_tune(uffb_cublas *b, bool on) {
    if (b) b->tunes = on;
}

void uffb_cublas_free(uffb_cublas *b) {
    if (!b) return;
    forget_plans(b);
    if (b->lt) api.LtDestroy(b->lt);
    if (b->handle) api.Destroy(b->handle);
    cudaFree(b->workspace);
    delete b;
}

/* --- multiplying ---------------------------------------------------------------------------------------------------------- */

static int type_of(const uffb_cuda_gemm *g) { return g->dtype == UFFB_F32 ? R_32F : g->dtype == UFFB_F16 ? R_16F : R_16BF; }

static int compute_of(const uffb_cuda_gemm *g, int tensor) {
    return g->dtype == UFFB_F32 && tensor ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
}

static const float one = 1.0f, zero = 0.0f;

int32_t uffb_cublas_gemm(uffb_cublas *b, const uffb_cuda_gemm *g, int tensor, cudaStream_t stream) {
    if (g->m > INT32_MAX || g->n > INT32_MAX || g->k > INT32_MAX)
        return uffb_cuda_fail(UFFB_UNSUPPORTED, "a matrix has more rows or columns than cuBLAS can count");
    const int type = type_of(g);
    int status = api.SetStream(b->handle, stream);
    /* Choosing a stream takes the workspace away, and captured calls need one of their own. */
    if (!status) status = api.SetWorkspace(b->handle, b->workspace, WORKSPACE);
    if (!status) {
        status = api.GemmEx(b->handle, g->columns ? OP_N : OP_T, OP_N, (int)g->n, (int)g->m, (int)g->k, &one, g->w, type,
                            (int)(g->columns ? g->n : g->k), g->a, type, (int)g->k, &zero, g->c, type, (int)g->n,
                            compute_of(g, tensor), GEMM_DEFAULT);
    }
    if (status) return refused("cublasGemmEx", status);
    return uffb_cuda_epilogue(g, stream);
}

/* 0 when cuBLASLt has no epilogue for it. Its GELU is the tanh form. */
static int epilogue_of(const uffb_cuda_gemm *g) {
    const int bias = g->bias ? EPILOGUE_BIAS : 0;
    switch (g->activation) {
    case UFFB_IDENTITY: return bias ? bias : EPILOGUE_DEFAULT;
    case UFFB_RELU: return EPILOGUE_RELU | bias;
    case UFFB_GELU_TANH: return EPILOGUE_GELU | bias;
    default: return 0;
    }
}

bool uffb_cublaslt_fuses(const uffb_cuda_gemm *g) { return epilogue_of(g) != 0; }

static bool same_shape(const plan &p, const uffb_cuda_gemm *g, int tensor) {
    const uffb_cuda_gemm &s = p.shape;
    return s.m == g->m && s.n == g->n && s.k == g->k && s.dtype == g->dtype && s.activation == g->activation &&
           s.columns == g->columns && p.tensor == tensor && p.biased == (g->bias != NULL);
}

static int set_bias(const plan &p, const uffb_cuda_gemm *g) {
    return g->bias ? api.DescSet(p.desc, BIAS, &g->bias, sizeof g->bias) : 0;
}

static int multiply(uffb_cublas *b, const plan &p, const uffb_cuda_gemm *g, const heuristic &way, cudaStream_t stream) {
    const int status = set_bias(p, g);
    return status ? status
                  : api.Matmul(b->lt, p.desc, &one, g->w, p.w, g->a, p.a, &zero, g->c, p.c, g->c, p.c, way.algorithm,
                               b->workspace, WORKSPACE, stream);
}

/* What the address of a matrix divides by, if whole rows lie between it and a boundary of 256 bytes. */
static uint32_t alignment(const uffb_cuda_gemm *g, int64_t row) {
    const uint64_t bytes = (uint64_t)(row * uffb_dtype_bytes(g->dtype)) | 256;
    return (uint32_t)(bytes & (~bytes + 1));
}

/* Fills in the plan and ways to compute it, the most promising first. */
static int describe(uffb_cublas *b, plan *p, const uffb_cuda_gemm *g, std::vector<heuristic> *ways) {
    const int type = type_of(g), transa = g->columns ? OP_N : OP_T, transb = OP_N, epilogue = epilogue_of(g);
    const uint64_t n = (uint64_t)g->n, m = (uint64_t)g->m, k = (uint64_t)g->k;
    const struct {
        int attribute;
        uint32_t bytes;
    } alignments[] = {{ALIGNMENT_A, alignment(g, g->columns ? g->n : g->k)},
                      {ALIGNMENT_B, alignment(g, g->k)},
                      {ALIGNMENT_C, alignment(g, g->n)},
                      {ALIGNMENT_D, alignment(g, g->n)}};
    void *preference = NULL;
    int count = 0, status = api.DescCreate(&p->desc, compute_of(g, p->tensor), R_32F);
    if (!status) status = api.DescSet(p->desc, TRANSA, &transa, sizeof transa);
    if (!status) status = api.DescSet(p->desc, TRANSB, &transb, sizeof transb);
    if (!status) status = api.DescSet(p->desc, EPILOGUE, &epilogue, sizeof epilogue);
    if (!status) status = set_bias(*p, g);
    if (!status) status = g->columns ? api.LayoutCreate(&p->w, type, n, k, g->n) : api.LayoutCreate(&p->w, type, k, n, g->k);
    if (!status) status = api.LayoutCreate(&p->a, type, k, m, g->k);
    if (!status) status = api.LayoutCreate(&p->c, type, n, m, g->n);
    if (!status) status = api.PreferenceCreate(&preference);
    if (!status) status = api.PreferenceSet(preference, MAX_WORKSPACE, &WORKSPACE, sizeof WORKSPACE);
    for (const auto &a : alignments) {
        if (!status) status = api.PreferenceSet(preference, a.attribute, &a.bytes, sizeof a.bytes);
    }
    heuristic found[16] = {};
    if (!status) status = api.Heuristic(b->lt, p->desc, p->w, p->a, p->c, p->c, preference, p->tuned ? 16 : 4, found, &count);
    if (preference) api.PreferenceDestroy(preference);
    for (int i = 0; i < count && !status; i++) {
        if (!found[i].state) ways->push_back(found[i]);
    }
    return status ? status : ways->empty() ? 15 /* CUBLAS_STATUS_NOT_SUPPORTED */ : 0;
}

/* Calls of a graph, so that the device is timed and not the launches. */
static const int TIMED_CALLS = 20;

/* Captures calls of one way. */
static bool capture(uffb_cublas *b, const plan &p, const uffb_cuda_gemm *g, const heuristic &way, cudaStream_t stream,
                    cudaGraphExec_t *exec) {
    if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess) return false;
    int status = 0;
    for (int i = 0; i < TIMED_CALLS && !status; i++) status = multiply(b, p, g, way, stream);
    cudaGraph_t graph = NULL;
    const bool captured = cudaStreamEndCapture(stream, &graph) == cudaSuccess && !status;
    const bool ready = captured && cudaGraphInstantiateWithFlags(exec, graph, 0) == cudaSuccess;
    if (graph) cudaGraphDestroy(graph);
    return ready;
}

/* Milliseconds of a few calls, the second time; INFINITY when they fail. */
static float time_way(uffb_cublas *b, const plan &p, const uffb_cuda_gemm *g, const heuristic &way, cudaStream_t stream,
                      const cudaEvent_t *event) {
    float ms = INFINITY;
    cudaGraphExec_t exec = NULL;
    if (capture(b, p, g, way, stream, &exec) && cudaGraphLaunch(exec, stream) == cudaSuccess &&
        cudaEventRecord(event[0], stream) == cudaSuccess && cudaGraphLaunch(exec, stream) == cudaSuccess &&
        cudaEventRecord(event[1], stream) == cudaSuccess && cudaEventSynchronize(event[1]) == cudaSuccess &&
        cudaEventElapsedTime(&ms, event[0], event[1]) != cudaSuccess) {
        ms = INFINITY;
    }
    if (exec) cudaGraphExecDestroy(exec);
    cudaGetLastError(); /* of a way that failed; one that broke the device fails the next call, too */
    return ms;
}

static void choose_fastest(uffb_cublas *b, plan *p, const uffb_cuda_gemm *g, const std::vector<heuristic> &ways,
                           cudaStream_t stream) {
    cudaEvent_t event[2] = {NULL, NULL};
    if (cudaEventCreate(&event[0]) == cudaSuccess && cudaEventCreate(&event[1]) == cudaSuccess) {
        float best = INFINITY;
        for (const heuristic &way : ways) {
            const float ms = time_way(b, *p, g, way, stream, event);
            if (ms < best) {
                best = ms;
                p->chosen = way;
            }
        }
    }
    for (cudaEvent_t e : event) {
        if (e) cudaEventDestroy(e);
    }
}

static int32_t find_plan(uffb_cublas *b, const uffb_cuda_gemm *g, int tensor, cudaStream_t stream, const plan **out) {
    for (auto p = b->plans.begin(); p != b->plans.end(); ++p) {
        if (!same_shape(*p, g, tensor)) continue;
        if (p->tuned || !b->tunes) {
            *out = &*p;
            return UFFB_OK;
        }
        forget(*p);
        b->plans.erase(p);
        break;
    }
    if (b->plans.size() >= MOST_PLANS) forget_plans(b);
    plan p = {*g, tensor, g->bias != NULL, NULL, NULL, NULL, NULL, {}, b->tunes};
    std::vector<heuristic> ways;
    const int status = describe(b, &p, g, &ways);
    if (status) {
        forget(p);
        return refused("cublasLtMatmulAlgoGetHeuristic", status);
    }
    p.chosen = ways[0];
    if (p.tuned && ways.size() > 1) choose_fastest(b, &p, g, ways, stream);
    b->plans.push_back(p);
    *out = &b->plans.back();
    return UFFB_OK;
}

int32_t uffb_cublaslt_gemm(uffb_cublas *b, const uffb_cuda_gemm *g, int tensor, cudaStream_t stream) {
    if (!epilogue_of(g)) return uffb_cuda_fail(UFFB_UNSUPPORTED, "cuBLASLt has no epilogue with this activation");
    const plan *p = NULL;
    const int32_t status = find_plan(b, g, tensor, stream, &p);
    if (status) return status;
    const int error = multiply(b, *p, g, p->chosen, stream);
    return error ? refused("cublasLtMatmul", error) : UFFB_OK;
}

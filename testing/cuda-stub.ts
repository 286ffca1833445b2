/** CUDA libraries for tests, with nothing behind them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bindCuda, type CudaLibrary } from "../ffi/cuda-library.ts";
import { native } from "../ffi/library.ts";
import type { Koffi } from "../ffi/open.ts";

export const koffi = createRequire(import.meta.url)("koffi") as Koffi;
const INCLUDE = fileURLToPath(new URL("../kernels/cuda", import.meta.url));

/**
 * A library with DEVICES devices: FAIL is the status of all calls that would use one, ENCODE that of an encode, whose states are the ids.
 * Its one contender, a dense one, takes a second for a call, and is wrong by 1.
 */
const STUB = `
#include <string.h>
#include "uffb_cuda.h"
#ifndef VERSION
#define VERSION UFFB_CUDA_ABI_VERSION
#endif
#ifndef FAIL
#define FAIL UFFB_OK
#endif
#ifndef ENCODE
#define ENCODE UFFB_OK
#endif
#ifndef DEVICES
#define DEVICES 2
#endif
int32_t uffb_cuda_abi_version(void) { return VERSION; }
const char *uffb_cuda_error(void) { return "the line of the thread"; }
const char *uffb_cuda_encoder_error(const uffb_cuda_encoder *encoder) { return "the line of the encoder"; }
int32_t uffb_cuda_device_count(int32_t *count) {
    *count = DEVICES;
    return DEVICES > 0 ? UFFB_OK : FAIL;
}
int32_t uffb_cuda_device_info(int32_t device, uffb_cuda_info *info) {
    memset(info, 0, sizeof *info);
    strcpy(info->name, device == 0 ? "First" : "Second");
    info->memory = 80000000000;
    info->capability = 90;
    return UFFB_OK;
}
int32_t uffb_cuda_encoder_new(const uffb_model *model, int32_t device, int32_t dtype, uffb_cuda_encoder **encoder) {
    *encoder = (uffb_cuda_encoder *)(intptr_t)(device + 1);
    return FAIL;
}
void uffb_cuda_encoder_free(uffb_cuda_encoder *encoder) {}
void uffb_cuda_encoder_tune(uffb_cuda_encoder *encoder) {}
int32_t uffb_cuda_encode(uffb_cuda_encoder *encoder, int64_t sequences, const int64_t *offsets, const int32_t *ids,
                         const int32_t *types, float *final) {
    for (int64_t t = 0; t < offsets[sequences]; t++)
        for (int64_t h = 0; h < HIDDEN; h++) final[t * HIDDEN + h] = (float)ids[t];
    return ENCODE;
}
double uffb_cuda_encode_seconds(const uffb_cuda_encoder *encoder) { return 0.25; }
int64_t uffb_cuda_contender_count(void) { return 1; }
int32_t uffb_cuda_contender_info(int64_t index, uffb_cuda_contender *info) {
    memset(info, 0, sizeof *info);
    strcpy(info->name, "dense wrong");
    info->dtypes = 1 << UFFB_F32 | 1 << UFFB_BF16;
    return UFFB_OK;
}
uint64_t uffb_cuda_bench_bytes(const uffb_cuda_bench_shape *shape) { return shape->hidden > 0 ? 12345678901 : 0; }
int32_t uffb_cuda_bench_new(const uffb_cuda_bench_shape *shape, uffb_cuda_bench **bench) {
    *bench = (uffb_cuda_bench *)(intptr_t)1;
    return FAIL;
}
void uffb_cuda_bench_free(uffb_cuda_bench *bench) {}
int32_t uffb_cuda_bench_fill(uffb_cuda_bench *bench, int32_t fill, uint64_t seed) { return FAIL; }
int32_t uffb_cuda_bench_fill_from(uffb_cuda_bench *bench, const uffb_model *model, int64_t layer, int64_t tokens,
                                  const float *input) { return FAIL; }
int32_t uffb_cuda_bench_run(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, int64_t calls, double *seconds) {
    *seconds = 1;
    return FAIL;
}
int32_t uffb_cuda_bench_check(uffb_cuda_bench *bench, int64_t contender, int64_t tokens, double *error, int64_t *ties) {
    *error = 1;
    *ties = 0;
    return FAIL;
}
`;

/** Compiles libraries into a folder that goes away with it. */
export class CudaStubs implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "uffb-cuda-"));
  #count = 0;

  /** The path of a shared library. */
  compile(source: string, ...flags: string[]): string {
    const output = join(this.#folder, `library${++this.#count}.so`);
    const input = output.replace(/so$/, "c");
    writeFileSync(input, source);
    const line = ["cc", "-shared", "-fPIC", "-O0", "-w", `-I${INCLUDE}`, ...flags, "-o", output, input];
    const { exitCode, stderr } = Bun.spawnSync(line);
    if (exitCode !== 0) throw new Error(stderr.toString());
    return output;
  }

  /** A stub for models of this hidden size. */
  bind(hidden: number, ...flags: string[]): CudaLibrary {
    native();
    return bindCuda(koffi, this.compile(STUB, `-DHIDDEN=${hidden}`, ...flags));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * The CUDA library for machines without a device: the same sources, compiled for the CPU by kernels/cuda/test/run.sh. Tests that run on
 * it are skipped, and counted as skipped, where it was not built. As a preload of a program it takes the place of the real one.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { bindCuda, useCuda } from "../ffi/cuda-library.ts";
import { native } from "../ffi/library.ts";
import type { Koffi } from "../ffi/open.ts";

const PATH = fileURLToPath(new URL("../build/test/libuffb_cuda_cpu.so", import.meta.url));

export const hasSimulator = existsSync(PATH);

/** Runs what is asked of a device on the simulator from now on. */
export function useSimulator(): void {
  native();
  useCuda(bindCuda(createRequire(import.meta.url)("koffi") as Koffi, PATH));
}

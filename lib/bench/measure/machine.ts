import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { probe } from "../../../ffi/bench.ts";
import type { CudaDevice } from "../../../ffi/cuda.ts";
import { compiler, isas } from "../../../ffi/engine.ts";

/** What a record says of where it was measured. */
export interface Machine {
  cpu: string;
  /** Data caches of one core from L1 up, in bytes; [] where the system does not say. */
  caches: number[];
  /** The best instruction set. */
  isa: string;
  compiler: string;
  /** Free memory at the start. */
  memory_bytes: number;
  /** Processes that wanted to run in the minute before the start. */
  load: number;
  /** Where it was measured, when that was not the CPU. */
  device?: CudaDevice;
}

const CACHE = "/sys/devices/system/cpu/cpu0/cache";
const UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

function readCaches(): number[] {
  const sizes: number[] = [];
  for (let i = 0; existsSync(`${CACHE}/index${i}/size`); i++) {
    if (readFileSync(`${CACHE}/index${i}/type`, "utf8").trim() === "Instruction") continue;
    const [, count, unit] = /^(\d+)([KMG]?)/.exec(readFileSync(`${CACHE}/index${i}/size`, "utf8")) ?? [];
    sizes.push(Number(count ?? 0) * (UNITS[unit ?? ""] ?? 1));
  }
  return sizes;
}

/** Memory that a new process can have without swapping, in bytes; Infinity where the system does not say. */
export function availableMemory(): number {
  if (!existsSync("/proc/meminfo")) return Number.POSITIVE_INFINITY;
  const [, kilobytes] = /^MemAvailable: +(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
  return kilobytes === undefined ? Number.POSITIVE_INFINITY : Number(kilobytes) * 1024;
}

/** Warnings about what makes times on this machine unreliable, each with its remedy. */
export function machineWarnings({ load }: Machine, threads: number): string[] {
  const warnings: string[] = [];
  if (load + threads > cpus().length + 0.5) {
    warnings.push(
      `the machine is busy: load ${load.toFixed(1)} on ${cpus().length} CPUs; end other programs, or compare ratios instead of times`,
    );
  }
  const governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
  const setting = existsSync(governor) ? readFileSync(governor, "utf8").trim() : "performance";
  if (setting !== "performance") {
    warnings.push(
      `the CPU frequency is governed by ${setting}; set it: cpupower frequency-set -g performance`,
    );
  }
  return warnings;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    caches: readCaches(),
    isa: isas()[0]!,
    compiler: compiler(),
    memory_bytes: availableMemory(),
    load: loadavg()[0] ?? 0,
  };
}

/** The roofline: the machine's limits on `threads` threads. */
export interface Roofline {
  /** f32 multiply-adds from registers, flop/s */
  flops: number;
  /** bytes/s read from memory and from L2 */
  memory: number;
  l2: number;
}

export function measureRoofline(threads: number, seconds: number): Roofline {
  return {
    flops: probe("flops", threads, seconds),
    memory: probe("memory", threads, seconds),
    l2: probe("l2", threads, seconds),
  };
}

/** What stays the same for all records of a run. */
export interface RunFacts {
  machine: Machine;
  /** Measures it for a number of threads. */
  roofline: (threads: number) => Roofline;
  version: string;
  commit: string | null;
  date: string;
}

/** The same for a run on a device, whose bounds are not measured. */
export interface DeviceFacts extends Omit<RunFacts, "roofline"> {
  device: CudaDevice;
}

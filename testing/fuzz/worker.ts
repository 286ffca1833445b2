/**
 * Runs cases one after another in a process of its own and prints a line of JSON for each that went wrong; the number of the case
 * under way is in a mapped file, so that the parent knows it when this process hangs or dies.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { UffbError } from "../../lib/base/errors.ts";
import { mutate, Random } from "./mutate.ts";
import type { Target } from "./targets.ts";

export interface Job {
  /** Module with TARGETS. */
  targets: string;
  /** Which of them; empty: all, in turn. */
  only: string;
  seed: number;
  from: number;
  to: number;
  /** Of a file to run instead. */
  file?: string;
  /** Most that a case may take. */
  limitSeconds: number;
  /** Run the honest file first and measure precisely. */
  alone: boolean;
  progress: string;
  /** Milliseconds since 1970. */
  deadline: number;
}

export interface Report {
  index: number;
  target: string;
  problem: "threw" | "slow" | "memory";
  detail: string;
}

export interface Counts {
  counts: Record<string, { read: number; refused: number }>;
}

/** Most memory that reading a file may take beyond its own size: with what the program itself takes, 200 MB for a small file. */
const MAX_MEMORY = 128 * 2 ** 20;

/** Bytes of memory in use at the most since the last call of `resetPeak`; NaN where Linux is not there to ask. */
function peak(): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
  } catch {
    return Number.NaN;
  }
}

function resetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Not Linux, or not allowed: the peak then is that of the whole run, and memory is not judged.
  }
}

/** The case of a number: which target, and its bytes. The same for the same seed, always. */
export async function makeCase(
  job: Pick<Job, "seed" | "only">,
  targets: Record<string, Target>,
  index: number,
) {
  const names = Object.keys(targets);
  const name = job.only || names[index % names.length]!;
  const target = targets[name]!;
  return { name, target, bytes: mutate(await seedsOf(target), new Random(job.seed, index)) };
}

const cache = new Map<Target, Promise<Uint8Array[]>>();

export function seedsOf(target: Target): Promise<Uint8Array[]> {
  let seeds = cache.get(target);
  if (!seeds) {
    seeds = target.seeds();
    cache.set(target, seeds);
  }
  return seeds;
}

/** Runs one case. Gives whether the file was read or refused, or what went wrong. */
export async function runCase(
  { read }: Target,
  bytes: Uint8Array,
  limitSeconds: number,
): Promise<{ outcome: "read" | "refused" | Report["problem"]; detail: string }> {
  resetPeak();
  const before = process.memoryUsage.rss();
  const start = performance.now();
  const spent = process.cpuUsage();
  let outcome: "read" | "refused" = "read";
  try {
    await read(bytes);
  } catch (error) {
    if (!(error instanceof UffbError))
      return { outcome: "threw", detail: String((error as Error)?.stack ?? error) };
    outcome = "refused";
  }
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(spent);
  // The wall's clock is other programs', too; the processor's is other threads', such as the collector's.
  const ms = Math.min(wall, (user + system) / 1000);
  if (ms > 1000 * limitSeconds) return { outcome: "slow", detail: `${ms.toFixed(0)} ms` };
  const memory = peak() - before - bytes.length;
  if (memory > MAX_MEMORY)
    return { outcome: "memory", detail: `${(memory / 2 ** 20).toFixed(0)} MiB beyond the file` };
  return { outcome, detail: "" };
}

/** The body of the worker process. */
export async function work(job: Job): Promise<void> {
  const { TARGETS: targets } = (await import(job.targets)) as { TARGETS: Record<string, Target> };
  const progress = new BigInt64Array(Bun.mmap(job.progress, { shared: true }).buffer, 0, 1);
  const print = (line: Report | Counts) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const counts: Counts["counts"] = {};
  for (let index = job.from; index < job.to && Date.now() < job.deadline; index++) {
    Atomics.store(progress, 0, BigInt(index));
    const made =
      job.file === undefined
        ? await makeCase(job, targets, index)
        : { name: job.only, target: targets[job.only]!, bytes: new Uint8Array(readFileSync(job.file)) };
    if (job.alone) {
      // What is loaded and compiled once is not the file's doing.
      for (const seed of await seedsOf(made.target)) await runCase(made.target, seed, job.limitSeconds);
      Bun.gc(true);
    }
    const { outcome, detail } = await runCase(made.target, made.bytes, job.limitSeconds);
    counts[made.name] ??= { read: 0, refused: 0 };
    if (outcome === "read" || outcome === "refused") counts[made.name]![outcome]++;
    else print({ index, target: made.name, problem: outcome, detail });
  }
  Atomics.store(progress, 0, -1n);
  print({ counts });
}

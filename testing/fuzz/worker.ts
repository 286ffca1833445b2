/**
 * Runs cases one after another in a process of its own and prints a line of JSON for each that went wrong, and for each slice of time; the case
 * under way is in a mapped file, so that the parent knows it when this process hangs or dies.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { UffbError } from "../../lib/base/errors.ts";
import { mutate, Random } from "./mutate.ts";
import type { Target } from "./targets.ts";

export type Targets = Readonly<Record<string, Target>>;

export interface Job {
  /** Module with TARGETS. */
  targets: string;
  seed: number;
  /** Of each target that is to be run, its next case. */
  next: Record<string, number>;
  /** The case before which each ends. */
  to: number;
  /** To run instead. */
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
  target: string;
  index: number;
  problem: "threw" | "slow" | "memory";
  detail: string;
}

/** What a target did in its turn, all cases before `next`. */
export interface Slice {
  target: string;
  next: number;
  read: number;
  refused: number;
  /** Of the processor. */
  seconds: number;
}

interface Result {
  outcome: "read" | "refused" | Report["problem"];
  detail: string;
}

/** Most memory that reading a file may take beyond its own size: with what the program itself takes, 200 MB for a small file. */
const MAX_MEMORY = 128 * 2 ** 20;
/** Processor time of a target's turn: all targets get as much, whatever a case of theirs takes. */
const SLICE_SECONDS = 0.3;
/** Cases whose memory is measured at once, for to ask takes as long as a small case; those of a batch that took much are measured one by one. */
const BATCH = 16;

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

/** Starts to measure memory. Gives what was taken since, at the most, beyond `bytes`. */
function measureMemory(): (bytes: number) => number {
  resetPeak();
  const before = process.memoryUsage.rss();
  return (bytes) => peak() - before - bytes;
}

/** Seconds of the processor that this process has taken. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The bytes of a case, which depend on the seed, the target's name and the number alone. */
export async function makeCase(
  { seed }: Pick<Job, "seed">,
  targets: Targets,
  name: string,
  index: number,
): Promise<Uint8Array> {
  return mutate(await seedsOf(targets[name]!), new Random(seed, index, name));
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

/** Runs one case. Gives whether the file was read or refused, or what went wrong but for memory. */
async function attempt({ read }: Target, bytes: Uint8Array, limitSeconds: number): Promise<Result> {
  const start = performance.now();
  const before = cpuSeconds();
  let outcome: Result["outcome"] = "read";
  try {
    await read(bytes);
  } catch (error) {
    if (!(error instanceof UffbError))
      return { outcome: "threw", detail: String((error as Error)?.stack ?? error) };
    outcome = "refused";
  }
  // The wall's clock is other programs', too; the processor's is other threads', such as the collector's.
  const seconds = Math.min((performance.now() - start) / 1000, cpuSeconds() - before);
  if (seconds > limitSeconds) return { outcome: "slow", detail: `${(1000 * seconds).toFixed(0)} ms` };
  return { outcome, detail: "" };
}

/** The same, with memory. */
export async function runCase(target: Target, bytes: Uint8Array, limitSeconds: number): Promise<Result> {
  const taken = measureMemory();
  const result = await attempt(target, bytes, limitSeconds);
  const memory = taken(bytes.length);
  if (result.outcome !== "read" && result.outcome !== "refused") return result;
  if (memory > MAX_MEMORY)
    return { outcome: "memory", detail: `${(memory / 2 ** 20).toFixed(0)} MiB beyond the file` };
  return result;
}

/** The body of the worker process. */
export async function work(job: Job): Promise<void> {
  const { TARGETS: targets } = (await import(job.targets)) as { TARGETS: Targets };
  const worker = new Worker(job, targets);
  if (job.alone) await worker.runAlone();
  else await worker.runAll();
}

class Worker {
  readonly #numbers: readonly string[];
  /** Number of the target and of its case; the second -1 between cases. */
  readonly #progress: Float64Array;

  constructor(
    readonly job: Job,
    readonly targets: Targets,
  ) {
    this.#numbers = Object.keys(targets);
    this.#progress = new Float64Array(Bun.mmap(job.progress, { shared: true }).buffer, 0, 2);
  }

  async runAlone(): Promise<void> {
    const { job, targets } = this;
    const [[name, index]] = Object.entries(job.next) as [[string, number]];
    const target = targets[name]!;
    const bytes =
      job.file === undefined
        ? await makeCase(job, targets, name, index)
        : new Uint8Array(readFileSync(job.file));
    // What is loaded and compiled once is not the file's doing.
    for (const seed of await seedsOf(target)) await runCase(target, seed, job.limitSeconds);
    Bun.gc(true);
    this.#begin(name, index);
    const before = cpuSeconds();
    const { outcome, detail } = await runCase(target, bytes, job.limitSeconds);
    this.#end();
    if (outcome !== "read" && outcome !== "refused") this.#report(name, index, { outcome, detail });
    const counts = { read: Number(outcome === "read"), refused: Number(outcome === "refused") };
    print({ target: name, next: index + 1, ...counts, seconds: cpuSeconds() - before });
  }

  /** All targets in turn, each for a slice of time, until the deadline or their last cases. */
  async runAll(): Promise<void> {
    const { job } = this;
    const next = new Map(Object.entries(job.next));
    while (next.size > 0) {
      for (const [name, from] of next) {
        if (Date.now() >= job.deadline) return;
        const to = await this.#runSlice(name, from);
        if (to < job.to) next.set(name, to);
        else next.delete(name);
        // What waits for the loop of events, finalisers for one.
        await Bun.sleep(0);
      }
    }
  }

  async #runSlice(name: string, from: number): Promise<number> {
    const { job, targets } = this;
    const seeds = await seedsOf(targets[name]!);
    const counts = { read: 0, refused: 0 };
    const start = cpuSeconds();
    let next = from;
    let seconds = 0;
    while (seconds < SLICE_SECONDS && next < job.to && Date.now() < job.deadline) {
      const last = Math.min(next + BATCH, job.to);
      const taken = measureMemory();
      let largest = 0;
      const first = next;
      for (; next < last; next++) {
        const bytes = mutate(seeds, new Random(job.seed, next, name));
        largest = Math.max(largest, bytes.length);
        this.#begin(name, next);
        const result = await attempt(targets[name]!, bytes, job.limitSeconds);
        if (result.outcome === "read" || result.outcome === "refused") counts[result.outcome]++;
        else this.#report(name, next, result);
      }
      this.#end();
      if (taken(largest) > MAX_MEMORY) await this.#measureEach(name, first, last);
      seconds = cpuSeconds() - start;
    }
    print({ target: name, next, ...counts, seconds });
    return next;
  }

  async #measureEach(name: string, from: number, to: number): Promise<void> {
    const { job, targets } = this;
    for (let index = from; index < to; index++) {
      const bytes = await makeCase(job, targets, name, index);
      Bun.gc(true);
      this.#begin(name, index);
      const result = await runCase(targets[name]!, bytes, job.limitSeconds);
      if (result.outcome === "memory") this.#report(name, index, result);
    }
    this.#end();
  }

  #begin(name: string, index: number): void {
    this.#progress[0] = this.#numbers.indexOf(name);
    this.#progress[1] = index;
  }

  #end(): void {
    this.#progress[1] = -1;
  }

  #report(target: string, index: number, { outcome, detail }: Result): void {
    print({ target, index, problem: outcome as Report["problem"], detail });
  }
}

function print(line: Report | Slice): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

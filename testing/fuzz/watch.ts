/** Ends a process whose case does not end. */
import { readFileSync } from "node:fs";

/** A case that takes so many times its limit of the processor's time hangs. */
const HANG = 5;
/** So does one that takes none of it, in seconds: it waits for what does not come. */
const IDLE_SECONDS = 60;
const TICK_SECONDS = 0.2;
/** In a second: what /proc counts in, everywhere. */
const CLOCK_TICKS = 100;

/**
 * Watches a worker. Gives a function that ends the watch and says why the worker was ended, if it was.
 *
 * Time is the worker's own, of the processor: a machine that is busy, or stopped for a while, makes no case hang. Where there is no /proc to ask,
 * each look counts as the time between two.
 */
export function watch(
  worker: { pid: number; kill(signal: "SIGKILL"): void },
  progress: Float64Array,
  limitSeconds: number,
): () => string | undefined {
  let why: string | undefined;
  let looks = 0;
  let [target, index] = progress;
  let since = 0;
  let last = 0;
  let idle = 0;
  const timer = setInterval(() => {
    const spent = spentBy(worker.pid) ?? ++looks * TICK_SECONDS;
    if (progress[1]! < 0 || progress[0] !== target || progress[1] !== index) {
      [target, index] = progress;
      since = spent;
      idle = 0;
    }
    idle = spent > last ? 0 : idle + TICK_SECONDS;
    last = spent;
    if (spent - since > HANG * limitSeconds) why = `more than ${HANG * limitSeconds} s`;
    else if (idle > IDLE_SECONDS) why = "waits without end";
    if (why !== undefined) worker.kill("SIGKILL");
  }, 1000 * TICK_SECONDS);
  return () => {
    clearInterval(timer);
    return why;
  };
}

/** Seconds of the processor that a process has taken. */
function spentBy(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // After the name, which may hold anything, fields 3 and on; 14 and 15 are time in the program and in the kernel.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  } catch {
    return undefined;
  }
}

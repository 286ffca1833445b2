import { readFileSync } from "node:fs";

/** Signals that ask for the end of the process, and their numbers: Ctrl-C, `kill`, a terminal that closes, Ctrl-\. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const;

const controller = new AbortController();

/** A signal that Ctrl-C and its like abort just before the process ends: the engine's threads stop first. */
export function interruptSignal(): AbortSignal {
  return controller.signal;
}

/**
 * Ends the process with 128 plus the signal's number, 130 for Ctrl-C, when it is asked to end; temporary files go first. Signals that the
 * process was started to ignore (`nohup`, `&` in a script) stay ignored. While JavaScript is too busy to listen, the engine does it
 * (kernels/engine/interrupt.c).
 */
export function endOnSignals(): void {
  const ignored = ignoredSignals();
  for (const [signal, number] of Object.entries(SIGNALS)) {
    if ((ignored >> (number - 1)) & 1) continue;
    process.once(signal, () => {
      controller.abort();
      process.exit(128 + number);
    });
  }
}

/** A bit for each signal from 1 to 32; none where Linux is not there to ask. */
function ignoredSignals(): number {
  try {
    const [, mask = "0"] =
      /^SigIgn:\s*[0-9a-f]*?([0-9a-f]{1,8})$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number.parseInt(mask, 16);
  } catch {
    return 0;
  }
}

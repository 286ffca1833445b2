import { readFileSync } from "node:fs";
import { constants } from "node:os";

/** Signals that ask for the end of the process: Ctrl-C, `kill`, a terminal that closes, Ctrl-\. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

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
  for (const signal of SIGNALS) {
    const number = constants.signals[signal];
    if ((ignored >> BigInt(number - 1)) & 1n) continue;
    process.once(signal, () => {
      controller.abort();
      process.exit(128 + number);
    });
  }
}

/** A bit for each signal, from 1; none where Linux is not there to ask. */
function ignoredSignals(): bigint {
  try {
    const [, mask = "0"] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return BigInt(`0x${mask}`);
  } catch {
    return 0n;
  }
}

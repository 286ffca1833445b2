import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { signalHeard } from "../../ffi/engine.ts";
import { messages } from "./messages.ts";

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

/** Signals that a person or a scheduler sends to work that takes long. */
const STOPS = ["SIGINT", "SIGTERM"] as const;

/**
 * For work that has to be brought to an end: until it is disposed of, Ctrl-C (or SIGTERM) aborts its signal and lets the process go on,
 * saying `what` it does before it ends; the second one ends the process on the spot.
 */
export class GracefulStop implements Disposable {
  readonly #controller = new AbortController();
  /** Those of endOnSignals. */
  readonly #others = STOPS.map((name) => ({ name, listeners: process.listeners(name) }));
  readonly #stop = (_: string, number: number) => {
    if (this.signal.aborted) process.exit(128 + number);
    this.#controller.abort();
    signalHeard();
    messages.info(`${this.what}; once more to stop at once`);
  };

  constructor(readonly what: string) {
    for (const { name, listeners } of this.#others) {
      if (listeners.length === 0) continue; // ignored
      process.on(name, this.#stop);
      for (const listener of listeners) process.off(name, listener);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const { name, listeners } of this.#others) {
      for (const listener of listeners) process.once(name, listener as () => void);
      process.off(name, this.#stop);
    }
  }
}

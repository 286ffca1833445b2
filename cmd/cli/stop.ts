import { signalHeard, watchSignals } from "../../ffi/engine.ts";
import { messages } from "./messages.ts";

/** Signals that a person or a scheduler sends to work that takes long. */
const STOPS = ["SIGINT", "SIGTERM"] as const;

const listening = () => STOPS.map((name) => ({ name, listeners: process.listeners(name) }));

/**
 * For work that has to be brought to an end: until it is disposed of, Ctrl-C (or SIGTERM) aborts its signal and lets the process go on,
 * saying `what` it does before it ends; the second one ends the process on the spot.
 */
export class GracefulStop implements Disposable {
  readonly #controller = new AbortController();
  /** Those of endOnSignals. */
  readonly #others: ReturnType<typeof listening>;
  readonly #stop = (_: string, number: number) => {
    if (this.signal.aborted) process.exit(128 + number);
    this.#controller.abort();
    signalHeard();
    messages.info(`${this.what}; once more to stop at once`);
  };

  constructor(readonly what: string) {
    watchSignals();
    this.#others = listening();
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

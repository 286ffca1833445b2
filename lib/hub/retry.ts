import { UffbError } from "../base/errors.ts";

/** How long to wait for a bad network, and how often to try. */
export interface RetryPolicy {
  /** Failures in a row, none of which brought `progressBytes`, before giving up. */
  tries: number;
  progressBytes: number;
  /** A connection is stalled when it brings fewer than `stallBytes` in `stallMs`. */
  stallMs: number;
  stallBytes: number;
  /** The wait after the first failure; it doubles up to `longestWaitMs`. */
  firstWaitMs: number;
  longestWaitMs: number;
  /** The longest `Retry-After` that is obeyed; beyond it the user should come back later. */
  longestRetryAfterMs: number;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const RETRY: RetryPolicy = {
  tries: 5,
  progressBytes: 1 << 20,
  stallMs: 30_000,
  stallBytes: 1024,
  firstWaitMs: 1000,
  longestWaitMs: 30_000,
  longestRetryAfterMs: 300_000,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, ms);
      signal?.addEventListener("abort", stop, { once: true });
    }),
};

/** A failure that another try may cure. */
export class TryAgain extends Error {
  /** The server's `Retry-After`, in ms. */
  readonly waitMs: number | undefined;
  /** Bytes that this try brought and that the next one need not fetch again. */
  readonly gained: number;

  constructor(message: string, more: { waitMs?: number | undefined; gained?: number } = {}) {
    super(message);
    this.waitMs = more.waitMs;
    this.gained = more.gained ?? 0;
  }
}

/**
 * Runs `attempt` until it does not throw `TryAgain`.
 * @param onWait told before each wait why, and for how many ms
 * @throws UffbError when the policy's tries are used up
 */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
  onWait: (reason: string, ms: number) => void,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TryAgain)) throw error;
      failures = error.gained >= policy.progressBytes ? 1 : failures + 1;
      if (failures >= policy.tries) {
        throw new UffbError(
          `${error.message}; gave up after ${failures} tries, run the command again to go on`,
        );
      }
      const wait = error.waitMs ?? backoff(policy, failures);
      if (wait > policy.longestRetryAfterMs) {
        throw new UffbError(`${error.message}; the server asks to come back in ${Math.ceil(wait / 1000)} s`);
      }
      onWait(error.message, wait);
      await policy.sleep(wait, signal);
    }
  }
}

/** Doubling waits, the upper half of each drawn by chance so that many clients do not come back together. */
function backoff(policy: RetryPolicy, failures: number): number {
  const full = Math.min(policy.firstWaitMs * 2 ** (failures - 1), policy.longestWaitMs);
  return Math.round(full * (0.5 + Math.random() / 2));
}

/** A `Retry-After` header (seconds or a date) in ms; undefined when absent or nonsense. */
export function parseRetryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Aborts its signal when a connection stalls. Dispose of it, or its timer goes on. */
export class StallWatch implements Disposable {
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #policy: RetryPolicy;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #bytes = 0;

  constructor(policy: RetryPolicy, outer: AbortSignal | undefined) {
    this.#policy = policy;
    this.signal = outer ? AbortSignal.any([outer, this.#abort.signal]) : this.#abort.signal;
    this.restart();
  }

  /** Starts a new period; the answer's first line has arrived. */
  restart(): void {
    clearTimeout(this.#timer);
    this.#bytes = 0;
    this.#timer = setTimeout(() => {
      if (this.#bytes >= this.#policy.stallBytes) return this.restart();
      this.#abort.abort(
        new TryAgain(`the connection stalled (${this.#bytes} bytes in ${this.#policy.stallMs / 1000} s)`),
      );
    }, this.#policy.stallMs);
  }

  arrived(bytes: number): void {
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

import type { NativeContext } from "../../ffi/context.ts";
import { CancelledError } from "../../ffi/status.ts";

/** Lets a signal stop what a context runs, for as long as this is in use. */
export class Cancellation implements Disposable {
  readonly #stop: () => void;

  constructor(
    context: Pick<NativeContext, "cancel">,
    readonly signal: AbortSignal | undefined,
  ) {
    this.#stop = () => context.cancel();
    signal?.addEventListener("abort", this.#stop);
  }

  /** Between two calls of the engine: @throws CancelledError when the signal has come */
  check(): void {
    if (this.signal?.aborted) throw new CancelledError("cancelled");
  }

  [Symbol.dispose](): void {
    this.signal?.removeEventListener("abort", this.#stop);
  }
}

import { UffbError } from "../lib/base/errors.ts";
import type { Handle } from "./bindings.ts";

/**
 * A handle of the library with an explicit end. Using it after that is an error; it is freed only when nothing holds it any longer,
 * so that a model outlives its contexts and a context the call that runs on it.
 */
export abstract class Resource {
  readonly #handle: Handle;
  readonly #free: (handle: Handle) => void;
  #holders = 0;
  #disposed = false;

  protected constructor(handle: Handle | null, free: (handle: Handle) => void) {
    if (handle === null) throw new UffbError("the engine gave no handle");
    this.#handle = handle;
    this.#free = free;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** The pointer, for a call that ends before the caller does anything else. */
  get handle(): Handle {
    if (this.#disposed) throw new UffbError(`${this.constructor.name} was used after it was disposed of`);
    return this.#handle;
  }

  /** Keeps the memory until the returned function is called. */
  hold(): () => void {
    if (this.#disposed) throw new UffbError(`${this.constructor.name} was used after it was disposed of`);
    this.#holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      this.#collect();
    };
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#collect();
  }

  #collect(): void {
    if (this.#disposed && this.#holders === 0) this.#free(this.#handle);
  }
}

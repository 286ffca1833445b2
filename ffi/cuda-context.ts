import { type Batch, type ContextOptions, NativeContext } from "./context.ts";
import { type CudaDtype, CudaEncoder } from "./cuda.ts";
import type { NativeModel } from "./model.ts";
import { InvalidError } from "./status.ts";
import type { NativeTaps } from "./taps.ts";

/** A context whose encoder runs on a device. Heads stay on the CPU and its threads: they are a small part of the work. */
export class CudaContext extends NativeContext {
  readonly #encoder: CudaEncoder;

  /** @throws as CudaEncoder and NativeContext do */
  constructor(model: NativeModel, device: number, dtype: CudaDtype, options: ContextOptions = {}) {
    super(model, options);
    try {
      this.#encoder = new CudaEncoder(model, device, dtype);
    } catch (error) {
      super[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Runs a batch to its final states. A batch that runs is not stopped by `cancel`; the head after it is.
   *
   * @throws EngineError when another call runs
   */
  override async encode(batch: Batch, taps?: NativeTaps): Promise<void> {
    if (taps !== undefined) throw new InvalidError("a device fills no taps; run the model on the CPU");
    const run = async () => this.takeFinal(batch, await this.#encoder.encode(batch));
    await this.exclusively(run, true);
  }

  override [Symbol.dispose](): void {
    this.#encoder[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

import { type Handle, UFFB_TAP_PATH } from "./bindings.ts";
import { checked, native } from "./library.ts";
import { Resource } from "./resource.ts";
import { InvalidError } from "./status.ts";

/** Buffers that an encode fills on its way: UFFB_TAP_LAYER and so on. */
export class NativeTaps extends Resource {
  readonly #buffers: ArrayBufferView[] = [];

  constructor() {
    const out: [Handle | null] = [null];
    checked((library) => library.uffb_taps_new(out));
    super(out[0], (handle) => native().uffb_taps_free(handle));
  }

  /**
   * Adds a buffer for `kind` (UFFB_TAP_*) of `layer`. Each encode checks its size and writes it: a batch of other size needs other taps.
   * @param buffer i32 [tokens, trees, depth + 1] for UFFB_TAP_PATH, else f32, with the shape the header tells
   *
   * @throws InvalidError
   */
  add(kind: number, layer: number, buffer: Float32Array | Int32Array): void {
    if (buffer instanceof Int32Array !== (kind === UFFB_TAP_PATH)) {
      throw new InvalidError(
        `tap ${kind} wants ${kind === UFFB_TAP_PATH ? "an Int32Array" : "a Float32Array"}`,
      );
    }
    const { handle } = this;
    checked((library) => library.uffb_taps_add(handle, kind, layer, buffer, buffer.byteLength));
    this.#buffers.push(buffer);
  }
}

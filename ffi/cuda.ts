import { type Handle, UFFB_BF16, UFFB_F16, UFFB_F32 } from "./bindings.ts";
import { callAsync } from "./call.ts";
import { type Batch, checkBatch } from "./context.ts";
import type { CudaInfo } from "./cuda-bindings.ts";
import { checkedCuda, cuda } from "./cuda-library.ts";
import type { NativeModel } from "./model.ts";
import { Resource } from "./resource.ts";
import { check, EngineError, UnsupportedError } from "./status.ts";

/** Element types that a device computes with. */
export const CUDA_DTYPES = { f32: UFFB_F32, f16: UFFB_F16, bf16: UFFB_BF16 } as const;
export type CudaDtype = keyof typeof CUDA_DTYPES;

export interface CudaDevice extends Readonly<CudaInfo> {
  index: number;
}

/**
 * The devices of this machine.
 *
 * @throws UnsupportedError when there is no driver, or one too old
 */
export function cudaDevices(): CudaDevice[] {
  const count = new Int32Array(1);
  checkedCuda((library) => library.uffb_cuda_device_count(count));
  return Array.from({ length: count[0]! }, (_, index) => readInfo(index));
}

/** @throws UnsupportedError naming the devices there are */
export function cudaDevice(index: number): CudaDevice {
  const count = new Int32Array(1);
  checkedCuda((library) => library.uffb_cuda_device_count(count));
  if (count[0] === 0) throw new UnsupportedError("no CUDA device found; nvidia-smi shows those there are");
  if (index >= count[0]!) {
    const others = count[0] === 1 ? "only cuda:0" : `cuda:0 to cuda:${count[0]! - 1}`;
    throw new UnsupportedError(`there is no device cuda:${index}, ${others}`);
  }
  return readInfo(index);
}

function readInfo(index: number): CudaDevice {
  const info: Partial<CudaInfo> = {};
  checkedCuda((library) => library.uffb_cuda_device_info(index, info));
  return { index, ...(info as CudaInfo) };
}

/** A model's encoder on a device. One call at a time. */
export class CudaEncoder extends Resource {
  readonly #hidden: number;
  #running = false;
  readonly #library: ReturnType<typeof cuda>;

  /**
   * Copies a ready model to a device.
   *
   * @throws NoMemoryError of the device; UnsupportedError
   */
  constructor(model: NativeModel, device: number, dtype: CudaDtype) {
    const out: [Handle | null] = [null];
    checkedCuda((library) => library.uffb_cuda_encoder_new(model.handle, device, CUDA_DTYPES[dtype], out));
    const library = cuda();
    super(out[0], (handle) => library.uffb_cuda_encoder_free(handle));
    this.#hidden = model.arch.hidden;
    this.#library = library;
  }

  /** From now on tries several algorithms for each new size of matrix product and keeps the fastest: the first batch of a size is slow, later ones are faster. */
  tune(): void {
    this.#library.uffb_cuda_encoder_tune(this.handle);
  }

  /**
   * Runs a batch to its final states [tokens, hidden].
   *
   * @throws InvalidError when it is not well formed; NoMemoryError
   */
  async encode(batch: Batch): Promise<Float32Array> {
    checkBatch(batch);
    const { offsets, ids, types } = batch;
    const { handle } = this;
    const library = this.#library;
    const final = new Float32Array(ids.length * this.#hidden);
    if (this.#running)
      throw new EngineError("a device's encoder runs one batch at a time; another one is running");
    const release = this.hold();
    this.#running = true;
    try {
      const sequences = offsets.length - 1;
      const encode = library.uffb_cuda_encode;
      const status = await callAsync(encode, handle, sequences, offsets, ids, types ?? null, final);
      check(status, () => library.uffb_cuda_encoder_error(handle));
      return final;
    } finally {
      this.#running = false;
      release();
    }
  }

  /** Seconds that the device itself took for the last batch, copies of ids and final states included. */
  get seconds(): number {
    return this.#library.uffb_cuda_encode_seconds(this.handle);
  }
}

import { type CudaDevice, type CudaDtype, CudaEncoder } from "../../ffi/cuda.ts";
import type { Timer } from "./encoder.ts";
import type { Runner } from "./runners.ts";

/** Times a model on a device, by the device's own clock. Errors: those of CudaEncoder. */
export function deviceTimer({ model, dtype }: Runner, device: CudaDevice): Timer {
  const encoder = new CudaEncoder(model, device.index, dtype as CudaDtype); // 8 bits are for the CPU alone
  return {
    isa: null,
    threads: null,
    async time(batch) {
      await encoder.encode(batch);
      return encoder.seconds;
    },
    [Symbol.dispose]: () => encoder[Symbol.dispose](),
  };
}

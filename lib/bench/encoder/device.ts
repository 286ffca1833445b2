import { UFFB_TAP_FINAL } from "../../../ffi/bindings.ts";
import { type Batch, NativeContext } from "../../../ffi/context.ts";
import { type CudaDevice, type CudaDtype, CudaEncoder } from "../../../ffi/cuda.ts";
import type { NativeModel } from "../../../ffi/model.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import { UffbError } from "../../base/errors.ts";
import { median } from "../../base/statistics.ts";
import type { Runner } from "./runners.ts";
import type { Timer } from "./timer.ts";

/** Largest error of correct states: rounding and, in narrow types, other paths because of it in many layers. Wrong states are off by 1 and more. */
const TOLERANCE: Readonly<Record<CudaDtype, number>> = { f32: 1e-3, f16: 0.1, bf16: 0.4 };

/**
 * Times a model on a device, by the device's own clock, after its final states for `sample` were compared with the CPU's.
 *
 * @throws UffbError when they are wrong; as CudaEncoder does
 */
export async function deviceTimer(runner: Runner, device: CudaDevice, sample: Batch): Promise<Timer> {
  const { name, model } = runner;
  const dtype = runner.dtype as CudaDtype; // int8 runs on the CPU only
  const encoder = new CudaEncoder(model, device.index, dtype);
  encoder.tune();
  try {
    const expected = await encodeOnCpu(model, sample);
    const error = difference(await encoder.encode(sample), expected, model.arch.hidden);
    if (!(error < TOLERANCE[dtype])) {
      throw new UffbError(
        `${name} in ${dtype} on ${device.name} is wrong by ${error.toExponential(1)} and was not timed`,
      );
    }
    return {
      isa: null,
      threads: null,
      error,
      async time(batch) {
        await encoder.encode(batch);
        return encoder.seconds;
      },
      [Symbol.dispose]: () => encoder[Symbol.dispose](),
    };
  } catch (error) {
    encoder[Symbol.dispose]();
    throw error;
  }
}

async function encodeOnCpu(model: NativeModel, batch: Batch): Promise<Float32Array> {
  const final = new Float32Array(batch.ids.length * model.arch.hidden);
  using taps = new NativeTaps();
  taps.add(UFFB_TAP_FINAL, 0, final);
  using context = new NativeContext(model);
  await context.encode(batch, taps);
  return final;
}

/** Root mean square difference of a row, relative to the row's root mean square; the median over rows, so that a few rows with another path do not decide. */
export function difference(found: Float32Array, expected: Float32Array, hidden: number): number {
  const rows = Array.from({ length: expected.length / hidden }, (_, row) => {
    let wrong = 0;
    let all = 0;
    for (let i = row * hidden; i < (row + 1) * hidden; i++) {
      wrong += (found[i]! - expected[i]!) ** 2;
      all += expected[i]! ** 2;
    }
    return Math.sqrt(wrong / all);
  });
  return rows.some(Number.isNaN) ? Number.NaN : median(rows);
}

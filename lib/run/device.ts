import { type Batch, NativeContext } from "../../ffi/context.ts";
import { type CudaDtype, cudaDevice } from "../../ffi/cuda.ts";
import { CudaContext } from "../../ffi/cuda-context.ts";
import type { NativeModel } from "../../ffi/model.ts";
import { NoMemoryError } from "../../ffi/status.ts";
import type { NativeTaps } from "../../ffi/taps.ts";
import { UsageError } from "../base/errors.ts";

/** Where an encoder runs, when that is not the CPU. */
export interface Device {
  index: number;
  /** What its maker calls it. */
  name: string;
  /** What it computes matrices with. */
  dtype: CudaDtype;
}

const MOST_DEVICES = 1024;

/**
 * The number of the device that "cuda" or "cuda:1" names; undefined for "cpu".
 *
 * @throws UsageError
 */
export function parseDevice(text: string): number | undefined {
  if (text === "cpu") return undefined;
  const [, number = "0"] = /^cuda(?::(\d{1,4}))?$/.exec(text) ?? ["", "none"];
  const index = Number(number);
  if (!(index < MOST_DEVICES)) {
    throw new UsageError(`--device is cpu, cuda or a numbered one such as cuda:1, not "${text}"`);
  }
  return index;
}

/**
 * Finds the device that a command names; undefined for the CPU.
 *
 * @throws UsageError for another name, or a dtype without a device; UffbError when there is no such device, no driver, or no CUDA library
 */
export function openDevice(text: string | undefined, dtype: CudaDtype | undefined): Device | undefined {
  const index = parseDevice(text ?? "cpu");
  if (index === undefined) {
    if (dtype !== undefined)
      throw new UsageError("--device-dtype is for --device cuda; add that, or drop it");
    return undefined;
  }
  return { index, name: cudaDevice(index).name, dtype: dtype ?? "f32" };
}

export interface EngineOptions {
  /** CPU threads; 0 for all that this process may use. */
  threads: number;
  /** Instruction set of the CPU; the best one when absent. */
  isa?: string | undefined;
  /** Where the encoder runs; the CPU when absent. */
  device?: Device | undefined;
}

/**
 * Makes what runs a model: on the CPU, or its encoder on a device.
 *
 * @throws as the two kinds of context do
 */
export function openContext(model: NativeModel, { threads, isa, device }: EngineOptions): NativeContext {
  if (device === undefined) return new NativeContext(model, { threads, isa });
  try {
    return new DeviceContext(model, device.index, device.dtype, { threads, isa });
  } catch (error) {
    throw withRemedy(error, "choose --device-dtype bf16, a device with more memory, or none");
  }
}

/** Says what to do when a batch does not fit. */
class DeviceContext extends CudaContext {
  override async encode(batch: Batch, taps?: NativeTaps): Promise<void> {
    try {
      await super.encode(batch, taps);
    } catch (error) {
      throw withRemedy(error, "give a smaller --batch-tokens, or --device-dtype bf16");
    }
  }
}

function withRemedy(error: unknown, remedy: string): unknown {
  return error instanceof NoMemoryError ? new NoMemoryError(`${error.message}; ${remedy}`) : error;
}

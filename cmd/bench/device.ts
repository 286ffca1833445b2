import { CUDA_DTYPES, type CudaDtype, cudaDevice } from "../../ffi/cuda.ts";
import { UsageError } from "../../lib/base/errors.ts";
import type { DevicePlan } from "../../lib/bench/plan.ts";
import { parseDevice } from "../../lib/run/device.ts";

interface Flags {
  device: string | undefined;
  dtype: readonly string[];
  level: readonly number[];
  threads: string | undefined;
  blas: readonly string[];
  asPublished: boolean;
  cold: boolean;
}

const DTYPES = Object.keys(CUDA_DTYPES) as CudaDtype[];
const isDeviceDtype = (dtype: string): dtype is CudaDtype => Object.hasOwn(CUDA_DTYPES, dtype);

/**
 * The device that a bench runs on, and the dtypes to compute with there; undefined for the CPU.
 *
 * @throws UsageError for flags of the one with the other; UffbError when there is no such device
 */
export function toDevicePlan(flags: Flags): DevicePlan | undefined {
  const { device, dtype: dtypes } = flags;
  const index = parseDevice(device ?? "cpu");
  if (index === undefined) {
    return undefined;
  }
  const others = {
    "--level": flags.level.length > 0,
    "--threads": flags.threads !== undefined,
    "--blas": flags.blas.length > 0,
    "--as-published": flags.asPublished,
    "--cold": flags.cold,
    "--dtype int8": dtypes.includes("int8"),
  };
  const other = Object.entries(others).find(([, given]) => given);
  if (other) throw new UsageError(`${other[0]} is for the CPU; drop it, or --device ${device}`);
  const own = dtypes.filter(isDeviceDtype);
  return { device: cudaDevice(index), dtypes: own.length > 0 ? own : DTYPES };
}

import { setImmediate } from "node:timers/promises";
import {
  CudaBench,
  type CudaContenderInfo,
  cudaContenders,
  type DeviceShape,
} from "../../../ffi/cuda-bench.ts";
import { UffbError } from "../../base/errors.ts";
import { fill } from "../layer/parts.ts";
import type { DeviceFacts } from "../measure/machine.ts";
import type { LayerShape } from "../measure/presets.ts";
import type { BenchRecord } from "../measure/record.ts";
import { takeTurns } from "../measure/turns.ts";
import { type DeviceLayerCase, deviceShape, layersOf, MAX_CALLS } from "./parts.ts";
import { type DeviceEntry, toDeviceRecords } from "./record.ts";

const MIN_ROUNDS = 5;
const MAX_ROUNDS = 400;
/**
 * Length of the CUDA graph of calls that is timed; a single call may be shorter than the clock's resolution. As a share of the case's
 * seconds: 10 ms of the default 15 s, and up to 100 ms where that is needed to use every input once.
 */
const GRAPH_SHARE = 1 / 1500;
const LONG_GRAPH_SHARE = 1 / 150;
/** Calls of the trial that decides how many to time. */
const TRY = 3;
/**
 * Measures a case on a device. Every contender is checked against a double-precision evaluation, then tried; then all take turns.
 *
 * @throws UffbError when a contender's result is wrong, or when the device's memory does not suffice
 */
export async function measureDeviceLayer(
  one: DeviceLayerCase,
  facts: DeviceFacts,
  progress: (done: number) => void,
): Promise<BenchRecord[]> {
  const benches: CudaBench[] = [];
  try {
    const entries: DeviceEntry[] = [];
    for (const layer of layersOf(one.shape)) {
      const bench = new CudaBench(deviceShape(one, layer, facts));
      benches.push(bench);
      fill(bench, layer, one.paths);
      entries.push(...(await enter(one, bench, layer, facts)));
    }
    const turn = ({ bench, info, calls, samples }: DeviceEntry) =>
      void samples.push(bench.run(info.index, one.batch, calls));
    await takeTurns(entries, turn, { seconds: one.seconds, least: MIN_ROUNDS, most: MAX_ROUNDS }, progress);
    return toDeviceRecords(entries, one, facts);
  } finally {
    for (const bench of benches) bench[Symbol.dispose]();
  }
}

/** The contenders of one layer, checked, each with the number of calls to time. */
async function enter(
  one: DeviceLayerCase,
  bench: CudaBench,
  layer: LayerShape,
  { device }: DeviceFacts,
): Promise<DeviceEntry[]> {
  const entries: DeviceEntry[] = [];
  for (const info of cudaContenders()) {
    const fits = info.fff === layer.trees > 0 && info.dtypes.includes(one.dtype);
    if (!fits || (info.library && device.cublas === "")) continue;
    await setImmediate(); // Ctrl-C
    const found = check(info, bench, one);
    const call = bench.run(info.index, one.batch, TRY);
    const calls = callsOf(bench.shape, call, one.seconds);
    entries.push({ info, bench, layer, calls, samples: [], ...found });
  }
  return entries;
}

/** Calls of a sample when one takes `call` seconds: enough for the clock's resolution and, up to a limit, for every input to be used once. */
function callsOf({ inputs, batch }: DeviceShape, call: number, seconds: number): number {
  const around = Math.min((inputs / batch) * call, LONG_GRAPH_SHARE * seconds);
  const calls = Math.ceil(Math.max(around, GRAPH_SHARE * seconds) / Math.max(call, 1e-9));
  return Math.min(MAX_CALLS, Math.max(calls, 1));
}

/** Largest error of a correct result, relative to the largest value: rounding of the dtype, of sums, and of the values between the two matrices. */
const TOLERANCE = { f32: 1e-4, tf32: 1e-2, f16: 1e-2, bf16: 5e-2 } as const;

function check(info: CudaContenderInfo, bench: CudaBench, { batch, dtype }: DeviceLayerCase) {
  const { error, ties } = bench.check(info.index, batch);
  if (!(error < TOLERANCE[info.tensor ? "tf32" : dtype])) {
    throw new UffbError(`${info.name} (${dtype}) is wrong by ${error.toExponential(1)} and was not timed`);
  }
  return { error, ties };
}

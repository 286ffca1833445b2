import { setImmediate } from "node:timers/promises";
import { UFFB_GELU } from "../../../ffi/bindings.ts";
import type { CudaDtype } from "../../../ffi/cuda.ts";
import {
  CudaBench,
  type CudaContenderInfo,
  cudaBenchBytes,
  cudaContenders,
  type DeviceShape,
} from "../../../ffi/cuda-bench.ts";
import { UffbError } from "../../base/errors.ts";
import { formatBytes } from "../../base/numbers.ts";
import type { LayerCase } from "../layer/parts.ts";
import type { DeviceFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";
import type { BenchRecord } from "../measure/record.ts";
import { type DeviceEntry, toDeviceRecords } from "./record.ts";

export interface DeviceLayerCase extends Pick<LayerCase, "shape" | "batch" | "paths" | "seconds"> {
  cache: "warm" | "rotated";
  dtype: CudaDtype;
}

const MIN_ROUNDS = 5;
const MAX_ROUNDS = 400;
/**
 * A graph of calls is timed, not a call, which may be shorter than the clock is exact: 10 ms of the default 15 s of a case, and up to
 * 100 ms where all inputs are to come around.
 */
const GRAPH_SHARE = 1 / 1500;
const LONG_GRAPH_SHARE = 1 / 150;
const MAX_CALLS = 1000;
/** Calls that tell how many to time. */
const TRY = 3;
/** Inputs are as many times the size of the L2 cache before they come around again, if calls are that many. */
const PAST_L2 = 3;

/**
 * Measures a case on a device. Every contender is checked against a double-precision evaluation, then tried; then all take turns, A B C
 * A B C, until the time is up. Errors: UffbError when a contender's result is wrong, or when the device's memory does not suffice.
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
    await takeTurns(entries, one, progress);
    return toDeviceRecords(entries, one, facts);
  } finally {
    for (const bench of benches) bench[Symbol.dispose]();
  }
}

/** Errors: UffbError when a case needs more memory than the device has, before anything is measured. */
export function checkDeviceMemory(one: DeviceLayerCase, facts: DeviceFacts): void {
  const { name, memory } = facts.device;
  const bytes = layersOf(one.shape).reduce(
    (sum, layer) => sum + cudaBenchBytes(deviceShape(one, layer, facts)),
    0,
  );
  if (bytes <= memory) return;
  throw new UffbError(
    `${shapeName(one.shape)} at batch ${one.batch} needs ${formatBytes(bytes)}, and ${name} has ${formatBytes(memory)}; use a smaller --batch or shape`,
  );
}

/** The case's layer first; then dense ones of as many neurons, in whole cache lines of any dtype, and of the usual four times hidden. */
function layersOf(shape: LayerShape): LayerShape[] {
  const widths = new Set([Math.ceil(neurons(shape).all / 64) * 64, 4 * shape.hidden]);
  if (shape.trees === 0) widths.delete(shape.width);
  return [shape, ...[...widths].map((width) => ({ hidden: shape.hidden, trees: 0, depth: 0, width }))];
}

const BYTES: Readonly<Record<CudaDtype, number>> = { f32: 4, f16: 2, bf16: 2 };

function deviceShape(one: DeviceLayerCase, layer: LayerShape, { device }: DeviceFacts): DeviceShape {
  const { batch, dtype, cache, paths } = one;
  const batchBytes = batch * layer.hidden * BYTES[dtype];
  return {
    ...layer,
    batch,
    inputs: batch * Math.min(MAX_CALLS, 1 + Math.ceil((PAST_L2 * device.l2) / batchBytes)),
    activation: typeof paths === "string" ? UFFB_GELU : paths.model.arch.activation,
    dtype,
    device: device.index,
    cold: cache === "rotated",
  };
}

function fill(bench: CudaBench, layer: LayerShape, paths: LayerCase["paths"]): void {
  if (typeof paths === "string") bench.fill(paths, 1);
  else if (layer.trees > 0) bench.fillFrom(paths.model, paths.layer, paths.input);
  else bench.fill("uniform", 1);
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

/** Calls of a sample when one takes `call` seconds: as long as the clock needs and, where that does not last, until every input had its turn. */
function callsOf({ inputs, batch }: DeviceShape, call: number, seconds: number): number {
  const around = Math.min((inputs / batch) * call, LONG_GRAPH_SHARE * seconds);
  const calls = Math.ceil(Math.max(around, GRAPH_SHARE * seconds) / Math.max(call, 1e-9));
  return Math.min(MAX_CALLS, Math.max(calls, 1));
}

/** Largest error of a right result, relative to the largest value: that of the dtype's rounding, of sums and of what is between layers. */
const TOLERANCE = { f32: 1e-4, tf32: 1e-2, f16: 1e-2, bf16: 5e-2 } as const;

function check(info: CudaContenderInfo, bench: CudaBench, { batch, dtype }: DeviceLayerCase) {
  const { error, ties } = bench.check(info.index, batch);
  if (!(error < TOLERANCE[info.tensor ? "tf32" : dtype])) {
    throw new UffbError(`${info.name} (${dtype}) is wrong by ${error.toExponential(1)} and was not timed`);
  }
  return { error, ties };
}

async function takeTurns(
  entries: readonly DeviceEntry[],
  one: DeviceLayerCase,
  progress: (done: number) => void,
): Promise<void> {
  const start = performance.now();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    for (const { bench, info, calls, samples } of entries) {
      await setImmediate();
      samples.push(bench.run(info.index, one.batch, calls));
    }
    const spent = (performance.now() - start) / 1000;
    progress(Math.min(1, (round + 1) / MIN_ROUNDS, Math.max(spent / one.seconds, round / MAX_ROUNDS)));
    if (round + 1 >= MIN_ROUNDS && spent > one.seconds) return;
  }
}

/** The layers of a case on a device: the one it is about, and dense ones to compare with. */
import { UFFB_GELU } from "../../../ffi/bindings.ts";
import type { CudaDtype } from "../../../ffi/cuda.ts";
import { cudaBenchBytes, type DeviceShape } from "../../../ffi/cuda-bench.ts";
import { UffbError } from "../../base/errors.ts";
import { formatBytes } from "../../base/numbers.ts";
import type { LayerCase } from "../layer/parts.ts";
import type { DeviceFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";

export interface DeviceLayerCase extends Pick<LayerCase, "shape" | "batch" | "paths" | "seconds"> {
  cache: "warm" | "rotated";
  dtype: CudaDtype;
}

/** Calls of a graph, at most. */
export const MAX_CALLS = 1000;
/** Different inputs together are this many times the size of the L2 cache, so that none is found there again, if there are as many calls. */
const PAST_L2 = 3;

/**
 * Checks a case before anything is measured.
 *
 * @throws UffbError when it needs more memory than the device has
 */
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
export function layersOf(shape: LayerShape): LayerShape[] {
  const widths = new Set([Math.ceil(neurons(shape).all / 64) * 64, 4 * shape.hidden]);
  if (shape.trees === 0) widths.delete(shape.width);
  return [shape, ...[...widths].map((width) => ({ hidden: shape.hidden, trees: 0, depth: 0, width }))];
}

const BYTES: Readonly<Record<CudaDtype, number>> = { f32: 4, f16: 2, bf16: 2 };

export function deviceShape(one: DeviceLayerCase, layer: LayerShape, { device }: DeviceFacts): DeviceShape {
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

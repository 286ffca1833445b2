import type { CudaDtype } from "../../ffi/cuda.ts";
import { measureDeviceLayer } from "./device/layer.ts";
import { checkDeviceMemory, type DeviceLayerCase } from "./device/parts.ts";
import { measureEncoder } from "./encoder/encoder.ts";
import { checkModels, openRunners } from "./encoder/runners.ts";
import type { DeviceFacts } from "./measure/machine.ts";
import { shapeName } from "./measure/presets.ts";
import type { Case, Plan } from "./plan.ts";

/**
 * The cases of a plan on a device, a layer's dtypes one by one, a model's together.
 *
 * @throws UffbError when a case needs more memory than the device has; UsageError for a length that a model does not take
 */
export async function deviceCases(
  plan: Plan,
  dtypes: readonly CudaDtype[],
  facts: DeviceFacts,
): Promise<Case[]> {
  return [...layers(plan, dtypes, facts), ...(await encoders(plan, dtypes, facts))];
}

function layers(plan: Plan, dtypes: readonly CudaDtype[], facts: DeviceFacts): Case[] {
  const { paths, seconds } = plan;
  const all: DeviceLayerCase[] = plan.shapes.flatMap((shape) =>
    plan.batches.flatMap((batch) => {
      const cache = plan.cache === "warm" || (plan.cache === "auto" && batch > 1) ? "warm" : "rotated";
      return dtypes.map((dtype) => ({ shape, batch, dtype, cache, paths, seconds }));
    }),
  );
  for (const one of all) checkDeviceMemory(one, facts);
  return all.map((one) => ({
    name: `${shapeName(one.shape)}, batch ${one.batch}, ${one.dtype}`,
    measure: (tell) => measureDeviceLayer(one, facts, tell),
  }));
}

async function encoders(plan: Plan, dtypes: readonly CudaDtype[], facts: DeviceFacts): Promise<Case[]> {
  const { models, modelBatches, lengths, seconds } = plan;
  for (const name of models) await checkModels(name, undefined, lengths);
  return models.flatMap((name) =>
    modelBatches.flatMap((batch) =>
      lengths.map((length) => ({
        name: `${name}, ${batch}x${length} tokens`,
        async measure(tell: (share: number) => void) {
          using opened = await openRunners(name);
          const runners = opened.runners.flatMap((runner) => dtypes.map((dtype) => ({ ...runner, dtype })));
          return await measureEncoder({ runners, batch, length, threads: 0, seconds }, facts, tell);
        },
      })),
    ),
  );
}

import type { Cache } from "../../ffi/bench.ts";
import { cpuCount } from "../../ffi/engine.ts";
import { measureEncoder } from "./encoder/encoder.ts";
import { walks } from "./encoder/random-model.ts";
import { checkModels, openRunners } from "./encoder/runners.ts";
import { measureLayer } from "./layer/layer.ts";
import { checkMemory, type LayerCase } from "./layer/parts.ts";
import { measureRoofline, type Roofline, type RunFacts } from "./measure/machine.ts";
import { shapeName } from "./measure/presets.ts";
import type { Case, Plan } from "./plan.ts";

/** Seconds that each bound of the roofline is measured for. */
const PROBE_SECONDS = 0.1;

/**
 * The cases of a plan on the CPU.
 *
 * @throws UffbError when one of them cannot be measured
 */
export async function cpuCases(plan: Plan, about: Omit<RunFacts, "roofline">): Promise<Case[]> {
  const facts = { ...about, roofline: rooflines() };
  return [...layers(plan, facts), ...(await encoders(plan, facts))];
}

/** The best measurement of each bound so far. Every case measures again: other programs can only make a measurement too low. */
function rooflines(): RunFacts["roofline"] {
  const best = new Map<number, Roofline>();
  return (threads) => {
    const seen = measureRoofline(threads || cpuCount(), PROBE_SECONDS);
    const { flops, memory, l2 } = best.get(threads) ?? seen;
    const roofline = {
      flops: Math.max(flops, seen.flops),
      memory: Math.max(memory, seen.memory),
      l2: Math.max(l2, seen.l2),
    };
    best.set(threads, roofline);
    return roofline;
  };
}

const cachesOf = ({ cache }: Plan, batch: number): readonly Cache[] =>
  cache !== "auto" ? [cache] : batch === 1 ? ["rotated", "cold"] : ["warm"];

/** The layers of a plan, for the CPU. */
export function layerCases(plan: Plan): LayerCase[] {
  const { levels, paths, blas, seconds } = plan;
  const all: LayerCase[] = [];
  for (const threads of plan.threads) {
    for (const shape of plan.shapes) {
      for (const batch of plan.batches) {
        const dtypes = walks(shape) ? plan.rowDtypes : (["f32"] as const);
        const one = { shape, batch, levels, threads, dtypes, paths, blas, seconds };
        const published = plan.asPublished && shape.trees > 0;
        for (const cache of cachesOf(plan, batch)) {
          all.push({ ...one, cache, published: published ? "beside" : "none" });
        }
        if (published) all.push({ ...one, cache: "warm", paths: "zero", published: "alone" });
      }
    }
  }
  return all;
}

function layers(plan: Plan, facts: RunFacts): Case[] {
  const all = layerCases(plan);
  for (const one of all) checkMemory(one, facts);
  return all.map((one) => ({
    name: `${shapeName(one.shape)}, batch ${one.batch} ${one.published === "alone" ? "as published" : one.cache}`,
    measure: (tell) => measureLayer(one, facts, tell),
  }));
}

async function encoders(plan: Plan, facts: RunFacts): Promise<Case[]> {
  for (const name of plan.models) await checkModels(name, plan.dtypes, plan.lengths);
  const { threads, modelBatches, lengths, dtypes, seconds } = plan;
  return plan.models.flatMap((name) =>
    threads.flatMap((threads) =>
      modelBatches.flatMap((batch) =>
        lengths.map((length) => ({
          name: `${name}, ${batch}x${length} tokens`,
          async measure(tell: (share: number) => void) {
            using models = await openRunners(name, dtypes);
            return await measureEncoder(
              { runners: models.runners, batch, length, threads, seconds },
              facts,
              tell,
            );
          },
        })),
      ),
    ),
  );
}

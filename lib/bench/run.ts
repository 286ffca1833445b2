import type { Cache, Fill, RowDtype } from "../../ffi/bench.ts";
import { cpuCount } from "../../ffi/engine.ts";
import { type DevicePlan, deviceCases } from "./device-cases.ts";
import { measureEncoder } from "./encoder/encoder.ts";
import { walks } from "./encoder/random-model.ts";
import { checkModels, type Dtype, openRunners } from "./encoder/runners.ts";
import type { FoundBlas } from "./layer/blas.ts";
import { measureLayer } from "./layer/layer.ts";
import { checkMemory, type LayerCase, type RealPaths } from "./layer/parts.ts";
import { describeMachine, measureRoofline, type Roofline, type RunFacts } from "./measure/machine.ts";
import { type LayerShape, shapeName } from "./measure/presets.ts";
import type { BenchRecord } from "./measure/record.ts";

/** What to measure; lists are crossed. */
export interface Plan {
  /** Layers, if any. */
  shapes: readonly LayerShape[];
  /** Whole encoders, if any: presets, or checkpoints. */
  models: readonly string[];
  /** Tokens of a layer's batch. */
  batches: readonly number[];
  /** Sequences of a model's batch. */
  modelBatches: readonly number[];
  lengths: readonly number[];
  threads: readonly number[];
  levels: readonly number[];
  /** "auto": batch 1 is measured rotated and cold, larger ones warm. */
  cache: Cache | "auto";
  paths: Fill | RealPaths;
  blas: readonly FoundBlas[];
  asPublished: boolean;
  /** Of models; undefined: f32, or what a checkpoint has. */
  dtypes: readonly Dtype[] | undefined;
  /** Of the rows of trees, where they are walked; of others they are f32. */
  rowDtypes: readonly RowDtype[];
  /** Seconds for a case. */
  seconds: number;
  /** Where it all runs; on the CPU when absent. Levels, threads, BLAS libraries and both sorts of dtypes are for the CPU. */
  on?: DevicePlan | undefined;
}

export interface Progress {
  /** Cases done, of how many, and the share done of the one that runs. */
  done: number;
  total: number;
  share: number;
  name: string;
}

export interface Case {
  name: string;
  measure(progress: (share: number) => void): Promise<BenchRecord[]>;
}

/** Seconds that each bound of the roofline is measured for. */
const PROBE_SECONDS = 0.1;

/** Runs every case of a plan and gives its records as it ends. Errors: UffbError, all but wrong results before anything long starts. */
export async function* run(
  plan: Plan,
  about: { version: string; commit: string | null },
  progress: (state: Progress) => void,
): AsyncGenerator<BenchRecord[]> {
  const cases = await toCases(plan, { ...about, date: new Date().toISOString() });
  for (const [done, { name, measure }] of cases.entries()) {
    const tell = (share: number) => progress({ done, total: cases.length, share, name });
    tell(0);
    yield await measure(tell);
  }
}

async function toCases(plan: Plan, about: Pick<RunFacts, "version" | "commit" | "date">): Promise<Case[]> {
  const machine = describeMachine();
  if (plan.on) {
    const { device, dtypes } = plan.on;
    return deviceCases(plan, dtypes, { ...about, device, machine: { ...machine, device } });
  }
  const facts = { ...about, machine, roofline: rooflines() };
  return [...layers(plan, facts), ...(await encoders(plan, facts))];
}

/** The best of each bound seen so far: every case measures again, since other programs can only lower it. */
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
            using models = await openRunners(name, dtypes ?? ["f32"]);
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

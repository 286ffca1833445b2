import type { Fill } from "../../ffi/bench.ts";
import { cpuCount } from "../../ffi/engine.ts";
import { UffbError } from "../errors.ts";
import { openModel } from "../model.ts";
import type { FoundBlas } from "./blas.ts";
import { type EncoderCase, measureEncoder, type Runner } from "./encoder.ts";
import { type LayerCase, measureLayer, type RunFacts } from "./layer.ts";
import { availableMemory, describeMachine, measureRoofline } from "./machine.ts";
import { type LayerShape, PRESET_NAMES, preset, shapeName } from "./presets.ts";
import { encoderArch, modelBytes, randomModel } from "./random-model.ts";
import type { BenchRecord } from "./record.ts";

/** What to measure; lists are crossed. */
export interface Plan {
  shapes: readonly LayerShape[];
  /** Whole encoders instead of layers: presets, or checkpoints. */
  models: readonly string[];
  batches: readonly number[];
  lengths: readonly number[];
  threads: readonly number[];
  levels: readonly number[];
  /** "auto": batch 1 is cold, larger ones are warm. */
  cache: "auto" | "cold" | "warm";
  paths: Fill;
  blas: readonly FoundBlas[];
  asPublished: boolean;
  dtypes: readonly ("f32" | "int8")[];
  /** Seconds for a case. */
  seconds: number;
}

export interface Progress {
  /** Cases done, of how many, and the share done of the one that runs. */
  done: number;
  total: number;
  share: number;
  name: string;
}

/** Seconds that each bound of the roofline is measured for. */
const PROBE_SECONDS = 0.2;

/** Runs every case of a plan and gives its records as it ends. Errors: UffbError, most of them before anything long starts. */
export async function* run(
  plan: Plan,
  about: { version: string; commit: string | null },
  progress: (state: Progress) => void,
): AsyncGenerator<BenchRecord[]> {
  const machine = describeMachine();
  const facts = new Map<number, RunFacts>();
  for (const threads of plan.threads) {
    const roofline = measureRoofline(threads || cpuCount(), PROBE_SECONDS);
    facts.set(threads, { machine, roofline, ...about, date: new Date().toISOString() });
  }
  yield* plan.models.length > 0 ? encoders(plan, facts, progress) : layers(plan, facts, progress);
}

async function* layers(plan: Plan, facts: Map<number, RunFacts>, progress: (state: Progress) => void) {
  const cases = plan.threads.flatMap((threads) =>
    plan.shapes.flatMap((shape) =>
      plan.batches.map((batch): LayerCase => {
        const { levels, paths, blas, asPublished, seconds, cache } = plan;
        const cold = cache === "auto" ? batch === 1 : cache === "cold";
        return { shape, batch, levels, threads, cold, paths, blas, asPublished, seconds };
      }),
    ),
  );
  for (const [done, one] of cases.entries()) {
    const name = `${shapeName(one.shape)}, batch ${one.batch}`;
    const tell = (share: number) => progress({ done, total: cases.length, share, name });
    tell(0);
    yield measureLayer(one, facts.get(one.threads)!, tell);
  }
}

async function* encoders(plan: Plan, facts: Map<number, RunFacts>, progress: (state: Progress) => void) {
  const runners: Runner[] = [];
  const opened: Disposable[] = [];
  try {
    for (const name of plan.models) runners.push(...(await openRunners(name, plan.dtypes, opened)));
    const longest = Math.min(...runners.map(({ model }) => model.arch.maxLength));
    const tooLong = plan.lengths.find((length) => length > longest);
    if (tooLong !== undefined) throw new UffbError(`--length ${tooLong}: the model takes ${longest} tokens`);
    const cases = plan.threads.flatMap((threads) =>
      plan.batches.flatMap((batch) =>
        plan.lengths.map(
          (length): EncoderCase => ({ runners, batch, length, threads, seconds: plan.seconds }),
        ),
      ),
    );
    for (const [done, one] of cases.entries()) {
      const tell = (share: number) =>
        progress({ done, total: cases.length, share, name: `${one.batch}x${one.length} tokens` });
      tell(0);
      yield await measureEncoder(one, facts.get(one.threads)!, tell);
    }
  } finally {
    for (const one of opened) one[Symbol.dispose]();
  }
}

/** A preset becomes random models, and the dense one of BERT's width beside them; anything else is a checkpoint's path. */
async function openRunners(name: string, dtypes: Plan["dtypes"], opened: Disposable[]): Promise<Runner[]> {
  if (!PRESET_NAMES.includes(name)) {
    const model = await openModel(name);
    opened.push(model);
    return [{ name, model: model.native, dtype: "f32", dense: model.native.arch.trees === 0 }];
  }
  const shape = preset(name);
  const dense: LayerShape = { hidden: shape.hidden, trees: 0, depth: 0, width: 4 * shape.hidden };
  const shapes = shape.trees > 0 ? [shape, dense] : [shape];
  const bytes = shapes.reduce((sum, one) => sum + modelBytes(encoderArch(one)), 0) * dtypes.length;
  if (bytes > availableMemory()) {
    throw new UffbError(
      `the models of ${name} need ${Math.ceil(bytes / 1e9)} GB, more than is free; choose a smaller one`,
    );
  }
  return dtypes.flatMap((dtype) =>
    shapes.map((one): Runner => {
      const model = randomModel(encoderArch(one), dtype);
      opened.push(model);
      return { name: shapeName(one), model, dtype, dense: one.trees === 0 && dtype === dtypes[0] };
    }),
  );
}

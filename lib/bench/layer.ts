import {
  benchBytes,
  type ContenderInfo,
  contenders,
  type Fill,
  NativeBench,
  type Trial,
} from "../../ffi/bench.ts";
import { isas } from "../../ffi/engine.ts";
import type { NativeModel } from "../../ffi/model.ts";
import { UffbError } from "../errors.ts";
import type { FoundBlas } from "./blas.ts";
import { availableMemory, type Machine, type Roofline } from "./machine.ts";
import { type LayerShape, neurons, shapeName } from "./presets.ts";
import type { BenchRecord } from "./record.ts";
import { median, outliers, quantile } from "./statistics.ts";

/** Weights and inputs of a trained model's layer: see NativeBench.fillFrom. */
export interface RealPaths {
  model: NativeModel;
  layer: number;
  /** [tokens, hidden] */
  input: Float32Array;
}

export interface LayerCase {
  shape: LayerShape;
  batch: number;
  levels: readonly number[];
  threads: number;
  cold: boolean;
  paths: Fill | RealPaths;
  blas: readonly FoundBlas[];
  /** The published benchmark's conditions beside the honest rows. */
  asPublished: boolean;
  /** Seconds to spend on the case, about. */
  seconds: number;
}

/** What stays the same for all records of a run. */
export interface RunFacts {
  machine: Machine;
  roofline: Roofline;
  version: string;
  commit: string | null;
  date: string;
}

/** Tokens that are timed of a dense Level 1 or 2 and of the plain C kernels, which reuse nothing between tokens. */
const SAMPLE = 128;
/** Rows compared with the double-precision reference. */
const CHECKED = 64;
const MIN_ROUNDS = 5;
const MAX_ROUNDS = 400;
/** Inputs that batch 1 takes turns with, so that no path is still in a cache. */
const COLD_INPUTS = 4096;
const COLD_SIZE = 4;
const DEFAULT_CACHE = 32 * 2 ** 20;
/** Seconds from which on a call warms the caches up by itself. */
const WARMED = 0.05;
const GELU = 0;

/** One contender ready to run. */
interface Entry {
  info: ContenderInfo;
  bench: NativeBench;
  layer: LayerShape;
  blas: FoundBlas | undefined;
  trial: Trial;
  samples: number[];
  error: number | null;
  ties: number | null;
}

/**
 * Measures a case: every contender is checked against a double-precision evaluation and tried once with each BLAS; the fastest BLAS
 * of each then takes turns with the others, A B C A B C, until the time is up.
 * Errors: UffbError when a contender's result is wrong, or when memory does not suffice.
 */
export function measureLayer(
  one: LayerCase,
  facts: RunFacts,
  progress: (done: number) => void,
): BenchRecord[] {
  const layers = [one.shape, ...denseShapes(one.shape)];
  const shapes = layers.map((layer) => benchShape(one, layer, facts.machine));
  const bytes = shapes.reduce((sum, shape) => sum + benchBytes(shape), 0);
  if (bytes > availableMemory()) {
    throw new UffbError(
      `${shapeName(one.shape)} at batch ${one.batch} needs ${gigabytes(bytes)}, and ${gigabytes(availableMemory())} are free; use a smaller --batch`,
    );
  }
  const benches: NativeBench[] = [];
  try {
    const entries: Entry[] = [];
    for (const [i, layer] of layers.entries()) {
      const bench = new NativeBench(shapes[i]!);
      benches.push(bench);
      fill(bench, layer, one.paths);
      entries.push(...enter(one, bench, layer, i));
    }
    takeTurns(entries, one, progress);
    return toRecords(entries, one, facts);
  } finally {
    for (const bench of benches) bench[Symbol.dispose]();
  }
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

/** The dense layers an FFF layer is held against: as many neurons, padded to whole cache lines, and the usual four times hidden. */
function denseShapes(shape: LayerShape): LayerShape[] {
  const { all } = neurons(shape);
  const widths = [...new Set([all, Math.ceil(all / 16) * 16, 4 * shape.hidden])];
  return widths
    .filter((width) => shape.trees > 0 || width !== shape.width)
    .map((width) => ({ hidden: shape.hidden, trees: 0, depth: 0, width }));
}

function benchShape(one: LayerCase, layer: LayerShape, { caches }: Machine) {
  const bytes = neurons(layer).all * layer.hidden * 8;
  const copies = one.cold
    ? Math.max(2, Math.ceil((COLD_SIZE * (caches.at(-1) ?? DEFAULT_CACHE)) / bytes))
    : 1;
  const batch = one.cold ? Math.max(one.batch, Math.floor(COLD_INPUTS / one.batch) * one.batch) : one.batch;
  return { ...layer, batch, copies, activation: GELU, threads: one.threads };
}

function fill(bench: NativeBench, layer: LayerShape, paths: LayerCase["paths"]): void {
  if (typeof paths === "string") bench.fill(paths, 1);
  else if (layer.trees > 0) bench.fillFrom(paths.model, paths.layer, paths.input);
  else bench.fill("uniform", 1);
}

/** The contenders of one layer that the case asks for; the first dense shape alone stands for Levels 1 and 2. */
function enter(one: LayerCase, bench: NativeBench, layer: LayerShape, index: number): Entry[] {
  const entries: Entry[] = [];
  for (const info of contenders()) {
    if (info.fff !== layer.trees > 0 || (info.published && !one.asPublished)) continue;
    if (info.level > 0 && !one.levels.includes(info.level)) continue;
    if (!info.fff && index > 1 && (info.level === 1 || info.level === 2)) continue;
    const variants = info.blas
      ? one.blas
          .filter(({ library }) => library.complete || info.level === 3)
          .map((blas) => ({ blas, isa: undefined }))
      : isas().map((isa) => ({ blas: undefined, isa }));
    const tried = variants.map(({ blas, isa }): Entry => {
      const alone = !info.fff && (info.level === 1 || info.level === 2 || isa === "generic");
      const tokens = alone ? Math.min(one.batch, SAMPLE) : one.batch;
      const trial = { contender: info.index, blas: blas?.library, isa, tokens };
      return { info, bench, layer, blas, trial, samples: [], ...check(info, bench, trial, blas, isa) };
    });
    // Each instruction set is a contender of its own; of the BLAS libraries the fastest is.
    if (!info.blas) entries.push(...tried);
    else entries.push(...fastest(tried, one.cold));
  }
  return entries;
}

function check(
  info: ContenderInfo,
  bench: NativeBench,
  trial: Trial,
  blas: FoundBlas | undefined,
  isa: string | undefined,
): { error: number | null; ties: number | null } {
  if (info.published) return { error: null, ties: null };
  const { error, ties } = bench.check({ ...trial, tokens: Math.min(trial.tokens, CHECKED) });
  // A chain of n sums errs by n eps at most, and by its root on the average; 1e-4 is far above either and far below a wrong result.
  if (!(error < 1e-4)) {
    throw new UffbError(
      `${info.name} (${blas?.name ?? isa}) is wrong by ${error.toExponential(1)} and was not timed`,
    );
  }
  return { error, ties };
}

function fastest(tried: Entry[], cold: boolean): Entry[] {
  let best: { entry: Entry; seconds: number } | undefined;
  for (const entry of tried) {
    const seconds = Math.min(...[0, 1].map(() => entry.bench.run(entry.trial, cold)));
    if (best === undefined || seconds < best.seconds) best = { entry, seconds };
  }
  return best === undefined ? [] : [best.entry];
}

/** Rounds of A B C A B C; the first round warms up and is not counted. */
function takeTurns(entries: readonly Entry[], one: LayerCase, progress: (done: number) => void): void {
  const start = performance.now();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    for (const entry of entries) {
      // The others have used the caches since; a warm call is one that follows its like.
      const warmUps = one.cold || (entry.samples.at(-1) ?? 0) > WARMED ? 0 : 2;
      for (let i = 0; i < warmUps; i++) entry.bench.run(entry.trial, false);
      const seconds = entry.bench.run(entry.trial, one.cold);
      if (round > 0) entry.samples.push(seconds);
    }
    const spent = (performance.now() - start) / 1000;
    progress(Math.min(1, Math.max(spent / one.seconds, round / MAX_ROUNDS)));
    if (round >= MIN_ROUNDS && spent > one.seconds) return;
  }
}

const perToken = (entry: Entry) => median(entry.samples) / entry.trial.tokens;

function toRecords(entries: readonly Entry[], one: LayerCase, facts: RunFacts): BenchRecord[] {
  const { all, used } = neurons(one.shape);
  const honest = entries.filter(({ info }) => !info.published);
  // As many neurons, padded or not: the narrower dense layer is shown, but is no baseline.
  const dense = honest.filter(({ info, layer }) => !info.fff && layer.width >= all);
  const fastestDense = Math.min(...dense.map(perToken));
  const sameLevel = (level: number) =>
    Math.min(...dense.filter(({ info }) => info.level === level).map(perToken));
  return entries.map((entry) => {
    const { info, layer, blas, trial, samples, error, ties } = entry;
    const seconds = perToken(entry);
    const neuronsRun = info.fff ? used : layer.width;
    const reads = info.fff ? used : layer.width / trial.tokens;
    const flops = (neuronsRun * 4 * layer.hidden) / seconds;
    const compare = (baseline: number) => (info.fff && Number.isFinite(baseline) ? baseline / seconds : null);
    return {
      kind: "layer",
      shape: shapeName(layer),
      ...layer,
      layers: null,
      batch: one.batch,
      length: null,
      padded: false,
      contender: info.name,
      level: info.level,
      published: info.published,
      blas: blas?.name ?? null,
      blas_version: blas?.library.version ?? null,
      isa: trial.isa ?? null,
      threads: entry.bench.shape.threads || one.threads,
      dtype: "f32",
      cache: one.cold ? "cold" : "warm",
      paths: typeof one.paths === "string" ? one.paths : "real",
      tokens: trial.tokens,
      samples,
      seconds_per_token: seconds,
      tokens_per_s: 1 / seconds,
      latency_p50: median(samples),
      latency_p90: quantile(samples, 0.9),
      latency_p99: quantile(samples, 0.99),
      speedup_same_level: compare(sameLevel(info.level)),
      speedup_fastest_dense: compare(fastestDense),
      speedup_limit: info.fff ? all / used : null,
      flops,
      bytes_per_s: ((reads * 2 + 3) * layer.hidden * 4) / seconds,
      share_of_peak_flops: flops / facts.roofline.flops,
      error,
      ties,
      outliers: outliers(samples),
      machine: facts.machine,
      version: facts.version,
      commit: facts.commit,
      date: facts.date,
    };
  });
}

/** The layers of a case: the one it is about, dense ones to compare with, and which contenders compute them. */

import {
  benchBytes,
  type Cache,
  type ContenderInfo,
  type Fill,
  type NativeBench,
  ROW_DTYPES,
  type RowDtype,
} from "../../../ffi/bench.ts";
import { type BenchShape, UFFB_GELU } from "../../../ffi/bindings.ts";
import type { NativeModel } from "../../../ffi/model.ts";
import { UffbError } from "../../base/errors.ts";
import { formatBytes } from "../../base/numbers.ts";
import { availableMemory, type RunFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";
import type { FoundBlas } from "./blas.ts";

/** Weights and inputs of a trained model's layer: see NativeBench.fillFrom. */
export interface RealPaths {
  model: NativeModel;
  layer: number;
  /** [tokens, hidden] */
  input: Float32Array;
  /** For records: "real (layer 2)". */
  name: string;
}

export interface LayerCase {
  shape: LayerShape;
  batch: number;
  levels: readonly number[];
  threads: number;
  /** Weights of our own kernels for trees; of all others they are f32. */
  dtypes: readonly RowDtype[];
  cache: Cache;
  paths: Fill | RealPaths;
  blas: readonly FoundBlas[];
  /** "beside": the published benchmark's arithmetic, too. "alone": that, and the dense layers it was compared with. */
  published: "beside" | "alone" | "none";
  /** Seconds to spend on the case, about. */
  seconds: number;
}

/** How records name the paths. */
export function pathsName(paths: LayerCase["paths"]): string {
  return typeof paths === "string" ? paths : paths.name;
}

/** Fills a bench's weights and inputs so that tokens take the paths of the case. */
export function fill(
  bench: Pick<NativeBench, "fill" | "fillFrom">,
  layer: LayerShape,
  paths: LayerCase["paths"],
): void {
  if (typeof paths === "string") bench.fill(paths, 1);
  else if (layer.trees > 0) bench.fillFrom(paths.model, paths.layer, paths.input);
  else bench.fill("uniform", 1);
}

/** Rows of input that calls take turns with. */
const INPUTS = 4096;
/** Cold runs read this many times the last-level cache from elsewhere, and rotated weights take more than that together. */
const PAST_CACHE = 4;
const DEFAULT_CACHE = 32 * 2 ** 20;

/**
 * Checks a case before anything is measured.
 *
 * @throws UffbError when it needs more memory than is free
 */
export function checkMemory(one: LayerCase, facts: RunFacts): void {
  const bytes = bytesOf(
    one,
    facts,
    allParts(one).filter(({ leads }) => leads),
  );
  if (bytes <= availableMemory()) return;
  const warm = one.cache === "warm" ? "" : ", or --warm, which needs one copy of the weights";
  throw new UffbError(
    `${shapeName(one.shape)} at batch ${one.batch} needs ${formatBytes(bytes)}, and ${formatBytes(availableMemory())} are free; use a smaller --batch or shape${warm}`,
  );
}

/** A layer of a case: its own in some dtype, or a dense one that stands beside it. */
export interface Part {
  layer: LayerShape;
  dtype: RowDtype;
  /** The case's own layer, or the first dense one, which is always measured and is the only one for BLAS Levels 1 and 2. */
  leads: boolean;
}

const bytesOf = (one: LayerCase, facts: RunFacts, parts: readonly Part[]) =>
  parts.reduce((sum, part) => sum + benchBytes(benchShape(one, part, facts)), 0);

/** The dense layers that an FFF layer is compared with: as many neurons, padded to whole cache lines, and the usual four times hidden. */
function denseShapes(shape: LayerShape): LayerShape[] {
  const { all } = neurons(shape);
  const widths = [...new Set([all, Math.ceil(all / 16) * 16, 4 * shape.hidden])];
  return widths
    .filter((width) => shape.trees > 0 || width !== shape.width)
    .map((width) => ({ hidden: shape.hidden, trees: 0, depth: 0, width }));
}

/** The case's layer first, always also in f32, which BLAS libraries need. */
function allParts({ shape, dtypes, published }: LayerCase): Part[] {
  const narrow = published === "alone" ? [] : dtypes.filter((dtype) => dtype !== "f32");
  return [
    ...(["f32", ...narrow] as const).map((dtype) => ({ layer: shape, dtype, leads: true })),
    ...denseShapes(shape).map((layer, i) => ({ layer, dtype: "f32" as const, leads: i === 0 })),
  ];
}

/** Where memory is short, only one dense layer is measured beside the case's own: the one of as many neurons. */
export function partsOf(one: LayerCase, facts: RunFacts): Part[] {
  const all = allParts(one);
  const fits = one.published !== "alone" && bytesOf(one, facts, all) <= availableMemory();
  return fits ? all : all.filter(({ leads }) => leads);
}

export function benchShape(
  one: LayerCase,
  { layer, dtype }: Omit<Part, "leads">,
  { machine }: Pick<RunFacts, "machine">,
): BenchShape {
  const inputs = Math.max(1, Math.floor(INPUTS / one.batch)) * one.batch;
  const past = PAST_CACHE * (machine.caches.at(-1) ?? DEFAULT_CACHE);
  const evict = one.cache === "cold" ? past : 0;
  const weightBytes = 2 * neurons(layer).all * layer.hidden * (dtype === "f32" ? 4 : 2);
  const copies = { warm: 1, cold: 2, rotated: Math.max(2, 1 + Math.floor(past / weightBytes)) }[one.cache];
  const activation = typeof one.paths === "string" ? UFFB_GELU : one.paths.model.arch.activation;
  return {
    ...layer,
    batch: one.batch,
    inputs,
    copies,
    evict,
    activation,
    threads: one.threads,
    dtype: ROW_DTYPES[dtype],
  };
}

/** Whether a contender takes part in this part of a case. */
export function takesPart(info: ContenderInfo, one: LayerCase, { layer, dtype, leads }: Part): boolean {
  if (info.fff !== layer.trees > 0) return false;
  const isOurs = info.fff && info.level === 0;
  if (dtype !== "f32" || (isOurs && one.published !== "alone")) return isOurs && one.dtypes.includes(dtype);
  const baseline = !info.fff && info.level === 3; // whichever levels are asked for
  if (info.level > 0 && !baseline && !one.levels.includes(info.level)) return false;
  if (one.published === "alone") return info.published || baseline || (!info.fff && info.level === 1);
  if (info.published && one.published === "none") return false;
  return leads || info.level === 0 || baseline;
}

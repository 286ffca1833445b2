import type { ContenderInfo, NativeBench, RowDtype, Trial } from "../../../ffi/bench.ts";
import { cpuCount } from "../../../ffi/engine.ts";
import { median } from "../../base/statistics.ts";
import type { RunFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";
import { type BenchRecord, toRecord } from "../measure/record.ts";
import type { FoundBlas } from "./blas.ts";
import { type LayerCase, pathsName } from "./parts.ts";

/** One contender of a case. */
export interface Entry {
  info: ContenderInfo;
  bench: NativeBench;
  layer: LayerShape;
  /** Of the weights. */
  dtype: RowDtype;
  blas: FoundBlas | undefined;
  trial: Trial;
  /** How the inputs spread over the leaves; null for dense layers. */
  reach: { leaves: number; busiest: number } | null;
  /** Seconds of each call. */
  samples: number[];
  error: number | null;
  ties: number | null;
}

/** Tokens of one sgemm in dense Level 3 (dense_blas.c), which reads the weights once for them. */
const BLOCK = 1024;

const perToken = (entry: Entry) => median(entry.samples) / entry.trial.tokens;

/** Weights read for a token, as rows of `hidden` in and out. */
function rowsRead({ info, layer, trial }: Entry): number {
  if (info.fff) return neurons(layer).used;
  return info.level === 1 || info.level === 2 ? layer.width : layer.width / Math.min(trial.tokens, BLOCK);
}

export function toRecords(entries: readonly Entry[], one: LayerCase, facts: RunFacts): BenchRecord[] {
  const { all, used } = neurons(one.shape);
  const alone = one.published === "alone";
  // As many neurons, padded or not: the narrower dense layer is shown, but is no baseline.
  const dense = entries.filter(
    ({ info, layer }) => !info.fff && layer.width >= all && (alone || !info.published),
  );
  const fastest = (level?: number) =>
    Math.min(...dense.filter(({ info }) => level === undefined || info.level === level).map(perToken));
  const roofline = facts.roofline(one.threads);
  return entries.map((entry) => {
    const { info, layer, dtype, blas, trial, samples, reach, error, ties } = entry;
    const time = perToken(entry);
    const flops = (neurons(layer).used * 4 * layer.hidden) / time;
    const bytes = ((rowsRead(entry) * 2 * (dtype === "f32" ? 4 : 2) + 3 * 4) * layer.hidden) / time;
    const compare = (baseline: number) => (info.fff && Number.isFinite(baseline) ? baseline / time : null);
    const published = info.published || alone;
    return toRecord(samples, trial.tokens, facts, {
      kind: "layer",
      case_shape: shapeName(one.shape),
      shape: shapeName(layer),
      ...layer,
      batch: one.batch,
      contender: info.name,
      level: info.level,
      published,
      blas: blas?.name ?? null,
      blas_version: blas?.library.version ?? null,
      isa: trial.isa ?? null,
      threads: one.threads || cpuCount(),
      dtype,
      cache: one.cache,
      paths: pathsName(one.paths),
      leaves: reach?.leaves ?? null,
      busiest_leaf: reach?.busiest ?? null,
      speedup_same_level: compare(fastest(info.level)),
      speedup_fastest_dense: compare(fastest()),
      speedup_limit: info.fff ? all / used : null,
      flops,
      bytes_per_s: bytes,
      peak_flops: roofline.flops,
      peak_memory_bytes_per_s: roofline.memory,
      peak_l2_bytes_per_s: roofline.l2,
      share_of_bound: published
        ? null
        : Math.max(flops / roofline.flops, bytes / (one.cache === "warm" ? roofline.l2 : roofline.memory)),
      error,
      ties,
    });
  });
}

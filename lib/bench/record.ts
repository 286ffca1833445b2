import type { Machine } from "./machine.ts";

/**
 * One contender in one case: what every export writes, one JSON object or row each. Times are seconds, rates per second. Fields that
 * do not apply to a kind of case are null, so that every record has the same ones.
 */
export interface BenchRecord {
  kind: "layer" | "model";
  /** "1x11", "dense 4095", or a checkpoint's name */
  shape: string;
  hidden: number;
  trees: number;
  depth: number;
  width: number;
  layers: number | null;
  /** Tokens of a layer's batch; sequences of a model's. */
  batch: number;
  /** Tokens of a sequence, for models. */
  length: number | null;
  /** Sequences are padded to the model's maximum; padding is not counted as tokens. */
  padded: boolean;
  contender: string;
  /** BLAS level of the contender; 0: our own kernels */
  level: number;
  /** The published benchmark's arithmetic, whose result is not the layer's. */
  published: boolean;
  blas: string | null;
  blas_version: string | null;
  isa: string | null;
  threads: number;
  dtype: "f32" | "int8";
  cache: "cold" | "warm";
  paths: string;
  /** Tokens timed in one call: fewer than the batch where tokens share nothing. */
  tokens: number;
  samples: number[];
  seconds_per_token: number;
  tokens_per_s: number;
  latency_p50: number;
  latency_p90: number;
  latency_p99: number;
  speedup_same_level: number | null;
  speedup_fastest_dense: number | null;
  speedup_limit: number | null;
  flops: number | null;
  bytes_per_s: number | null;
  share_of_peak_flops: number | null;
  /** Against a double-precision evaluation, relative to the largest value; null where there is nothing to compare. */
  error: number | null;
  ties: number | null;
  outliers: number;
  machine: Machine;
  version: string;
  commit: string | null;
  date: string;
}

/** The fields of a record in the order of columns. */
export const COLUMNS = [
  "kind",
  "shape",
  "hidden",
  "trees",
  "depth",
  "width",
  "layers",
  "batch",
  "length",
  "padded",
  "contender",
  "level",
  "published",
  "blas",
  "blas_version",
  "isa",
  "threads",
  "dtype",
  "cache",
  "paths",
  "tokens",
  "samples",
  "seconds_per_token",
  "tokens_per_s",
  "latency_p50",
  "latency_p90",
  "latency_p99",
  "speedup_same_level",
  "speedup_fastest_dense",
  "speedup_limit",
  "flops",
  "bytes_per_s",
  "share_of_peak_flops",
  "error",
  "ties",
  "outliers",
  "machine",
  "version",
  "commit",
  "date",
] as const satisfies readonly (keyof BenchRecord)[];

/** Every record has every column: the compiler's proof that COLUMNS is complete. */
type Missing = Exclude<keyof BenchRecord, (typeof COLUMNS)[number]>;
export const ALL_COLUMNS: [Missing] extends [never] ? true : never = true;

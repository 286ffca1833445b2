import type { Cache } from "../../../ffi/bench.ts";
import { median, quantile } from "../../base/statistics.ts";
import type { Machine, RunFacts } from "./machine.ts";
import { outliers } from "./statistics.ts";

/**
 * One contender in one case: what every export writes, one JSON object or row each. COLUMNS says what the fields mean. Those that do not
 * apply to a kind of case are null, so that every record has the same ones.
 */
export interface BenchRecord {
  kind: "layer" | "model";
  case_shape: string;
  shape: string;
  hidden: number;
  trees: number;
  depth: number;
  width: number;
  layers: number | null;
  batch: number;
  length: number | null;
  padded: boolean;
  contender: string;
  level: number;
  published: boolean;
  blas: string | null;
  blas_version: string | null;
  isa: string | null;
  threads: number | null;
  device: string | null;
  dtype: "f32" | "tf32" | "f16" | "bf16" | "int8";
  cache: Cache;
  paths: string;
  leaves: number | null;
  busiest_leaf: number | null;
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
  flops: number;
  bytes_per_s: number | null;
  peak_flops: number | null;
  peak_memory_bytes_per_s: number | null;
  peak_l2_bytes_per_s: number | null;
  share_of_bound: number | null;
  error: number | null;
  ties: number | null;
  outliers: number;
  machine: Machine;
  version: string;
  commit: string | null;
  date: string;
}

/** The fields in the order of columns: the type that SQLite stores, and the meaning. Times are seconds, rates per second. */
export const COLUMNS: Readonly<
  Record<keyof BenchRecord, readonly [type: "TEXT" | "INTEGER" | "REAL", meaning: string]>
> = {
  kind: ["TEXT", "layer or model: one feedforward layer, or a whole encoder"],
  case_shape: ["TEXT", "the shape that the case is about; rows of dense layers to compare with have it too"],
  shape: ["TEXT", "trees x depth, or dense and its width"],
  hidden: ["INTEGER", "hidden size"],
  trees: ["INTEGER", "trees of the layer; 0: dense"],
  depth: ["INTEGER", "depth of its trees, whose paths have depth + 1 neurons"],
  width: ["INTEGER", "neurons of a dense layer"],
  layers: ["INTEGER", "layers of a model"],
  batch: ["INTEGER", "tokens of a layer's batch, or sequences of a model's"],
  length: ["INTEGER", "tokens of a model's sequence"],
  padded: ["INTEGER", "1: sequences are padded to the model's maximum; padding does not count as tokens"],
  contender: ["TEXT", "who computes it; cublaslt fuses GELU in the tanh approximation, the only one it has"],
  level: ["INTEGER", "its BLAS level; 0: our own kernels; on a device 3 is cuBLAS"],
  published: ["INTEGER", "1: the published benchmark's arithmetic, whose result is not the layer's"],
  blas: ["TEXT", "the BLAS it calls; ours: our own dot, axpy, gemv and gemm, which stand in for one"],
  blas_version: ["TEXT", "the version that library reports"],
  isa: ["TEXT", "the instruction set of our own kernels"],
  threads: ["INTEGER", "CPU threads; none on a device"],
  device: ["TEXT", "where it ran, when that was not the CPU"],
  dtype: [
    "TEXT",
    "on the CPU, of weights: f32; bf16: rows of trees in bf16, all else f32; int8: a model's projections in int8, its trees in bf16. On a device, of all numbers: f32, f16, bf16, or tf32, which is f32 with 10 bits of mantissa in multiplications",
  ],
  cache: [
    "TEXT",
    "state of the caches before a call. warm: weights were just read. cold: neither weights nor their page tables are in any cache. rotated: calls take turns with copies of the weights that together exceed the last cache; on a device L2 then holds none of them",
  ],
  paths: ["TEXT", "how tokens fall: uniform, skewed, real, or zero as published"],
  leaves: ["INTEGER", "leaves of the first tree that the inputs reach"],
  busiest_leaf: ["REAL", "share of the inputs at the busiest of them"],
  tokens: [
    "INTEGER",
    "tokens timed in a call; fewer than the batch for slow contenders that take each token by itself",
  ],
  samples: [
    "TEXT",
    "seconds of each call, as JSON; rotated: the mean call of a turn; on a device: by its own clock, for a layer the mean call of a CUDA graph",
  ],
  seconds_per_token: ["REAL", "the median call, over its tokens"],
  tokens_per_s: ["REAL", "tokens over the median call"],
  latency_p50: ["REAL", "quantiles of the calls"],
  latency_p90: ["REAL", ""],
  latency_p99: ["REAL", ""],
  speedup_same_level: ["REAL", "against the fastest dense contender of the same BLAS level (0: our own)"],
  speedup_fastest_dense: [
    "REAL",
    "against the fastest dense contender of all, in f32; on a device, and of a model, in the same dtype",
  ],
  speedup_limit: ["REAL", "the speed-up by arithmetic alone"],
  flops: ["REAL", "arithmetic per second; a multiply-add counts as 2"],
  bytes_per_s: ["REAL", "bytes per second: weights, counted once for a call or block, and activations"],
  peak_flops: [
    "REAL",
    "the roofline: f32 arithmetic from registers with as many threads; not measured on a device",
  ],
  peak_memory_bytes_per_s: ["REAL", "the roofline: reading memory"],
  peak_l2_bytes_per_s: ["REAL", "the roofline: reading L2"],
  share_of_bound: [
    "REAL",
    "of the roofline: of its arithmetic, or of memory (cold, rotated) or L2 (warm), whichever binds",
  ],
  error: [
    "REAL",
    "largest difference from a double-precision evaluation with the same, rounded weights, relative to its largest value; of a model on a device, the median token's difference from the CPU's state, relative",
  ],
  ties: ["INTEGER", "tokens left out of `error` because a logit was too close to 0 to decide the path"],
  outliers: ["INTEGER", "samples far from the median"],
  machine: [
    "TEXT",
    "CPU, caches, best instruction set, compiler, free memory, load, and what the device is, as JSON",
  ],
  version: ["TEXT", "of uffb"],
  commit: ["TEXT", "of uffb, for compiled binaries"],
  date: ["TEXT", "when the run began, the same in all of its records"],
};

export const COLUMN_NAMES = Object.keys(COLUMNS) as (keyof BenchRecord)[];

/** Fields that only some kinds of case have. */
const ABSENT = {
  layers: null,
  length: null,
  padded: false,
  published: false,
  blas: null,
  blas_version: null,
  isa: null,
  threads: null,
  device: null,
  leaves: null,
  busiest_leaf: null,
  speedup_same_level: null,
  speedup_fastest_dense: null,
  speedup_limit: null,
  bytes_per_s: null,
  peak_flops: null,
  peak_memory_bytes_per_s: null,
  peak_l2_bytes_per_s: null,
  share_of_bound: null,
  error: null,
  ties: null,
} as const satisfies Partial<BenchRecord>;

/** What follows from the samples, the tokens of a call and the run. */
const derived = (samples: number[], tokens: number, facts: Omit<RunFacts, "roofline">) => ({
  samples,
  tokens,
  seconds_per_token: median(samples) / tokens,
  tokens_per_s: tokens / median(samples),
  latency_p50: median(samples),
  latency_p90: quantile(samples, 0.9),
  latency_p99: quantile(samples, 0.99),
  outliers: outliers(samples),
  machine: facts.machine,
  version: facts.version,
  commit: facts.commit,
  date: facts.date,
});

type Derived = keyof ReturnType<typeof derived>;
type Own = Omit<BenchRecord, Derived | keyof typeof ABSENT> & Partial<Omit<BenchRecord, Derived>>;

/** The record of a contender: `samples` are the seconds of each call on `tokens`, `own` is what is the contender's or the case's own. */
export function toRecord(
  samples: number[],
  tokens: number,
  facts: Omit<RunFacts, "roofline">,
  own: Own,
): BenchRecord {
  const fields: BenchRecord = { ...ABSENT, ...own, ...derived(samples, tokens, facts) };
  return Object.fromEntries(COLUMN_NAMES.map((name) => [name, fields[name]])) as unknown as BenchRecord;
}

/** What a bench is asked for, and the cases that it becomes. */
import type { Cache, Fill, RowDtype } from "../../ffi/bench.ts";
import type { CudaDevice, CudaDtype } from "../../ffi/cuda.ts";
import type { Dtype } from "./encoder/runners.ts";
import type { FoundBlas } from "./layer/blas.ts";
import type { RealPaths } from "./layer/parts.ts";
import type { LayerShape } from "./measure/presets.ts";
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
  /** The device that everything runs on; the CPU when absent. Levels, threads, BLAS libraries and the dtypes above are for the CPU only. */
  on?: DevicePlan | undefined;
}

/** Where a plan runs, when that is not the CPU. */
export interface DevicePlan {
  device: CudaDevice;
  dtypes: readonly CudaDtype[];
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

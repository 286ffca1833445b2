import type { CudaBench, CudaContenderInfo } from "../../../ffi/cuda-bench.ts";
import type { DeviceFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";
import type { BenchRecord } from "../measure/record.ts";
import { median, outliers, quantile } from "../measure/statistics.ts";
import type { DeviceLayerCase } from "./layer.ts";

/** One contender of a case on a device. */
export interface DeviceEntry {
  info: CudaContenderInfo;
  bench: CudaBench;
  layer: LayerShape;
  /** Calls of a sample. */
  calls: number;
  /** Seconds of the mean call of each graph. */
  samples: number[];
  error: number;
  ties: number;
}

/** Dense layers share the weights among all tokens of a call, trees do not. */
function rowsRead({ info, layer }: DeviceEntry, batch: number): number {
  return info.fff ? neurons(layer).used : layer.width / batch;
}

export function toDeviceRecords(
  entries: readonly DeviceEntry[],
  one: DeviceLayerCase,
  facts: DeviceFacts,
): BenchRecord[] {
  const { all, used } = neurons(one.shape);
  const { device } = facts;
  const perToken = (entry: DeviceEntry) => median(entry.samples) / one.batch;
  const dtypeOf = ({ info }: DeviceEntry) => (info.tensor ? "tf32" : one.dtype);
  const levelOf = ({ info }: DeviceEntry) => (info.library ? 3 : 0);
  /** Time of the fastest dense contender of `entry`'s dtype with as many neurons, or a few more. */
  const baseline = (entry: DeviceEntry, level?: number) =>
    Math.min(
      ...entries
        .filter((other) => !other.info.fff && other.layer.width >= all && dtypeOf(other) === dtypeOf(entry))
        .filter((other) => level === undefined || levelOf(other) === level)
        .map(perToken),
    );
  return entries.map((entry) => {
    const { info, layer, bench, samples, error, ties } = entry;
    const time = perToken(entry);
    const bytes = bench.shape.dtype === "f32" ? 4 : 2;
    const compare = (seconds: number) => (info.fff && Number.isFinite(seconds) ? seconds / time : null);
    return {
      kind: "layer",
      case_shape: shapeName(one.shape),
      shape: shapeName(layer),
      ...layer,
      layers: null,
      batch: one.batch,
      length: null,
      padded: false,
      contender: info.name,
      level: levelOf(entry),
      published: false,
      blas: info.library ? "cublas" : null,
      blas_version: info.library ? device.cublas : null,
      isa: null,
      threads: null,
      device: device.name,
      dtype: dtypeOf(entry),
      cache: one.cache,
      paths: typeof one.paths === "string" ? one.paths : one.paths.name,
      leaves: null,
      busiest_leaf: null,
      tokens: one.batch,
      samples,
      seconds_per_token: time,
      tokens_per_s: 1 / time,
      latency_p50: median(samples),
      latency_p90: quantile(samples, 0.9),
      latency_p99: quantile(samples, 0.99),
      speedup_same_level: compare(baseline(entry, levelOf(entry))),
      speedup_fastest_dense: compare(baseline(entry)),
      speedup_limit: info.fff ? all / used : null,
      flops: (neurons(layer).used * 4 * layer.hidden) / time,
      bytes_per_s: ((rowsRead(entry, one.batch) * 2 + 2) * layer.hidden * bytes) / time,
      peak_flops: null,
      peak_memory_bytes_per_s: null,
      peak_l2_bytes_per_s: null,
      share_of_bound: null,
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

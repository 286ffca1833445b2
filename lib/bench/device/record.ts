import type { CudaBench, CudaContenderInfo } from "../../../ffi/cuda-bench.ts";
import { median } from "../../base/statistics.ts";
import { pathsName } from "../layer/parts.ts";
import type { DeviceFacts } from "../measure/machine.ts";
import { type LayerShape, neurons, shapeName } from "../measure/presets.ts";
import { type BenchRecord, toRecord } from "../measure/record.ts";
import type { DeviceLayerCase } from "./parts.ts";

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

/** A dense layer reads its weights once for all tokens of a call; trees are read for each token. */
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
    return toRecord(samples, one.batch, facts, {
      kind: "layer",
      case_shape: shapeName(one.shape),
      shape: shapeName(layer),
      ...layer,
      batch: one.batch,
      contender: info.name,
      level: levelOf(entry),
      blas: info.library ? "cublas" : null,
      blas_version: info.library ? device.cublas : null,
      device: device.name,
      dtype: dtypeOf(entry),
      cache: one.cache,
      paths: pathsName(one.paths),
      speedup_same_level: compare(baseline(entry, levelOf(entry))),
      speedup_fastest_dense: compare(baseline(entry)),
      speedup_limit: info.fff ? all / used : null,
      flops: (neurons(layer).used * 4 * layer.hidden) / time,
      bytes_per_s: ((rowsRead(entry, one.batch) * 2 + 2) * layer.hidden * bytes) / time,
      error,
      ties,
    });
  });
}

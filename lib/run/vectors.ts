/** From a batch's final states to one vector a text: pooling, then the modules that a model has after it. */
import type { NativeContext, Pooling } from "../../ffi/context.ts";
import { UsageError } from "../base/errors.ts";
import type { Model } from "../model/model.ts";
import type { DenseModule, NormModule, VectorModule } from "../model/sentence/modules.ts";
import { dot, normaliseRows } from "./normalise.ts";

/** Poolings a sentence vector can have. */
export const POOLINGS = [
  "mean",
  "first",
  "max",
  "last",
  "mean-sqrt",
  "weighted",
] as const satisfies readonly Pooling[];

/** How vectors of texts are made. */
export interface VectorMaker {
  /** Numbers of a vector. */
  width: number;
  /** Vectors [sequences, width] of the batch that the context has just encoded, without the first `skip` tokens of each sequence. */
  read(context: NativeContext, skip?: number): Promise<Float32Array>;
}

/**
 * The model's own way: that of its sentence-transformers folder, or else the mean of the final states. `pooling` replaces its pooling alone.
 *
 * @throws UffbError when the model's settings cannot be used; UsageError for a pooling after which its modules do not fit
 */
export function vectorMaker(model: Model, pooling?: Pooling): VectorMaker {
  const { hidden } = model.config.arch;
  const sentence = model.sentence();
  const own = sentence?.pooling.poolings ?? ["mean"];
  const poolings = pooling === undefined ? own : [pooling];
  const pooled = hidden * poolings.length;
  const after = sentence?.after ?? [];
  const first = after.find(({ kind }) => kind !== "Normalize");
  if (first && poolings.length !== own.length) {
    throw new UsageError(
      `--pooling ${pooling} gives vectors of ${pooled} numbers, but the model's ${first.kind} takes ${hidden * own.length}; drop it`,
    );
  }
  const full = after.findLast(({ kind }) => kind === "Dense") ? sentence!.width : pooled;
  const width = Math.min(sentence?.truncateDim ?? full, full);
  return {
    width,
    async read(context, skip = 0) {
      const parts: Float32Array[] = [];
      for (const pooling of poolings) parts.push(await context.pool(pooling, skip));
      let vectors = sideBySide(parts, hidden);
      let columns = pooled;
      for (const module of after) {
        vectors = apply(module, vectors, columns);
        if (module.kind === "Dense") columns = module.outputs;
      }
      return firstColumns(vectors, columns, width);
    },
  };
}

/** Matrices [rows, columns] as one with all their columns. */
function sideBySide(parts: readonly Float32Array[], columns: number): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const width = columns * parts.length;
  const whole = new Float32Array(parts[0]!.length * parts.length);
  parts.forEach((part, p) => {
    for (let from = 0, to = p * columns; from < part.length; from += columns, to += width)
      whole.set(part.subarray(from, from + columns), to);
  });
  return whole;
}

function firstColumns(vectors: Float32Array, columns: number, width: number): Float32Array {
  if (width === columns) return vectors;
  const kept = new Float32Array((vectors.length / columns) * width);
  for (let from = 0, to = 0; from < vectors.length; from += columns, to += width)
    kept.set(vectors.subarray(from, from + width), to);
  return kept;
}

/** @param vectors [rows, columns] */
function apply(module: VectorModule, vectors: Float32Array, columns: number): Float32Array {
  switch (module.kind) {
    case "Dense":
      return dense(module, vectors);
    case "LayerNorm":
      return layerNorm(module, vectors, columns);
    case "Normalize":
      return normaliseRows(vectors, columns);
  }
}

function dense(module: DenseModule, vectors: Float32Array): Float32Array {
  const { inputs, outputs, weight, bias, activation, residual } = module;
  const results = new Float32Array((vectors.length / inputs) * outputs);
  for (let from = 0, to = 0; from < vectors.length; from += inputs, to += outputs) {
    const x = vectors.subarray(from, from + inputs);
    for (let i = 0; i < outputs; i++) {
      const y = activation(dot(weight.subarray(i * inputs, (i + 1) * inputs), x) + (bias?.[i] ?? 0));
      results[to + i] = y + added(residual, x, i);
    }
  }
  return results;
}

/** What a residual connection adds to number i of a result. */
function added(residual: DenseModule["residual"], x: Float32Array, i: number): number {
  if (residual === "none") return 0;
  return residual === "input" ? x[i]! : dot(residual.subarray(i * x.length, (i + 1) * x.length), x);
}

/** torch.nn.LayerNorm's. */
const EPSILON = 1e-5;

function layerNorm({ weight, bias }: NormModule, vectors: Float32Array, columns: number): Float32Array {
  for (let start = 0; start < vectors.length; start += columns) {
    const vector = vectors.subarray(start, start + columns);
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += vector[i]!;
    const mean = sum / columns;
    let squares = 0;
    for (let i = 0; i < columns; i++) squares += (vector[i]! - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / columns + EPSILON);
    for (let i = 0; i < columns; i++) vector[i] = (vector[i]! - mean) * scale * weight[i]! + bias[i]!;
  }
  return vectors;
}

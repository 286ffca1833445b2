/**
 * Narrower feedforward layers: the neurons that matter most stay, and what the others gave is folded into the bias and, as far as those that
 * stay can tell it, into their output columns.
 *
 * A neuron matters as much as its activation deviates from its mean times what that moves behind the LayerNorm that follows: the length of
 * its output column without its mean, element by element times the norm's weight. A neuron that always gives the same is a bias.
 */
import { UFFB_TAP_FFN_UNITS } from "../../ffi/bindings.ts";
import type { Input } from "../eval/glue/run.ts";
import type { Model } from "../model/model.ts";
import { Products, solveSymmetric } from "./least-squares.ts";
import { type Reading, readSample } from "./sample.ts";

/** A layer's second half. */
export interface FeedforwardWeights {
  /** [width, hidden] and [width] */
  inWeight: Float32Array;
  inBias: Float32Array | undefined;
  /** [hidden, width] and [hidden] */
  outWeight: Float32Array;
  outBias: Float32Array | undefined;
}

/** How each neuron of a layer behaves on text. */
export interface UnitStatistics {
  /** [width] */
  mean: Float64Array;
  deviation: Float64Array;
}

/** Of the mean square of neurons, added to their sums of squares: text that is not in the sample counts, too. */
const RIDGE = 1e-3;

/** Calls `visit` with the units [tokens, width] of each of `layers`, batch by batch. */
function eachUnits(
  model: Model,
  inputs: readonly Input[],
  layers: readonly number[],
  reading: Reading,
  visit: (layer: number, tokens: number, units: Float32Array) => void,
): Promise<void> {
  const { width } = model.config.arch;
  const places = layers.map((layer) => ({ kind: UFFB_TAP_FFN_UNITS, layer, width }));
  return readSample(model, inputs, places, reading, (i, tokens, units) => visit(layers[i]!, tokens, units));
}

/** Means and deviations of the units of each of `layers` over the inputs' tokens. */
export async function unitStatistics(
  model: Model,
  inputs: readonly Input[],
  layers: readonly number[],
  reading: Reading = {},
): Promise<Map<number, UnitStatistics>> {
  const { width } = model.config.arch;
  const sums = new Map(
    layers.map((layer) => [layer, { sum: new Float64Array(width), squares: new Float64Array(width) }]),
  );
  let count = 0;
  await eachUnits(model, inputs, layers, reading, (layer, tokens, units) => {
    if (layer === layers[0]) count += tokens;
    const { sum, squares } = sums.get(layer)!;
    for (let at = 0; at < units.length; at += width) {
      for (let j = 0; j < width; j++) {
        const value = units[at + j]!;
        sum[j]! += value;
        squares[j]! += value * value;
      }
    }
  });
  return new Map(
    [...sums].map(([layer, { sum, squares }]) => {
      const mean = sum.map((total) => total / count);
      const deviation = squares.map((total, j) => Math.sqrt(Math.max(total / count - mean[j]! ** 2, 0)));
      return [layer, { mean, deviation }];
    }),
  );
}

/** [width]: how much each neuron matters. `norm` [hidden]: the weight of the LayerNorm that follows, or undefined for ones. */
export function importance(
  { outWeight }: Pick<FeedforwardWeights, "outWeight">,
  { deviation }: UnitStatistics,
  norm: Float32Array | undefined,
): Float64Array {
  const width = deviation.length;
  const hidden = outWeight.length / width;
  return deviation.map((moves, j) => {
    let mean = 0;
    for (let i = 0; i < hidden; i++) mean += outWeight[i * width + j]! / hidden;
    let squares = 0;
    for (let i = 0; i < hidden; i++) squares += ((outWeight[i * width + j]! - mean) * (norm?.[i] ?? 1)) ** 2;
    return moves * Math.sqrt(squares);
  });
}

/** The numbers of the `count` largest, in rising order; of equal ones the first. */
export function largestOf(values: Float64Array, count: number): number[] {
  return Array.from(values.keys())
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** What of the layers is to be narrowed. */
export interface Narrowing extends Reading {
  /** Of the model that is read, rising. */
  layers: readonly number[];
  /** Neurons that stay. */
  width: number;
  weightsOf(layer: number): FeedforwardWeights;
  normOf(layer: number): Float32Array | undefined;
}

/**
 * The layers of `model` with their `width` most important neurons, as they behave on `inputs`: their output columns are those that bring
 * the layer's output nearest to what it was, by least squares.
 */
export async function narrowed(
  model: Model,
  inputs: readonly Input[],
  { layers, width: count, weightsOf, normOf, ...reading }: Narrowing,
): Promise<Map<number, FeedforwardWeights>> {
  const { width, hidden } = model.config.arch;
  const statistics = await unitStatistics(model, inputs, layers, reading);
  const folds = new Map(
    layers.map((layer) => {
      const found = statistics.get(layer)!;
      const kept = largestOf(importance(weightsOf(layer), found, normOf(layer)), count);
      return [layer, { kept, mean: found.mean, products: new Products(count, width), deviations: count }];
    }),
  );
  if (count < width) {
    await eachUnits(model, inputs, layers, reading, (layer, tokens, units) => {
      const { kept, mean, products } = folds.get(layer)!;
      const centred = units.map((value, i) => value - mean[i % width]!);
      products.add(tokens, columnsOf(centred, width, kept), centred);
    });
  }
  return new Map(
    [...folds].map(([layer, { kept, mean, products }]) => [
      layer,
      fold(weightsOf(layer), { width, hidden, kept, mean, products: products.sums }),
    ]),
  );
}

interface Fold {
  width: number;
  hidden: number;
  kept: readonly number[];
  /** [width] */
  mean: Float64Array;
  /** [kept, width]: summed products of deviations from the mean. */
  products: Float64Array;
}

function fold(
  weights: FeedforwardWeights,
  { width, hidden, kept, mean, products }: Fold,
): FeedforwardWeights {
  const { inWeight, inBias, outWeight, outBias } = weights;
  const count = kept.length;
  const stays = new Set(kept);
  const gone = Array.from({ length: width }, (_, j) => j).filter((j) => !stays.has(j));
  // What is gone, as it moves with each neuron that stays: [kept, hidden].
  const columns = gone.map((j) => Float64Array.from({ length: hidden }, (_, o) => outWeight[o * width + j]!));
  const moved = new Float64Array(count * hidden);
  for (let i = 0; i < count; i++) {
    const row = moved.subarray(i * hidden, (i + 1) * hidden);
    for (const [g, j] of gone.entries()) {
      const factor = products[i * width + j]!;
      const column = columns[g]!;
      for (let o = 0; o < hidden; o++) row[o]! += factor * column[o]!;
    }
  }
  const own = new Float64Array(count * count);
  let trace = 0;
  for (const [i] of kept.entries()) {
    for (const [k, column] of kept.entries()) own[i * count + k] = products[i * width + column]!;
    trace += own[i * count + i]!;
  }
  const ridge = (RIDGE * trace) / count || 1;
  const added =
    gone.length > 0
      ? solveSymmetric(own, moved, { n: count, columns: hidden, ridge })
      : new Float64Array(count * hidden);
  const newOut = new Float32Array(hidden * count);
  const newBias = new Float32Array(hidden);
  for (let o = 0; o < hidden; o++) {
    let bias = outBias?.[o] ?? 0;
    for (const j of gone) bias += mean[j]! * outWeight[o * width + j]!;
    for (const [i, j] of kept.entries()) {
      const more = added[i * hidden + o]!;
      newOut[o * count + i] = outWeight[o * width + j]! + more;
      bias -= more * mean[j]!;
    }
    newBias[o] = bias;
  }
  return {
    inWeight: rowsOf(inWeight, hidden, kept),
    inBias: inBias && Float32Array.from(kept, (j) => inBias[j]!),
    outWeight: newOut,
    outBias: newBias,
  };
}

/** Some columns of a matrix [*, width]: [*, kept]. */
export function columnsOf(matrix: Float32Array, width: number, kept: readonly number[]): Float32Array {
  const rows = matrix.length / width;
  const result = new Float32Array(rows * kept.length);
  for (let row = 0; row < rows; row++)
    for (const [i, column] of kept.entries()) result[row * kept.length + i] = matrix[row * width + column]!;
  return result;
}

/** Some rows of a matrix [*, columns]. */
export function rowsOf(matrix: Float32Array, columns: number, kept: readonly number[]): Float32Array {
  const result = new Float32Array(kept.length * columns);
  for (const [i, row] of kept.entries())
    result.set(matrix.subarray(row * columns, (row + 1) * columns), i * columns);
  return result;
}

/**
 * Narrower attention heads. A head's scores are products of its queries and keys, and what it adds is its values times its columns of the
 * projection behind: two products of matrices as thick as a head is wide, of which the nearest ones of fewer units are known in closed form,
 * over the tokens of a sample: balanced, then cut where the least is lost.
 *
 * A constant in the keys moves all scores of a query alike, which softmax does not see, and one in the values passes through it, into the
 * bias behind: so both count without their means.
 */
import { UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER } from "../../ffi/bindings.ts";
import type { Input } from "../eval/glue/run.ts";
import type { Model } from "../model/model.ts";
import { eigenvectors } from "./jacobi.ts";
import { cholesky, Products, solveTransposed } from "./least-squares.ts";
import { type Reading, readSample } from "./sample.ts";

/** A layer's first half. */
export interface AttentionWeights {
  /** [heads, (query, key, value), size, hidden] and [heads, 3, size] */
  qkvWeight: Float32Array;
  qkvBias: Float32Array;
  /** [hidden, heads, size] and [hidden] */
  outWeight: Float32Array;
  outBias: Float32Array;
}

/** Added to squares of units, of their mean: a unit may never move. */
const RIDGE = 1e-9;

/**
 * For each of `layers` of a post-norm model the mean of products of what its attention reads, a 1 behind each token's states:
 * [hidden + 1, hidden + 1].
 */
export async function attentionMoments(
  model: Model,
  inputs: readonly Input[],
  layers: readonly number[],
  reading: Reading,
): Promise<Float64Array[]> {
  const { hidden } = model.config.arch;
  const width = hidden + 1;
  const products = layers.map(() => new Products(width, width));
  const places = layers.map((layer) => ({
    kind: layer === 0 ? UFFB_TAP_EMBEDDING : UFFB_TAP_LAYER,
    layer: Math.max(0, layer - 1),
    width: hidden,
  }));
  let count = 0;
  await readSample(model, inputs, places, reading, (i, tokens, states) => {
    const rows = new Float32Array(tokens * width).fill(1);
    for (let t = 0; t < tokens; t++) rows.set(states.subarray(t * hidden, (t + 1) * hidden), t * width);
    products[i]!.add(tokens, rows, rows);
    if (i === 0) count += tokens;
  });
  return products.map(({ sums }) => sums.map((sum) => sum / count));
}

/** The layer with heads of `to` units instead of `size`. @param moments of what it reads */
export function narrowedHeads(
  { qkvWeight, qkvBias, outWeight, outBias }: AttentionWeights,
  moments: Float64Array,
  { size, to }: { size: number; to: number },
): AttentionWeights {
  const hidden = outBias.length;
  const heads = qkvBias.length / (3 * size);
  const result = {
    qkvWeight: new Float32Array(heads * 3 * to * hidden),
    qkvBias: new Float32Array(heads * 3 * to),
    outWeight: new Float32Array(hidden * heads * to),
    outBias: outBias.slice(),
  };
  // Rows with their bias behind them: [size, hidden + 1].
  const rowsOf = (part: number) => {
    const rows = new Float64Array(size * (hidden + 1));
    for (let i = 0; i < size; i++) {
      const row = part * size + i;
      rows.set(qkvWeight.subarray(row * hidden, (row + 1) * hidden), i * (hidden + 1));
      rows[i * (hidden + 1) + hidden] = qkvBias[row]!;
    }
    return rows;
  };
  const put = (part: number, rows: Float64Array) => {
    for (let i = 0; i < to; i++) {
      const row = part * to + i;
      result.qkvWeight.set(rows.subarray(i * (hidden + 1), i * (hidden + 1) + hidden), row * hidden);
      result.qkvBias[row] = rows[i * (hidden + 1) + hidden]!;
    }
  };
  const shape = { size, to, width: hidden + 1 };
  for (let head = 0; head < heads; head++) {
    const [q, k, v] = [0, 1, 2].map((part) => rowsOf(3 * head + part)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    centre(k, moments, shape);
    const mean = centre(v, moments, shape);
    const keys = lowerOf(k, moments, shape);
    const ways = cut(lowerOf(q, moments, shape), keys, { n: size, m: size, to });
    // Scores are divided by the root of the size, which is another now.
    const scale = (to / size) ** 0.25;
    put(3 * head, mixed(q, ways.left, scale, shape));
    put(3 * head + 1, mixed(k, solveTransposed(keys, ways.right, size, to), scale, shape));

    const columns = new Float64Array(size * hidden);
    for (let o = 0; o < hidden; o++) {
      for (let i = 0; i < size; i++) {
        const weight = outWeight[(o * heads + head) * size + i]!;
        columns[i * hidden + o] = weight;
        result.outBias[o]! += weight * mean[i]!;
      }
    }
    const adds = cut(lowerOf(v, moments, shape), columns, { n: size, m: hidden, to });
    put(3 * head + 2, mixed(v, adds.left, 1, shape));
    for (let o = 0; o < hidden; o++)
      result.outWeight.set(adds.right.subarray(o * to, (o + 1) * to), (o * heads + head) * to);
  }
  return result;
}

interface Shape {
  size: number;
  to: number;
  /** Of a row with its bias. */
  width: number;
}

/** Takes the means of units out of their biases. @returns them, [size] */
function centre(rows: Float64Array, moments: Float64Array, { size, width }: Shape): Float64Array {
  const means = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < width; j++) means[i]! += rows[i * width + j]! * moments[j * width + width - 1]!;
    rows[i * width + width - 1]! -= means[i]!;
  }
  return means;
}

/** Cholesky's L [size, size] of the mean of products of units. */
function lowerOf(rows: Float64Array, moments: Float64Array, { size, width }: Shape): Float64Array {
  const seen = new Float64Array(size * width);
  for (let i = 0; i < size; i++) {
    const target = seen.subarray(i * width, (i + 1) * width);
    for (let k = 0; k < width; k++) {
      const factor = rows[i * width + k]!;
      const moment = moments.subarray(k * width, (k + 1) * width);
      for (let j = 0; j < width; j++) target[j]! += factor * moment[j]!;
    }
  }
  const products = new Float64Array(size * size);
  let trace = 0;
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < size; k++) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += seen[i * width + j]! * rows[k * width + j]!;
      products[i * size + k] = sum;
    }
    trace += products[i * size + i]!;
  }
  return cholesky(products, size, (RIDGE * trace) / size || 1);
}

/**
 * The product L'R of `to` columns nearest to the whole one, by its singular values: R' is nearly `right` times L'`left`, transposed.
 * @param lower L [n, n] of units, `right` R [n, m]
 * @returns left [n, to], which mixes the units, and right [m, to]
 */
function cut(
  lower: Float64Array,
  right: Float64Array,
  { n, m, to }: { n: number; m: number; to: number },
): { left: Float64Array; right: Float64Array } {
  const product = new Float64Array(n * m);
  for (let i = 0; i < n; i++)
    for (let k = i; k < n; k++)
      for (let j = 0; j < m; j++) product[i * m + j]! += lower[k * n + i]! * right[k * m + j]!;
  const squares = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++)
      for (let j = 0; j < m; j++) squares[i * n + k]! += product[i * m + j]! * product[k * m + j]!;
  const { values, vectors } = eigenvectors(squares, n);
  const least = values[0]! * LEAST;
  const own = new Float64Array(n * to);
  const theirs = new Float64Array(m * to);
  for (let c = 0; c < to; c++) {
    // The root of a singular value, which both sides share.
    const root = values[c]! > least ? values[c]! ** 0.25 : 0;
    if (root === 0) continue;
    for (let i = 0; i < n; i++) {
      const entry = vectors[i * n + c]!;
      own[i * to + c] = entry * root;
      for (let j = 0; j < m; j++) theirs[j * to + c]! += (product[i * m + j]! * entry) / root;
    }
  }
  return { left: solveTransposed(lower, own, n, to), right: theirs };
}

/** Of the largest squared singular value: what is less is rounding. */
const LEAST = 1e-20;

/** Rows [size, width] mixed to others [to, width]. @param mix [size, to] */
function mixed(
  rows: Float64Array,
  mix: Float64Array,
  scale: number,
  { size, to, width }: Shape,
): Float64Array {
  const result = new Float64Array(to * width);
  for (let c = 0; c < to; c++) {
    const target = result.subarray(c * width, (c + 1) * width);
    for (let i = 0; i < size; i++) {
      const factor = mix[i * to + c]! * scale;
      for (let j = 0; j < width; j++) target[j]! += factor * rows[i * width + j]!;
    }
  }
  return result;
}

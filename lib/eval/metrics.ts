import type { MetricName } from "../data/tasks.ts";

/** What a task's predictions are scored on. The arrays run in parallel, one entry an example. */
export interface Scored {
  /** Class numbers, or scores of a regression. */
  labels: Float64Array;
  /** The same; NaN where the model gave no number, which no label equals. */
  predictions: Float64Array;
  /** Which question each example belongs to, 0 to questions - 1; absent where each is its own. */
  groups?: Int32Array;
}

/** Numbers names from 0 in the order in which they come: the same number for the same name. */
export function numberGroups(names: readonly string[]): Int32Array {
  const numbers = new Map<string, number>();
  return Int32Array.from(names, (name) => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name)!;
  });
}

/**
 * A metric of a sample in which example i occurs weights[i] times: all ones for the data set itself, other counts for a resample of it.
 * It is NaN where it is not defined.
 */
export type Metric = (weights: Float64Array) => number;

/** Each metric as GLUE's and SuperGLUE's own scripts define it (scikit-learn, SciPy), and its edge cases. */
export const METRICS: Record<MetricName, { title: string; of: (scored: Scored) => Metric }> = {
  accuracy: { title: "accuracy", of: accuracy },
  f1: { title: "F1", of: f1 },
  "macro-f1": { title: "macro-F1", of: macroF1 },
  matthews: { title: "Matthews", of: matthews },
  pearson: { title: "Pearson", of: ({ labels, predictions }) => correlation(labels, predictions) },
  spearman: { title: "Spearman", of: spearman },
  "exact-match": { title: "exact match", of: exactMatch },
};

/** A metric of the data set as it is. */
export function score(name: MetricName, scored: Scored): number {
  return METRICS[name].of(scored)(new Float64Array(scored.labels.length).fill(1));
}

/** Share of predictions that equal the label. */
function accuracy({ labels, predictions }: Scored): Metric {
  return (weights) => {
    let right = 0;
    let all = 0;
    for (let i = 0; i < weights.length; i++) {
      all += weights[i]!;
      if (predictions[i] === labels[i]) right += weights[i]!;
    }
    return right / all;
  };
}

/** F1 of class 1, the positive one: 2tp / (2tp + fp + fn); 0 when class 1 neither occurs nor is predicted. */
function f1(scored: Scored): Metric {
  return (weights) => classF1(scored, weights, 1) ?? 0;
}

/** Mean F1 of the classes that occur or are predicted, each counting the same. */
function macroF1(scored: Scored): Metric {
  const classes = [...new Set([...scored.labels, ...scored.predictions])].filter((c) => !Number.isNaN(c));
  return (weights) => {
    const found = classes.map((c) => classF1(scored, weights, c)).filter((value) => value !== undefined);
    return found.reduce((sum, value) => sum + value, 0) / found.length;
  };
}

/** F1 of one class, undefined when it neither occurs nor is predicted. */
function classF1(
  { labels, predictions }: Scored,
  weights: Float64Array,
  positive: number,
): number | undefined {
  let both = 0;
  let either = 0; // counts what is both twice
  for (let i = 0; i < weights.length; i++) {
    const occurs = labels[i] === positive;
    const predicted = predictions[i] === positive;
    if (occurs) either += weights[i]!;
    if (predicted) either += weights[i]!;
    if (occurs && predicted) both += weights[i]!;
  }
  return either === 0 ? undefined : (2 * both) / either;
}

/** Matthews correlation of classes 0 and 1; 0 when only one class occurs or only one is predicted. */
function matthews({ labels, predictions }: Scored): Metric {
  return (weights) => {
    const counts = [0, 0, 0, 0]; // by 2 * label + prediction
    for (let i = 0; i < weights.length; i++) {
      const cell = 2 * labels[i]! + predictions[i]!;
      if (cell >= 0) counts[cell] = counts[cell]! + weights[i]!; // not NaN
    }
    const [tn, fp, fn, tp] = counts as [number, number, number, number];
    const scale = Math.sqrt((tp + fp) * (tp + fn)) * Math.sqrt((tn + fp) * (tn + fn));
    return scale === 0 ? 0 : (tp * tn - fp * fn) / scale;
  };
}

/** Pearson's r; NaN when either side is constant or not a number. */
function correlation(x: Float64Array, y: Float64Array): Metric {
  return (weights) => {
    if (constant(x, weights) || constant(y, weights)) return Number.NaN;
    let all = 0;
    let sumX = 0;
    let sumY = 0;
    for (let i = 0; i < weights.length; i++) {
      all += weights[i]!;
      sumX += weights[i]! * x[i]!;
      sumY += weights[i]! * y[i]!;
    }
    const meanX = sumX / all;
    const meanY = sumY / all;
    let xx = 0;
    let yy = 0;
    let xy = 0;
    for (let i = 0; i < weights.length; i++) {
      const dx = x[i]! - meanX;
      const dy = y[i]! - meanY;
      xx += weights[i]! * dx * dx;
      yy += weights[i]! * dy * dy;
      xy += weights[i]! * dx * dy;
    }
    const r = xy / (Math.sqrt(xx) * Math.sqrt(yy));
    return Math.max(-1, Math.min(1, r)); // beyond by rounding only; NaN stays
  };
}

/** Compares the values themselves: a computed variance is not exactly 0, because the mean is rounded. */
function constant(values: Float64Array, weights: Float64Array): boolean {
  const first = values[weights.findIndex((weight) => weight > 0)];
  return values.every((value, i) => weights[i] === 0 || value === first);
}

/** Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank. */
function spearman({ labels, predictions }: Scored): Metric {
  const labelRanks = ranks(labels);
  const predictionRanks = ranks(predictions);
  return (weights) => correlation(labelRanks(weights), predictionRanks(weights))(weights);
}

/** Sorts once; each sample's ranks then take one walk. NaN makes every rank NaN. */
function ranks(values: Float64Array): (weights: Float64Array) => Float64Array {
  const order = new Int32Array(values.length).map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const unordered = values.some(Number.isNaN);
  return (weights) => {
    const result = new Float64Array(values.length);
    if (unordered) return result.fill(Number.NaN);
    let before = 0;
    for (let start = 0, end = 0; start < order.length; start = end) {
      let tied = 0;
      for (; end < order.length && values[order[end]!] === values[order[start]!]; end++)
        tied += weights[order[end]!]!;
      for (let i = start; i < end; i++) result[order[i]!] = before + (tied + 1) / 2;
      before += tied;
    }
    return result;
  };
}

/** MultiRC: share of questions all of whose answers are judged right. */
function exactMatch({ labels, predictions, groups }: Scored): Metric {
  const first = new Map<number, number>();
  const wrong = new Set<number>();
  for (let i = 0; i < labels.length; i++) {
    const group = groups?.[i] ?? i;
    if (!first.has(group)) first.set(group, i);
    if (labels[i] !== predictions[i]) wrong.add(group);
  }
  return (weights) => {
    let right = 0;
    let all = 0;
    for (const [group, i] of first) {
      all += weights[i]!;
      if (!wrong.has(group)) right += weights[i]!;
    }
    return right / all;
  };
}

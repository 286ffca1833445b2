import { UffbError } from "../../base/errors.ts";
import type { MetricName } from "../../data/tasks.ts";
import { type Interval, interval, resample } from "../bootstrap.ts";
import { METRICS, numberGroups, type Scored, score } from "../metrics.ts";
import type { Prediction } from "./predictions.ts";

/** Two models on the same examples. */
export interface Comparison {
  examples: number;
  metrics: MetricComparison[];
  /** McNemar's exact test on which examples each got right; absent for a regression, and where several examples make one question. */
  mcnemar?: { onlyA: number; onlyB: number; p: number };
}

export interface MetricComparison {
  metric: MetricName;
  a: number;
  b: number;
  /** b - a */
  difference: number;
  /** 95%, of the difference on the same resamples. */
  interval: Interval;
  /** Two-sided, from those resamples, whose number limits how small it can be. */
  p: number;
}

/**
 * Compares predictions of two models for the same examples, in any order. @throws UffbError when examples or labels differ.
 */
export function compare(
  a: readonly Prediction[],
  b: readonly Prediction[],
  names: [string, string],
): Comparison {
  const [x, y] = pair(a, b, names);
  const classes = a[0]!.logits.length;
  const chosen: MetricName[] =
    classes === 1
      ? ["pearson", "spearman"]
      : classes === 2
        ? ["accuracy", "f1", "matthews"]
        : ["accuracy", "macro-f1"];
  const metrics = chosen.map((metric): MetricComparison => {
    const [ofA, ofB] = [METRICS[metric].of(x), METRICS[metric].of(y)];
    const difference = (weights: Float64Array) => ofB(weights) - ofA(weights);
    const [differences] = resample(a.length, [difference], x.groups) as [Float64Array];
    const [scoreA, scoreB] = [score(metric, x), score(metric, y)];
    return {
      metric,
      a: scoreA,
      b: scoreB,
      difference: scoreB - scoreA,
      interval: interval(differences),
      p: twoSided(differences),
    };
  });
  // Examples that belong to one question are no independent throws of McNemar's coin.
  return classes === 1 || x.groups
    ? { examples: a.length, metrics }
    : { examples: a.length, metrics, mcnemar: mcnemar(x, y) };
}

/** Both sides in the order of a. */
function pair(
  a: readonly Prediction[],
  b: readonly Prediction[],
  [nameA, nameB]: [string, string],
): [Scored, Scored] {
  const inB = new Map(b.map((prediction) => [prediction.index, prediction]));
  const matched = a.map((prediction) => {
    const other = inB.get(prediction.index);
    if (other === undefined)
      throw new UffbError(
        `${nameB}: no index ${prediction.index}, which ${nameA} has; compare the same split`,
      );
    if (other.label !== prediction.label || other.logits.length !== prediction.logits.length) {
      throw new UffbError(
        `${nameA} and ${nameB} differ in the label of index ${prediction.index}; compare the same task and split`,
      );
    }
    return other;
  });
  if (a.length !== b.length) {
    throw new UffbError(
      `${nameA} has ${a.length} predictions, ${nameB} has ${b.length}; compare the same split`,
    );
  }
  const labels = Float64Array.from(a, (prediction) => prediction.label!);
  const names = a.map(({ group }) => group).filter((group) => group !== undefined);
  const groups = names.length === a.length ? numberGroups(names) : undefined;
  const scored = (side: readonly Prediction[]): Scored => ({
    labels,
    predictions: Float64Array.from(side, (p) => p.prediction),
    ...(groups && { groups }),
  });
  return [scored(a), scored(matched)];
}

/**
 * Twice the smaller share of resamples on which the difference lies on the other side of 0. Both counts are one more than seen, so that
 * p is never 0 (Davison & Hinkley 1997, 4.2). NaN when no difference is defined.
 */
function twoSided(differences: Float64Array): number {
  const defined = differences.filter((difference) => !Number.isNaN(difference));
  if (defined.length === 0) return Number.NaN;
  const up = defined.filter((difference) => difference >= 0).length;
  const down = defined.filter((difference) => difference <= 0).length;
  return Math.min(1, (2 * (Math.min(up, down) + 1)) / (defined.length + 1));
}

function mcnemar(a: Scored, b: Scored): { onlyA: number; onlyB: number; p: number } {
  let onlyA = 0;
  let onlyB = 0;
  a.labels.forEach((label, i) => {
    const rightA = a.predictions[i] === label;
    const rightB = b.predictions[i] === label;
    if (rightA && !rightB) onlyA++;
    if (rightB && !rightA) onlyB++;
  });
  return { onlyA, onlyB, p: mcnemarP(onlyA, onlyB) };
}

/**
 * McNemar's test, exact: how likely a fair coin falls at least as unevenly over the examples that one model alone got right.
 * p = min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2).
 */
export function mcnemarP(b: number, c: number): number {
  const n = b + c;
  const least = Math.min(b, c);
  let term = -n * Math.LN2; // log of C(n, k) / 2^n
  let sum = Math.exp(term);
  for (let k = 1; k <= least; k++) {
    term += Math.log((n - k + 1) / k);
    sum += Math.exp(term);
  }
  return Math.min(1, 2 * sum);
}

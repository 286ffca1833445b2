import { quantileOfSorted } from "../base/statistics.ts";
import type { Metric } from "./metrics.ts";

/** Number of resamples: enough that the 95% bounds are stable in the digits that are printed. */
export const RESAMPLES = 1000;

/** Every run draws the same resamples, so that the same predictions always get the same interval. */
const SEED = 0x5eed;

/** 95% of the resamples lie between these two; NaN when the metric is not defined on any. */
export type Interval = [low: number, high: number];

/**
 * Percentile bootstrap (Efron 1979) of several metrics at once, all on the same resamples.
 *
 * @param units which of `count` units each example belongs to; units, not examples, are drawn, since the answers to one question are not
 * independent. Each example its own when absent.
 *
 * @returns values[m][r]: metric m on resample r
 */
export function resample(
  examples: number,
  metrics: readonly Metric[],
  units?: Int32Array,
  resamples = RESAMPLES,
): Float64Array[] {
  const count = units ? units.reduce((most, unit) => Math.max(most, unit), -1) + 1 : examples;
  const values = metrics.map(() => new Float64Array(resamples));
  const next = generator(SEED);
  const drawn = new Float64Array(count);
  const weights = units ? new Float64Array(examples) : drawn;
  for (let r = 0; r < resamples; r++) {
    drawn.fill(0);
    for (let i = 0; i < count; i++) {
      const unit = Math.floor(next() * count);
      drawn[unit] = drawn[unit]! + 1;
    }
    if (units) for (let i = 0; i < examples; i++) weights[i] = drawn[units[i]!]!;
    metrics.forEach((metric, m) => {
      values[m]![r] = metric(weights);
    });
  }
  return values;
}

/** The middle 95% of the values that are defined. */
export function interval(values: Float64Array): Interval {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  return [quantileOfSorted(sorted, 0.025), quantileOfSorted(sorted, 0.975)];
}

/** Uniform numbers in [0, 1): xorshift32 (Marsaglia 2003), whose 2^32 - 1 states are plenty here. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Statistics of samples. */

/**
 * The q-quantile, 0 to 1, between samples linearly, as NumPy's default.
 *
 * @throws RangeError without samples
 */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) throw new RangeError("no samples");
  return quantileOfSorted(
    samples.toSorted((a, b) => a - b),
    q,
  );
}

/** The same of samples in ascending order; NaN without any. */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

export const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, sample) => sum + sample, 0) / samples.length;

/** Standard deviation of what the samples are drawn from: divided by one less than their number. NaN of one alone. */
export function deviation(samples: readonly number[]): number {
  const middle = mean(samples);
  return Math.sqrt(samples.reduce((sum, sample) => sum + (sample - middle) ** 2, 0) / (samples.length - 1));
}

/** The largest magnitude; 0 without any, NaN where there is one. */
export function largestMagnitude(samples: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < samples.length; i++) largest = Math.max(largest, Math.abs(samples[i]!));
  return largest;
}

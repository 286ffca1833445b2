/** What timing samples say. */
import { median } from "../../base/statistics.ts";

/**
 * Samples further from the median than 5 times the median distance from it: rare on a quiet machine, common on a noisy one.
 */
export function outliers(samples: readonly number[]): number {
  const middle = median(samples);
  const spread = median(samples.map((value) => Math.abs(value - middle)));
  return samples.filter(
    (value) => Math.abs(value - middle) > 5 * spread && Math.abs(value - middle) > 0.02 * middle,
  ).length;
}

/**
 * Mann-Whitney U: how likely two samples of one distribution differ in rank by as much, two-sided. Exact for small samples without
 * ties, else by the normal approximation with ties corrected for and a continuity correction.
 */
export function rankTest(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, first: true })), ...b.map((value) => ({ value, first: false }))];
  all.sort((x, y) => x.value - y.value);
  let rankSum = 0;
  let ties = 0;
  for (let start = 0; start < all.length; ) {
    let end = start + 1;
    while (end < all.length && all[end]!.value === all[start]!.value) end++;
    const rank = (start + 1 + end) / 2;
    rankSum += rank * all.slice(start, end).filter(({ first }) => first).length;
    ties += (end - start) ** 3 - (end - start);
    start = end;
  }
  const n = all.length;
  const u = rankSum - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  if (ties === 0 && Math.max(a.length, b.length) <= EXACT) {
    const counts = countRankings(a.length, b.length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const tail = counts.slice(0, Math.min(u, a.length * b.length - u) + 1);
    return Math.min(1, (2 * tail.reduce((sum, count) => sum + count, 0)) / total);
  }
  const variance = ((a.length * b.length) / 12) * (n + 1 - ties / (n * (n - 1)));
  if (!(variance > 0)) return 1;
  const z = Math.max(0, Math.abs(u - mean) - 0.5) / Math.sqrt(variance);
  return erfc(z / Math.SQRT2);
}

/** Sizes up to which the rank test counts every ranking. */
const EXACT = 20;

/** How many rankings of m and n values have U = 0, 1, ..., m*n: the coefficients of the Gaussian binomial of m + n over m. */
function countRankings(m: number, n: number): number[] {
  const counts = new Array<number>(m * n + 1).fill(0);
  counts[0] = 1;
  for (let i = 1; i <= m; i++) {
    for (let u = m * n; u >= n + i; u--) counts[u]! -= counts[u - n - i]!;
    for (let u = i; u <= m * n; u++) counts[u]! += counts[u - i]!;
  }
  return counts;
}

/** Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
function erfc(x: number): number {
  const t = 1 / (1 + 0.3275911 * x);
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return poly * Math.exp(-x * x);
}

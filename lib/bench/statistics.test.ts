import { expect, test } from "bun:test";
import { median, outliers, quantile, rankTest } from "./statistics.ts";

test("quantiles lie between samples linearly, as numpy's default has them", () => {
  const samples = [9, 1, 4, 16];
  expect(median(samples)).toBe(6.5);
  expect(quantile(samples, 0)).toBe(1);
  expect(quantile(samples, 1)).toBe(16);
  expect(quantile(samples, 0.9)).toBeCloseTo(13.9, 12);
  expect(median([3])).toBe(3);
  expect(() => median([])).toThrow(RangeError);
});

test("outliers are far from the median for the spread there is", () => {
  expect(outliers([1, 1.01, 0.99, 1.005, 5])).toBe(1);
  expect(outliers([1, 2, 3, 4, 5])).toBe(0);
  expect(outliers([1, 1, 1, 1.001])).toBe(0);
});

test.each([
  // scipy.stats.mannwhitneyu(a, b, method="asymptotic")
  [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0.012185780355344],
  [[1, 3, 5, 7], [2, 4, 6, 8], 0.6650055421020291],
  [[1, 1, 2, 2, 3], [2, 2, 3, 3, 4], 0.12512238701328704],
  [[5, 5, 5], [5, 5, 5], 1],
])("the rank test of %p and %p gives %p", (a, b, p) => {
  expect(rankTest(a, b)).toBeCloseTo(p, 5);
  expect(rankTest(b, a)).toBeCloseTo(p, 5);
});

import { expect, test } from "bun:test";
import { median, quantile } from "../../base/statistics.ts";
import { outliers, rankTest } from "./statistics.ts";

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

const steps = (count: number, by: number, from: number) =>
  Array.from({ length: count }, (_, i) => from + i * by);

test.each([
  // scipy.stats.mannwhitneyu(a, b, method="exact") without ties up to 20 values, else method="asymptotic"
  [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0.007936507936507936],
  [[1, 3, 5, 7], [2, 4, 6, 8], 0.6857142857142857],
  [[1.02, 1.05, 1.01, 1.07, 1.03], [1.12, 1.15, 1.04, 1.17, 1.2], 0.031746031746031744],
  [steps(20, 1, 0), steps(13, 1.7, 3.05), 0.12754321065971694],
  [steps(25, 1, 0), steps(30, 0.9, 4.05), 0.026232278429547208],
  [[1, 1, 2, 2, 3], [2, 2, 3, 3, 4], 0.12512238701328704],
  [[5, 5, 5], [5, 5, 5], 1],
])("the rank test of %p and %p gives %p", (a, b, p) => {
  expect(rankTest(a, b)).toBeCloseTo(p, 6);
  expect(rankTest(b, a)).toBeCloseTo(p, 6);
});

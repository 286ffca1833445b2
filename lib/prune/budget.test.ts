import { expect, test } from "bun:test";
import { widthFor } from "./budget.ts";

/** Of a model half of whose time is its feedforward layers of 96 neurons. */
const speedUp = (width: number) => Promise.resolve(1 / (0.5 + (0.5 * width) / 96));

test.each([
  [1.01, 80],
  [1.2, 64],
  [1.333, 48],
  [1.7, 16],
])("%p times as fast takes %p neurons", async (factor, width) => {
  expect(await widthFor(96, factor, speedUp)).toBe(width);
});

test("says how fast it can be", async () => {
  await expect(widthFor(96, 2, speedUp)).rejects.toThrow("it is 1.71 times as fast; ask for less");
  await expect(widthFor(16, 1.5, speedUp)).rejects.toThrow("it is 1.00 times as fast");
});

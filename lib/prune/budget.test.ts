import { expect, test } from "bun:test";
import { largestWith, widthsBelow } from "./budget.ts";

/** Of a model half of whose time is its feedforward layers of 96 neurons. */
const speedUp = (width: number) => Promise.resolve(1 / (0.5 + (0.5 * width) / 96));

test.each([
  [1.01, 80],
  [1.2, 64],
  [1.333, 48],
  [1.7, 16],
])("%p times as fast takes %p neurons", async (factor, width) => {
  expect(await largestWith(widthsBelow(96), factor, speedUp, "")).toBe(width);
});

test("says how fast it can be", async () => {
  const least = largestWith(widthsBelow(96), 2, speedUp, "16 neurons");
  await expect(least).rejects.toThrow("with 16 neurons it is 1.71 times as fast; ask for less");
  await expect(largestWith(widthsBelow(16), 1.5, speedUp, "")).rejects.toThrow("it is 1.00 times as fast");
});

test("widths are multiples of 16", () => {
  expect([50, 48, 17, 16, 5].map(widthsBelow)).toEqual([[16, 32, 48], [16, 32], [16], [], []]);
});

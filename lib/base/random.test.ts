import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { philox, Random } from "./random.ts";

const ONES = 0xffffffff;

// The answers that the authors of Philox publish with their code (Random123, kat_vectors).
test.each([
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [ONES, ONES, ONES, ONES],
    [ONES, ONES],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
])("philox of %p with the key %p", (counter, key, expected) => {
  expect([...philox(counter, key)]).toEqual(expected);
});

describe("Random", () => {
  test("depends on seed, purpose and index", () => {
    const words = (random: Random) => Array.from({ length: 8 }, () => random.word()).join();
    const all = [
      new Random(1, "shuffle"),
      new Random(2, "shuffle"),
      new Random(1 + 2 ** 32, "shuffle"),
      new Random(1, "split"),
      new Random(1, "shuffle", 1),
    ].map(words);
    expect(new Set(all).size).toBe(all.length);
    expect(words(new Random(1, "shuffle", 1))).toBe(all[4]!);
  });

  test("a permutation has every number once", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(), (count, seed) => {
        const order = new Random(seed, "test").permutation(count);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
      }),
    );
  });

  test("below gives each number alike", () => {
    const random = new Random(7, "test");
    const counts = [0, 0, 0];
    for (let i = 0; i < 30_000; i++) counts[random.below(3)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400); // 5 deviations
  });

  test("normal numbers have mean and deviation", () => {
    const values = new Random(7, "test").normal(100_001, 0.02);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(3e-4);
    expect(Math.sqrt(variance)).toBeCloseTo(0.02, 3);
    expect(values.every(Number.isFinite)).toBe(true);
  });
});

import { expect, test } from "bun:test";
import { allFinite } from "./finite.ts";

const SIZE = 40_000;

/** Bytes of numbers of which the last is given, at an odd address or not. */
function bytes(numbers: Uint16Array | Float32Array | Float64Array, odd: boolean): Uint8Array {
  const all = new Uint8Array(numbers.buffer);
  const shifted = new Uint8Array(all.length + 1);
  shifted.set(all, 1);
  return odd ? shifted.subarray(1) : all;
}

test.each([
  [
    "F32",
    [1, -3.4e38, 1e-45, -0],
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    Float32Array,
  ],
  [
    "F64",
    [1, -1.7e308, 5e-324, -0],
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    Float64Array,
  ],
  ["F16", [0x3c00, 0xfbff, 1, 0x8000], [0x7e00, 0x7c00, 0xfc00], Uint16Array],
  ["BF16", [0x3f80, 0xff7f, 1, 0x8000], [0x7fc0, 0x7f80, 0xff80], Uint16Array],
] as const)("finds NaNs and infinities in %s", (dtype, fine, bad, Numbers) => {
  for (const odd of [false, true]) {
    for (const value of fine) {
      const numbers = new Numbers(SIZE).fill(value);
      expect(allFinite({ dtype, data: bytes(numbers, odd) })).toBe(true);
    }
    for (const value of bad) {
      for (const at of [0, SIZE / 2, SIZE - 1]) {
        const numbers = new Numbers(SIZE).fill(fine[0]);
        numbers[at] = value;
        expect(allFinite({ dtype, data: bytes(numbers, odd) })).toBe(false);
      }
    }
  }
});

test("takes integers and nothing at all for finite", () => {
  expect(allFinite({ dtype: "I64", data: new Uint8Array(16).fill(255) })).toBe(true);
  expect(allFinite({ dtype: "F32", data: new Uint8Array(0) })).toBe(true);
});

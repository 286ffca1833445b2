import { expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "../../base/errors.ts";
import { parseGrid } from "./grid.ts";

const parse = (list: string) => parseGrid(list, "--batch", 1, 1 << 24);

test("lists and ranges", () => {
  expect(parse("1,16,128,1024-16384*4")).toEqual([1, 16, 128, 1024, 4096, 16384]);
  expect(parse("1-9+4")).toEqual([1, 5, 9]);
  expect(parse("3-10*2")).toEqual([3, 6]);
  expect(parse("7,7,7")).toEqual([7]);
});

test.each(["", "x", "1,,2", "1-8*1", "1-8+0", "0-8*2", "8-", "0", "99999999999", "1-1000000+1"])(
  "%p is refused",
  (list) => {
    expect(() => parse(list)).toThrow(UsageError);
    expect(() => parse(list)).toThrow("--batch");
  },
);

test("any text gives numbers in bounds or a UsageError", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9,*+-]{0,20}$/), (list) => {
      try {
        expect(parse(list).every((value) => value >= 1 && value <= 1 << 24)).toBe(true);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

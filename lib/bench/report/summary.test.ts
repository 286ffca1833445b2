import { expect, test } from "bun:test";
import { record } from "../../../testing/bench-record.ts";
import { summaryText } from "./summary.ts";

const level = (level: number, batch: number, speedup_same_level: number, speedup_fastest_dense: number) =>
  record({ level, batch, contender: `fff level ${level}`, speedup_same_level, speedup_fastest_dense });

test("the best of each case, against the fastest dense one and at each level, beside the paper's", () => {
  const records = [
    record({ batch: 1, speedup_fastest_dense: 202 }),
    record({ batch: 1, isa: "avx2", speedup_fastest_dense: 150 }),
    record({ batch: 16, speedup_fastest_dense: 45 }),
    record({ batch: 1, published: true, speedup_fastest_dense: 900 }),
    level(1, 1, 240, 160),
    level(1, 16, 230, 40),
    level(2, 1, 200, 140),
    level(3, 16, 12.5, 12.5),
    record({ trees: 0, shape: "dense 4095", speedup_fastest_dense: null }),
    record({ kind: "model", batch: 1, length: 128, speedup_fastest_dense: 2.7 }),
    record({ kind: "model", batch: 1, length: 128, padded: true, speedup_fastest_dense: 9 }),
  ];
  expect(summaryText(records)).toBe(
    "Against the fastest dense one, FFF makes the layer 45.0 to 202 times as fast, and the encoder 2.70 times as fast. " +
      "At the same BLAS level: Level 1 230x to 240x, Level 2 200x, Level 3 12.5x. " +
      "The paper has 255x at Level 2 and 78x against the fastest dense layer, of 341x that arithmetic allows.",
  );
});

test("other shapes are not held against the paper's, and dense layers say nothing", () => {
  expect(summaryText([record({ shape: "2x3", case_shape: "2x3", speedup_fastest_dense: 5 })])).toBe(
    "Against the fastest dense one, FFF makes the layer 5.00 times as fast.",
  );
  expect(summaryText([record({ trees: 0, speedup_fastest_dense: null })])).toBe("");
  expect(summaryText([])).toBe("");
});

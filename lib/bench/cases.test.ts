import { expect, test } from "bun:test";
import { layerCases } from "./cases.ts";
import type { Plan } from "./plan.ts";

const plan: Plan = {
  shapes: [{ hidden: 768, trees: 1, depth: 11, width: 0 }],
  models: [],
  batches: [1, 16],
  modelBatches: [],
  lengths: [128],
  threads: [1],
  levels: [1, 2, 3],
  cache: "auto",
  paths: "uniform",
  blas: [],
  asPublished: false,
  dtypes: undefined,
  rowDtypes: ["f32"],
  seconds: 1,
};
const cases = (changes: Partial<Plan>) =>
  layerCases({ ...plan, ...changes }).map(({ batch, cache, published }) => [batch, cache, published]);

test("one token is measured rotated and cold, more are warm, unless a state is named", () => {
  expect(cases({})).toEqual([
    [1, "rotated", "none"],
    [1, "cold", "none"],
    [16, "warm", "none"],
  ]);
  for (const cache of ["warm", "cold", "rotated"] as const) {
    expect(cases({ cache })).toEqual([
      [1, cache, "none"],
      [16, cache, "none"],
    ]);
  }
});

test("rows of trees are narrower where trees are walked", () => {
  const shapes = [3, 4].map((depth) => ({ hidden: 64, trees: 1, depth, width: 0 }));
  const all = layerCases({ ...plan, shapes, batches: [16], rowDtypes: ["f32", "bf16"] });
  expect(all.map(({ dtypes }) => dtypes)).toEqual([["f32"], ["f32", "bf16"]]);
});

test("as published, each batch has the original's conditions once", () => {
  expect(cases({ asPublished: true, batches: [1] })).toEqual([
    [1, "rotated", "beside"],
    [1, "cold", "beside"],
    [1, "warm", "alone"],
  ]);
  const dense = [{ hidden: 768, trees: 0, depth: 0, width: 3072 }];
  expect(cases({ asPublished: true, shapes: dense, cache: "warm" })).toEqual([
    [1, "warm", "none"],
    [16, "warm", "none"],
  ]);
});

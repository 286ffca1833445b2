import { describe, expect, test } from "bun:test";
import { record } from "../../../../testing/bench-record.ts";
import { collisions } from "../../../../testing/svg.ts";
import type { BenchRecord } from "../../measure/record.ts";
import { toSvg } from "./chart.ts";
import { logAxis } from "./lines.ts";

const dense = (batch: number, changes: Partial<BenchRecord> = {}) =>
  record({
    ...{ batch, shape: "dense 4095", trees: 0, depth: 0, width: 4095, contender: "dense level 3", level: 3 },
    ...{
      blas: "onednn",
      isa: null,
      seconds_per_token: 1.2e-4,
      speedup_fastest_dense: null,
      speedup_limit: null,
    },
    ...{ flops: 100e9, bytes_per_s: 1e9 },
    ...changes,
  });

/** A layer's record, so many times as fast as the fastest dense one. */
const fff = (batch: number, speedup: number, changes: Partial<BenchRecord> = {}) =>
  record({
    ...{ batch, contender: "fff ours", seconds_per_token: 1.2e-4 / speedup, speedup_fastest_dense: speedup },
    ...changes,
  });
const blas = (batch: number, speedup: number, changes: Partial<BenchRecord> = {}) =>
  fff(batch, speedup, { contender: "fff level 1", level: 1, blas: "openblas", isa: null, ...changes });

function expectLegible(svg: string): void {
  expect(collisions(svg)).toEqual([]);
  expect(svg).not.toMatch(/NaN|Infinity|undefined|null/);
  expect(svg).toContain("@media(prefers-color-scheme:dark)");
}

const lines = (svg: string) =>
  Array.from(svg.matchAll(/class="label f\d+"[^>]*>([^<]*)</g), ([, name]) => name);
const notes = (svg: string, series: number) =>
  Array.from(svg.matchAll(new RegExp(`class="note f${series}"[^>]*>([^<]*)<`, "g")), ([, note]) => note);

describe("a layer", () => {
  const records = [1, 16, 1024].flatMap((batch) => [
    fff(batch, 50 + batch / 10),
    fff(batch, 40, { isa: "avx2" }),
    fff(batch, 80, { dtype: "bf16" }),
    blas(batch, 45),
    blas(batch, 30, { contender: "fff bmm" }),
    dense(batch),
    dense(batch, { blas: "blis", seconds_per_token: 2e-4 }),
  ]);

  test("has the best FFF, the best from BLAS calls and the best dense one, named at their ends", () => {
    const svg = toSvg(records);
    expectLegible(svg);
    expect(lines(svg)).toEqual(["FFF", "FFF, rows in bf16", "FFF from BLAS calls"]);
    expect(notes(svg, 0)).toEqual(["50x", "52x", "152x"]);
    expect(notes(svg, 2)).toEqual(["45x", "45x", "45x"]);
    expect(svg).toContain(">fastest dense<");
    expect(svg).toContain(">limit of arithmetic, 341x<");
    expect(svg).not.toContain("Roofline");
  });

  test("has a roofline where that is asked for, and was measured", () => {
    const svg = toSvg(records, { roofline: true });
    expectLegible(svg);
    expect(svg.match(/>Roofline of 1x11/g)).toHaveLength(1);
    expect(svg).toContain("107 GFLOP/s");
    expect(
      toSvg(
        records.map((one) => ({ ...one, peak_flops: null })),
        { roofline: true },
      ),
    ).not.toContain("Roofline");
  });

  test("one batch is enough; each number of threads has a chart, and cold weights a case", () => {
    const svg = toSvg([
      fff(1, 266, { cache: "rotated" }),
      dense(1, { cache: "rotated" }),
      fff(1, 122, { cache: "cold" }),
      dense(1, { cache: "cold" }),
      fff(16, 30, { threads: 2 }),
      dense(16, { threads: 2 }),
    ]);
    expectLegible(svg);
    expect(svg.match(/>Feedforward layer 1x11/g)).toHaveLength(2);
    expect(svg).toContain(">1 rotated<");
    expect(svg).toContain(">1 cold<");
  });

  test("what is published as broken, and what was not compared, is not drawn", () => {
    const svg = toSvg([fff(1, 900, { published: true }), fff(16, 30), dense(16)]);
    expect(notes(svg, 0)).toEqual(["30x"]);
  });
});

test("many shapes are one chart of speed against depth and trees, with whole models", () => {
  const shapes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((depth) => ({
    ...{ trees: 3072 >> depth || 1, depth, speedup_limit: 2 ** (depth + 1) / (depth + 1) },
    ...{ shape: `${3072 >> depth || 1}x${depth}`, case_shape: `${3072 >> depth || 1}x${depth}` },
  }));
  const records = shapes.flatMap((shape) => [
    fff(1, 1 + shape.depth * 20, { ...shape, cache: "rotated" }),
    fff(1, 1 + shape.depth * 10, { ...shape, cache: "cold" }),
    fff(1024, 1 + shape.depth * 5, shape),
    dense(1024, { case_shape: shape.case_shape }),
    record({
      ...shape,
      kind: "model",
      batch: 1,
      length: 128,
      layers: 16,
      speedup_fastest_dense: 1 + shape.depth / 6,
    }),
  ]);
  const svg = toSvg(records);
  expectLegible(svg);
  expect(svg.match(/class="title"/g)).toHaveLength(1);
  expect(lines(svg)).toEqual([
    "layer, 1 token rotated",
    "layer, 1 token cold",
    "layer, 1024 tokens",
    "whole model, 1x128",
    "limit of arithmetic",
  ]);
  expect(svg.match(/>\d+x\d+</g)).toHaveLength(12);
});

test("whole models have a chart of tokens a second", () => {
  const model = (name: string, batch: number, tokens_per_s: number, speedup_fastest_dense: number | null) =>
    record({ kind: "model", batch, length: 128, contender: name, tokens_per_s, speedup_fastest_dense });
  const svg = toSvg([
    model("1x11 f32", 1, 1200, 2.7),
    model("1x11 f32", 8, 1300, 2.8),
    model("dense 3072 f32", 1, 440, null),
    model("dense 3072 f32", 8, 460, null),
    record({ kind: "model", padded: true, batch: 1, length: 128 }),
  ]);
  expectLegible(svg);
  expect(lines(svg)).toEqual(["1x11 f32", "dense 3072 f32"]);
  expect(notes(svg, 0)).toEqual(["2.7x", "2.8x"]);
});

test("devices have a chart for each dtype", () => {
  const on = { device: "A Card", threads: null, isa: null };
  const svg = toSvg(
    (["bf16", "f32"] as const).flatMap((dtype) => [
      fff(16, 20, { ...on, dtype }),
      dense(16, { ...on, dtype: dtype === "f32" ? "tf32" : dtype }),
    ]),
    { roofline: false },
  );
  expectLegible(svg);
  expect(svg.match(/>A Card, (bf16|f32);/g)).toEqual([">A Card, bf16;", ">A Card, f32;"]);
});

test("before there is anything to compare, a picture is empty", () => {
  expect(toSvg([dense(1)])).toStartWith("<svg");
  expect(toSvg([])).toStartWith("<svg");
});

test.each([
  [
    [1, 341],
    [1, 2, 5, 10, 20, 50, 100, 200, 500],
  ],
  [
    [2.1, 2.9],
    [2, 5],
  ],
  [
    [1, 1],
    [1, 2],
  ],
  [
    [0.4, 3e6],
    [0.1, 1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7],
  ],
])("an axis of %p has the ticks %p", (values, ticks) => {
  expect(logAxis(values, 0, 100).ticks).toEqual(ticks);
});

import { expect, test } from "bun:test";
import { benchBytes, contenders, NativeBench } from "../../ffi/bench.ts";
import { isas } from "../../ffi/engine.ts";
import { findAll, findOne } from "./blas.ts";
import { measureEncoder } from "./encoder.ts";
import { measureLayer, type RunFacts } from "./layer.ts";
import { type LayerShape, neurons } from "./presets.ts";
import { encoderArch, randomModel } from "./random-model.ts";

const facts: RunFacts = {
  machine: { cpu: "test", caches: [32768], isa: "generic", compiler: "none", memory_bytes: 0 },
  roofline: { flops: 1e11, memory: 1e10, l2: 1e11 },
  version: "0",
  commit: null,
  date: "2026-01-01",
};
const blas = findAll();
const fff = (trees: number, depth: number, hidden = 48): LayerShape => ({ hidden, trees, depth, width: 0 });
const shapeOf = (shape: LayerShape, batch: number) => ({
  ...shape,
  batch,
  copies: 2,
  activation: 0,
  threads: 2,
});

/** Without a BLAS there is nothing to run; the count of tests says so. */
const needs = (level: number) => blas.filter(({ library }) => library.complete || level === 3);

for (const shape of [
  fff(1, 5),
  fff(3, 2),
  fff(4, 0),
  fff(2, 8, 64),
  { hidden: 40, trees: 0, depth: 0, width: 100 },
]) {
  const name = shape.trees > 0 ? `${shape.trees}x${shape.depth}` : `dense ${shape.width}`;
  for (const info of contenders().filter(({ fff, published }) => fff === shape.trees > 0 && !published)) {
    test.skipIf(info.blas && needs(info.level).length === 0)(
      `${info.name} computes the layer ${name}`,
      () => {
        using bench = new NativeBench(shapeOf(shape, 130));
        for (const one of info.blas ? needs(info.level) : [undefined]) {
          for (const isa of info.blas ? [undefined] : isas()) {
            const trial = { contender: info.index, blas: one?.library, isa, tokens: 130 };
            const { error, ties } = bench.check(trial);
            expect(error).toBeLessThan(1e-5);
            expect(ties).toBeLessThan(13);
          }
        }
      },
    );
  }
}

test("a contender's result does not depend on how weights are filled, but its paths do", () => {
  using bench = new NativeBench(shapeOf(fff(1, 8), 2000));
  const even = bench.leaves();
  bench.fill("skewed", 1);
  const skewed = bench.leaves();
  bench.fill("zero", 1);
  expect(bench.leaves()).toEqual({ leaves: 1, busiest: 1 });
  expect(even.leaves).toBeGreaterThan(200);
  expect(skewed.busiest).toBeGreaterThan(3 * even.busiest);
});

test("impossible shapes and absent libraries are named", () => {
  expect(() => new NativeBench(shapeOf(fff(1, 40), 1))).toThrow("depth");
  expect(() => benchBytes(shapeOf(fff(1, 5), 0))).toThrow("batch");
  expect(() => findOne("nothing")).toThrow("no BLAS called nothing");
  expect(() => findOne("/no/such/library.so")).toThrow("cannot open the BLAS");
  const one = {
    shape: fff(1, 18, 12_288),
    batch: 1 << 20,
    levels: [3],
    threads: 1,
    cold: false,
    asPublished: false,
    seconds: 0,
  };
  expect(() => measureLayer({ ...one, paths: "uniform", blas: [] }, facts, () => {})).toThrow(
    "use a smaller --batch",
  );
});

test("a case gives a record for each contender, with its speed-up", () => {
  const one = {
    shape: fff(1, 6),
    batch: 33,
    levels: [1, 2, 3],
    threads: 1,
    cold: true,
    asPublished: true,
    seconds: 0,
  };
  const records = measureLayer({ ...one, paths: "uniform", blas }, facts, () => {});
  expect(records.filter(({ contender }) => contender === "fff ours").map(({ isa }) => isa)).toEqual(isas());
  for (const record of records) {
    expect(record.samples.length).toBeGreaterThan(3);
    expect(record.error === null).toBe(record.published);
    expect(record.speedup_fastest_dense === null).toBe(!record.contender.startsWith("fff"));
  }
  expect(records.some(({ published }) => published)).toBe(blas.length > 0);
  expect(neurons(one.shape)).toEqual({ all: 127, used: 7 });
});

test("encoders run side by side, padded and not", async () => {
  const shapes: LayerShape[] = [fff(1, 4, 64), { hidden: 64, trees: 0, depth: 0, width: 256 }];
  const models = shapes.map((shape) => randomModel({ ...encoderArch(shape, 2), vocab: 128 }, "int8"));
  const runners = models.map((model, i) => ({
    name: `m${i}`,
    model,
    dtype: "int8" as const,
    dense: i === 1,
  }));
  const records = await measureEncoder(
    { runners, batch: 2, length: 8, threads: 1, seconds: 0 },
    facts,
    () => {},
  );
  expect(records.map(({ contender, padded }) => [contender, padded])).toEqual([
    ["m0 int8", false],
    ["m0 int8", true],
    ["m1 int8", false],
    ["m1 int8", true],
  ]);
  expect(records[0]!.speedup_fastest_dense).toBeGreaterThan(0);
  expect(records[2]!.speedup_fastest_dense).toBeNull();
  for (const model of models) model[Symbol.dispose]();
});

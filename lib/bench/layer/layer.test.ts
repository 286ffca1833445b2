import { expect, test } from "bun:test";
import { benchBytes, contenderIsas, contenders, NativeBench, ROW_DTYPES } from "../../../ffi/bench.ts";
import { isas } from "../../../ffi/engine.ts";
import type { RunFacts } from "../measure/machine.ts";
import { type LayerShape, neurons } from "../measure/presets.ts";
import { findAll, findOne } from "./blas.ts";
import { measureLayer } from "./layer.ts";
import { benchShape, checkMemory, type LayerCase } from "./parts.ts";

const facts: RunFacts = {
  machine: { cpu: "test", caches: [32768], isa: "generic", compiler: "none", memory_bytes: 0, load: 0 },
  roofline: () => ({ flops: 1e11, memory: 1e10, l2: 1e11 }),
  version: "0",
  commit: null,
  date: "2026-01-01",
};
const blas = findAll();
const fff = (trees: number, depth: number, hidden = 48): LayerShape => ({ hidden, trees, depth, width: 0 });
const shapeOf = (shape: LayerShape, batch: number) => ({
  ...shape,
  batch,
  inputs: 2 * batch,
  copies: 3,
  evict: 1 << 16,
  activation: 0,
  threads: 2,
  dtype: 0,
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
            for (const cache of ["warm", "cold", "rotated"] as const)
              expect(bench.run({ ...trial, tokens: 50 }, cache)).toBeGreaterThan(0);
          }
        }
      },
    );
  }
}

for (const shape of [fff(1, 5), fff(3, 4), fff(2, 8, 64)]) {
  test(`rows in bf16: ${shape.trees}x${shape.depth}, ours and from BLAS calls with the same numbers`, () => {
    using bench = new NativeBench({ ...shapeOf(shape, 130), dtype: ROW_DTYPES.bf16 });
    using exact = new NativeBench(shapeOf(shape, 130));
    for (const info of contenders().filter(({ fff, published }) => fff && !published)) {
      for (const one of info.blas ? needs(info.level) : [undefined]) {
        for (const isa of info.blas ? [undefined] : isas()) {
          const trial = { contender: info.index, blas: one?.library, isa, tokens: 130 };
          expect(bench.check(trial).error).toBeLessThan(1e-5);
          for (const cache of ["warm", "cold", "rotated"] as const)
            expect(bench.run({ ...trial, tokens: 50 }, cache)).toBeGreaterThan(0);
        }
      }
    }
    expect(benchBytes(bench.shape)).toBeGreaterThan(benchBytes(exact.shape));
  });
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
  expect(() => new NativeBench({ ...shapeOf(fff(1, 5), 8), inputs: 7 })).toThrow("inputs");
  expect(() => new NativeBench({ ...shapeOf(fff(1, 5), 8), copies: 0 })).toThrow("copies");
  expect(() => new NativeBench({ ...shapeOf(fff(1, 24, 4096), 1), copies: 1 << 24 })).toThrow("no memory");
  const narrow = { dtype: ROW_DTYPES.bf16 };
  for (const shape of [fff(1, 3), { hidden: 40, trees: 0, depth: 0, width: 100 }])
    expect(() => new NativeBench({ ...shapeOf(shape, 8), ...narrow })).toThrow(
      "bf16 for trees that are walked",
    );
  expect(() => new NativeBench({ ...shapeOf(fff(1, 5), 8), dtype: 4 })).toThrow("dtype 4");
  using warm = new NativeBench({ ...shapeOf(fff(1, 5), 8), copies: 1, evict: 0 });
  expect(() => warm.run({ contender: 0, tokens: 8 }, "cold")).toThrow("cold run");
  expect(() => warm.run({ contender: 0, tokens: 8 }, "rotated")).toThrow("rotated run");
});

const small: LayerCase = {
  shape: fff(1, 6),
  batch: 33,
  levels: [1, 2, 3],
  threads: 1,
  dtypes: ["f32"],
  cache: "cold",
  paths: "uniform",
  blas,
  published: "none",
  seconds: 0.01,
};

test("too little memory is told before anything is allocated", () => {
  expect(() => checkMemory({ ...small, shape: fff(1, 18, 12_288), batch: 1 << 20 }, facts)).toThrow(
    "use a smaller --batch or shape, or --warm",
  );
  const rotated = { ...small, cache: "rotated", shape: fff(1, 18, 12_288), batch: 1 } as const;
  expect(() => checkMemory(rotated, facts)).toThrow("use a smaller --batch or shape, or --warm");
  expect(() => checkMemory(small, facts)).not.toThrow();
});

test("rotated weights exceed four times the last-level cache, and no more than they must", () => {
  const cache = facts.machine.caches.at(-1)!;
  for (const layer of [
    fff(1, 6),
    fff(1, 0, 1),
    fff(1, 8, 768),
    { hidden: 48, trees: 0, depth: 0, width: 128 },
  ]) {
    const dtype = layer.depth === 8 ? "bf16" : "f32";
    const bytes = 2 * neurons(layer).all * layer.hidden * (dtype === "f32" ? 4 : 2);
    const { copies, evict } = benchShape({ ...small, cache: "rotated" }, { layer, dtype }, facts);
    expect(evict).toBe(0);
    expect(copies).toBeGreaterThanOrEqual(2);
    expect(copies * bytes).toBeGreaterThan(4 * cache);
    if (copies > 2) expect((copies - 1) * bytes).toBeLessThanOrEqual(4 * cache);
  }
  const own = { layer: small.shape, dtype: "f32" } as const;
  expect(benchShape(small, own, facts)).toMatchObject({ copies: 2, evict: 4 * cache });
  expect(benchShape({ ...small, cache: "warm" }, own, facts)).toMatchObject({ copies: 1, evict: 0 });
});

test("a record says what was in the caches, and its bound follows", async () => {
  for (const cache of ["rotated", "cold", "warm"] as const) {
    const records = await measureLayer({ ...small, cache, levels: [1] }, facts, () => {});
    const { memory, l2, flops } = facts.roofline(1);
    for (const record of records) {
      expect(record.cache).toBe(cache);
      const bytes = record.bytes_per_s! / (cache === "warm" ? l2 : memory);
      expect(record.share_of_bound).toBeCloseTo(Math.max(bytes, record.flops / flops), 9);
    }
  }
});

test("a case gives a record for each contender, with its speed-up", async () => {
  const records = await measureLayer({ ...small, published: "beside" }, facts, () => {});
  const ours = records.filter(({ contender }) => contender === "fff ours").map(({ isa }) => isa);
  expect(ours).toEqual(contenderIsas());
  for (const record of records) {
    expect(record.samples.length).toBeGreaterThan(4);
    expect(record.error === null).toBe(record.published);
    expect(record.speedup_fastest_dense === null).toBe(!record.contender.startsWith("fff"));
    expect(record.leaves === null).toBe(record.trees === 0);
  }
  expect(records.some(({ published }) => published)).toBe(blas.length > 0);
  expect(neurons(small.shape)).toEqual({ all: 127, used: 7 });
  // Every FFF contender is held against the same: the fastest dense layer of as many neurons or, padded, a few more.
  const wide = records.filter(({ width, published }) => width >= 127 && !published);
  const fastest = Math.min(...wide.map(({ seconds_per_token }) => seconds_per_token));
  for (const { speedup_fastest_dense: speedup, seconds_per_token: time } of records) {
    if (speedup !== null) expect(speedup).toBeCloseTo(fastest / time, 9);
  }
});

test("narrower rows stand beside those in f32, against the same dense layers", async () => {
  const dtypes = ["f32", "bf16"] as const;
  const records = await measureLayer({ ...small, dtypes, published: "beside" }, facts, () => {});
  const ours = records.filter(({ contender }) => contender === "fff ours");
  const own = contenderIsas();
  expect(ours.map(({ isa, dtype }) => `${isa} ${dtype}`)).toEqual(
    dtypes.flatMap((dtype) => own.map((isa) => `${isa} ${dtype}`)),
  );
  expect(new Set(records.filter((one) => !ours.includes(one)).map(({ dtype }) => dtype))).toEqual(
    new Set(["f32"]),
  );
  const baselines = ours.map((one) => one.speedup_fastest_dense! * one.seconds_per_token);
  for (const baseline of baselines) expect(baseline / baselines[0]!).toBeCloseTo(1, 9);
  const [wide, narrow] = dtypes.map((dtype) => {
    const { bytes_per_s: rate, seconds_per_token: time } = ours.find((one) => one.dtype === dtype)!;
    return rate! * time;
  });
  expect(wide! - narrow!).toBeCloseTo(7 * 2 * 48 * 2, 6); // 7 rows of each matrix
  const alone = await measureLayer({ ...small, dtypes: ["bf16"] }, facts, () => {});
  expect(alone.filter(({ contender }) => contender === "fff ours").map(({ dtype }) => dtype)).toEqual(
    own.map(() => "bf16"),
  );
});

test.skipIf(needs(3).length === 0)(
  "whatever levels are asked for, the fastest BLAS is a baseline",
  async () => {
    const records = await measureLayer({ ...small, levels: [1] }, facts, () => {});
    const levels = new Set(records.map(({ contender }) => contender));
    expect(levels.has("dense level 3")).toBe(true);
    expect(levels.has("fff level 3")).toBe(false);
  },
);

test.skipIf(needs(1).length === 0)("as published, all tokens take one path, and rows say so", async () => {
  const records = await measureLayer({ ...small, paths: "zero", published: "alone" }, facts, () => {});
  expect(records.every(({ published, share_of_bound }) => published && share_of_bound === null)).toBe(true);
  expect(records.filter(({ trees }) => trees > 0).every(({ leaves }) => leaves === 1)).toBe(true);
});

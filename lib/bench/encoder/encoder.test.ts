import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { NativeBench } from "../../../ffi/bench.ts";
import { UFFB_TAP_PATH } from "../../../ffi/bindings.ts";
import { NativeContext } from "../../../ffi/context.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import { TemporaryFolder } from "../../../testing/folders.ts";
import { convertModel } from "../../convert/convert.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { openModel } from "../../model/model.ts";
import { readRealPaths } from "../layer/real-paths.ts";
import type { RunFacts } from "../measure/machine.ts";
import type { LayerShape } from "../measure/presets.ts";
import { measureEncoder } from "./encoder.ts";
import { encoderArch, randomModel } from "./random-model.ts";
import { checkModels, openRunners, type Runners } from "./runners.ts";

const REFERENCE = fileURLToPath(new URL("../../../fixtures/reference/", import.meta.url));
const facts: RunFacts = {
  machine: { cpu: "test", caches: [32768], isa: "generic", compiler: "none", memory_bytes: 0, load: 0 },
  roofline: () => ({ flops: 1e11, memory: 1e10, l2: 1e11 }),
  version: "0",
  commit: null,
  date: "2026-01-01",
};

test("encoders run side by side, padded and not, against the dense one of their dtype", async () => {
  const shapes: LayerShape[] = [
    { hidden: 64, trees: 1, depth: 4, width: 0 },
    { hidden: 64, trees: 0, depth: 0, width: 256 },
  ];
  const runners = shapes.flatMap((shape) =>
    (["int8", "f32"] as const).map((dtype) => ({
      name: shape.trees > 0 ? "fff" : "dense",
      model: randomModel({ ...encoderArch(shape, 2), vocab: 128 }, dtype),
      dtype,
      dense: shape.trees === 0,
      trained: false,
    })),
  );
  const one = { runners, batch: 2, length: 8, threads: 1, seconds: 0 };
  const records = await measureEncoder(one, facts, () => {});
  expect(records.map(({ contender, padded }) => [contender, padded])).toEqual(
    ["fff int8", "fff f32", "dense int8", "dense f32"].flatMap((name) => [
      [name, false],
      [name, true],
    ]),
  );
  for (const { contender, padded, dtype, speedup_fastest_dense: speedup, latency_p50: time } of records) {
    const dense = records.find((other) => other.contender === `dense ${dtype}` && other.padded === padded)!;
    if (contender.startsWith("dense")) expect(speedup).toBeNull();
    else expect(speedup).toBeCloseTo(dense.latency_p50 / time, 9);
  }
  for (const { model } of runners) model[Symbol.dispose]();
});

test("random models keep their numbers finite through all layers", async () => {
  using model = randomModel(encoderArch({ hidden: 128, trees: 1, depth: 5, width: 0 }), "f32");
  using context = new NativeContext(model, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.of(0n, 3n), ids: Int32Array.of(5, 77, 30_000) });
  const states = await context.pool("mean");
  expect(states.every(Number.isFinite)).toBe(true);
  expect(new Set(states).size).toBeGreaterThan(100);
});

test("a checkpoint gets a dense model beside it that is the same otherwise", async () => {
  const path = `${REFERENCE}fff-1x5`;
  using models = await openRunners(path);
  const [own, dense] = models.runners;
  expect([own!.trained, own!.dense, dense!.trained, dense!.dense]).toEqual([true, false, false, true]);
  const { arch } = own!.model;
  expect(dense!.model.arch).toEqual({ ...arch, trees: 0, depth: 0, feedforward: 0, width: 4 * arch.hidden });
});

test("a checkpoint is measured in another dtype, too, but not in more than it holds", async () => {
  const path = `${REFERENCE}fff-1x5`;
  await checkModels(path, ["f32", "int8"], [1]);
  const names = ({ runners }: Runners) => runners.map(({ name, dtype }) => `${name} ${dtype}`);
  {
    using models = await openRunners(path, ["f32", "int8"]);
    const dense = names(models)[1]!.replace(" f32", "");
    expect(names(models)).toEqual([`${path} f32`, `${dense} f32`, `${path} int8`, `${dense} int8`]);
    const records = await measureEncoder(
      { runners: models.runners, batch: 1, length: 4, threads: 1, seconds: 0 },
      facts,
      () => {},
    );
    expect(records.filter(({ padded }) => !padded).map(({ dtype, paths }) => `${dtype} ${paths}`)).toEqual([
      "f32 real",
      "f32 uniform",
      "int8 real",
      "int8 uniform",
    ]);
  }
  using folder = new TemporaryFolder();
  const packed = folder.file("int8.uffb.safetensors");
  await convertModel(openCheckpoint(path), packed, { to: "packed", dtype: "I8" });
  await expect(checkModels(packed, ["f32"], [1])).rejects.toThrow("stored in int8");
  using models = await openRunners(packed, ["int8"]);
  expect(names(models)[0]).toBe(`${packed} int8`);
});

test("models that do not fit the wish are refused before anything is timed", async () => {
  await expect(checkModels("1x11", undefined, [129])).rejects.toThrow("--length 129: 1x11 takes 128 tokens");
  await expect(checkModels("no/such/model", undefined, [1])).rejects.toThrow("no/such/model");
  await expect(checkModels("gpt3", ["f32", "int8"], [1])).rejects.toThrow("choose a smaller one");
});

test("real paths are those that the model takes", async () => {
  using model = await openModel();
  const texts = ["The film was directed by a young woman.", "", "Water boils at one hundred degrees."];
  const paths = await readRealPaths(model, texts);
  const { hidden, trees, depth, layers, activation } = model.native.arch;
  expect([paths.layer, paths.name]).toEqual([layers / 2, `real (layer ${layers / 2})`]);

  const encodings = texts.map((text) => model.tokenizer().encode(text));
  const ids = Int32Array.from(encodings.flatMap(({ ids }) => [...ids]));
  expect(paths.input.length).toBe(ids.length * hidden);
  const offsets = [0n];
  for (const { ids } of encodings) if (ids.length > 0) offsets.push(offsets.at(-1)! + BigInt(ids.length));
  const nodes = new Int32Array(ids.length * trees * (depth + 1));
  using taps = new NativeTaps();
  taps.add(UFFB_TAP_PATH, paths.layer, nodes);
  using context = new NativeContext(model.native, { threads: 1 });
  await context.encode({ offsets: BigInt64Array.from(offsets), ids }, taps);
  const leaves = new Set<number>();
  for (let t = 0; t < ids.length; t++) leaves.add(nodes[t * trees * (depth + 1) + depth]!);

  const batch = ids.length;
  const shape = {
    hidden,
    trees,
    depth,
    width: 0,
    batch,
    inputs: batch,
    copies: 1,
    evict: 0,
    activation,
    threads: 1,
    dtype: 0,
  };
  using bench = new NativeBench(shape);
  bench.fillFrom(model.native, paths.layer, paths.input);
  expect(bench.leaves().leaves).toBe(leaves.size);
  expect(bench.check({ contender: 0, tokens: batch }).error).toBeLessThan(1e-5);
});

test("a shallow FFF's weights are unpacked, and a dense model has no paths", async () => {
  using shallow = randomModel(
    { ...encoderArch({ hidden: 64, trees: 3, depth: 2, width: 0 }, 2), vocab: 64 },
    "f32",
  );
  const input = Float32Array.from({ length: 4 * 64 }, (_, i) => Math.sin(i));
  const shape = {
    hidden: 64,
    trees: 3,
    depth: 2,
    width: 0,
    batch: 4,
    inputs: 4,
    copies: 1,
    evict: 0,
    activation: 0,
    threads: 1,
    dtype: 0,
  };
  using bench = new NativeBench(shape);
  bench.fillFrom(shallow, 1, input);
  expect(bench.check({ contender: 0, tokens: 4 }).error).toBeLessThan(1e-5);
  using dense = await openModel(`${REFERENCE}dense-ff`);
  await expect(readRealPaths(dense, ["a"])).rejects.toThrow("has no trees");
});

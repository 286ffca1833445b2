/** Weights that are finite in the file, and overflow where they are used. */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isas } from "../../ffi/engine.ts";
import { reference, TemporaryFolder, type Tensors, writeModel } from "../../testing/folders.ts";
import { writeSentenceModel } from "../../testing/sentence.ts";
import { run } from "../eval/glue/run.ts";
import { measurePaths } from "../eval/inspect/paths.ts";
import { type Model, openModel } from "../model/model.ts";
import type { BadItem } from "../text/input/input.ts";
import { ARRAY_LIMITS } from "./arrays.ts";
import { areFinite, NOT_FINITE } from "./finite.ts";
import { type InferOptions, infer, type Result } from "./infer.ts";
import { embedQueries, SimilarSink } from "./similar.ts";

const owned = new DisposableStack();
afterAll(() => owned.dispose());

const EMBEDDING = "encoder.embedding.word_embedding.weight";
/** The token whose embedding overflows. */
const HUGE = 7;

/** A reference model with some rows of a tensor replaced by numbers of alternating signs, whose sum is 0. */
async function changed(name: string, tensor: string, value: number, row?: number): Promise<Model> {
  const { config, tensors } = reference(name);
  const { shape, data } = tensors.get(tensor)!;
  const copy = new Float32Array(data.slice().buffer);
  const width = shape.at(-1)!;
  const first = row === undefined ? 0 : row * width;
  for (let i = first; i < (row === undefined ? copy.length : first + width); i++)
    copy[i] = i % 2 ? -value : value;
  tensors.set(tensor, { dtype: "F32", shape, data: new Uint8Array(copy.buffer) });
  return await openModel(writeModel(owned.use(new TemporaryFolder()), { config, tensors }));
}

async function results(model: Model, ids: number[][], options: InferOptions = {}) {
  async function* items() {
    for (const [i, row] of ids.entries()) yield { line: i + 1, text: "", ids: Int32Array.from(row) };
  }
  return (await Array.fromAsync(infer(model, items(), options))).flat() as (Result | BadItem)[];
}

const tasksOf = (all: (Result | BadItem)[]) => all.map((one) => ("error" in one ? one.error : one.task));

describe.each(isas())("an overflow on %s is the error of its line", (isa) => {
  test.each<[string, string, InferOptions]>([
    ["cls-2", "classify", {}],
    ["cls-reg", "regress", {}],
    ["cls-2", "embed", { embed: true }],
    ["cls-2", "embed", { embed: true, pooling: "max" }],
    ["fff-1x5", "fill-mask", { maskId: 3, topK: 2 }],
  ])("%s: %s", async (name, task, options) => {
    using model = await changed(name, EMBEDDING, 3e38, HUGE);
    expect(model.warnings).toEqual([]);
    for (const batchTokens of [1, 1000]) {
      const all = await results(model, [[3, 5], [3, HUGE], [HUGE, 3], [3]], { isa, batchTokens, ...options });
      expect(tasksOf(all)).toEqual([task, NOT_FINITE, NOT_FINITE, task]);
    }
  });
});

/** One weight among others, so that no sum is what is left when large numbers cancel, in an order of its own on each ISA. */
test("whatever a weight, a line is numbers alone or an error, the same on every ISA", async () => {
  const { config, tensors } = reference("cls-2");
  const names = [...tensors].filter(([, { dtype }]) => dtype === "F32").map(([name]) => name);
  const magnitude = fc.integer({ min: -126, max: 127 }).map((exponent) => 1.9 * 2 ** exponent);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), magnitude, async (name, value) => {
      using folder = new TemporaryFolder();
      const { shape, data } = tensors.get(name)!;
      const copy = new Float32Array(data.slice().buffer);
      copy[0] = value;
      const all: Tensors = new Map(tensors).set(name, {
        dtype: "F32",
        shape,
        data: new Uint8Array(copy.buffer),
      });
      using model = await openModel(writeModel(folder, { config, tensors: all }));
      const seen: (Result | BadItem)[][] = [];
      for (const isa of isas()) seen.push(await results(model, [[3, 5, 1]], { isa }));
      for (const one of seen) {
        expect(tasksOf(one)).toEqual(tasksOf(seen[0]!));
        for (const result of one)
          if ("scores" in result)
            expect(areFinite(result.scores.map(({ probability }) => probability))).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

test("GLUE scores nothing that is no number, and inspect counts no path of it", async () => {
  using model = await changed("cls-2", EMBEDDING, 3e38, HUGE);
  const inputs = [
    [3, 5],
    [3, HUGE],
  ].map((ids) => ({ ids: Int32Array.from(ids) }));
  await expect(run(model, inputs, { threads: 1 })).rejects.toThrow(`example 2: ${NOT_FINITE}`);
  async function* items() {
    for (const [i, { ids }] of inputs.entries()) yield { line: i + 1, text: "", ids };
  }
  const bad: BadItem[] = [];
  const usage = await measurePaths(model, items(), { onBad: (item) => bad.push(item) });
  expect(bad).toEqual([{ line: 2, error: NOT_FINITE }]);
  expect([usage.texts, usage.tokens]).toEqual([1, 2]);
  const alone = await measurePaths(
    model,
    (async function* () {
      yield { line: 1, text: "", ids: inputs[0]!.ids };
    })(),
  );
  expect(usage).toEqual(alone);
});

test("what has no vector is near nothing, and no query", async () => {
  using model = await changed("cls-2", EMBEDDING, 3e38, HUGE);
  const vectors = await results(model, [[HUGE], [3], [5]], { embed: true });
  const query = vectors[1] as Extract<Result, { task: "embed" }>;
  const sink = new SimilarSink([{ text: "q", vector: query.vector, closest: [] }], 1, "tsv");
  for (const one of vectors) sink.add(one);
  expect([...sink.finish()].join("")).toStartWith("1\t1\t");
  expect([...sink.finish()].join("")).toContain("\t2\tline 2");

  using folder = new TemporaryFolder();
  using sentence = await openModel(writeSentenceModel(folder));
  await expect(embedQueries(sentence, ["a film"], { limit: 0 })).rejects.toThrow('query "a film": ');
});

test("a vector that f16 cannot hold is an error where f16 is asked for", async () => {
  using model = await changed("cls-2", "encoder.final_norm.weight", 1e6);
  const ids = [[3, 5]];
  expect(tasksOf(await results(model, ids, { embed: true }))).toEqual(["embed"]);
  expect(tasksOf(await results(model, ids, { embed: true, limit: ARRAY_LIMITS.f32 }))).toEqual(["embed"]);
  const [error] = tasksOf(await results(model, ids, { embed: true, limit: ARRAY_LIMITS.f16 }));
  expect(error).toMatch(/^its vector holds \d.*, which --dtype f16 cannot; drop that for f32$/);
});

test("a limit is where rounding to f16 becomes infinite", () => {
  const { f16 } = ARRAY_LIMITS;
  expect(new Float16Array([f16])[0]).toBe(Number.POSITIVE_INFINITY);
  expect(new Float16Array([f16 - 2 ** -7])[0]).toBe(65504);
  expect(areFinite([f16], f16)).toBe(false);
  expect(areFinite([-65504, 0, -0], f16)).toBe(true);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    expect(areFinite([0, value])).toBe(false);
});

describe("a weight that overflows when it is opened", () => {
  const opened = async (value: number) => {
    const { config, tensors } = reference("cls-2");
    const { shape, data } = tensors.get("head.weight")!;
    const wide = Float64Array.from(new Float32Array(data.slice().buffer));
    wide[1] = value;
    const all: Tensors = new Map(tensors).set("head.weight", {
      dtype: "F64",
      shape,
      data: new Uint8Array(wide.buffer),
    });
    return await openModel(writeModel(owned.use(new TemporaryFolder()), { config, tensors: all }));
  };

  test.each([1e300, -3.5e38, 2 ** 128])("%p is refused by name", async (value) => {
    await expect(opened(value)).rejects.toThrow(/tensor head\.weight: .* is out of the range of f32$/);
  });

  test("infinity is what the file says, and a warning", async () => {
    using model = await opened(Number.POSITIVE_INFINITY);
    expect(model.warnings).toHaveLength(1);
    expect(tasksOf(await results(model, [[3, 5]]))).toEqual([NOT_FINITE]);
  });
});

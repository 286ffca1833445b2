/** Vectors of models with every pooling and module, against those that sentence-transformers gives for them (testing/fixtures/heads.py). */
import { describe, expect, test } from "bun:test";
import { pack } from "../../testing/folders.ts";
import { assembled, rowsOf } from "../../testing/heads.ts";
import { UsageError } from "../base/errors.ts";
import { convertModel } from "../convert/convert.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { type Model, openModel } from "../model/model.ts";
import type { Embedding } from "./heads.ts";
import { type InferOptions, infer } from "./infer.ts";
import { promptFor } from "./prompt.ts";
import { COMPARISONS } from "./similarity.ts";
import { vectorMaker } from "./vectors.ts";

interface Row {
  model: string;
  texts: string[];
  vectors: number[][];
  /** With the prompt for queries. */
  query: number[][];
  /** How alike each text is to the first: encode_query, encode_document, similarity. */
  similar: number[];
}

async function embed(
  model: Model,
  texts: readonly string[],
  options: InferOptions = {},
): Promise<number[][]> {
  async function* items() {
    for (const [i, text] of texts.entries()) yield { line: i + 1, text };
  }
  const results = (await Array.fromAsync(infer(model, items(), { embed: true, ...options }))).flat();
  return results.map((result) => Array.from((result as Embedding).vector));
}

/** The largest error, in parts of the largest number. */
function errorOf(actual: number[][], expected: number[][]): number {
  expect(actual.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  const most = Math.max(...expected.flat().map(Math.abs));
  return Math.max(...actual.flatMap((row, r) => row.map((x, i) => Math.abs(x - expected[r]![i]!)))) / most;
}

const ROWS = rowsOf<Row>("vectors.json");

describe.each(ROWS)("$model", ({ model: name, texts, vectors, query, similar }) => {
  test("has the library's vectors, also with a prompt, to 1e-5", async () => {
    using folder = assembled("base", `vectors/${name}`);
    using model = await openModel(folder.path);
    expect(vectorMaker(model).width).toBe(vectors[0]!.length);
    expect(errorOf(await embed(model, texts), vectors)).toBeLessThan(1e-5);
    const prompt = promptFor(model, { embeds: true, asked: "query" });
    expect(errorOf(await embed(model, texts, { prompt }), query)).toBeLessThan(1e-5);
    // One at a time, as whatever stands beside it in a batch.
    expect(await embed(model, texts, { batchTokens: 1 })).toEqual(await embed(model, texts));
  });

  test("has the library's similarities", async () => {
    using folder = assembled("base", `vectors/${name}`);
    using model = await openModel(folder.path);
    const sides = (["query", "document"] as const).map((side) => promptFor(model, { embeds: true, side }));
    const [[first], documents] = [
      await embed(model, texts.slice(0, 1), { prompt: sides[0]! }),
      await embed(model, texts, { prompt: sides[1]! }),
    ];
    const { prepare, compare } = COMPARISONS[model.sentence()!.similarity];
    const [a, ...others] = [first!, ...documents].map((vector) => prepare(Float32Array.from(vector)));
    expect(errorOf([others.map((b) => compare(a!, b))], [similar])).toBeLessThan(1e-5);
  });

  test("keeps them when it is packed, and when that is unpacked", async () => {
    using folder = assembled("base", `vectors/${name}`);
    using out = assembled();
    await pack(folder.path, out.file("packed"));
    await convertModel(openCheckpoint(out.file("packed")), out.file("hf"), { to: "hf", dtype: "F32" });
    using model = await openModel(folder.path);
    const expected = await embed(model, texts);
    for (const path of [out.file("packed"), out.file("hf")]) {
      using copy = await openModel(path);
      expect(copy.sentence()).toEqual(model.sentence());
      expect(await embed(copy, texts)).toEqual(expected);
    }
    await pack(folder.path, out.file("int8"), "I8");
    using integers = await openModel(out.file("int8"));
    expect(errorOf(await embed(integers, texts), vectors)).toBeLessThan(0.1);
  });
});

test("the fixtures have every pooling, module and similarity", () => {
  expect(ROWS.length).toBeGreaterThan(28);
  const names = ROWS.map(({ model }) => model).join(" ");
  for (const part of [
    "pool-lasttoken",
    "pool-several",
    "layernorm",
    "truncated",
    "manhattan",
    "prompt-left-out-cls",
  ])
    expect(names).toContain(part);
});

describe("--pooling", () => {
  test("replaces a model's pooling, and leaves what comes after it", async () => {
    using folder = assembled("base", "vectors/dense-tanh");
    using model = await openModel(folder.path);
    const [own, mean, last] = await Promise.all([
      embed(model, ["hello world"]),
      embed(model, ["hello world"], { pooling: "mean" }),
      embed(model, ["hello world"], { pooling: "last" }),
    ]);
    expect(mean).toEqual(own);
    expect(last![0]).toHaveLength(8);
    expect(last).not.toEqual(own);
  });

  test("is refused where its vectors do not fit the next module", async () => {
    using folder = assembled("base", "vectors/dense-two");
    using model = await openModel(folder.path);
    expect(() => vectorMaker(model, "mean")).toThrow(UsageError);
    expect(() => vectorMaker(model, "mean")).toThrow(
      "--pooling mean gives vectors of 16 numbers, but the model's Dense takes 32; drop it",
    );
  });
});

describe("a prompt", () => {
  test("is one of the model's by its name, or a text", async () => {
    using folder = assembled("base", "vectors/prompts-usual");
    using model = await openModel(folder.path);
    const prompt = (asked?: string) => promptFor(model, { embeds: true, asked });
    expect([prompt(), prompt("query"), prompt("plain"), prompt("search: "), prompt("")]).toEqual([
      "passage : ",
      "query : ",
      "",
      "search: ",
      "",
    ]);
    expect(() => prompt("qurey")).toThrow(
      'the model has no prompt qurey; it has document, plain, query. A text of your own ends in a space or a sign: "qurey: "',
    );
  });

  test("for a side of a search is empty where the model names none, as in the library", async () => {
    using folder = assembled("base", "vectors/prompts-passage");
    using model = await openModel(folder.path);
    expect(promptFor(model, { embeds: true, side: "document" })).toBe("");
    expect(promptFor(model, { embeds: true })).toBe("passage : ");
  });

  test("of a model without any can only be a text", async () => {
    using folder = assembled("base");
    using model = await openModel(folder.path);
    expect(promptFor(model, { embeds: true, side: "query" })).toBe("");
    expect(promptFor(model, { embeds: true, asked: "query: " })).toBe("query: ");
    expect(() => promptFor(model, { embeds: true, asked: "query" })).toThrow("it has none");
  });
});

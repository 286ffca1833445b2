/** Labels of texts and tokens, against those that transformers and sentence-transformers give for them (testing/fixtures/heads.py). */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { pack } from "../../testing/folders.ts";
import { assembled, rowsOf } from "../../testing/heads.ts";
import { UsageError } from "../base/errors.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { type Model, openModel } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import type { Item } from "../text/input/input.ts";
import type { Aggregation } from "./entities.ts";
import type { Classification, Embedding, Regression, Result, Tagging } from "./heads.ts";
import { type InferOptions, infer, taskOf } from "./infer.ts";

interface Row {
  model: string;
  /** Whose weights it has, where not its own. */
  base?: string;
  texts: string[];
  pairs?: [string, string][];
  pipeline?: { label: string; p: number }[][];
  scores?: number[];
  aggregate?: Aggregation;
  entities?: { label: string; p: number; start: number; end: number }[][];
  vectors?: number[][];
}

async function run<R extends Result>(
  model: Model,
  texts: readonly Omit<Item, "line">[],
  options: InferOptions = {},
): Promise<R[]> {
  async function* items() {
    for (const [i, item] of texts.entries()) yield { line: i + 1, ...item };
  }
  const results = (await Array.fromAsync(infer(model, items(), options))).flat();
  for (const result of results) if ("error" in result) throw new Error(result.error);
  return results as R[];
}

const textsOf = ({ texts }: Row) => texts.map((text) => ({ text }));
const ROWS = rowsOf<Row>("labels.json");
const folderOf = ({ model, base }: Row) =>
  assembled(...[base, model].filter((name) => name !== undefined).map((name) => `labels/${name}`));
const having = (key: keyof Row) => ROWS.filter((row) => row[key] !== undefined);

describe.each(having("pipeline"))("$model", (row) => {
  test("labels texts as the pipeline of transformers does", async () => {
    using folder = folderOf(row);
    using model = await openModel(folder.path);
    const results = await run<Classification | Regression>(model, textsOf(row));
    results.forEach((result, i) => {
      const expected = new Map(row.pipeline![i]!.map(({ label, p }) => [label, p]));
      if (result.task === "regress") expect(result.score).toBeCloseTo(expected.get("LABEL_0")!, 5);
      else
        for (const { label, probability } of result.scores)
          expect(probability).toBeCloseTo(expected.get(label)!, 5);
    });
  });
});

test("of several labels those above the threshold are given", async () => {
  using folder = assembled("labels/three", "labels/multi-label");
  using model = await openModel(folder.path);
  for (const threshold of [0, 0.3, 0.5, 0.9, 1]) {
    for (const { labels, scores } of await run<Classification>(model, [{ text: "hello world" }], {
      threshold,
    }))
      expect(labels!).toEqual(
        scores.filter(({ probability }) => probability >= threshold).map(({ label }) => label),
      );
  }
});

describe.each(having("scores"))("$model", (row) => {
  test("scores pairs as CrossEncoder does, whatever form it is stored in", async () => {
    using folder = folderOf(row);
    await pack(folder.path, folder.file("packed"));
    for (const path of [folder.path, folder.file("packed")]) {
      using model = await openModel(path);
      const pairs = row.pairs!.map(([text, pair]) => ({ text, pair }));
      const results = await run<Regression>(model, pairs);
      results.forEach(({ score }, i) => void expect(score).toBeCloseTo(row.scores![i]!, 5));
    }
  });
});

describe.each(having("entities"))("$model, $aggregate", (row) => {
  test("finds the entities of the token-classification pipeline", async () => {
    using folder = folderOf(row);
    await pack(folder.path, folder.file("packed"));
    for (const path of [folder.path, folder.file("packed")]) {
      using model = await openModel(path);
      const results = await run<Tagging>(model, textsOf(row), { aggregate: row.aggregate! });
      results.forEach(({ entities }, i) => {
        const text = [...row.texts[i]!];
        const plain = (all: { label: string; start?: number; end?: number }[]) =>
          all.map(({ label, start, end }) => `${label} ${start}-${end}`);
        expect(plain(entities)).toEqual(plain(row.entities![i]!));
        entities.forEach(({ probability, word, start, end }, e) => {
          expect(probability).toBeCloseTo(row.entities![i]![e]!.p, 5);
          expect(word).toBe(text.slice(start, end).join(""));
        });
      });
    }
  });
});

describe.each(having("vectors"))("--embed with $model", (row) => {
  test("gives the mean of the encoder's states, whatever head it has", async () => {
    using folder = folderOf(row);
    using model = await openModel(folder.path);
    const results = await run<Embedding>(model, textsOf(row), { embed: true });
    results.forEach(({ vector }, i) => {
      row.vectors![i]!.forEach((x, k) => void expect(vector[k]!).toBeCloseTo(x, 4));
    });
  });
});

test("a head that is not known is named, unless vectors are asked for", async () => {
  using folder = assembled("labels/questions");
  using model = await openModel(folder.path);
  expect(() => taskOf(model)).toThrow(UsageError);
  expect(() => taskOf(model)).toThrow(
    "the head of a BertForQuestionAnswering is not supported; --embed gives vectors of its encoder",
  );
});

test("modules of a kind that is not supported matter to vectors alone", async () => {
  using folder = assembled("labels/three");
  writeFileSync(folder.file("modules.json"), '[{"type": "custom.Module", "path": ""}]');
  using model = await openModel(folder.path);
  expect(await run<Classification>(model, [{ text: "hello world" }])).toHaveLength(1);
  await expect(run(model, [{ text: "hello world" }], { embed: true })).rejects.toThrow("module 0.type is");
});

test("token ids give labels without places in a text", async () => {
  using folder = assembled("labels/tokens-bert");
  using model = await openModel(folder.path);
  const [text] = await run<Tagging>(model, [{ text: "Anna lives in New York" }], { aggregate: "none" });
  const { ids } = model.tokenizer().encode("Anna lives in New York");
  const [result] = await run<Tagging>(model, [{ text: "", ids }], { aggregate: "none" });
  expect(result!.entities.map(({ label, index, start }) => [label, index, start])).toEqual(
    text!.entities.map(({ label, index }) => [label, index, undefined]),
  );
});

test("what is cut off has no entities", async () => {
  using folder = assembled("labels/tokens-bert");
  using model = await openModel(folder.path);
  const [result] = await run<Tagging>(model, [{ text: "anna ".repeat(100) }], { aggregate: "none" });
  expect(result!.dropped).toBe(54);
  expect(result!.entities.at(-1)!.index).toBeLessThan(47);
});

test("a classifier of tokens in integers keeps nearly all labels", async () => {
  using folder = assembled("labels/tokens-bert");
  await pack(folder.path, folder.file("packed"), "I8");
  using exact = await openModel(folder.path);
  using narrow = await openModel(folder.file("packed"));
  const texts = [{ text: "Anna lives in New York, Tom in Paris (Berlin)!" }];
  const [a, b] = [
    await run<Tagging>(exact, texts, { aggregate: "none" }),
    await run<Tagging>(narrow, texts, { aggregate: "none" }),
  ];
  const labels = ([result]: Tagging[]) => result!.entities.map(({ label, index }) => `${index} ${label}`);
  const same = labels(a).filter((label) => labels(b).includes(label)).length;
  expect(same / labels(a).length).toBeGreaterThan(0.8);
});

test("a classifier of tokens can start a classifier of texts, but not be trained itself", () => {
  using folder = assembled("labels/tokens-bert");
  const checkpoint = openCheckpoint(folder.path);
  expect(() => openTrainable(checkpoint)).toThrow("a head that classifies tokens cannot be trained yet");
  using trainer = openTrainable(checkpoint, { task: "classification", labels: ["a", "b"] }).trainer;
  expect(trainer).toBeDefined();
});

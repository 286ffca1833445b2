import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Arch,
  UFFB_F32,
  UFFB_FFN_FFF,
  UFFB_GELU,
  UFFB_HEAD_CLASS,
  UFFB_POOL_FIRST,
  UFFB_PRE_NORM,
  UFFB_ROWS,
  UFFB_SINUSOIDAL,
  UFFB_TANH,
} from "../../../ffi/bindings.ts";
import { NativeModel } from "../../../ffi/model.ts";
import { PLAIN } from "../../../ffi/plain.ts";
import { loadSplit } from "../../data/load.ts";
import { findTasks } from "../../data/tasks.ts";
import { crammed } from "../../model/families/crammed.ts";
import { type Model, openModel } from "../../model/model.ts";
import { PLAIN_PROMPTS } from "../../model/sentence/prompts.ts";
import { openTokenizer } from "../../model/tokenizer.ts";
import type { Embedding } from "../../run/heads.ts";
import { infer } from "../../run/infer.ts";
import { evaluateCosine } from "./cosine.ts";
import { evaluate } from "./evaluate.ts";
import { type GlueOptions, glue } from "./glue.ts";
import { parsePredictions } from "./predictions.ts";
import { type RunOptions, run } from "./run.ts";

const FIXTURES = fileURLToPath(new URL("../../../fixtures", import.meta.url));
const SHARED = fileURLToPath(new URL("../../../../shared", import.meta.url));

/** Weights that differ, and sinusoids are as random as need be. */
async function randomModel(labels: number): Promise<Model> {
  const tokenizer = await openTokenizer(join(FIXTURES, "tokenizer-8k"));
  const arch: Arch = {
    layers: 2,
    hidden: 32,
    heads: 2,
    vocab: tokenizer.vocabSize,
    maxLength: 40,
    positionOffset: 0,
    tokenTypes: 0,
    width: 0,
    trees: 1,
    depth: 4,
    poolWidth: 32,
    labels,
    normEps: 1e-12,
    normPosition: UFFB_PRE_NORM,
    positions: UFFB_SINUSOIDAL,
    feedforward: UFFB_FFN_FFF,
    activation: UFFB_GELU,
    poolActivation: UFFB_TANH,
    pooling: UFFB_POOL_FIRST,
    ...PLAIN,
    embedNorm: 1,
    finalNorm: 1,
    headsPresent: UFFB_HEAD_CLASS,
    mlmTransform: 0,
    tied: 0,
    treeOutput: 0,
  };
  const native = new NativeModel(arch);
  native.tensors().forEach(({ name, rows, cols }, t) => {
    native.set(
      name,
      Float32Array.from({ length: rows * cols }, (_, i) => Math.sin((i + 1) * (t + 1.7) * 12.9898)),
      UFFB_F32,
      UFFB_ROWS,
    );
  });
  native.ready();
  const names = Array.from({ length: labels }, (_, c) => `LABEL_${c}`);
  return {
    config: {
      family: crammed,
      arch,
      task: labels === 1 ? "regression" : "classification",
      labels: names,
    } as unknown as Model["config"],
    native,
    source: "random",
    warnings: [],
    tokenizer: () => tokenizer,
    optionalTokenizer: () => tokenizer,
    sentence: () => undefined,
    prompts: () => PLAIN_PROMPTS,
    scoring: () => ({ name: "Identity", apply: (x: number) => x }),
    [Symbol.dispose]: () => native[Symbol.dispose](),
  };
}

test("--cosine scores two texts by the vectors that infer gives", async () => {
  const task = findTasks(["stsb"])[0]!;
  const dataset = await loadSplit(task, "dev", { data: join(FIXTURES, "glue") });
  using embedder = await openModel();
  const { predictions, metrics, cosine, longest } = await evaluateCosine(embedder, dataset);
  expect([cosine, metrics.map(({ metric }) => metric)]).toEqual([true, ["pearson", "spearman"]]);
  async function* items() {
    for (const text of dataset.examples.flatMap(({ texts }) => texts)) yield { line: 1, text };
  }
  const results = (await Array.fromAsync(infer(embedder, items(), { embed: true }))).flat() as Embedding[];
  expect(longest).toBe(Math.max(...results.map(({ tokens }) => tokens)));
  predictions.forEach(({ prediction, logits, index }, i) => {
    const [a, b] = [results[2 * i]!.vector, results[2 * i + 1]!.vector];
    const expected = a.reduce((sum, x, k) => sum + x * b[k]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
    expect(prediction).toBeCloseTo(expected, 6);
    expect([logits, index]).toEqual([[prediction], dataset.examples[i]!.index]);
  });
  const other = await loadSplit(findTasks(["mrpc"])[0]!, "dev", { data: join(FIXTURES, "glue") });
  await expect(evaluateCosine(embedder, other)).rejects.toThrow("MRPC does not score two texts");
});

const model = await randomModel(2);
afterAll(() => model[Symbol.dispose]());
const inputs = Array.from({ length: 30 }, (_, i) => ({
  ids: Int32Array.from({ length: 1 + ((i * 7) % 40) }, (_, t) => (i * 131 + t * 17) % 8192),
}));

describe("run", () => {
  test.each<[string, RunOptions]>([
    ["one example a batch", { batchTokens: 1 }],
    ["all in one batch", { batchTokens: 1_000_000 }],
    ["one thread", { threads: 1 }],
    ["three threads", { threads: 3 }],
    ["one instance", { instances: 1 }],
    ["three instances, some without work", { instances: 3, batchTokens: 600 }],
    ["more instances than batches", { instances: 5, batchTokens: 1_000_000 }],
    ["padded to the maximum", { padTo: 40 }],
    ["padded, two instances", { padTo: 40, instances: 2, batchTokens: 100 }],
  ])("every logit is the same: %s", async (_, options) => {
    const expected = await run(model, inputs, { threads: 2, batchTokens: 64 });
    const seen: number[] = [];
    const { logits, ...rest } = await run(model, inputs, {
      ...options,
      onProgress: (done) => seen.push(done),
    });
    expect(logits).toEqual(expected.logits);
    expect(new Set(logits).size).toBe(60);
    expect(rest.tokens).toBe(inputs.reduce((sum, { ids }) => sum + ids.length, 0));
    expect(rest.instances).toBe(options.instances ?? 1);
    if (options.instances !== undefined) expect(rest.threads).toBe(1);
    expect(seen.at(-1)).toBe(30);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  test("a failure ends all instances and is thrown", async () => {
    const bad = [...inputs, { ids: Int32Array.of(99_999) }];
    expect(await run(model, bad, { instances: 2, batchTokens: 10 }).catch(String)).toContain("99999");
  });
});

describe("evaluate", () => {
  test.each(["cola", "sst2", "mrpc", "qqp", "mnli-m", "rte", "cb", "copa", "wic", "multirc", "wsc", "axb"])(
    "%s, a few rows",
    async (name) => {
      const task = findTasks([name])[0]!;
      const dataset = await loadSplit(task, "dev", { data: join(FIXTURES, "glue") });
      using own = await randomModel(task.labels.length);
      const { predictions, metrics, longest } = await evaluate(own, dataset, { threads: 1 });
      expect(predictions.map(({ index }) => index)).toEqual(dataset.examples.map(({ index }) => index));
      expect(metrics.map(({ metric }) => metric)).toEqual([...task.metrics]);
      for (const { logits, prediction } of predictions) expect(logits[prediction]).toBe(Math.max(...logits));
      expect(longest).toBeLessThanOrEqual(40); // the model takes no more
    },
  );

  test("a test set has predictions and no metrics", async () => {
    const dataset = await loadSplit(findTasks(["mrpc"])[0]!, "test", { data: join(FIXTURES, "glue") });
    const { predictions, metrics } = await evaluate(model, dataset, { threads: 1 });
    expect(predictions.map(({ index, label }) => [index, label])).toEqual([
      [0, undefined],
      [1, undefined],
    ]);
    expect(metrics).toEqual([]);
  });
});

interface Expected {
  index: number;
  label: number;
  prediction: number;
  logits: number[];
}

/** Scores of the original code (shared/README.md). */
const FINE_TUNED: [name: string, scores: Record<string, number>][] = [
  ["sst2", { accuracy: 0.83486 }],
  ["mrpc", { accuracy: 0.70588, f1: 0.80831 }],
  ["stsb", { pearson: 0.1692, spearman: 0.16098 }],
];

describe.skipIf(!existsSync(SHARED))("the fine-tuned models", () => {
  const folder = mkdtempSync(join(tmpdir(), "uffb-glue-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const options: GlueOptions = {
    model: join(SHARED, "model-tiny-{task}"),
    data: join(SHARED, "data/glue"),
    onWarning: (text) => {
      throw new Error(text);
    },
    onProgress: () => {},
    onDownload: () => {},
  };

  test.each(FINE_TUNED)("%s: the scores and every prediction of the original code", async (name, scores) => {
    const file = join(folder, "{task}.jsonl");
    const [report] = await glue(findTasks([name]), { ...options, predictions: file, errors: 3 });
    for (const { metric, value, interval } of report!.evaluation.metrics) {
      expect(value).toBeCloseTo(scores[metric] ?? Number.NaN, 5);
      expect(interval[0]).toBeLessThan(value);
      expect(interval[1]).toBeGreaterThan(value);
    }
    expect(report!.worst.length).toBe(3);
    const ours = parsePredictions(await Bun.file(join(folder, `${name}.jsonl`)).bytes(), file);
    const lines = (await Bun.file(join(SHARED, `model-tiny-${name}/expected-dev.jsonl`)).text())
      .trim()
      .split("\n");
    expect(ours.length).toBe(lines.length);
    lines.forEach((line, i) => {
      const expected = JSON.parse(line) as Expected;
      const { index, label, prediction, logits } = ours[i]!;
      expect([index, label]).toEqual([expected.index, expected.label]);
      if (logits.length > 1) expect(prediction).toBe(expected.prediction);
      logits.forEach((logit, c) => void expect(Math.abs(logit - expected.logits[c]!)).toBeLessThan(1e-4));
    });
  });

  /** The rows made by hand, whose numbers are not the published ones. */
  const few = { ...options, data: join(FIXTURES, "glue"), onWarning: () => {} };

  test("a submission has a row for each of the test set", async () => {
    await glue(findTasks(["mrpc"]), { ...few, submission: join(folder, "up/load") });
    const text = await Bun.file(join(folder, "up/load/MRPC.tsv")).text();
    expect(text).toMatch(/^index\tprediction\n0\t[01]\n1\t[01]\n$/);
    await expect(glue(findTasks(["boolq"]), { ...few, submission: folder })).rejects.toThrow(
      "BoolQ is not on the GLUE server",
    );
  });

  test("all leaves out what is not there, and says so; one task alone must be there", async () => {
    const warnings: string[] = [];
    const lenient = { ...few, lenient: true, onWarning: (text: string) => void warnings.push(text) };
    const reports = await glue(findTasks(["mrpc", "rte"]), lenient);
    expect(reports.map(({ evaluation }) => evaluation.dataset.task.name)).toEqual(["mrpc"]);
    expect(warnings.at(-1)).toBe(
      `${join(SHARED, "model-tiny-rte")}: no such file or folder; RTE is left out`,
    );
    await expect(glue(findTasks(["rte"]), lenient)).rejects.toThrow("no task is left");
    await expect(glue(findTasks(["rte"]), few)).rejects.toThrow("model-tiny-rte");
    const elsewhere = { ...lenient, data: join(FIXTURES, "glue/AX-g") };
    await expect(glue(findTasks(["mrpc"]), elsewhere)).rejects.toThrow("no task is left");
    expect(warnings.at(-1)).toContain("no MRPC dev data; it should hold one of");
  });

  test("the language model has no head for it", async () => {
    using lm = await openModel(join(SHARED, "model-tiny"));
    const dataset = await loadSplit(findTasks(["mrpc"])[0]!, "dev", options);
    await expect(evaluate(lm, dataset)).rejects.toThrow(
      "is a masked language model without a classification head; MRPC needs 2 labels (not_equivalent, equivalent)",
    );
  });
});

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeTinyBert } from "../../testing/tiny-bert.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openModel } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import { openContext } from "../run/device.ts";
import { ragged } from "../text/batches.ts";
import { PLAIN_SENTENCES } from "../text/sample.ts";
import { encodeTexts, type Texts } from "../train/encode.ts";
import { meanLoss, neuronImportance } from "./importance.ts";
import { checkPrunable, prune } from "./prune.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-prune-"));
const path = join(folder, "whole");
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => writeTinyBert(path, { labels: ["good", "bad"], layers: 2, width: 24 }));

const texts: Texts = {
  texts: PLAIN_SENTENCES.slice(0, 12).map((text) => [text]),
  targets: PLAIN_SENTENCES.slice(0, 12).map((_, i) => i % 2),
  place: (i) => `line ${i + 1}`,
};

/** Ranks of values that differ. */
function ranks(values: ArrayLike<number>): number[] {
  const result: number[] = [];
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  for (const [rank, i] of order.entries()) result[i] = rank;
  return result;
}

function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const other = ranks(b);
  const squares = ranks(a).reduce((sum, rank, i) => sum + (rank - other[i]!) ** 2, 0);
  return 1 - (6 * squares) / (a.length ** 3 - a.length);
}

test("importance ranks neurons as removing each one does", async () => {
  using model = await openModel(path);
  const examples = encodeTexts(model, texts, 32);
  const options = { kind: "classification", batch: 12 } as const;
  const { trainer } = openTrainable(openCheckpoint(path));
  using _ = trainer;
  trainer.ready({ threads: 1 });
  const { neurons, loss } = await neuronImportance(trainer, examples, options);
  const predicted: number[] = [];
  const removed: number[] = [];
  for (const [layer, importance] of neurons.entries()) {
    const name = `layer.${layer}.ffn.out.weight`;
    const weight = trainer.get(name);
    for (const [j, value] of importance.entries()) {
      trainer.set(
        name,
        weight.map((w, i) => (i % 24 === j ? 0 : w)),
      );
      predicted.push(value);
      removed.push(Math.abs((await meanLoss(trainer, examples, options)) - loss));
    }
    trainer.set(name, weight);
  }
  expect(spearman(predicted, removed)).toBeGreaterThanOrEqual(0.9);
}, 60_000);

test("a pruned model computes the bits of the whole one with zeros for the others", async () => {
  const output = join(folder, "pruned");
  const found = await (async () => {
    using model = await openModel(path);
    return await prune(model, openCheckpoint(path), texts, output, {
      width: 16,
      examples: 100,
      batch: 5,
      maxLength: 32,
      seed: 0,
      threads: 1,
    });
  })();
  expect(found.kept.map((layer) => layer.length)).toEqual([16, 16]);
  expect(found.width).toEqual({ before: 24, after: 16 });
  expect(found.weights.before - found.weights.after).toBe(2 * 8 * (32 + 1 + 32));

  const masked = join(folder, "masked");
  await writeTinyBert(masked, {
    labels: ["good", "bad"],
    layers: 2,
    width: 24,
    change(name, weight) {
      const layer = /^layer\.(\d)\.ffn\.out\.weight$/.exec(name)?.[1];
      if (layer === undefined) return;
      const kept = found.kept[Number(layer)]!;
      for (const i of weight.keys()) if (!kept.includes(i % 24)) weight[i] = 0;
    },
  });
  const logits = async (of: string) => {
    using model = await openModel(of);
    using context = openContext(model.native, { threads: 1 });
    await context.encode(ragged(encodeTexts(model, texts, 32).inputs));
    return await context.classify();
  };
  const whole = await logits(path);
  const pruned = await logits(output);
  expect(pruned).not.toEqual(whole);
  expect(new Uint32Array(pruned.buffer)).toEqual(new Uint32Array((await logits(masked)).buffer));
}, 60_000);

test.each([
  ["no classifier", undefined, 16, "does not classify texts"],
  [
    "as many neurons as there are",
    ["good", "bad"],
    24,
    "has 24 neurons in each feedforward layer; give fewer",
  ],
] as const)("refuses %s", async (_, labels, width, message) => {
  const other = join(folder, String(labels));
  await writeTinyBert(other, { ...(labels && { labels }), layers: 1, width: 24 });
  using model = await openModel(other);
  expect(() => checkPrunable(model, width)).toThrow(message);
});

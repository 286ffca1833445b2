import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "../../testing/folders.ts";
import { writeTinyBert } from "../../testing/tiny-bert.ts";
import { convertModel } from "../convert/convert.ts";
import { studentConfig } from "../distil/student.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openModel } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import { openContext } from "../run/device.ts";
import { ragged } from "../text/batches.ts";
import { PLAIN_SENTENCES } from "../text/sample.ts";
import { encodeTexts, type Texts } from "../train/encode.ts";
import { importanceOf, meanLoss } from "./importance.ts";
import { mostImportantHeads } from "./kept.ts";
import { checkPrunable, type PruneOptions, prune } from "./prune.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-prune-"));
const path = join(folder, "whole");
afterAll(() => rmSync(folder, { recursive: true }));
const SHAPE = { labels: ["good", "bad"], layers: 2, width: 24, heads: 8 };
beforeAll(() => writeTinyBert(path, SHAPE));

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

/** What a matrix's columns put out, `each` for a neuron or head: those that matter by importance, and by removing each one. */
const PARTS = [
  ["neurons", "ffn.out.weight", 1],
  ["heads", "attn.out.weight", 4],
] as const;

test.each(PARTS)(
  "importance ranks %s as removing each one does",
  async (kind, part, each) => {
    // Layers write little into the stream, as trained ones do: what they write is far from linear else.
    const small = join(folder, `small ${kind}`);
    await writeTinyBert(small, {
      ...SHAPE,
      layers: 3,
      change(name, weight) {
        if (name.endsWith(part)) for (const i of weight.keys()) weight[i]! *= 0.3;
      },
    });
    using model = await openModel(small);
    const examples = encodeTexts(model, texts, 32);
    const options = { kind: "classification", batch: 12 } as const;
    const { trainer } = openTrainable(openCheckpoint(small));
    using _ = trainer;
    trainer.ready({ threads: 1 });
    const found = await importanceOf(trainer, examples, options);
    const predicted: number[] = [];
    const removed: number[] = [];
    for (const [layer, importance] of found[kind].entries()) {
      const name = `layer.${layer}.${part}`;
      const weight = trainer.get(name);
      const width = importance.length * each;
      for (const [j, value] of importance.entries()) {
        trainer.set(
          name,
          weight.map((w, i) => (Math.floor((i % width) / each) === j ? 0 : w)),
        );
        predicted.push(value);
        removed.push(Math.abs((await meanLoss(trainer, examples, options)) - found.loss));
      }
      trainer.set(name, weight);
    }
    expect(predicted.length).toBe(kind === "heads" ? 3 * 8 : 3 * 24);
    expect(spearman(predicted, removed)).toBeGreaterThanOrEqual(0.9);
  },
  60_000,
);

test("heads are compared within their layer, and each layer keeps one", () => {
  const importance = [Float64Array.of(3, 4), Float64Array.of(0.1, 0, 0.2, 0.1), Float64Array.of(0, 0)];
  expect(mostImportantHeads(importance, 3)).toEqual([[1], [2], [0]]);
  expect(mostImportantHeads(importance, 4)).toEqual([[0, 1], [2], [0]]);
  expect(mostImportantHeads(importance, 6)).toEqual([[0, 1], [0, 2, 3], [0]]);
});

const OPTIONS: PruneOptions = { examples: 100, batch: 5, maxLength: 32, seed: 0, threads: 1 };

async function prunedTo(output: string, from: string, options: Partial<PruneOptions>) {
  using model = await openModel(from);
  return await prune(model, openCheckpoint(from), texts, output, { ...OPTIONS, ...options });
}

async function logitsOf(of: string): Promise<Float32Array> {
  using model = await openModel(of);
  using context = openContext(model.native, { threads: 1 });
  await context.encode(ragged(encodeTexts(model, texts, 32).inputs));
  return await context.classify();
}

const bits = (values: Float32Array) => new Uint32Array(values.buffer);
const prunedHeads = (of: string) => JSON.parse(readFileSync(join(of, "config.json"), "utf8")).pruned_heads;

/** The whole model with zeros for what does not stay. */
async function writeMasked(
  at: string,
  { neurons, heads }: { neurons?: readonly (readonly number[])[]; heads?: readonly (readonly number[])[] },
): Promise<void> {
  await writeTinyBert(at, {
    ...SHAPE,
    change(name, weight) {
      const [, layer, of] = /^layer\.(\d)\.(ffn|attn)\.out\.weight$/.exec(name) ?? [];
      const kept = (of === "ffn" ? neurons : heads)?.[Number(layer)];
      if (of === undefined || kept === undefined) return;
      const [width, each] = of === "ffn" ? [24, 1] : [32, 4];
      for (const i of weight.keys()) if (!kept.includes(Math.floor((i % width) / each))) weight[i] = 0;
    },
  });
}

test("a pruned model computes the bits of the whole one with zeros for the others", async () => {
  const output = join(folder, "pruned");
  const found = await prunedTo(output, path, { width: 16, heads: 7 });
  expect(found.kept.map((layer) => layer.length)).toEqual([16, 16]);
  expect(found.width).toEqual({ before: 24, after: 16 });
  expect(found.heads).toMatchObject({ before: 16, after: 7 });
  const [first, second] = found.heads.kept.map((layer) => layer.length);
  expect(first! + second!).toBe(7);
  const gone = 9 * (4 * 4 * 32 + 3 * 4);
  expect(found.weights.before - found.weights.after).toBe(2 * 8 * (32 + 1 + 32) + gone);
  const missing = found.heads.kept.map((kept) => [...Array(8).keys()].filter((head) => !kept.includes(head)));
  expect(prunedHeads(output)).toEqual(Object.fromEntries(missing.entries()));

  const masked = join(folder, "masked");
  await writeMasked(masked, { neurons: found.kept, heads: found.heads.kept });
  expect(await logitsOf(output)).not.toEqual(await logitsOf(path));
  expect(bits(await logitsOf(output))).toEqual(bits(await logitsOf(masked)));

  // Packed, unpacked and pruned again it is the same model, and heads keep the numbers that they had in the whole one.
  const packed = join(folder, "pruned.uffb.safetensors");
  await pack(output, packed);
  expect(bits(await logitsOf(packed))).toEqual(bits(await logitsOf(masked)));
  await convertModel(openCheckpoint(packed), join(folder, "unpacked"), { to: "hf", dtype: "F32" });
  expect(readFileSync(join(folder, "unpacked/model.safetensors"))).toEqual(
    readFileSync(join(output, "model.safetensors")),
  );
  const twice = join(folder, "twice");
  const again = await prunedTo(twice, packed, { heads: 2 });
  const numbers = again.heads.kept.map((kept, layer) =>
    kept.map((place) => found.heads.kept[layer]![place]!),
  );
  expect(numbers.map((layer) => layer.length)).toEqual([1, 1]);
  for (const [layer, [head]] of numbers.entries())
    expect(prunedHeads(twice)[layer]).toEqual([...Array(8).keys()].filter((other) => other !== head));
  const least = join(folder, "masked twice");
  await writeMasked(least, { neurons: found.kept, heads: numbers });
  expect(bits(await logitsOf(twice))).toEqual(bits(await logitsOf(least)));
}, 60_000);

test("a student of some layers of a pruned model has their heads", async () => {
  const cut = join(folder, "for a student");
  await prunedTo(cut, path, { heads: 5 });
  const checkpoint = openCheckpoint(cut);
  const { trainer, config } = openTrainable(checkpoint);
  trainer[Symbol.dispose]();
  const counts = [...config.arch.layerHeads!];
  expect(counts[0]! + counts[1]!).toBe(5);
  const student = studentConfig(config, checkpoint, { layers: [1] });
  expect([...student.config.arch.layerHeads!]).toEqual([counts[1]!]);
  expect(JSON.parse(student.text).pruned_heads).toEqual({ 0: prunedHeads(cut)[1] });
}, 60_000);

test("until it is so many times as fast, heads go where neurons may not, or cannot", async () => {
  const found = await prunedTo(join(folder, "fast"), path, { faster: 1, width: 16 });
  expect(found.width.after).toBe(16);
  expect(found.heads.after).toBeGreaterThanOrEqual(2);
  expect(found.faster).toBeGreaterThan(0);
  const trees = join(folder, "trees");
  await writeTinyBert(trees, { labels: ["good", "bad"], layers: 2, feedforward: "2x4", heads: 4 });
  const { heads, kept, width } = await prunedTo(join(folder, "fewer heads"), trees, { heads: 3 });
  expect([heads.before, heads.after, kept, width]).toEqual([8, 3, [], { before: 0, after: 0 }]);
  expect((await logitsOf(join(folder, "fewer heads"))).length).toBe(24);
}, 60_000);

test.each([
  ["no classifier", {}, { width: 16 }, "does not classify texts"],
  [
    "as many neurons as there are",
    { labels: ["a", "b"] },
    { width: 24 },
    "has 24 neurons in each feedforward layer; give fewer",
  ],
  [
    "as many heads as there are",
    { labels: ["a", "b"] },
    { heads: 4 },
    "has 4 heads in 2 layers, each of which keeps one; give 2 to 3",
  ],
  ["fewer heads than layers", { labels: ["a", "b"] }, { heads: 1 }, "give 2 to 3"],
  [
    "fewer neurons of trees",
    { labels: ["a", "b"], feedforward: "1x4" },
    { width: 8 },
    "give --heads or --faster alone",
  ],
  [
    "a budget for neurons of trees",
    { labels: ["a", "b"], feedforward: "1x4" },
    { heads: 3, faster: 2 },
    "give --heads or --faster alone",
  ],
])("refuses %s", async (name, shape, wanted, message) => {
  const other = join(folder, name);
  await writeTinyBert(other, { layers: 2, width: 24, ...shape });
  using model = await openModel(other);
  expect(() => checkPrunable(model, wanted)).toThrow(message);
});

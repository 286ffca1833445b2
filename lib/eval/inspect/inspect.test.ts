import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { pack, REFERENCE, TemporaryFolder } from "../../../testing/folders.ts";
import { assembled } from "../../../testing/heads.ts";
import { writeSentenceModel } from "../../../testing/sentence.ts";
import { collisions } from "../../../testing/svg.ts";
import { UffbError } from "../../base/errors.ts";
import { openSafetensors } from "../../files/safetensors/safetensors.ts";
import { openModel } from "../../model/model.ts";
import type { Item } from "../../text/input/input.ts";
import { Counter, measurePaths } from "./paths.ts";
import { inspectJson, leafBars, pathsText, summaryText, tensorsText } from "./report.ts";
import { feedforwardOf, partOf, summarize } from "./summary.ts";
import { pathsSvg } from "./svg.ts";

const DEPTH_2 = { trees: 1, depth: 2 };
/** Three tokens of one text and one of another: leaves 3, 3, 4 and 6. */
const PATHS = Int32Array.of(0, 1, 3, 0, 1, 3, 0, 1, 4, 0, 2, 6);
const OFFSETS = BigInt64Array.of(0n, 3n, 4n);

describe("a layer's usage", () => {
  const counter = new Counter(DEPTH_2.trees, DEPTH_2.depth);
  counter.add(PATHS, OFFSETS);
  const usage = counter.usage(7);

  test("counts the visits of every node", () => {
    expect(usage.visits.map((tree) => [...tree])).toEqual([[4, 3, 1, 2, 1, 0, 1]]);
    expect(usage).toMatchObject({ layer: 7, deadLeaves: 1, leaves: 4 });
  });

  test("entropy is that of the leaves", () => {
    expect(usage.entropy).toBeCloseTo(0.5 * 1 + 2 * 0.25 * 2);
  });

  test("shared prefixes: neighbours of the same text, and all pairs", () => {
    expect(usage.sharedNext).toBe((3 + 2) / 2);
    const rows = [0, 1, 2, 3].map((token) => PATHS.subarray(3 * token, 3 * token + 3));
    const shared = rows.flatMap((a) =>
      rows.map((b) => [0, 1, 2].filter((level) => a[level] === b[level]).length),
    );
    expect(usage.sharedRandom).toBeCloseTo(shared.reduce((sum, n) => sum + n, 0) / 16);
  });

  test("several batches are as one, several trees as a mean of each", () => {
    const parts = new Counter(1, 2);
    parts.add(PATHS.subarray(0, 9), BigInt64Array.of(0n, 3n));
    parts.add(PATHS.subarray(9), BigInt64Array.of(0n, 1n));
    expect(parts.usage(7)).toEqual(usage);
    const twice = new Counter(2, 2);
    const paths = [0, 1, 2, 3].flatMap((token) => {
      const path = [...PATHS.subarray(3 * token, 3 * token + 3)];
      return [...path, ...path];
    });
    twice.add(Int32Array.from(paths), OFFSETS);
    const { visits, entropy, sharedNext, sharedRandom, ...rest } = twice.usage(7);
    expect(visits).toEqual([usage.visits[0]!, usage.visits[0]!]);
    expect([entropy, sharedNext, sharedRandom]).toEqual([
      usage.entropy,
      usage.sharedNext,
      usage.sharedRandom,
    ]);
    expect(rest).toEqual({ layer: 7, deadLeaves: 2, leaves: 8 });
  });

  test("one leaf for all has no entropy; a single token has no next one", () => {
    const one = new Counter(1, 1);
    one.add(Int32Array.of(0, 2), BigInt64Array.of(0n, 1n));
    expect(one.usage(0)).toMatchObject({
      entropy: 0,
      deadLeaves: 1,
      sharedNext: Number.NaN,
      sharedRandom: 2,
    });
  });
});

describe.each(["fff-1x5", "fff-3x2", "cls-2"])("%s", (name) => {
  const expected = openSafetensors(join(REFERENCE, name, "expected.safetensors"));
  const { shape, data: rawIds } = expected.get("input_ids")!;
  const [batch, width] = shape as [number, number];
  const numbers = (raw: Uint8Array) => [...new BigInt64Array(raw.slice().buffer)].map(Number);
  const ids = numbers(rawIds);
  const mask = numbers(expected.get("attention_mask")!.data);
  const lengths = Array.from({ length: batch }, (_, s) => {
    return mask.slice(s * width, (s + 1) * width).reduce((sum, n) => sum + n, 0);
  });

  test("visits are those of the original code's paths", async () => {
    async function* items(): AsyncGenerator<Item> {
      for (let s = 0; s < batch; s++) {
        yield { line: s + 1, text: "", ids: Int32Array.from(ids.slice(s * width, s * width + lengths[s]!)) };
      }
    }
    using model = await openModel(join(REFERENCE, name));
    const usage = await measurePaths(model, items(), { threads: 1 });
    const { layers, trees, depth } = model.config.arch;
    expect(usage).toMatchObject({ texts: batch, cut: 0, depth });
    expect(usage.layers.length).toBe(layers);
    const walks = usage.walks.map(({ line, id }) => [line, id]);
    expect(walks).toEqual(
      lengths.flatMap((n, s) => Array.from({ length: n }, (_, t) => [s + 1, ids[s * width + t]!])),
    );
    for (const { layer, visits } of usage.layers) {
      const paths = numbers(expected.get(`path.${layer}`)!.data);
      const want = visits.map((tree) => new Float64Array(tree.length));
      paths.forEach((node, at) => {
        const token = Math.floor(at / (trees * (depth + 1)));
        const tree = Math.floor(at / (depth + 1)) % trees;
        if (token % width < lengths[Math.floor(token / width)]!) want[tree]![node]!++;
      });
      expect(visits).toEqual(want);
      const leaf = (token: number, tree: number) =>
        paths[(token * trees + tree) * (depth + 1) + depth]! - (2 ** depth - 1);
      const tokens = lengths.flatMap((n, s) => Array.from({ length: n }, (_, t) => s * width + t));
      expect(usage.walks.map(({ leaves }) => leaves[layer]!)).toEqual(
        tokens.map((token) => Array.from({ length: trees }, (_, tree) => leaf(token, tree))),
      );
    }
  });
});

test("a dense model has no trees", async () => {
  using model = await openModel(join(REFERENCE, "dense-ff"));
  async function* none(): AsyncGenerator<Item> {}
  await expect(measurePaths(model, none())).rejects.toThrow(/feedforward layers are dense/);
});

test("no usable text is an error; others are reported and left out", async () => {
  using model = await openModel(join(REFERENCE, "fff-1x5"));
  async function* items(good: boolean) {
    yield { line: 1, error: "bad" };
    if (good) yield { line: 2, text: "", ids: Int32Array.of(1, 2) };
  }
  const bad: number[] = [];
  const usage = await measurePaths(model, items(true), { onBad: ({ line }) => bad.push(line) });
  expect(bad).toEqual([1]);
  expect(usage).toMatchObject({ texts: 1, tokens: 2 });
  await expect(measurePaths(model, items(false))).rejects.toThrow(UffbError);
});

describe("summary", () => {
  test("says how a model makes vectors, where the model does", async () => {
    using folder = new TemporaryFolder();
    const summary = await summarize(writeSentenceModel(folder));
    expect(summary.sentence).toMatchObject({
      pooling: { poolings: ["mean"] },
      after: [{ kind: "Normalize" }],
      maxLength: 12,
    });
    expect(summaryText(summary)).toContain(
      "vectors        the mean of all tokens' final state, at most 12 tokens",
    );
    expect(summaryText(await summarize())).not.toContain("vectors");
  });

  test("names the modules after the pooling, and the prompts", async () => {
    using folder = assembled(
      "base",
      "vectors/dense-two",
      "vectors/prompts/config_sentence_transformers.json",
    );
    const summary = await summarize(folder.path);
    expect(JSON.parse(JSON.stringify(summary.sentence)).after).toEqual([
      { kind: "Dense", inputs: 32, outputs: 12, activation: "GELU", residual: false },
      { kind: "Dense", inputs: 12, outputs: 6, activation: "ReLU", residual: false },
    ]);
    const text = summaryText(summary);
    expect(text).toContain("then a layer from 32 to 12 with GELU, then a layer from 12 to 6 with ReLU");
    expect(text).toMatch(/compared by +cosine\n *prompts +document: "passage : "\n +query: "query : "\n/);
  });

  test("names what a score passes through, and heads that are not known", async () => {
    using cross = assembled("labels/cross-saved");
    expect(summaryText(await summarize(cross.path))).toMatch(/score +Tanh of the output\n/);
    using questions = assembled("labels/questions");
    const summary = await summarize(questions.path);
    expect(summaryText(summary)).toContain("bert, encoder with a head that is not supported");
    const config = summary.files.find(({ source }) => source === "config.json")!;
    expect([config.read.includes("hidden_size"), config.unknown]).toEqual([true, []]);
    using tokens = assembled("labels/tokens-roberta");
    expect(summaryText(await summarize(tokens.path))).toContain(
      "classifier of tokens: O, B-PER, I-PER, B-LOC, I-LOC",
    );
  });

  test("of the built-in model", async () => {
    const summary = await summarize();
    expect(summary).toMatchObject({
      ...{
        packed: true,
        task: "mlm",
        layers: 4,
        hidden: 256,
        heads: 4,
        vocab: 8192,
        maxLength: 128,
        tied: true,
      },
      feedforward: { kind: "trees", trees: 1, depth: 8, leaves: 256, neurons: 511, used: 9 },
      tokenizer: { vocabSize: 8192, specials: { mask: { id: 4, token: "<mask>" } } },
    });
    const text = summaryText(summary);
    expect(text).toContain("1 tree of depth 8 with 256 leaves; a token uses 9 of 511 neurons (1.8%)");
    expect(text).toContain("mask <mask> 4");
  });

  test.each(["fff-1x5", "fff-3x2", "dense-ff", "cls-2", "cls-reg"])(
    "%s: every parameter is counted once",
    async (name) => {
      const { parameters, tensors, tied, bytes } = await summarize(join(REFERENCE, name));
      const stored = openSafetensors(join(REFERENCE, name, "model.safetensors"));
      const sizes = [...stored]
        .filter(([key]) => !key.endsWith("norm_factor") && !(tied && key === "decoder.weight"))
        .map(([, { shape }]) => shape.reduce((product, n) => product * n, 1));
      const total = sizes.reduce((sum, n) => sum + n, 0);
      expect(parameters.total).toBe(total);
      expect(Object.values(parameters.parts).reduce((sum, n) => sum + n, 0)).toBe(total);
      for (const { name: key, dtype, shape } of tensors)
        expect(stored.get(key)).toMatchObject({ dtype, shape });
      expect(bytes).toBe(tensors.reduce((sum, tensor) => sum + stored.get(tensor.name)!.data.length, 0));
    },
  );

  test("packing changes what is stored, not what there is", async () => {
    using folder = new TemporaryFolder();
    const source = join(REFERENCE, "fff-3x2");
    await pack(source, folder.file("f16"), "F16");
    await pack(source, folder.file("i8"), "I8");
    const { parameters, feedforward, bytes } = await summarize(source);
    for (const file of ["f16", "i8"]) {
      const packed = await summarize(folder.file(file));
      expect(packed).toMatchObject({ parameters, feedforward, packed: true });
      expect(packed.bytes).toBeLessThan(bytes);
    }
  });

  test("the paper's numbers: 12 of 4,095 neurons, 341 times less", () => {
    const { used, neurons, speedup } = feedforwardOf({
      feedforward: 2,
      hidden: 768,
      width: 0,
      trees: 1,
      depth: 11,
      treeOutput: 0,
    });
    expect([used, neurons, Math.round(speedup)]).toEqual([12, 4095, 341]);
  });

  const parts: [string, string][] = [
    ["embed.word", "embedding"],
    ["embed.position.scale", "embedding"],
    ["embed.norm.weight", "norms"],
    ["layer.3.norm1.bias", "norms"],
    ["final_norm.weight", "norms"],
    ["layer.3.attn.qkv.weight", "attention"],
    ["layer.3.fff.out.weight", "feedforward"],
    ["layer.3.ffn.in.bias", "feedforward"],
    ["head.mlm.norm.weight", "head"],
    ["head.class.bias", "head"],
  ];
  test.each(parts)("%s is of the %s", (name, part) => {
    expect(partOf(name)).toBe(part as never);
  });
});

describe("reports", () => {
  const counter = new Counter(1, 2);
  counter.add(PATHS, OFFSETS);
  const walks = ["a", "b", "c", "<d>"].map((token, id) => ({
    line: id < 3 ? 1 : 2,
    id,
    token,
    leaves: [[[0, 0, 1, 3][id]!]],
  }));
  const base = { texts: 2, tokens: 4, cut: 0, depth: 2, firstText: "a b c" };
  const usage = { ...base, layers: [counter.usage(0)], walks };

  test("a bar a leaf, none where no token came", () => {
    expect(leafBars(usage.layers[0]!, 2)).toBe("█▆ ▆");
    const wide = new Counter(1, 8);
    wide.add(Int32Array.of(0, 1, 3, 7, 15, 31, 63, 127, 255), BigInt64Array.of(0n, 1n));
    expect(leafBars(wide.usage(0), 8)).toBe(`█${" ".repeat(63)}`);
  });

  test("a line for each layer", () => {
    expect(pathsText(usage)).toMatch(
      /^How 4 tokens of 2 texts .*\n.*\n {4}0 {2}█▆ ▆ +1\.50 +1 of 4 +2\.50 +2\.00\n/,
    );
  });

  test("a line for each token with its leaves, in as many tables as the terminal asks for", () => {
    const text = pathsText(usage);
    expect(text).toContain(
      "token \\ layer  0\na              0\nb              0\nc              1\n<d>            3\n",
    );
    const layers = Array.from({ length: 12 }, (_, layer) => counter.usage(layer));
    const many = {
      ...usage,
      layers,
      walks: walks.map((walk) => ({ ...walk, leaves: layers.map(() => [2, 13]) })),
    };
    const narrow = pathsText(many, 60);
    expect(narrow.split("\n").filter((line) => line.startsWith("token"))).toEqual([
      "token \\ layer     0     1     2     3     4     5     6",
      "token \\ layer     7     8     9    10    11",
    ]);
    expect(Math.max(...narrow.split("\n").map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(60);
  });

  test("JSON has no NaN, and tensors only when asked", async () => {
    const summary = await summarize(join(REFERENCE, "fff-1x5"));
    const layers = [{ ...usage.layers[0]!, sharedNext: Number.NaN }];
    const json = JSON.parse(inspectJson(summary, { ...usage, layers }, false));
    expect(json.max_length).toBe(128);
    expect(json.tensors).toBeUndefined();
    expect(json.paths.layers[0]).toMatchObject({
      shared_next: null,
      dead_leaves: 1,
      leaf_visits: [[2, 1, 0, 1]],
    });
    expect(json.paths.walks[3]).toEqual({ line: 2, id: 3, token: "<d>", leaves: [[3]] });
    expect(JSON.parse(inspectJson(summary, undefined, true)).tensors.length).toBe(summary.tensors.length);
    expect(tensorsText(summary).trimEnd().split("\n").length).toBe(summary.tensors.length + 1);
  });

  describe("the picture", () => {
    /** `tokens` tokens of a tree of depth `depth`, to leaves far from each other and close together. */
    function fall(tokens: number, depth: number, trees = 1) {
      const leaves = Array.from({ length: tokens }, (_, t) =>
        t % 3 === 0 ? t % 2 ** depth : (t * 37) % 2 ** depth,
      );
      const counter = new Counter(trees, depth);
      const path = (leaf: number) =>
        Array.from({ length: depth + 1 }, (_, level) => 2 ** level - 1 + (leaf >> (depth - level)));
      const paths = leaves.flatMap((leaf) => Array.from({ length: trees }, () => path(leaf)).flat());
      counter.add(Int32Array.from(paths), BigInt64Array.of(0n, BigInt(tokens)));
      const names = ["the", "##berg", "incomprehensibilities", "中文字", "<sep>", "&"];
      const walks = leaves.map((leaf, id) => {
        return {
          line: 1,
          id,
          token: names[id % names.length]!,
          leaves: [new Array<number>(trees).fill(leaf)],
        };
      });
      return {
        texts: 1,
        tokens,
        cut: 0,
        depth,
        firstText: "A <text> & more of it",
        layers: [counter.usage(0)],
        walks,
      };
    }

    test("has a line and a colour for each of few tokens, a way not taken, and the sentence", () => {
      const svg = pathsSvg(usage, 'a <model> & "more"');
      expect(svg).toContain("a &lt;model> &amp;");
      expect(svg.match(/<path class="line s\d" [^>]*><title>/g)).toHaveLength(4);
      expect(svg.match(/class="unused" stroke-width/g)).toHaveLength(1);
      expect(svg.match(/<rect class="bar"[^>]*><title>/g)).toHaveLength(3);
      expect(svg).toMatch(/class="token f3"[^>]*>4 &lt;d></);
      expect(pathsSvg(fall(4, 3), "m")).toContain("“A &lt;text> &amp; more of it”");
    });

    test("has branches as wide as their share for a dozen tokens and more", () => {
      const svg = pathsSvg(fall(12, 3), "m");
      expect(svg).toContain('<path class="branch"');
      expect(svg).not.toMatch(/class="line s\d" [^>]*><title>/);
      expect(svg).toContain("taken by 100% of tokens");
    });

    test.each([
      [1, 0, 1],
      [3, 2, 1],
      [8, 8, 1],
      [11, 11, 1],
      [11, 3, 3],
      [12, 8, 1],
      [200, 11, 2],
      [400, 4, 1],
    ])("%d tokens at depth %d in %d trees: texts do not collide", (tokens, depth, trees) => {
      const svg = pathsSvg(fall(tokens, depth, trees), "organisation/a-model-with-quite-a-long-name");
      expect(collisions(svg)).toEqual([]);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      expect(svg).toContain("@media(prefers-color-scheme:dark)");
    });
  });
});

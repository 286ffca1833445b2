import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { NativeContext } from "../../ffi/context.ts";
import { isas } from "../../ffi/engine.ts";
import { CancelledError } from "../../ffi/status.ts";
import { REFERENCE, reference, TemporaryFolder, writeModel, writePlain } from "../../testing/folders.ts";
import { paperModel } from "../../testing/paper.ts";
import { PAPER } from "../bench/measure/presets.ts";
import { loadSplit } from "../data/load.ts";
import { findTasks } from "../data/tasks.ts";
import { verify } from "../eval/verify/verify.ts";
import { type Model, openModel } from "../model/model.ts";
import { ragged } from "../text/batches.ts";
import type { BadItem, Item } from "../text/input/input.ts";
import type { FillMask, Result } from "./heads.ts";
import { type InferOptions, infer } from "./infer.ts";

const FIXTURES = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const SHARED = fileURLToPath(new URL("../../../shared/", import.meta.url));

interface Expected {
  text: string;
  ids: number[];
  masks: { position: number; top: { token: string; id: number; p: number }[] }[];
}
const expected = readFileSync(`${FIXTURES}expected-infer.jsonl`, "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Expected);

async function run(
  model: Model,
  items: Omit<Item, "line">[],
  options?: InferOptions,
): Promise<(Result | BadItem)[]> {
  async function* stream() {
    for (const [i, item] of items.entries()) yield { line: i + 1, ...item };
  }
  return (await Array.fromAsync(infer(model, stream(), options))).flat();
}
const texts = (...all: string[]) => all.map((text) => ({ text }));
const given = texts(...expected.map(({ text }) => text));
const ids = (...all: number[]) => ({ text: "", ids: Int32Array.from(all) });

let builtin: Model;
beforeAll(async () => {
  builtin = await openModel();
});
afterAll(() => builtin[Symbol.dispose]());

describe("the original code's answers", () => {
  test.skipIf(!existsSync(SHARED))("f32: the same five tokens in order, probabilities to 1e-3", async () => {
    using model = await openModel(`${SHARED}model-tiny`);
    const results = (await run(model, given)) as FillMask[];
    expect(results).toHaveLength(expected.length);
    results.forEach(({ masks, tokens, dropped }, i) => {
      expect([tokens, dropped]).toEqual([expected[i]!.ids.length, 0]);
      expect(masks).toHaveLength(expected[i]!.masks.length);
      masks.forEach(({ position, top }, m) => {
        const original = expected[i]!.masks[m]!;
        expect(position).toBe(original.position);
        expect(top.map(({ id, token }) => [id, token!])).toEqual(
          original.top.map(({ id, token }) => [id, token]),
        );
        top.forEach(
          ({ probability }, k) => void expect(Math.abs(probability - original.top[k]!.p)).toBeLessThan(1e-3),
        );
      });
    });
  });

  test("packed in f16: the same best token, probabilities to 1e-2", async () => {
    using model = await openModel(`${FIXTURES}model/model-tiny.uffb.safetensors`);
    const results = (await run(model, given)) as FillMask[];
    results.forEach(({ masks }, i) => {
      expect(masks).toHaveLength(expected[i]!.masks.length);
      masks.forEach(({ top }, m) => {
        const original = expected[i]!.masks[m]!.top;
        expect(top[0]!.token!).toBe(original[0]!.token);
        for (const { id, p } of original) {
          const ours = top.find((candidate) => candidate.id === id);
          if (ours) expect(Math.abs(ours.probability - p)).toBeLessThan(1e-2);
        }
      });
    });
  });

  test.skipIf(!existsSync(SHARED)).each(["sst2", "mrpc", "stsb"])("%s: logits to 1e-4", async (name) => {
    const count = 200;
    using model = await openModel(`${SHARED}model-tiny-${name}`);
    const { examples } = await loadSplit(findTasks([name])[0]!, "dev", { data: `${SHARED}data/glue` });
    const originals = readFileSync(`${SHARED}model-tiny-${name}/expected-dev.jsonl`, "utf8")
      .split("\n")
      .slice(0, count);
    const items = examples
      .slice(0, count)
      .map(({ texts: [text, pair] }) => ({ text: text!, ...(pair !== undefined && { pair }) }));
    const results = await run(model, items);
    expect(results).toHaveLength(count);
    results.forEach((result, i) => {
      const { logits, tokens } = JSON.parse(originals[i]!) as { logits: number[]; tokens: number };
      if ("error" in result || !(result.task === "classify" || result.task === "regress"))
        throw new Error("wrong task");
      expect(result.tokens).toBe(tokens);
      const ours = result.task === "regress" ? [result.score] : result.scores.map(({ logit }) => logit);
      ours.forEach((logit, c) => void expect(Math.abs(logit - logits[c]!)).toBeLessThan(1e-4));
      if (result.task !== "classify") return;
      expect(result.scores.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
      expect(result.label).toBe(model.config.labels[logits[0]! > logits[1]! ? 0 : 1]!);
      expect(result.probability).toBe(Math.max(...result.scores.map(({ probability }) => probability)));
    });
  });
});

describe("every shape of the paper, with random weights", () => {
  test.each(PAPER)("%dx%d", async (trees, depth) => {
    using folder = new TemporaryFolder();
    const paper = paperModel(trees, depth);
    using model = await openModel(writeModel(folder, paper.model));
    writePlain(folder.file("expected.safetensors"), paper.expected);
    for (const isa of isas()) {
      expect(await verify(model, folder.file("expected.safetensors"), { isa })).toMatchObject({
        passed: true,
      });
    }
    const items = paper.sequences.map((sequence) => ids(...sequence));
    const results = (await run(model, items, { maskId: paper.sequences[0]![0]!, topK: 3 })) as FillMask[];
    const { masks } = results[0]!;
    expect(masks[0]!.position).toBe(0);
    expect(masks[0]!.top).toHaveLength(3);
    const best = paper.best(0);
    expect(masks[0]!.top[0]!.id).toBe(best.id);
    expect(masks[0]!.top[0]!.probability).toBeCloseTo(best.probability, 3);
  });
});

describe("batches and threads", () => {
  test.each(isas())("change nothing: %s", async (isa) => {
    const some = given.slice(0, 12);
    const first = await run(builtin, some, { isa, threads: 1 });
    for (const threads of [1, 2, 7]) {
      for (const batchTokens of [1, 100, 100_000]) {
        expect(await run(builtin, some, { isa, threads, batchTokens })).toEqual(first);
      }
    }
  });
});

describe("filling masks", () => {
  test("in the user's own spelling, several at once, however the mask is spelt", async () => {
    const [plain, own, three] = (await run(
      builtin,
      texts(
        "The Film was  [MASK] by Steven.",
        "The Film was  <mask> by Steven.",
        "[MASK] and [MASK], [MASK]",
      ),
    )) as FillMask[];
    expect(plain!.filled).toBe("The Film was  directed by Steven.");
    expect(own!.filled).toBe(plain!.filled!);
    const best = three!.masks.map(({ top }) => top[0]!.token!);
    expect(three!.filled).toBe(`${best[0]} and ${best[1]}, ${best[2]}`);
  });

  test("in both texts of a pair", async () => {
    const [result] = (await run(builtin, [{ text: "the [MASK]", pair: "of [MASK]" }])) as FillMask[];
    const best = result!.masks.map(({ top }) => top[0]!.token!);
    expect([result!.filled, result!.filledPair]).toEqual([`the ${best[0]}`, `of ${best[1]}`]);
  });

  test("continuations join their word", async () => {
    const { text } = expected.find(({ masks }) => masks[0]!.top[0]!.token.startsWith("##"))!;
    const [result] = (await run(builtin, texts(text))) as FillMask[];
    expect(result!.filled).not.toContain("##");
  });

  test("--top-k: as many as asked for, never more than there are", async () => {
    const [one, all] = await Promise.all([
      run(builtin, texts("a [MASK]"), { topK: 1 }),
      run(builtin, texts("a [MASK]"), { topK: 1_000_000 }),
    ]);
    expect((one[0] as FillMask).masks[0]!.top).toHaveLength(1);
    const top = (all[0] as FillMask).masks[0]!.top;
    expect(top).toHaveLength(builtin.config.arch.vocab);
    expect(top.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 3);
    expect(top[0]).toEqual((one[0] as FillMask).masks[0]!.top[0]!);
  });

  test("token ids are not text: no filled sentence, but tokens where a tokenizer knows them", async () => {
    const [result] = (await run(builtin, [ids(...expected[0]!.ids)])) as FillMask[];
    expect(result!.filled).toBeUndefined();
    expect(result!.masks[0]!.top[0]!.token).toBe("france");
  });
});

describe("inputs that do not fit", () => {
  const long = `${"word ".repeat(200)}[MASK]`;

  test("each has its error in its place, and the others come out", async () => {
    const results = await run(builtin, [
      ...texts("a [MASK]", "no mask", long),
      ids(4, 9999),
      ids(4),
      ids(4, -1),
    ]);
    expect(results.map((result) => ("error" in result ? result.error : result.task))).toEqual([
      "fill-mask",
      "no mask to fill; write [MASK] where a word is missing, or use --embed for a sentence vector",
      "the mask lies beyond the 128 tokens that the model takes; shorten the text",
      "token id 9999 is not in the model's vocabulary of 8192",
      "fill-mask",
      "token id -1 is not in the model's vocabulary of 8192",
    ]);
    expect(results.map((result) => ("error" in result ? result : result.item).line)).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
  });

  test("what is too long is cut, or refused with truncate: false", async () => {
    const items = [{ text: `[MASK] ${"word ".repeat(200)}` }, ids(...new Array<number>(130).fill(4))];
    const cut = (await run(builtin, items)) as FillMask[];
    expect(cut.map(({ tokens, dropped }) => [tokens, dropped])).toEqual([
      [128, 74],
      [128, 2],
    ]);
    expect(cut[0]!.filled).not.toContain("[MASK]");
    expect(await run(builtin, items, { truncate: false })).toEqual([
      { line: 1, error: "202 tokens, and the model takes 128; shorten it or drop --no-truncate" },
      { line: 2, error: "130 tokens, and the model takes 128; shorten it or drop --no-truncate" },
    ]);
  });

  test("a mask that was cut off leaves the text that the model saw", async () => {
    const [result] = (await run(builtin, texts(`A [MASK] ${"word ".repeat(200)}[MASK]`))) as FillMask[];
    expect(result!.masks).toHaveLength(1);
    expect(result!.filled).toStartWith(`a ${result!.masks[0]!.top[0]!.token!} word word`);
  });

  test("a model without tokenizer reads ids; text and unknown masks end the run", async () => {
    using mlm = await openModel(`${REFERENCE}fff-1x5`);
    await expect(run(mlm, texts("a [MASK]"))).rejects.toThrow(
      "has no tokenizer.json, which reading text needs",
    );
    await expect(run(mlm, [ids(1, 2)])).rejects.toThrow("give --mask-id, or use --embed");
    const [result] = (await run(mlm, [ids(1, 2)], { maskId: 2 })) as FillMask[];
    expect(result!.masks.map(({ position }) => position)).toEqual([1]);
    expect(result!.masks[0]!.top[0]!.token).toBeUndefined();
    using classifier = await openModel(`${REFERENCE}cls-2`);
    expect(await run(classifier, [ids(1, 2)])).toMatchObject([{ task: "classify", tokens: 2 }]);
    using regression = await openModel(`${REFERENCE}cls-reg`);
    expect(await run(regression, [ids(1, 2)])).toMatchObject([{ task: "regress", tokens: 2 }]);
  });
});

test("where several labels can be true, each has a probability of its own", async () => {
  using folder = new TemporaryFolder();
  const { config, tensors } = reference("cls-2");
  const problem_type = "multi_label_classification";
  const id2label = { 0: "rude", 1: "loud" };
  using model = await openModel(
    writeModel(folder, { config: { ...config, problem_type, id2label }, tensors }),
  );
  expect(model.config.task).toBe("multi-label");
  using classifier = await openModel(`${REFERENCE}cls-2`);
  const inputs = [ids(5, 6, 7), ids(8, 9), ids(100, 200, 300, 400)];
  const [several, one] = [await run(model, inputs), await run(classifier, inputs)];
  several.forEach((result, i) => {
    const single = one[i]!;
    if ("error" in result || result.task !== "classify") throw new Error("not classified");
    if ("error" in single || single.task !== "classify") throw new Error("not classified");
    result.scores.forEach(({ label, probability, logit }, c) => {
      expect(logit).toBe(single.scores[c]!.logit);
      expect(probability).toBeCloseTo(1 / (1 + Math.exp(-logit)), 12);
      expect(result.labels!.includes(label)).toBe(logit >= 0);
    });
    expect(single.labels).toBeUndefined();
  });
});

test.skipIf(!existsSync(SHARED))("a classifier reads the pair template, and no masks", async () => {
  using model = await openModel(`${SHARED}model-tiny-sst2`);
  const { cls, sep } = model.tokenizer().specials;
  const encode = (text: string) =>
    Array.from(model.tokenizer().encode(text, { pair: "", literal: true }).ids);
  const pair = encode("a [MASK] film");
  expect([pair[0], pair.at(-2), pair.at(-1)]).toEqual([cls!.id, sep!.id, sep!.id]);
  const scores = (
    await run(model, [{ text: "a [MASK] film" }, { text: "a [MASK] film", pair: "" }, ids(...pair)])
  ).map((result) => (result as { scores?: unknown }).scores);
  expect(scores[0]).toBeDefined();
  expect(scores).toEqual([scores[0], scores[0], scores[0]]);
  const [vector] = await run(model, texts("a film"), { embed: true });
  expect(vector).toMatchObject({ task: "embed", tokens: encode("a film").length });
});

describe("sentence vectors", () => {
  test("mean, first and max of the final states", async () => {
    const { ids: tokens } = builtin.tokenizer().encode("The film was fine.");
    using context = new NativeContext(builtin.native);
    await context.encode(ragged([{ ids: tokens }]));
    for (const pooling of ["mean", "first", "max"] as const) {
      const [result] = await run(builtin, texts("The film was fine."), { embed: true, pooling });
      expect(result).toMatchObject({ task: "embed", vector: await context.pool(pooling) });
    }
    const vectors = await run(builtin, texts("The film was fine.", "The film was [MASK]."), { embed: true });
    expect(vectors[0]).toMatchObject({ vector: await context.pool("mean") });
    expect(vectors[1]).toMatchObject({ task: "embed" });
  });
});

describe("streams", () => {
  test("a batch is answered while the next input is awaited", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* slow() {
      yield { line: 1, text: "a [MASK]" };
      await promise; // until the first answer is there
      yield { line: 2, text: "b [MASK]" };
    }
    const lines: number[] = [];
    for await (const batch of infer(builtin, slow())) {
      for (const result of batch) lines.push((result as Result).item.line);
      resolve();
    }
    expect(lines).toEqual([1, 2]);
  });

  test("results before a failure of the stream come out", async () => {
    async function* broken() {
      yield { line: 1, text: "a [MASK]" };
      throw new Error("disk on fire");
    }
    const results = infer(builtin, broken());
    expect((await results.next()).value).toMatchObject([{ item: { line: 1 } }]);
    await expect(results.next()).rejects.toThrow("disk on fire");
  });

  test("no item is read further ahead than a batch and one", async () => {
    let read = 0;
    async function* counted() {
      for (let line = 1; line <= 1000; line++) {
        read = line;
        yield { line, ...ids(4, 4) };
      }
    }
    const results = infer(builtin, counted(), { batchTokens: 20 });
    for (let batch = 1; batch <= 3; batch++) {
      expect((await results.next()).value).toHaveLength(10);
      expect(read).toBeLessThanOrEqual(10 * (batch + 1) + 1);
    }
    await results.return(undefined);
  });

  test("a signal stops them", async () => {
    const controller = new AbortController();
    async function* endless() {
      for (let line = 1; ; line++) yield { line, text: "the [MASK] of" };
    }
    const results = infer(builtin, endless(), { signal: controller.signal });
    await results.next();
    controller.abort();
    await expect(results.next()).rejects.toThrow(CancelledError);
  });
});

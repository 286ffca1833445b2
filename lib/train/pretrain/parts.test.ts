/** The parts of pretraining that need no model. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { newConfig } from "../../model/crammed-config.ts";
import { activeNeurons, feedforwardName, parseFeedforward } from "../../model/families/feedforward.ts";
import { openTokenizerFiles } from "../../model/tokenizer.ts";
import { causal, maskCounts, masked } from "./mask.ts";
import {
  batchAt,
  CRAMMING,
  checkPretrainRecipe,
  extentOf,
  objectiveAt,
  type PretrainRecipe,
  positionFactorAt,
  shareOf,
} from "./recipe.ts";
import { type Order, Sequences } from "./sequences.ts";
import { documentIds, tokensOf } from "./tokens.ts";

describe("masked", () => {
  test("as published: 32 of 128 tokens, of which 26, 3 and 3", () => {
    expect(maskCounts(128, 0.25)).toEqual({ predicted: 32, replaced: 26, random: 3, kept: 3 });
  });

  test("predicts exactly the share of each sequence, once each, and leaves all else as it is", () => {
    const MASK = 99;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.nat(1e6),
        fc.nat(1e6),
        (lengths, share, seed, first) => {
          // Tokens beyond the vocabulary that random ones are drawn from, so that each change can be told.
          const sequences = lengths.map((length, s) =>
            Uint16Array.from({ length }, (_, i) => 1000 + 50 * s + i),
          );
          const options = { mask: MASK, vocab: 90, share, seed };
          const { batch, targets } = masked(sequences, first, options);
          const original = sequences.flatMap((sequence) => [...sequence]);
          const places = [...targets.positions].map(Number);
          expect(new Set(places).size).toBe(places.length);
          expect([...targets.targets]).toEqual(places.map((place) => original[place]!));
          const others = original.keys().filter((i) => !places.includes(i));
          expect([...others].every((i) => batch.ids[i] === original[i])).toBe(true);
          let at = 0;
          for (const [s, length] of lengths.entries()) {
            const counts = maskCounts(length, share);
            const own = places.slice(at, at + counts.predicted);
            const [from, to] = [Number(batch.offsets[s]), Number(batch.offsets[s + 1])];
            expect(own.every((place) => place >= from && place < to)).toBe(true);
            const ids = own.map((place) => batch.ids[place]!);
            expect(ids.filter((id) => id === MASK).length).toBe(counts.replaced);
            expect(ids.filter((id) => id < 90).length).toBe(counts.random);
            expect(counts.replaced + counts.random + counts.kept).toBe(counts.predicted);
            at += counts.predicted;
          }
          expect(at).toBe(places.length);
          // A sequence's masks are its number's, whatever stands in the batch with it.
          const alone = masked(sequences.slice(-1), first + lengths.length - 1, options);
          expect([...alone.batch.ids]).toEqual([...batch.ids.subarray(batch.ids.length - lengths.at(-1)!)]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("chooses every place alike", () => {
    const counts = new Float64Array(16);
    const sequences = Array.from({ length: 4000 }, () => new Uint16Array(16));
    const { targets } = masked(sequences, 0, { mask: 1, vocab: 9, share: 0.25, seed: 3 });
    for (const place of targets.positions) counts[Number(place) % 16]!++;
    // 1,000 each are expected, with a standard deviation of 27.
    expect(counts.every((count) => Math.abs(count - 1000) < 150)).toBe(true);
  });
});

test("causal predicts each token but a sequence's first", () => {
  const { batch, targets, options } = causal([
    Uint16Array.of(5, 6, 7),
    Uint16Array.of(8),
    Uint16Array.of(9, 4),
  ]);
  expect([[...targets.positions].map(Number), [...targets.targets]]).toEqual([
    [0, 1, 4],
    [6, 7, 4],
  ]);
  expect([[...batch.ids], options.causal]).toEqual([[5, 6, 7, 8, 9, 4], true]);
});

describe("the budget", () => {
  const recipes = fc.record({
    unit: fc.constantFrom("steps" as const, "tokens" as const),
    amount: fc.integer({ min: 1, max: 5000 }),
    microbatch: fc.integer({ min: 1, max: 8 }),
    times: fc.double({ min: 1, max: 20, noNaN: true }),
    ramp: fc.double({ min: 0, max: 1, noNaN: true }),
  });

  test("is used up by steps that grow from a micro-batch to the most at the end of the ramp", () => {
    fc.assert(
      fc.property(recipes, ({ unit, amount, microbatch, times, ramp }) => {
        const batch = Math.floor(microbatch * times);
        const recipe: PretrainRecipe = {
          ...CRAMMING,
          budget: { unit, amount },
          microbatch,
          batch,
          ramp,
          length: 4,
        };
        checkPretrainRecipe(recipe);
        const at = { steps: 0, sequences: 0, seconds: 0 };
        let last = 0;
        while (shareOf(recipe, at) < 1) {
          const share = shareOf(recipe, at);
          const size = batchAt(recipe, share);
          expect(size).toBeGreaterThanOrEqual(Math.max(last, Math.min(microbatch, batch)));
          expect(size).toBeLessThanOrEqual(batch);
          if (share >= ramp) expect(size).toBe(batch);
          else {
            expect(size % microbatch).toBe(0);
            expect(Math.abs(size - (share / ramp) * batch)).toBeLessThanOrEqual(microbatch);
          }
          last = size;
          at.steps++;
          at.sequences += size;
        }
        expect(at.steps).toBe(extentOf(recipe)!.steps);
        if (unit === "steps") expect(at.steps).toBe(amount);
        else expect((at.sequences - last) * recipe.length).toBeLessThan(amount);
      }),
      { numRuns: 60 },
    );
  });

  test("in hours ends no step before it begins", () => {
    const recipe: PretrainRecipe = { ...CRAMMING, budget: { unit: "hours", amount: 2 } };
    expect(extentOf(recipe)).toBeUndefined();
    expect(shareOf(recipe, { steps: 9, sequences: 9, seconds: 3600 })).toBe(0.5);
    expect(shareOf(recipe, { steps: 9, sequences: 9, seconds: 36_000 })).toBe(1);
    expect([batchAt(recipe, 0), batchAt(recipe, 0.3), batchAt(recipe, 0.6)]).toEqual([128, 4096, 8192]);
  });

  test("begins with the causal phase", () => {
    const recipe = { ...CRAMMING, causal: 0.25 };
    expect([0, 0.24, 0.25, 1].map((share) => objectiveAt(recipe, share))).toEqual([
      "causal",
      "causal",
      "masked",
      "masked",
    ]);
  });

  test("lets the factor of positions stay while next tokens are predicted, and grow with the root of what follows", () => {
    const recipe = { ...CRAMMING, causal: 0.2, positionFactor: 0.1, positionGrowth: 3 };
    expect([0, 0.2, 0.4, 1].map((share) => positionFactorAt(recipe, share))).toEqual(
      [0.1, 0.1, 0.2, 0.3].map((to) => expect.closeTo(to, 9)),
    );
  });

  test.each([
    [{ microbatch: 9, batch: 8 }, "--microbatch 9 is more than --batch 8"],
    [{ budget: { unit: "steps", amount: 0 } }, "--steps 0 leaves nothing to do"],
    [{ heldOut: 1 }, "--held-out 1 leaves nothing to train on"],
    [{ positionGrowth: 2 }, "--position-growth 2 is of a factor that is kept; give --position-factor"],
  ] as const)("%j is refused", (changed, message) => {
    expect(() => checkPretrainRecipe({ ...CRAMMING, ...changed })).toThrow(message);
  });
});

describe("Sequences", () => {
  const options = (order: Order) => ({
    length: 4,
    heldOut: 0.2,
    mostHeldOut: 100,
    order,
    counted: 7,
    seed: 1,
  });

  test("hold each token once a pass, the last ones held out, and the rest of the text dropped", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 300 }),
        fc.constantFrom<Order>("shuffle", "prevalence"),
        (size, order) => {
          const ids = Uint16Array.from({ length: size }, (_, i) => i);
          const sequences = new Sequences(ids, options(order));
          const all = Math.floor(size / 4);
          expect(sequences.count + sequences.heldOut).toBe(all);
          expect(sequences.heldOut).toBe(Math.ceil(all * 0.2));
          for (const pass of [0, 1]) {
            const seen = Array.from({ length: sequences.count }, (_, i) => [
              ...sequences.at(pass * sequences.count + i),
            ]).flat();
            expect(seen.sort((a, b) => a - b)).toEqual([...ids.subarray(0, 4 * sequences.count)]);
          }
          const held = Array.from({ length: sequences.heldOut }, (_, i) => [...sequences.held(i)]).flat();
          expect(held).toEqual([...ids.subarray(4 * sequences.count, 4 * all)]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("by prevalence come those with most of a token first, and in the text's order where they have as many", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(1, 7), { minLength: 8, maxLength: 200 }), (ids) => {
        const sequences = new Sequences(Uint16Array.from(ids), options("prevalence"));
        const times = (one: ArrayLike<number>) => Array.from(one).filter((id) => id === 7).length;
        const expected = Array.from({ length: sequences.count }, (_, i) =>
          ids.slice(4 * i, 4 * i + 4),
        ).toSorted((a, b) => times(b) - times(a));
        expect(Array.from({ length: sequences.count }, (_, i) => [...sequences.at(i)])).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("passes are shuffled differently, and the same for the same seed", () => {
    const ids = Uint16Array.from({ length: 400 }, (_, i) => i);
    const read = (pass: number) => {
      const sequences = new Sequences(ids, options("shuffle"));
      return Array.from({ length: 80 }, (_, i) => sequences.at(80 * pass + i)[0]);
    };
    expect(read(1)).toEqual(read(1));
    expect(read(1)).not.toEqual(read(0));
  });

  test("of too little text are refused", () => {
    expect(() => new Sequences(new Uint16Array(6), options("shuffle"))).toThrow("too few for sequences of 4");
  });
});

describe("tokens", async () => {
  const folder = mkdtempSync(join(tmpdir(), "uffb-tokens-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "a.txt");
  writeFileSync(path, "The cat sat.\n\n3 1 4 1 5 9 2 6\nA dog.\n日本語\n");
  const { tokenizer, texts } = await openTokenizerFiles(
    new URL("../../../fixtures/tokenizer-8k", import.meta.url).pathname,
  );
  const make = (mostTokens: number, onFound?: () => void) =>
    tokensOf([path], tokenizer, texts["tokenizer.json"]!, join(folder, "tokens"), { mostTokens, onFound });

  test("are those of each document and a separator", async () => {
    const { ids, facts } = await make(1);
    const expected = ["The cat sat.", "3 1 4 1 5 9 2 6", "A dog."].flatMap((text) => [
      ...tokenizer.encode(text).ids,
    ]);
    expect([...ids]).toEqual(expected);
    expect(facts).toMatchObject({
      documents: 4,
      dropped: 1,
      bad: 0,
      tokens: expected.length,
      characters: 33,
    });
    expect(facts.files).toEqual([
      { name: "a.txt", sha256: expect.stringMatching(/^[\da-f]{64}$/), documents: 4 },
    ]);
  });

  test("are made once, and again for another setting or text", async () => {
    let found = 0;
    await make(1, () => found++);
    expect(found).toBe(1);
    // Eight tokens of fifteen characters are left out.
    const { facts } = await make(0.52, () => found++);
    expect([found, facts.dropped]).toEqual([1, 2]);
    writeFileSync(path, "Another text.\n");
    expect((await make(1, () => found++)).facts.documents).toBe(1);
    expect(found).toBe(1);
    expect(
      readdirSync(join(folder, "tokens")).every((name) => /^tokens-[\da-f]{16}\.(bin|json)$/.test(name)),
    ).toBe(true);
  });

  test("of nothing are refused", async () => {
    await expect(make(0)).rejects.toThrow(
      "nothing to train on: 1 of 1 documents left out; see --most-tokens",
    );
  });

  test("of a tokenizer whose template begins with a token do without it", async () => {
    const bert = await openTokenizerFiles(
      new URL("../../../fixtures/reference-bert/bert-mlm", import.meta.url).pathname,
    ).catch(() => undefined);
    if (bert === undefined) return;
    const { cls, sep } = bert.tokenizer.specials;
    const ids = documentIds(bert.tokenizer, "a text");
    expect([ids[0] === cls?.id, ids.at(-1)]).toEqual([false, sep!.id]);
  });

  test("may be more than a call has arguments", async () => {
    const { tokenizer } = await openTokenizerFiles();
    // Its template puts a token in front, so that the document's begin behind it.
    const made = Object.create(tokenizer, {
      specials: { value: { sep: { id: 3 } } },
      encode: { value: () => ({ ids: new Int32Array(1_000_000).fill(7) }) },
    });
    const ids = documentIds(made, "a");
    expect([ids.length, ids[0], ids.at(-1)]).toEqual([1_000_001, 7, 3]);
  });
});

describe("shapes", () => {
  test.each([
    ["1x11", { kind: "trees", trees: 1, depth: 11 }, 12],
    ["3072x0", { kind: "trees", trees: 3072, depth: 0 }, 3072],
    ["1x8:linear", { kind: "trees", trees: 1, depth: 8, output: "linear" }, 9],
    ["dense:192+8x6", { kind: "trees", trees: 8, depth: 6, dense: 192 }, 248],
    ["dense:7+2x3:linear", { kind: "trees", trees: 2, depth: 3, dense: 7, output: "linear" }, 15],
    ["1x8:after", { kind: "trees", trees: 1, depth: 8, output: "after" }, 9],
    ["dense:3072", { kind: "dense", width: 3072 }, 3072],
    ["glu:3072", { kind: "glu", width: 3072 }, 1536],
    ["none", { kind: "none" }, 0],
  ] as const)("%s", (name, feedforward, active) => {
    expect(parseFeedforward(name)).toEqual(feedforward);
    expect(feedforwardName(feedforward)).toBe(name);
    expect(activeNeurons(feedforward)).toBe(active);
    const { config } = newConfig({ feedforward, layers: 2, hidden: 64, heads: 2, vocab: 100, maxLength: 16 });
    expect([config.task, config.arch.layers, config.arch.tied]).toEqual(["mlm", 2, 1]);
  });

  test.each([
    "",
    "0x3",
    "1x",
    "dense:0",
    "dense",
    "glu:x",
    "1x11x2",
    "1X11",
    "dense:0+1x1",
    "dense:4+",
    "none:linear",
    "dense:7:after",
    "1x8:linear:after",
  ])("%j is refused", (name) => {
    expect(() => parseFeedforward(name)).toThrow("give trees and their depth as 1x11");
  });

  test("that cannot be are refused by name", () => {
    const shape = {
      feedforward: parseFeedforward("glu:7"),
      layers: 1,
      hidden: 8,
      heads: 1,
      vocab: 9,
      maxLength: 4,
    };
    expect(() => newConfig(shape)).toThrow("a gated feedforward layer needs an even one");
    expect(() => newConfig({ ...shape, heads: 3 })).toThrow("it does not divide hidden_size, 8");
  });
});

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { WordCounts } from "./count.ts";
import { Heap } from "./heap.ts";
import { learnTokens, SPECIALS, tokenizerFiles, VocabularyText } from "./vocabulary.ts";
import { trainWordPiece } from "./wordpiece.ts";

const OWN = JSON.parse(
  readFileSync(new URL("../../../fixtures/tokenizer-8k/tokenizer.json", import.meta.url), "utf8"),
);

test("a heap gives its items in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (items) => {
      const heap = new Heap<number>((a, b) => a > b);
      for (const item of items) heap.push(item);
      expect(items.map(() => heap.pop()!)).toEqual(items.toSorted((a, b) => b - a));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});

describe("WordCounts", () => {
  const words = fc.array(fc.stringMatching(/^[a-c é日]{0,6}$/), { maxLength: 60 });

  test("counts what stands between white space", () => {
    fc.assert(
      fc.property(words, (texts) => {
        const counts = new WordCounts();
        const expected = new Map<string, number>();
        for (const text of texts) {
          counts.add(text);
          for (const word of text.split(/[ \t\n\v\f\r]+/))
            if (word !== "") expected.set(word, (expected.get(word) ?? 0) + 1);
        }
        expect(new Map(counts)).toEqual(expected);
        expect(counts.size).toBe(expected.size);
      }),
    );
  });

  test("forgets the rarest where there is no room, and never counts too much", () => {
    fc.assert(
      fc.property(words, (texts) => {
        const all = new WordCounts();
        const few = new WordCounts(undefined, 8);
        for (const text of texts) {
          all.add(text);
          few.add(text);
        }
        expect(few.size).toBeLessThanOrEqual(8);
        const exact = new Map(all);
        for (const [word, count] of few) expect(count).toBeLessThanOrEqual(exact.get(word)!);
      }),
    );
    const counts = new WordCounts(undefined, 100);
    for (let i = 0; i < 5000; i++) counts.add(`often word${i}`);
    expect(new Map(counts).get("often")).toBe(5000);
    expect(counts.forgotten).toBeGreaterThan(0);
  });

  test("grows, and finds words again", () => {
    const counts = new WordCounts();
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 200_000; i++) counts.add(`a-rather-long-word-${i}`);
    expect(counts.size).toBe(200_000);
    expect([...counts].every(([, count]) => count === 2)).toBe(true);
  });
});

/** The same by counting all pairs anew for each merge. */
function plainly(counted: readonly (readonly [string, number])[], size: number): string[] {
  const tokens = [...SPECIALS];
  const chars = [...new Set(counted.flatMap(([word]) => [...word]))].sort();
  tokens.push(...chars);
  tokens.push(
    ...chars
      .map((char) => `##${char}`)
      .filter((one) => counted.some(([word]) => [...word].slice(1).includes(one.slice(2)))),
  );
  const words = counted.map(([word, count]) => ({
    ids: [...word].map((char, i) => tokens.indexOf(i === 0 ? char : `##${char}`)),
    count,
  }));
  while (tokens.length < size) {
    const pairs = new Map<string, number>();
    for (const { ids, count } of words)
      for (let i = 1; i < ids.length; i++) {
        const pair = `${ids[i - 1]} ${ids[i]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    const best = [...pairs]
      .map(([pair, count]) => ({ pair: pair.split(" ").map(Number) as [number, number], count }))
      .sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1])[0];
    if (best === undefined) break;
    const [left, right] = best.pair;
    const merged = tokens[left]! + tokens[right]!.slice(2);
    if (!tokens.includes(merged)) tokens.push(merged);
    const id = tokens.indexOf(merged);
    for (const word of words) {
      const ids: number[] = [];
      for (let i = 0; i < word.ids.length; i++) {
        const pair = word.ids[i] === left && word.ids[i + 1] === right;
        ids.push(pair ? id : word.ids[i]!);
        if (pair) i++;
      }
      word.ids = ids;
    }
  }
  return tokens;
}

describe("trainWordPiece", () => {
  const options = { specials: SPECIALS, prefix: "##", leastCount: 1 };
  const counted = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[ab]{1,8}$/), fc.integer({ min: 1, max: 5 })), {
    selector: ([word]) => word,
    minLength: 1,
    maxLength: 12,
  });

  test("learns what counting anew for each merge learns, whatever the order of the words", () => {
    fc.assert(
      fc.property(counted, fc.integer({ min: 11, max: 40 }), (words, size) => {
        const expected = plainly(words, size);
        expect(trainWordPiece(words, { ...options, size })).toEqual(expected);
        expect(trainWordPiece(words.toReversed(), { ...options, size })).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  test("makes nothing of pairs that are too rare", () => {
    const words = [
      ["abc", 3],
      ["xyz", 2],
    ] as const;
    const tokens = trainWordPiece(words, { ...options, size: 100, leastCount: 3 });
    expect([tokens.includes("abc"), tokens.includes("xyz")]).toEqual([true, false]);
  });

  test("says when there is no room for the characters", () => {
    expect(() => trainWordPiece([["abc", 1]], { ...options, size: 9 })).toThrow(
      "a vocabulary of 9 has no room for the 12 special tokens and characters",
    );
  });
});

test("has the tokens of Hugging Face's trainer, where that is not of two minds", () => {
  const fixture = (name: string) =>
    readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url), "utf8");
  const { every, some } = JSON.parse(fixture("vocab/wordpiece.json")) as Record<"every" | "some", string[]>;
  const text = new VocabularyText();
  for (const line of fixture("tokens.jsonl").trim().split("\n")) {
    const { text: first, text_pair: second = "" } = JSON.parse(line);
    for (const one of [first, second]) if (!/\S{101}/u.test(one)) text.add(one);
  }
  const tokens = learnTokens(text.counts(), { size: 5000, leastCount: 10 });
  expect(every.length).toBeGreaterThan(800);
  expect(every.filter((token) => !tokens.includes(token))).toEqual([]);
  expect(tokens.filter((token) => ![...every, ...some].includes(token))).toEqual([]);
});

describe("a vocabulary", () => {
  const learn = (texts: readonly string[], size = 60) => {
    const text = new VocabularyText();
    for (const one of texts) text.add(one);
    return tokenizerFiles(learnTokens(text.counts(), { size, leastCount: 1 }), 128);
  };

  test("has UltraFastBERT's normaliser, templates and special tokens", () => {
    const files = learn(["Some words, some Wörds."]);
    expect(Object.keys(files)).toEqual([
      "tokenizer.json",
      "tokenizer_config.json",
      "special_tokens_map.json",
    ]);
    const { model, ...rest } = JSON.parse(files["tokenizer.json"]!);
    const { model: ownModel, ...own } = OWN;
    expect(rest).toEqual(own);
    expect({ ...model, vocab: 0 }).toEqual({ ...ownModel, vocab: 0 });
    const tokenizer = Tokenizer.parse(files["tokenizer.json"]!, "x");
    expect([...tokenizer.encode("words").ids].map((id) => tokenizer.token(id))).toEqual(["words", "<sep>"]);
  });

  test("counts words as the tokenizer cuts them, also where white space is not ASCII's or words are long", () => {
    const tokenizer = Tokenizer.parse(JSON.stringify(OWN), "x");
    const piece = fc.constantFrom(
      "a",
      "B",
      "é",
      "''",
      "``",
      " ",
      "\t",
      "\u00a0",
      "\u3000",
      "\u0301",
      "日",
      "-",
      "x".repeat(90),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = new VocabularyText();
        text.add(pieces.join(""));
        // With every word a token of its own, encoding gives the words.
        const counts = text.counts();
        const whole = tokenizerFiles([...SPECIALS, ...counts.keys()], 128)["tokenizer.json"]!;
        const own = Tokenizer.parse(whole, "x");
        const unknown = own.specials.unk!.id;
        const ids = [...own.encode(pieces.join("")).ids].slice(0, -1).filter((id) => id !== unknown);
        const found = Map.groupBy(ids, (id) => own.token(id));
        expect(new Map([...found].map(([word, all]) => [word, all.length]))).toEqual(counts);
        expect(tokenizer.encode(pieces.join("")).ids.length).toBeGreaterThan(0);
      }),
      { numRuns: 200 },
    );
  });
});

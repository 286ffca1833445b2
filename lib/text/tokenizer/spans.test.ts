/** Where tokens lie in texts, against what Hugging Face's tokenizers say (testing/fixtures/spans.py). */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { align, type Span, spansOf } from "./spans.ts";
import { Tokenizer } from "./tokenizer.ts";

const FOLDER = fileURLToPath(new URL("../../../fixtures/tokenizers/", import.meta.url));

interface Line {
  tokenizer: string;
  text: string;
  spans: (Span | null)[];
}
const LINES = readFileSync(`${FOLDER}spans.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line): Line => JSON.parse(line));
const BY_TOKENIZER = [...Map.groupBy(LINES, ({ tokenizer }) => tokenizer)];
/** Those of fixtures/unigram are packed. */
function open(name: string): Tokenizer {
  const packed = `${FOLDER}../unigram/${name}.gz`;
  const text = existsSync(packed) ? gunzipSync(readFileSync(packed)) : readFileSync(FOLDER + name);
  return Tokenizer.parse(text.toString(), name);
}

const spansIn = (tokenizer: Tokenizer, text: string) =>
  tokenizer.spans(text, tokenizer.encode(text, { literal: true }).ids.length, 0).map((span) => span ?? null);

describe.each(BY_TOKENIZER)("%s", (name, lines) => {
  test("each token is where the library sees it", () => {
    const tokenizer = open(name);
    expect(lines.length).toBeGreaterThan(30);
    for (const { text, spans } of lines) expect([text, spansIn(tokenizer, text)]).toEqual([text, spans]);
  });

  test("any text has a span for each token, in order and within it", () => {
    const tokenizer = open(name);
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom(..." \t▁ĠeÉ\u0301字<>mask[]MASK😀ﬁ#".split("")),
        fc.string({ unit: "binary", maxLength: 1 }),
      ),
      maxLength: 20,
    });
    fc.assert(
      fc.property(text, (text) => {
        const { ids } = tokenizer.encode(text, { literal: true });
        const spans = tokenizer.spans(text, ids.length, 0);
        expect(spans.length).toBe(ids.length);
        const length = [...text].length;
        for (const span of spans) {
          if (span === undefined) continue;
          expect(span[0] >= 0 && span[0] <= span[1] && span[1] <= length).toBe(true);
        }
      }),
    );
  });
});

test("what was cut off has no spans, on whichever side", () => {
  const tokenizer = open("bert.json");
  const text = "the film was good and long";
  const { ids, dropped } = tokenizer.encode(text, { maxLength: 5, literal: true });
  const spans = tokenizer.spans(text, ids.length, dropped);
  expect(spans.length).toBe(5);
  expect([spans[0], spans[4]]).toEqual([undefined, undefined]);
  expect(spans[1]).toEqual([0, 3]);
});

test("a normaliser that treats a text as a whole leaves each token the whole text", () => {
  const stages = {
    split: (text: string) => [text],
    normalize: (text: string) => [...text].reverse().join(""),
    splitNormalized: (text: string) => [text],
    words: (part: string) => part.split(" "),
    encode: () => [7],
    token: () => "?",
  };
  const settings = { prefix: "", suffix: "", byteLevel: false, spacesGo: false, trim: undefined };
  expect(spansOf("ab cd", stages, settings)).toEqual([
    [0, 5],
    [0, 5],
  ]);
});

test("a letter may have more marks than a call has arguments", () => {
  const text = `a${"\u0301".repeat(1_000_000)}`;
  const { text: normalized, from } = align(text, (part) => part);
  expect(normalized).toBe(text);
  expect([from.length, from[0], from.at(-1)]).toEqual([1_000_001, [0, 1], [1_000_000, 1_000_001]]);
});

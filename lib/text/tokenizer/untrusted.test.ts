import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { UffbError } from "../../base/errors.ts";
import { openTokenizer } from "../../model/tokenizer.ts";
import { Tokenizer } from "./tokenizer.ts";

// biome-ignore lint/suspicious/noExplicitAny: files are damaged at will
type Json = any;

function read(name: string): Json {
  return JSON.parse(
    readFileSync(new URL(`../../../fixtures/tokenizers/${name}.json`, import.meta.url), "utf8"),
  );
}

function messageOf(file: Json): string {
  try {
    Tokenizer.parse(typeof file === "string" ? file : JSON.stringify(file), "t.json").encode(
      "The film's [MASK] Été 12",
      { pair: "b" },
    );
  } catch (error) {
    if (!(error instanceof UffbError)) throw error;
    return error.message;
  }
  return "";
}

/** A good file, damaged. */
function damaged(change: (file: Json) => void, name = "bert"): string {
  const file = read(name);
  change(file);
  const message = messageOf(file);
  expect(message).not.toContain("\n");
  return message;
}

const nested = (depth: number, open: string, close: string, inner: string) =>
  open.repeat(depth) + inner + close.repeat(depth);

describe("a damaged tokenizer.json is named in one line", () => {
  const cases: [name: string, change: (file: Json) => void, message: string, base?: string][] = [
    ["no model", (f) => delete f.model, "t.json: model must be an object"],
    [
      "unknown model",
      (f) => (f.model.type = "WordLevel"),
      't.json: model.type "WordLevel" is not supported; supported are WordPiece, BPE, Unigram',
    ],
    ["inherited name as model", (f) => (f.model.type = "constructor"), '"constructor" is not supported'],
    ["vocab a list", (f) => (f.model.vocab = ["a"]), "t.json: model.vocab must be an object"],
    ["vocab null", (f) => (f.model.vocab = null), "t.json: model.vocab must be an object"],
    ["negative id", (f) => (f.model.vocab.zzz = -1), 't.json: model.vocab "zzz" must be an integer from 0'],
    ["fraction as id", (f) => (f.model.vocab.zzz = 1.5), 't.json: model.vocab "zzz" must be an integer'],
    ["text as id", (f) => (f.model.vocab.zzz = "7"), 'not "7"'],
    ["huge id", (f) => (f.model.vocab.zzz = 4e9), "must be an integer from 0 to 9999999, not 4000000000"],
    ["doubled id", (f) => (f.model.vocab.zzz = 5), "gives id 5 to both"],
    ["no unknown token", (f) => delete f.model.unk_token, "t.json: model.unk_token must be a string"],
    [
      "unknown token not there",
      (f) => (f.model.unk_token = "nope"),
      't.json: model.unk_token "nope" is not in the vocabulary',
    ],
    [
      "endless words",
      (f) => (f.model.max_input_chars_per_word = 1e9),
      "max_input_chars_per_word must be an integer from 1 to 256",
    ],
    [
      "added token endless",
      (f) => f.added_tokens.push({ content: "x".repeat(2000), id: 9999 }),
      "at most 1024",
    ],
    ["added tokens no list", (f) => (f.added_tokens = {}), "t.json: added_tokens must be a list"],
    [
      "unknown normalizer",
      (f) => (f.normalizer = { type: "Nmt" }),
      't.json: normalizer.type "Nmt" is not supported',
    ],
    [
      "unknown pre-tokenizer",
      (f) => (f.pre_tokenizer = { type: "CharDelimiterSplit" }),
      't.json: pre_tokenizer.type "CharDelimiterSplit"',
    ],
    ["unknown post-processor", (f) => (f.post_processor = { type: "X" }), 't.json: post_processor.type "X"'],
    [
      "flag no flag",
      (f) => (f.normalizer.lowercase = "yes"),
      't.json: normalizer.lowercase must be true or false, not "yes"',
    ],
    [
      "template without text",
      (f) => (f.post_processor.single = []),
      'post_processor.single must hold "A" once',
    ],
    [
      "template without second",
      (f) => f.post_processor.pair.splice(3, 1),
      'pair must hold "A" and "B" once each',
    ],
    [
      "template with unknown name",
      (f) => (f.post_processor.single[0].SpecialToken.id = "[X]"),
      'names "[X]", which special_tokens',
    ],
    [
      "template with unknown id",
      (f) => (f.post_processor.special_tokens["[CLS]"].ids = [99999]),
      "token id 99999, which is not in the vocabulary",
    ],
    [
      "template with huge type",
      (f) => (f.post_processor.single[0].SpecialToken.type_id = 1e12),
      "must be an integer from 0 to 255",
    ],
    [
      "template cyclic",
      (f) => (f.post_processor = { type: "Sequence", processors: [{ type: "Sequence", processors: [] }] }),
      "sequence within",
    ],
    [
      "roberta's sep unknown",
      (f) => (f.post_processor.sep = ["</x>", 2]),
      "t.json: post_processor.sep names",
      "roberta",
    ],
    ["merges missing", (f) => delete f.model.merges, "t.json: model.merges must be a list", "roberta"],
    [
      "merge of one",
      (f) => (f.model.merges[3] = ["a"]),
      "t.json: model.merges[3] must be two tokens",
      "roberta",
    ],
    [
      "merge of unknown",
      (f) => (f.model.merges[3] = ["a", "zzz"]),
      'makes "zzz", which is not in the vocabulary',
      "roberta",
    ],
    ["dropout", (f) => (f.model.dropout = 0.1), "t.json: model.dropout is not supported", "roberta"],
    [
      "split behaviour",
      (f) => (f.pre_tokenizer.behavior = "MergedWithNext"),
      '"MergedWithNext" is not supported',
      "invert",
    ],
    [
      "expression that does not compile",
      (f) => (f.pre_tokenizer.pattern.Regex = "[a"),
      "Regex is not a supported regular expression",
      "invert",
    ],
    ["back reference", (f) => (f.pre_tokenizer.pattern.Regex = "(a)\\1"), "which is not supported", "invert"],
    [
      "endless expression",
      (f) => (f.pre_tokenizer.pattern.Regex = "a".repeat(5000)),
      "at most 4096",
      "invert",
    ],
    ["empty pattern", (f) => (f.pre_tokenizer.pattern = { String: "" }), "String is empty", "invert"],
    [
      "long replacement",
      (f) => (f.normalizer = { type: "Replace", pattern: { String: "a" }, content: "b".repeat(100) }),
      "at most 32",
    ],
    [
      "normalizers that grow",
      (f) =>
        (f.normalizer = {
          type: "Sequence",
          normalizers: Array(60).fill({ type: "Replace", pattern: { Regex: "." }, content: "aa" }),
        }),
      "t.json: normalizer makes a text of 3 characters longer than 96; ",
    ],
    [
      "too many normalizers",
      (f) => (f.normalizer = { type: "Sequence", normalizers: Array(65).fill({ type: "NFC" }) }),
      "at most 64",
    ],
  ];
  for (const [name, change, message, base] of cases) {
    test(name, () => expect(damaged(change, base)).toContain(message));
  }

  test("normalizers nested without end", () => {
    for (const [depth, message] of [
      [100, "is nested too deeply"],
      [2000, "nested more than 256 deep"],
    ] as const) {
      const sequence = nested(depth, '{"type":"Sequence","normalizers":[', "]}", '{"type":"NFC"}');
      const json = JSON.stringify(read("bert")).replace(/"normalizer":\{[^}]*\}/, `"normalizer":${sequence}`);
      expect(messageOf(json)).toContain(message);
    }
  });

  test("invalid JSON, or nested without end", () => {
    expect(messageOf("{")).toBe("t.json: not valid JSON; get the file again");
    expect(messageOf(nested(1_000_000, "[", "]", ""))).toMatch(/^t.json: /);
    expect(messageOf("[]")).toBe("t.json: the file must be an object");
  });

  test("a decoder that is not supported matters only when it is needed", () => {
    const file = { ...read("bert"), decoder: { type: "CTC" } };
    const tokenizer = Tokenizer.parse(JSON.stringify(file), "t.json");
    expect(tokenizer.encode("the").ids.length).toBeGreaterThan(2);
    expect(() => tokenizer.decode([5])).toThrow('t.json: decoder.type "CTC" is not supported');
  });
});

describe("a tokenizer.json that makes a text endless, or takes endless time over it, is refused", () => {
  const long = 1_000_000;
  const cases: [name: string, change: (file: Json) => void, text: string, message: string | undefined][] = [
    [
      "a replacement in a long text",
      (f) => (f.normalizer = { type: "Replace", pattern: { Regex: "." }, content: "b".repeat(32) }),
      "a".repeat(long),
      "longer than 4065536",
    ],
    [
      "a normal form of a long text",
      (f) => (f.normalizer = { type: "NFKD" }),
      "\ufdfa".repeat(long),
      "longer than 4065536",
    ],
    [
      "an added token that nearly matches",
      (f) => f.added_tokens.push({ id: 4999, content: `${"a".repeat(1000)}b`, normalized: false }),
      "a".repeat(long),
      "nearly match this text everywhere",
    ],
    [
      "a long text to be found",
      (f) => (f.normalizer = { type: "Replace", pattern: { String: `${"a".repeat(200)}b` }, content: "" }),
      "a".repeat(long),
      undefined,
    ],
    [
      "pieces of every length",
      (f) => {
        for (let n = 1; n <= 1000; n++) f.model.vocab[`##${"a".repeat(n)}`] = 5000 + n;
        f.model.max_input_chars_per_word = 256;
      },
      // Words that no cache knows.
      Array.from({ length: 3000 }, (_, i) => `b${"a".repeat(240)}${i}`).join(" "),
      undefined,
    ],
  ];
  test.each(cases)("%s", (_, change, text, message) => {
    const file = read("bert");
    change(file);
    const tokenizer = Tokenizer.parse(JSON.stringify(file), "t.json");
    if (message === undefined) expect(tokenizer.encode(text).ids.length).toBeGreaterThan(2);
    else expect(() => tokenizer.encode(text)).toThrow(message);
  });
});

test("names that objects inherit are ordinary tokens", () => {
  const file = read("bert");
  for (const [i, token] of ["constructor", "toString", "__proto__"].entries()) {
    Object.defineProperty(file.model.vocab, token, { value: 5000 + i, enumerable: true });
  }
  const tokenizer = Tokenizer.parse(JSON.stringify(file).replace(/"decoder"/, '"decoder"'), "t.json");
  expect(tokenizer.token(tokenizer.encode("constructor").ids[1]!)).toBe("constructor");
  expect(tokenizer.token(5002)).toBe("__proto__");
  expect(tokenizer.encode("hasownproperty").ids).not.toContain(undefined);
});

/** Paths to every place of a JSON value, vocabularies and merges thinned out. */
function places(value: Json, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return [path, ...keys.slice(0, 12).flatMap((key) => places(value[key], [...path, key]))];
}

test("whatever stands in whatever place, there is a tokenizer or a UffbError", () => {
  const files = new Map(["bert", "roberta", "words", "invert", "clip"].map((name) => [name, read(name)]));
  const spots = [...files].flatMap(([name, file]) => places(file).map((path) => ({ name, path })));
  const junk = fc.oneof(
    fc.constantFrom<Json>(
      null,
      true,
      0,
      -1,
      1e9,
      2 ** 53,
      1.5,
      "",
      "a",
      "[PAD]",
      "(?:a*)*",
      "[",
      [],
      {},
      [[]],
      { type: "Sequence" },
    ),
    fc.jsonValue({ maxDepth: 2 }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...spots),
      junk,
      fc.string({ unit: "grapheme" }),
      ({ name, path }, value, text) => {
        const copy = structuredClone(files.get(name));
        let parent: Json = { root: copy };
        const root = parent;
        const full = ["root", ...path];
        for (const key of full.slice(0, -1)) parent = parent[key];
        parent[full.at(-1)!] = value;
        try {
          const tokenizer = Tokenizer.parse(JSON.stringify(root.root), "t.json");
          tokenizer.decode(
            tokenizer.encode(`the ${text} <mask> [MASK] A1`, { pair: text, maxLength: 40 }).ids,
          );
        } catch (error) {
          expect(error).toBeInstanceOf(UffbError);
          expect((error as Error).message).toMatch(/^(t\.json: |a maximum of)[^\n]*$/);
        }
      },
    ),
    { numRuns: 400 },
  );
});

describe("openTokenizer", () => {
  test("names what is missing or not readable", async () => {
    const folder = mkdtempSync(join(tmpdir(), "uffb-tokenizer-"));
    try {
      await expect(openTokenizer(join(folder, "nope"))).rejects.toThrow("nope: no such file or folder");
      await expect(openTokenizer(folder)).rejects.toThrow("holds no tokenizer.json");
      writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(read("bert")));
      writeFileSync(join(folder, "special_tokens_map.json"), "{");
      await expect(openTokenizer(folder)).rejects.toThrow("special_tokens_map.json: not valid JSON");
      writeFileSync(
        join(folder, "special_tokens_map.json"),
        '{"mask_token": 5, "pad_token": "no such token"}',
      );
      await expect(openTokenizer(folder)).rejects.toThrow("special_tokens_map.json: mask_token must be");
      writeFileSync(join(folder, "special_tokens_map.json"), '{"pad_token": "no such token"}');
      const { specials, vocabSize } = await openTokenizer(folder);
      expect(specials.mask?.token).toBe("[MASK]");
      expect(specials.pad).toEqual({ id: vocabSize - 1, token: "no such token" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

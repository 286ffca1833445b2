import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { openTokenizer } from "../../model/tokenizer.ts";
import { type EncodeOptions, Tokenizer } from "./tokenizer.ts";

const fixtures = fileURLToPath(new URL("../../../fixtures/", import.meta.url));
const shared = fileURLToPath(new URL("../../../../shared/", import.meta.url));
const miniLm = `${shared}models/all-MiniLM-L6-v2`;

const tokenizer = await openTokenizer(`${fixtures}tokenizer-8k`);

interface Golden {
  text: string;
  text_pair?: string;
  max_length?: number;
  ids: number[];
  types?: number[];
  decoded?: string;
}

function readJsonl<T>(path: string): T[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

function optionsOf(golden: Golden): EncodeOptions {
  const { text_pair: pair, max_length: maxLength } = golden;
  return { ...(pair !== undefined && { pair }), ...(maxLength !== undefined && { maxLength }) };
}

describe("golden ids of the Rust library", () => {
  const golden = readJsonl<Golden>(`${fixtures}tokens.jsonl`);

  test("there are 510 texts, with pairs, limits and empty texts", () => {
    expect(golden.length).toBe(510);
    expect(golden.some((one) => one.text_pair === "")).toBe(true);
    expect(golden.some((one) => one.text === "")).toBe(true);
    expect(golden.some((one) => one.text_pair !== undefined && one.max_length !== undefined)).toBe(true);
  });

  test("every text, read literally", () => {
    for (const one of golden) {
      const { ids } = tokenizer.encode(one.text, { ...optionsOf(one), literal: true });
      expect([one.text, [...ids]]).toEqual([one.text, one.ids]);
    }
  });

  test("every text without [MASK], read as a user's", () => {
    for (const one of golden.filter(({ text, text_pair = "" }) => !(text + text_pair).includes("[MASK]"))) {
      const { ids } = tokenizer.encode(one.text, optionsOf(one));
      expect([one.text, [...ids]]).toEqual([one.text, one.ids]);
    }
  });

  const others = readdirSync(`${fixtures}tokenizers`).filter((name) => name.endsWith(".json"));
  test("there are other tokenizers", () => expect(others.length).toBeGreaterThanOrEqual(9));
  for (const name of others) {
    test(`ids, types and decoded text of ${name}`, async () => {
      const other = await openTokenizer(`${fixtures}tokenizers/${name}`);
      for (const one of readJsonl<Golden>(`${fixtures}tokenizers/${name}l`)) {
        const { ids, types } = other.encode(one.text, { ...optionsOf(one), literal: true });
        expect([one.text, [...ids]]).toEqual([one.text, one.ids]);
        expect([one.text, [...types]]).toEqual([one.text, one.types ?? one.ids.map(() => 0)]);
        if (one.decoded !== undefined) expect(other.decode(ids)).toBe(one.decoded);
      }
    });
  }
});

describe.skipIf(!existsSync(miniLm))("all-MiniLM-L6-v2 (from ../shared)", () => {
  test("token counts of expected-embed.jsonl at 256, the file's own padding and truncation to 128 ignored", async () => {
    const bert = await openTokenizer(miniLm);
    const expected = readJsonl<{ text: string; tokens: number }>(`${miniLm}/expected-embed.jsonl`);
    expect(expected.length).toBe(60);
    for (const { text, tokens } of expected) {
      expect([text, bert.encode(text, { maxLength: 256 }).ids.length]).toEqual([text, tokens]);
    }
    expect(bert.specials).toEqual({
      pad: { id: 0, token: "[PAD]" },
      unk: { id: 100, token: "[UNK]" },
      cls: { id: 101, token: "[CLS]" },
      sep: { id: 102, token: "[SEP]" },
      mask: { id: 103, token: "[MASK]" },
    });
    expect([...bert.encode("a [MASK]", { pair: "b" }).types]).toEqual([0, 0, 0, 0, 1, 1]);
  });
});

describe.skipIf(!existsSync(shared))("texts of real data (from ../shared)", () => {
  test("ids of model-tiny/expected-infer.jsonl", () => {
    for (const one of readJsonl<Golden>(`${shared}model-tiny/expected-infer.jsonl`)) {
      expect([...tokenizer.encode(one.text, { maxLength: 128 }).ids]).toEqual(one.ids);
    }
  });

  test("token counts of SST-2, each text with an empty second one", () => {
    const [, ...rows] = readFileSync(`${shared}data/glue/SST-2/dev.tsv`, "utf8").trimEnd().split("\n");
    const expected = readJsonl<{ tokens: number }>(`${shared}model-tiny-sst2/expected-dev.jsonl`);
    const counts = rows.map(
      (row) => tokenizer.encode(row.split("\t")[0]!, { pair: "", maxLength: 128 }).ids.length,
    );
    expect(counts).toEqual(expected.map(({ tokens }) => tokens));
  });
});

test("BPE without an unknown token leaves out what the vocabulary lacks before it merges (ids of tokenizers 0.23.3)", () => {
  const vocab = { a: 0, b: 1, ab: 2, c: 3, abc: 4, aXb: 5 };
  const merges = [
    ["a", "b"],
    ["ab", "c"],
  ];
  const idsOf = (text: string, model: object) => [
    ...Tokenizer.parse({ model: { type: "BPE", vocab, merges, ...model } }, "t").encode(text).ids,
  ];
  const all = ["ab", "aXb", "XaXbX", "aXbXc", "X", "aXXb c"].map((text) => idsOf(text, {}));
  expect(all).toEqual([[2], [2], [2], [4], [], [4]]);
  expect(["aXb", "aXbc"].map((text) => idsOf(text, { ignore_merges: true }))).toEqual([[5], [4]]);
  const ending = {
    vocab: { a: 0, "b</w>": 1, "ab</w>": 2, b: 4 },
    merges: [["a", "b</w>"]],
    end_of_word_suffix: "</w>",
  };
  expect(["ab", "aXb", "Xab"].map((text) => idsOf(text, ending))).toEqual([[2], [2], [2]]);
});

describe("special tokens", () => {
  const mask = tokenizer.specials.mask!.id;

  test("are read from the files", () => {
    expect(tokenizer.specials).toEqual({
      pad: { id: 0, token: "<pad>" },
      unk: { id: 1, token: "<unk>" },
      cls: { id: 2, token: "<cls>" },
      sep: { id: 3, token: "<sep>" },
      mask: { id: 4, token: "<mask>" },
    });
    expect(tokenizer.vocabSize).toBe(8192);
  });

  test("are found without the files beside tokenizer.json", async () => {
    const alone = Tokenizer.parse(readFileSync(`${fixtures}tokenizer-8k/tokenizer.json`, "utf8"), "alone");
    expect(alone.specials).toEqual(tokenizer.specials);
    const roberta = await openTokenizer(`${fixtures}tokenizers/roberta.json`);
    expect(roberta.specials).toMatchObject({
      cls: { token: "<s>" },
      sep: { token: "</s>" },
      mask: { token: "<mask>" },
    });
  });

  test("named ones win", () => {
    const json = readFileSync(`${fixtures}tokenizer-8k/tokenizer.json`, "utf8");
    const { specials } = Tokenizer.parse(json, "x", { named: { mask: "film", pad: null } });
    expect(specials.mask?.token).toBe("film");
    expect(specials.pad).toBeUndefined();
    expect(specials.sep?.token).toBe("<sep>");
  });

  test("[MASK] is the mask however it is spelt; other cases are text", () => {
    expect([...tokenizer.encode("a [MASK].").ids]).toEqual([...tokenizer.encode("a <mask>.").ids]);
    expect(tokenizer.encode("[MASK][MASK]").ids.filter((id) => id === mask).length).toBe(2);
    for (const text of ["[mask]", "<MASK>", "[ MASK ]", "[MASK", "&lt;mask>"]) {
      expect([text, tokenizer.encode(text).ids.includes(mask)]).toEqual([text, false]);
    }
    expect(tokenizer.encode("[MASK]", { literal: true }).ids.includes(mask)).toBe(false);
  });

  test("letters can be made small before all else, but for those of special tokens", async () => {
    const cased = await openTokenizer(`${fixtures}tokenizers/cased.json`);
    const small = cased.encode("The CAT [MASK] SAT", { lowercase: true });
    expect([...small.ids]).toEqual([...cased.encode("the cat [MASK] sat").ids]);
    expect([...small.ids]).not.toEqual([...cased.encode("The CAT [MASK] SAT").ids]);
  });

  test("a mask that takes white space along does so as [MASK], too", async () => {
    const roberta = await openTokenizer(`${fixtures}tokenizers/roberta.json`);
    expect([...roberta.encode("the [MASK] of").ids]).toEqual([...roberta.encode("the <mask> of").ids]);
  });
});

describe("truncation", () => {
  test("counts what it drops", () => {
    const whole = tokenizer.encode("one two three four", { pair: "five six" });
    const cut = tokenizer.encode("one two three four", { pair: "five six", maxLength: 7 });
    expect(whole.dropped).toBe(0);
    expect(cut.ids.length).toBe(7);
    expect(cut.dropped).toBe(whole.ids.length - 7);
  });

  test("without room for the special tokens is an error", () => {
    expect(tokenizer.encode("a", { pair: "b", maxLength: 3 }).ids.length).toBe(3);
    expect(() => tokenizer.encode("a", { pair: "b", maxLength: 2 })).toThrow(
      "no room for the 3 special ones",
    );
    expect(() => tokenizer.encode("a", { maxLength: Number.NaN })).toThrow("no room");
  });
});

test("decode leaves the special tokens out and joins the pieces", () => {
  const { ids } = tokenizer.encode("Spielberg's film, <mask>!", { pair: "stevens" });
  expect(tokenizer.decode(ids)).toBe("spielberg ' s film,! stevens");
  expect(tokenizer.decode([])).toBe("");
});

test("an id without token has a name all the same", () => {
  expect(tokenizer.token(4)).toBe("<mask>");
  expect(tokenizer.token(8192)).toBe("<id 8192>");
  expect(tokenizer.has(8191)).toBe(true);
  expect(tokenizer.has(8192)).toBe(false);
  expect(tokenizer.has(-1)).toBe(false);
});

describe("any text", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), fc.string());
  const file = fc.constantFrom("roberta", "cased", "words", "split", "invert", "bert", "clip");

  test("gives ids of the vocabulary, the same on every call, within the limit", async () => {
    const all = new Map<string, Tokenizer>();
    for (const name of ["roberta", "cased", "words", "split", "invert", "bert", "clip"]) {
      all.set(name, await openTokenizer(`${fixtures}tokenizers/${name}.json`));
    }
    fc.assert(
      fc.property(
        file,
        text,
        fc.option(text, { nil: undefined }),
        fc.integer({ min: 4, max: 40 }),
        (name, a, b, maxLength) => {
          const one = all.get(name)!;
          const options = b === undefined ? {} : { pair: b };
          const whole = one.encode(a, options);
          const cut = one.encode(a, { ...options, maxLength });
          expect(whole.ids.every((id) => one.has(id))).toBe(true);
          expect(whole.ids).toEqual(one.encode(a, options).ids);
          expect(cut.ids.length).toBe(Math.min(whole.ids.length, maxLength));
          expect(cut.dropped).toBe(whole.ids.length - cut.ids.length);
          expect(cut.types.length).toBe(cut.ids.length);
          expect(typeof one.decode(whole.ids)).toBe("string");
        },
      ),
      { numRuns: 500 },
    );
  });

  test("half a surrogate pair is the replacement character", () => {
    expect([...tokenizer.encode("a\ud800b").ids]).toEqual([...tokenizer.encode("a\ufffdb").ids]);
  });

  test("of a megabyte is read in time that grows with its length alone", () => {
    for (const unit of ["a", " ", "ab cd, ", "<", "[MASK]", "é中", "''"]) {
      const { ids } = tokenizer.encode(unit.repeat(1_000_000 / unit.length), { maxLength: 128 });
      expect(ids.length).toBeLessThanOrEqual(128);
    }
  });
});

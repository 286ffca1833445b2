import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { forgeCharsMap } from "../../../testing/charsmap.ts";
import { UffbError } from "../../base/errors.ts";
import { readCharsMap } from "./precompiled.ts";
import { Tokenizer } from "./tokenizer.ts";

const unzipped = (name: string) =>
  Buffer.from(
    Bun.gunzipSync(readFileSync(new URL(`../../../fixtures/unigram/${name}.json.gz`, import.meta.url))),
  ).toString("utf8");

/** What Rust `tokenizers` answers; see testing/fixtures/unigram.py. */
interface Golden {
  seed: number;
  ranges: [first: number, last: number][];
  texts: string[];
  tokenizers: Record<string, { ids: number[][]; decoded: string[]; checksums: number[] }>;
}
const golden = JSON.parse(unzipped("golden")) as Golden;

/** The script's random strings. */
function* draw(count: number): Generator<string> {
  let state = golden.seed;
  const step = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 16;
  };
  const number = (below: number) => (step() * 65536 + step()) % below;
  for (let i = 0; i < count; i++) {
    const near = number(golden.ranges.length);
    let text = "";
    for (let left = number(24) + 1; left > 0; left--) {
      const [first, last] = golden.ranges[number(3) ? near : number(golden.ranges.length)]!;
      const code = first + number(last - first + 1);
      text += code >= 0xd800 && code <= 0xdfff ? " " : String.fromCodePoint(code);
    }
    yield text;
  }
}

const checksum = (ids: Iterable<number>): number => {
  let value = 0x811c9dc5;
  for (const id of ids) value = Math.imul(value ^ id, 0x01000193) >>> 0;
  return value;
};

describe.each(Object.keys(golden.tokenizers))("%s", (name) => {
  const tokenizer = Tokenizer.parse(unzipped(name), name);
  const { ids, decoded, checksums } = golden.tokenizers[name]!;

  test("gives 1,000 texts of 20 scripts the ids of Rust tokenizers", () => {
    expect(golden.texts.length).toBe(1000);
    golden.texts.forEach((text, i) => {
      expect([text, [...tokenizer.encode(text, { literal: true }).ids]]).toEqual([text, ids[i]!]);
    });
  });

  test("and 5,000 random strings", () => {
    expect(checksums.length).toBe(5000);
    let i = 0;
    for (const text of draw(5000)) {
      const own = checksum(tokenizer.encode(text, { literal: true }).ids);
      expect([i, text, own]).toEqual([i, text, checksums[i]!]);
      i++;
    }
  });

  test("decodes as they do", () => {
    decoded.forEach((text, i) => void expect(tokenizer.decode(ids[i]!)).toBe(text));
  });

  test("reads a long word in time that grows with its length", () => {
    for (const unit of ["a", "文", "e\u0301", "▁", "\u{1F600}"]) {
      expect(tokenizer.encode(unit.repeat(200_000)).ids.length).toBeGreaterThan(0);
    }
  });
});

// biome-ignore lint/suspicious/noExplicitAny: files are damaged at will
type Json = any;

function messageOf(change: (file: Json) => void, text = "人 Ａ é\u0301", name = "xlm-roberta"): string {
  const file = JSON.parse(unzipped(name));
  change(file);
  try {
    Tokenizer.parse(JSON.stringify(file), "t.json").encode(text);
  } catch (error) {
    if (!(error instanceof UffbError)) throw error;
    return error.message;
  }
  return "";
}

const mapOf = (texts: Record<string, string>) => Buffer.from(forgeCharsMap(texts)).toString("base64");

test("what a map makes of a text has an end long before it is all there", () => {
  const map = readCharsMap(mapOf({ a: "x".repeat(1000), b: "yz" }), "map");
  expect(map("abc", 2000)).toBe(`${"x".repeat(1000)}yzc`);
  const before = process.memoryUsage.rss();
  for (const text of ["a".repeat(1 << 23), "a\u0301".repeat(1 << 22)])
    expect(map(text, 2000)).toBeUndefined();
  expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 2 ** 20);
});

describe("a damaged one is named in one line", () => {
  test.each<[string, (file: Json) => void, string]>([
    ["vocabulary", (f) => (f.model.vocab = {}), "t.json: model.vocab must be a list"],
    ["token", (f) => (f.model.vocab[7] = [7, 0]), "t.json: model.vocab[7] must be a string"],
    [
      "score",
      (f) => (f.model.vocab[7] = ["x"]),
      't.json: model.vocab[7] must be a token and its score, not ["x"]',
    ],
    ["unknown token", (f) => (f.model.unk_id = 1e6), "t.json: model.unk_id must be an integer from 0 to"],
    [
      "unknown token that is asked for",
      (f) => (f.model.unk_id = null),
      "t.json: model.unk_id is missing, and",
    ],
    [
      "map",
      (f) => (f.normalizer.precompiled_charsmap = "AAAA"),
      "precompiled_charsmap is damaged: its trie is not",
    ],
    [
      "map that leads nowhere",
      (f) => (f.normalizer.precompiled_charsmap = "BAAAAP//fwA="),
      "precompiled_charsmap is damaged: its trie leads out",
    ],
    [
      "map that makes a character a book",
      (f) => (f.normalizer.precompiled_charsmap = mapOf({ a: "x".repeat(1025) })),
      "precompiled_charsmap is damaged: one of its texts has more than 1024 bytes",
    ],
    ["mark", (f) => (f.pre_tokenizer.pretokenizers[1].replacement = "ab"), "must be one character"],
    ["scheme", (f) => (f.pre_tokenizer.pretokenizers[1].prepend_scheme = "last"), '"last" is not supported'],
  ])("%s", (_, change, message) => {
    const found = messageOf(change);
    expect(found).toContain(message);
    expect(found).not.toContain("\n");
  });

  test("whatever the map", () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    const sized = bytes.map((data) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(data.length - (data.length % 4), 0);
      return Buffer.concat([size, data]);
    });
    fc.assert(
      fc.property(fc.oneof(bytes, sized), fc.string({ unit: "binary" }), (map, text) => {
        const normalizer = { type: "Precompiled", precompiled_charsmap: Buffer.from(map).toString("base64") };
        expect(messageOf((f) => (f.normalizer = normalizer), text, "bytes")).not.toContain("\n");
      }),
      { numRuns: 300 },
    );
  });
});

test("files from before there was a scheme say whether a text gets a space in front", () => {
  const file = JSON.parse(unzipped("bytes"));
  const ids = (metaspace: Json) => [
    ...Tokenizer.parse(
      JSON.stringify({ ...file, pre_tokenizer: { type: "Metaspace", ...metaspace } }),
      "t",
    ).encode("the").ids,
  ];
  expect(ids({ add_prefix_space: true })).toEqual(ids({ prepend_scheme: "always" }));
  expect(ids({ add_prefix_space: false })).toEqual(ids({ prepend_scheme: "never" }));
  expect(ids({ prepend_scheme: "first" })).toEqual(ids({ prepend_scheme: "always" }));
  expect(ids({ prepend_scheme: "never" })).not.toEqual(ids({ prepend_scheme: "always" }));
});

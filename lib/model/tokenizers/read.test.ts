import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { JsonObject } from "../../base/json.ts";
import { loadTokenizer } from "../tokenizer.ts";

interface Case {
  name: string;
  base: "words" | "bytes";
  /** What is other than in the base. */
  change: JsonObject;
  files: Record<string, unknown>;
  limit: number | null;
  specials: Record<string, [id: number, token: string]>;
  texts: [texts: [string, string?], ids: number[], types?: number[]][];
}

const golden = JSON.parse(
  readFileSync(new URL("../../../fixtures/beside/tokenizers.json", import.meta.url), "utf8"),
) as { words: JsonObject; bytes: JsonObject; cases: Case[] };

/** The tokenizer of a folder with these files. */
function tokenizerOf(files: Record<string, unknown>) {
  return loadTokenizer((name) =>
    Object.hasOwn(files, name) ? { text: JSON.stringify(files[name]), source: name } : undefined,
  )!;
}

describe("as AutoTokenizer of transformers", () => {
  test.each(golden.cases.map((one) => [one.name, one] as const))("%s", (_, one) => {
    const tokenizer = tokenizerOf({ "tokenizer.json": { ...golden[one.base], ...one.change }, ...one.files });
    for (const [[text, pair], ids, types] of one.texts) {
      const options = { literal: true, maxLength: tokenizer.maxLength, ...(pair !== undefined && { pair }) };
      const own = tokenizer.encode(text, options);
      expect([text, [...own.ids]]).toEqual([text, ids]);
      expect([...own.types]).toEqual(types ?? ids.map(() => 0));
    }
    expect(tokenizer.maxLength).toBe(one.limit ?? Number.POSITIVE_INFINITY);
    for (const [role, [id, token]] of Object.entries(one.specials))
      expect([role, tokenizer.specials[role as "mask"]]).toEqual([role, { id, token }]);
  });
});

test("more special tokens with roles of their own than any tokenizer has are refused", () => {
  const many = Object.fromEntries(Array.from({ length: 1_000_000 }, (_, i) => [`t${i}`, "x"]));
  const files = { "tokenizer.json": golden.words, "tokenizer_config.json": { extra_special_tokens: many } };
  expect(() => tokenizerOf(files)).toThrow("extra_special_tokens has 1000000 entries; at most 100000");
});

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readNormalizer } from "../normalize.ts";
import { readPreTokenizer } from "../pretokenize.ts";
import { characters } from "./classes.ts";
import type { TABLES } from "./tables.ts";

const golden = JSON.parse(
  readFileSync(new URL("../../../../fixtures/unicode.json", import.meta.url), "utf8"),
) as {
  normalizers: Record<string, object>;
  pre_tokenizers: Record<string, object>;
  cases: [text: string, normalised: string[], words: string[][]][];
};

/** Code points of a property, as its expression finds them. */
function codesOf(property: keyof typeof TABLES): number[] {
  const one = new RegExp(`[${characters(property)}]`, "u");
  const codes: number[] = [];
  for (let code = 0; code < 0x110000; code++)
    if ((code < 0xd800 || code > 0xdfff) && one.test(String.fromCodePoint(code))) codes.push(code);
  return codes;
}

describe("the tables of Rust tokenizers", () => {
  test.each<[keyof typeof TABLES, number, string, string]>([
    ["control", 137681, "\u00ad\u200b\ue000", "\u0890\u08e2\t"],
    ["nonspacing", 1567, "\u0301\u1734", "\u08d3\u0898"],
    ["mark", 2097, "\u0903", "\u0897"],
    ["punctuation", 726, "!¿\u166d", "\u061d\u2e43$€".replace("$", "")],
    ["letter", 141028, "aäק中", "\u088f\ua7ce1"],
    ["number", 1911, "1²Ⅷ", "a\u{11de0}"],
    ["word", 144667, "a_1\u0301", "-\u088f"],
  ])("%s has %d characters", (property, count, within, outside) => {
    const codes = codesOf(property);
    expect(codes.length).toBe(count);
    for (const char of within) expect(codes).toContain(char.codePointAt(0)!);
    for (const char of outside) expect(codes).not.toContain(char.codePointAt(0)!);
  });

  test("240 texts of odd and new characters, by every step", () => {
    const normalizers = Object.values(golden.normalizers).map((one) => readNormalizer(one, "n"));
    const splitters = Object.values(golden.pre_tokenizers).map((one) => readPreTokenizer(one, "p"));
    expect(golden.cases.length).toBe(240);
    for (const [text, normalised, words] of golden.cases) {
      expect(normalizers.map((step) => step(text))).toEqual(normalised);
      expect(splitters.map((step) => step(text, () => true))).toEqual(words);
    }
  });
});

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Tokenizer } from "../text/tokenizer/tokenizer.ts";
import { fill } from "./fill.ts";
import { encodeText } from "./prepare.ts";

const read = (name: string) =>
  Tokenizer.parse(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8"), name);

/** The text with a token of this spelling in place of its mask. */
function filled(tokenizer: Tokenizer, text: string, spelling: string): string {
  const id = Array.from({ length: tokenizer.vocabSize }, (_, i) => i).find(
    (i) => tokenizer.token(i) === spelling,
  )!;
  const { ids } = tokenizer.encode(text);
  return fill({ line: 1, text }, ids, [ids.indexOf(tokenizer.specials.mask!.id)], [id], tokenizer).filled;
}

test("words of bytes are filled in and shown as text", () => {
  const roberta = read("tokenizers/roberta.json");
  const id = [...roberta.encode(" the").ids].find((one) => roberta.token(one) === "Ġthe")!;
  expect(roberta.text(id)).toBe(" the");
  expect(roberta.text(roberta.specials.mask!.id)).toBe("<mask>");
  for (const text of ["It was <mask> end", "It was[MASK] end"])
    expect(filled(roberta, text, "Ġthe")).toBe("It was the end");
  expect(filled(roberta, "<mask> end", "Ġthe")).toBe("the end");
  expect(filled(roberta, "th<mask> end", "e")).toBe("the end");
});

test("words of letters stand where the mask stood, and what continues a word is joined to it", () => {
  const bert = read("tokenizers/bert.json");
  expect(filled(bert, "It was [MASK].", "the")).toBe("It was the.");
  expect(filled(bert, "It was the [MASK].", "##s")).toBe("It was thes.");
});

test("texts keep their spaces, which tokens of bytes show", () => {
  const roberta = read("tokenizers/roberta.json");
  const ids = (text: string) => [...encodeText(roberta, text, { sentence: undefined }, {}).ids];
  expect(ids(" the end ")).toEqual([...roberta.encode(" the end ").ids]);
  expect(ids(" the end ")).not.toEqual(ids("the end"));
});

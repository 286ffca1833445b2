import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { expandMultirc } from "../data/multirc.ts";
import { readJsonl } from "./jsonl.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("readJsonl", () => {
  test("gives an object a line, descends by dots, and names lines that are not objects", () => {
    const rows = [...readJsonl(bytes('\uFEFF{"a":{"b":2},"n":null}\r\n\nnope\n[1]\n{"a":3}'))];
    const seen = rows.map((row) =>
      "error" in row ? [row.line, row.error] : [row.line, row.get(["a.b", "a"]), row.get(["n"])],
    );
    expect(seen).toEqual([
      [1, 2, undefined],
      [3, "not a JSON object"],
      [4, "not a JSON object"],
      [5, 3, undefined],
    ]);
  });

  test("makes a row of each MultiRC answer, and a bad row of each part that is not one", () => {
    const value = {
      idx: 4,
      passage: {
        text: "P",
        questions: [
          { idx: 5, question: "Q", answers: [{ idx: 6, text: "A", label: 1 }, 7] },
          { idx: 8, question: "R", answers: [] },
        ],
      },
    };
    expect(expandMultirc(value)).toEqual([
      { paragraph: "P", question: "Q", answer: "A", label: 1, idx: { paragraph: 4, question: 5, answer: 6 } },
      "an answer that is not an object",
      "a question without answers",
    ]);
    expect(expandMultirc({ passage: { questions: [] } })).toEqual(["a passage without questions"]);
    expect(expandMultirc({ passage: 1 })).toEqual(["no passage with questions"]);
  });

  test("any JSON: no line goes missing", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.json(), fc.string())), (texts) => {
        const file = texts.map((text) => text.replaceAll("\n", " ")).join("\n");
        const expected = file.split("\n").filter((line) => line.trim() !== "").length;
        expect([...readJsonl(bytes(file))].length).toBe(expected);
        expect([...readJsonl(bytes(file), expandMultirc)].length).toBeGreaterThanOrEqual(expected);
      }),
    );
  });
});

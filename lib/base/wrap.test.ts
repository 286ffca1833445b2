import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { termLines, termWidth, wrap } from "./wrap.ts";

const words = (text: string) => text.split(/\s+/).filter((word) => word !== "");
const WORD = fc.stringMatching(/^[a-z中é/=-]{1,14}$/);

test("a paragraph is wrapped at words", () => {
  expect(wrap("one two three four", 9)).toEqual(["one two", "three", "four"]);
  expect(wrap("anextremelylongword fits nowhere", 8)).toEqual(["anextremelylongword", "fits", "nowhere"]);
});

describe("terms", () => {
  const rows = [
    ["--a", "short"],
    ["--longer <x>", "a meaning that takes two lines, or three"],
    ["--a-flag-that-is-too-wide-for-its-column", "below"],
    ["--none", ""],
  ] as const;

  test("have their meanings beside them, or below", () => {
    expect(termLines(rows, { columns: 48 })).toEqual([
      "  --a           short",
      "  --longer <x>  a meaning that takes two lines,",
      "                or three",
      "  --a-flag-that-is-too-wide-for-its-column",
      "                below",
      "  --none",
    ]);
    expect(termLines(rows.slice(0, 2), { columns: 30, indent: 0 })).toEqual([
      "--a   short",
      "--longer <x>",
      "      a meaning that takes two",
      "      lines, or three",
    ]);
  });

  test("no word is broken or lost, and no line too wide", () => {
    const text = fc.array(WORD, { maxLength: 30 }).map((list) => list.join(" "));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(WORD, text), { maxLength: 5 }),
        fc.integer({ min: 50, max: 140 }),
        (rows, columns) => {
          const lines = termLines(rows, { columns });
          expect(words(lines.join("\n"))).toEqual(words(rows.flat().join(" ")));
          for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  test("of one width line up over several lists", () => {
    const width = termWidth(["--a", "--longer <x>"]);
    expect(termLines([["--a", "x"]], { columns: 80, width })).toEqual(["  --a           x"]);
  });
});

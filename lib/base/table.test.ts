import { expect, test } from "bun:test";
import { align, numericColumns } from "./table.ts";

test("columns are as wide as their widest cell, and numbers stand at the right", () => {
  const rows = [
    ["a", "1", "x"],
    ["bcd", "-20.5", ""],
    ["", "–", "y"],
  ];
  expect(align(rows, numericColumns(rows))).toEqual(["a        1  x", "bcd  -20.5", "         –  y"]);
  expect(align(rows)).toEqual(["a    1      x", "bcd  -20.5", "     –      y"]);
  expect(align([])).toEqual([]);
});

test("width is what a terminal shows, and cells stay on their line", () => {
  expect(
    align([
      ["中", "x"],
      ["ab", "y"],
      ["\u009b\n", "z"],
    ]),
  ).toEqual(["中       x", "ab       y", "\\u009b   z"]);
});

test("a table of many rows", () => {
  expect(align(Array.from({ length: 200_000 }, (_, i) => [String(i)]))).toHaveLength(200_000);
});

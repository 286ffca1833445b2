import { describe, expect, test } from "bun:test";
import { align, fitTable, numericColumns } from "./table.ts";

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

describe("a table in a terminal", () => {
  const head = ["name", "score", "speed", "note"];
  const rows = [
    ["a name", "1.5", "20", "some words"],
    ["another one", "2", "1,000", "x"],
  ];
  const spare = ["speed", "score"];

  test("shows all where it fits, or where there is no terminal", () => {
    const all = [
      "name         score  speed  note",
      "a name         1.5     20  some words",
      "another one      2  1,000  x",
    ];
    expect(fitTable(head, rows, { spare })).toEqual(all);
    expect(fitTable(head, rows, { spare, columns: 37 })).toEqual(all);
  });

  test("leaves columns out in the order that is stated, and says so", () => {
    expect(fitTable(head, rows, { spare, columns: 36 })).toEqual([
      "name         score  note",
      "a name         1.5  some words",
      "another one      2  x",
      "At 36 columns without: speed. A",
      "wider terminal or a pipe shows all.",
    ]);
    expect(fitTable(head, rows, { spare, columns: 29 })[0]).toBe("name         note");
  });

  test("then cuts the texts that may be cut", () => {
    expect(fitTable(head, rows, { columns: 36, cut: "name" })[2]).toBe("another o…      2  1,000  x");
    expect(fitTable(["a"], [["中中中中中中"]], { columns: 10, cut: "a" })[1]).toBe("中中中中…");
  });
});

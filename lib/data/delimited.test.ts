import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UffbError } from "../base/errors.ts";
import type { BadRow, Row } from "../rows/rows.ts";
import { readCsv, readTsv } from "./delimited.ts";

const required = [["a"], ["b", "B"]];
const options = { source: "x.tsv", required };
const bytes = (text: string) => new TextEncoder().encode(text);

/** What a test can compare: the two columns, or what is wrong. */
function seen(rows: Iterable<Row | BadRow>): [number, ...unknown[]][] {
  return [...rows].map((row) =>
    "error" in row ? [row.line, row.error] : [row.line, row.get(["a"]), row.get(["b", "B"])],
  );
}

describe("readTsv", () => {
  test("reads a mark, bare quotes, CRLF and a missing final line end", () => {
    const file = bytes('\uFEFFa\tid\tB\r\n"one\t1\ttwo"\r\n\r\n \t2\tfour ');
    expect(seen(readTsv(file, options))).toEqual([
      [2, '"one', 'two"'],
      [4, " ", "four "],
    ]);
  });

  test("names the line of a short row and of one that is not valid UTF-8, and goes on", () => {
    const file = Buffer.concat([bytes("a\tb\nonly\nx\t"), Buffer.from([0xff, 0x0a]), bytes("y\tz\textra\n")]);
    expect(seen(readTsv(file, options))).toEqual([
      [2, "1 of 2 columns"],
      [3, "not valid UTF-8"],
      [4, "y", "z"],
    ]);
  });

  test("takes a file without header by position, and one with header by name", () => {
    const headerless = ["b", "skip", "a"];
    expect(seen(readTsv(bytes("1\t2\t3\n4\t5\n"), { ...options, headerless }))).toEqual([
      [1, "3", "1"],
      [2, "2 of 3 columns"],
    ]);
    expect(seen(readTsv(bytes("b\ta\n1\t2\n"), { ...options, headerless }))).toEqual([[2, "2", "1"]]);
  });

  test("says which column another task's file lacks", () => {
    expect(() => [...readTsv(bytes("a\tc\n1\t2\n"), options)]).toThrow(
      "x.tsv:1: no column b or B in the header",
    );
    expect(() => [...readTsv(Buffer.from([0xff, 0x0a]), options)]).toThrow(
      "x.tsv:1: the header cannot be read: not valid UTF-8",
    );
  });

  test("any bytes: each line that is not blank is a row or a bad row", () => {
    const line = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.constantFrom("x\ty", "x", "", "é\tü", '"\t"').map(bytes),
    );
    fc.assert(
      fc.property(fc.array(line), fc.boolean(), (lines, final) => {
        const file = Buffer.concat([bytes("a\tb\n"), ...lines.flatMap((l) => [l, bytes("\n")])]);
        const rows = [...readTsv(final ? file : file.subarray(0, -1), options)];
        const blank = (l: string) => l === "" || l === "\r";
        const whole = (final ? file : file.subarray(0, -1)).toString("latin1").split("\n").slice(1);
        expect(rows.length).toBe(whole.filter((l) => !blank(l)).length);
      }),
    );
  });
});

describe("readCsv", () => {
  test("reads quoted commas, doubled quotes and line ends, and counts lines through them", () => {
    const file = bytes('a,b\r\n"x, y","He said ""no"""\r\n"two\r\nlines",z\r\nlast,one');
    expect(seen(readCsv(file, options))).toEqual([
      [2, "x, y", 'He said "no"'],
      [3, "two\r\nlines", "z"],
      [5, "last", "one"],
    ]);
  });

  test("keeps quotes within a cell, and text after a closing quote", () => {
    expect(seen(readCsv(bytes('a,b\n5" pipe,"x"y\n'), options))).toEqual([[2, '5" pipe', "xy"]]);
  });

  test("names the line where a quote opens that never closes", () => {
    expect(seen(readCsv(bytes('a,b\n1,2\n3,"4\n5,6\n'), options))).toEqual([
      [2, "1", "2"],
      [3, "a quote opens and does not close"],
      [4, "5", "6"],
    ]);
  });

  test("what is written by the rules is read back", () => {
    const cell = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r", "x") }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell)), fc.constantFrom("\n", "\r\n"), (rows, end) => {
        const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
        const file = ["a,b", ...rows.map((row) => row.map(quoted).join(","))]
          .map((line) => line + end)
          .join("");
        const read = seen(readCsv(bytes(file), options)).map(([, a, b]) => [a, b]);
        expect(read).toEqual(rows.map(([a, b]) => [a.toWellFormed(), b.toWellFormed()]));
      }),
    );
  });

  test("any bytes: rows, bad rows or a clear error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (noise, header) => {
        try {
          const rows = [...readCsv(header ? Buffer.concat([bytes("a,b\n"), noise]) : noise, options)];
          if (header && /[^\r\n]/.test(Buffer.from(noise).toString("latin1")))
            expect(rows.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(UffbError);
          expect(header).toBe(false);
        }
      }),
    );
  });
});

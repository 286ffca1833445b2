import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Cells, CsvSplitter, csvCells, csvRows } from "./delimited.ts";
import type { BadRow } from "./rows.ts";

const bytes = (text: string) => Buffer.from(text);
const seen = (rows: Iterable<Cells | BadRow>) =>
  [...rows].map((row) => ("error" in row ? [row.line, row.error] : [row.line, ...row.cells]));
const OPEN = "a quote opens and does not close";

/** The rows of a file that comes in pieces of this size. */
function inPieces(file: Uint8Array, size: number, maxRow = 1 << 20): (Cells | BadRow)[] {
  const split = new CsvSplitter(maxRow);
  const rows: (Cells | BadRow)[] = [];
  const chunk = Buffer.alloc(size); // filled again, as streams may do
  for (let at = 0; at < file.length; at += size) {
    const length = Math.min(size, file.length - at);
    chunk.set(file.subarray(at, at + length));
    rows.push(...split.push(chunk.subarray(0, length)));
  }
  return [...rows, ...split.end()];
}

describe("CSV in pieces", () => {
  test("a quote that does not close spoils its line alone", () => {
    const file = bytes('1,"a\n2,"b, c"\n3,"d\n4,e\n\n5,f\n');
    expect(seen(csvCells(file))).toEqual([
      [1, OPEN],
      [2, "2", "b, c"],
      [3, OPEN],
      [4, "4", "e"],
      [5, "blank line"],
      [6, "5", "f"],
    ]);
  });

  test("a row is there as soon as its line ends, of however many pieces it is", () => {
    const split = new CsvSplitter(1 << 20);
    expect(seen(split.push(bytes('1,"a\n')))).toEqual([]);
    expect(seen(split.push(bytes('b"')))).toEqual([]);
    expect(seen(split.push(bytes("\n")))).toEqual([[1, "1", "a\nb"]]);
    expect(seen(split.push(bytes("2,c\n")))).toEqual([[3, "2", "c"]]);
  });

  test("a row or line that is too long is bad, and those around it are read", () => {
    for (const size of [1, 7, 1000]) {
      const long = "x".repeat(100);
      const file = bytes(`a,b\n${long}\nc,"d\n${"e\n".repeat(20)}f,g\n`);
      const rows = seen(inPieces(file, size, 30));
      expect(rows.slice(0, 3)).toEqual([
        [1, "a", "b"],
        [2, "longer than 30 bytes"],
        [3, OPEN],
      ]);
      expect(rows.slice(3)).toEqual([...Array.from({ length: 20 }, (_, i) => [4 + i, "e"]), [24, "f", "g"]]);
    }
  });

  test("a file of any length costs no memory, after a stray quote, too", async () => {
    const rows = bytes('1,"a ""quoted"" text\nof two lines",x\n'.repeat(1 << 15));
    async function* stream() {
      yield bytes('"open\n');
      for (let i = 0; i < 20; i++) yield rows;
    }
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    let count = 0;
    let most = 0;
    for await (const batch of csvRows(stream())) {
      count += batch.length;
      most = Math.max(most, process.memoryUsage.rss() - before);
    }
    expect(count).toBe(1 + 20 * (1 << 15));
    expect(most).toBeLessThan(100 * 2 ** 20);
  });

  const cell = fc.oneof(
    fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r", "é", "x") }),
    fc.string({ unit: "grapheme" }),
  );
  const row = fc.array(cell, { minLength: 1, maxLength: 4 });
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

  test("however the bytes are cut, the rows are the same", () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.string({ unit: fc.constantFrom('"', ",", "\n", "a"), maxLength: 30 }).map(bytes),
      row.map((cells) => bytes(`${cells.map(quoted).join(",")}\n`)),
    );
    fc.assert(
      fc.property(fc.array(noise), fc.integer({ min: 1, max: 9 }), (parts, size) => {
        const file = Buffer.concat(parts);
        // What is not UTF-8 may fail with its row or with rows read beside it, never silently.
        expect(seen(inPieces(file, size))).toEqual(seen(csvCells(file)));
      }),
    );
  });

  test("rows written by the rules are read back, and no line is passed over where a stray quote stands among them", () => {
    const good = row.map((cells) => ({
      text: cells.map(quoted).join(","),
      cells: cells as string[] | undefined,
    }));
    const stray = fc.constantFrom('"', '1,"x', '"tall, 5').map((text) => ({ text, cells: undefined }));
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 3, arbitrary: good }, stray)), (rows) => {
        const apart = rows.flatMap((one) => [
          one,
          { text: "a,b", cells: ["a", "b"] as string[] | undefined },
        ]);
        const read = [...csvCells(bytes(apart.map(({ text }) => `${text}\n`).join("")))];
        if (rows.every(({ cells }) => cells))
          expect(read.map((one) => ("cells" in one ? one.cells : one))).toEqual(
            apart.map(({ cells }) => cells!.map((text) => text.toWellFormed())),
          );
        let line = 1;
        for (const one of read) {
          expect(one.line).toBe(line);
          line += "cells" in one ? one.cells.join("").split("\n").length : 1;
        }
      }),
    );
  });
});

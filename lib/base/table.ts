import { largest } from "./numbers.ts";
import { printable } from "./printable.ts";
import { wrap } from "./wrap.ts";

/**
 * The lines of a table for people: columns as wide as their widest cell, two spaces between them, nothing after the last cell of a line.
 * `right` says which columns are aligned to the right, as numbers are. Cells are made printable.
 */
export function align(
  rows: readonly (readonly string[])[],
  right: (column: number) => boolean = () => false,
): string[] {
  const widths: number[] = [];
  const table = rows.map((row) =>
    row.map((cell, c) => {
      const text = printable(cell);
      const width = Bun.stringWidth(text);
      widths[c] = Math.max(widths[c] ?? 0, width);
      return { text, width };
    }),
  );
  return table.map((row) =>
    row
      .map(({ text, width }, c) => {
        const space = " ".repeat(widths[c]! - width);
        return right(c) ? space + text : text + space;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** The columns whose cells are all numbers, dashes or empty. */
export function numericColumns(rows: readonly (readonly string[])[]): (column: number) => boolean {
  return (c) => rows.every((row) => /^[+−-]?[\d.,]*$|^–$/.test(row[c] ?? ""));
}

export interface Fit {
  /** Columns of the terminal; any width where there is none. */
  columns?: number | undefined;
  /** Titles of the columns to leave out where not all fit, the least needed first. */
  spare?: readonly string[];
  /** Title of the column whose texts are cut where that does not suffice. */
  cut?: string;
  /** Columns aligned to the right; default: those of numbers. */
  right?: (column: number) => boolean;
}

/** A table with titles that fits its terminal: what does not is left out, and a last line says so. */
export function fitTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { columns = Number.POSITIVE_INFINITY, spare = [], cut, right = numericColumns(rows) }: Fit = {},
): string[] {
  const widths = head.map((title, c) =>
    largest([title, ...rows.map((row) => row[c] ?? "")].map((text) => Bun.stringWidth(printable(text)))),
  );
  const shown = head.map((_, c) => c);
  const total = () => shown.reduce((sum, c) => sum + widths[c]! + 2, -2);
  const left: string[] = [];
  for (const title of spare) {
    if (total() <= columns) break;
    const at = shown.indexOf(head.indexOf(title));
    if (at < 0) continue;
    shown.splice(at, 1);
    left.push(title);
  }
  const c = cut === undefined ? -1 : head.indexOf(cut);
  const room = Math.max(NARROWEST_CUT, widths[c]! - (total() - columns));
  const cell = (row: readonly string[], i: number) => (i === c ? cutTo(row[i] ?? "", room) : (row[i] ?? ""));
  const lines = align(
    [head, ...rows].map((row) => shown.map((i) => cell(row, i))),
    (i) => right(shown[i]!),
  );
  return left.length === 0 ? lines : [...lines, ...wrap(leftOut(left, columns), columns)];
}

/** Narrowest column that texts are cut to. */
const NARROWEST_CUT = 10;

const leftOut = (titles: readonly string[], columns: number) =>
  `At ${columns} columns without: ${titles.join(", ")}. A wider terminal or a pipe shows all.`;

function cutTo(text: string, width: number): string {
  const line = printable(text);
  if (Bun.stringWidth(line) <= width) return line;
  let kept = "";
  for (const character of line) {
    if (Bun.stringWidth(kept + character) >= width) break;
    kept += character;
  }
  return `${kept}…`;
}

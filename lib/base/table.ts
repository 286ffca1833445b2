import { printable } from "./printable.ts";

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

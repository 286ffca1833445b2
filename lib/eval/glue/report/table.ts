import type { Run } from "../run.ts";

/** Columns as wide as their widest cell; numbers to the right, and nothing after the last cell of a row. */
export function align(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = [header, ...rows];
  const widths = header.map((_, c) => Math.max(...table.map((row) => (row[c] ?? "").length)));
  const numeric = header.map((_, c) => rows.every((row) => /^[+−-]?[\d.,]*$|^–$/.test(row[c] ?? "")));
  const line = (row: readonly string[]) =>
    row
      .map((cell, c) => (numeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
      .join("  ")
      .trimEnd();
  return table.map((row) => `${line(row)}\n`).join("");
}

/** In percent, two decimals; a dash where it is not defined. */
export function percent(value: number): string {
  return Number.isNaN(value) ? "–" : (100 * value).toFixed(2);
}

/** The same with its sign. */
export function signed(value: number): string {
  return Number.isNaN(value) ? "–" : `${value < 0 ? "" : "+"}${(100 * value).toFixed(2)}`;
}

/** Rounded, with thousands separated. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** What ran it: `2 threads`, `2 instances`, or a device and its dtype. */
export function engine({
  instances,
  threads,
  device,
}: Pick<Run, "instances" | "threads" | "device">): string {
  if (device) return `${device.name}, ${device.dtype}`;
  const [count, what] = instances > 1 ? [instances, "instance"] : [threads, "thread"];
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
